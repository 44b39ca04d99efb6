//! One decision about many: what it covers, and what halts it.

use skep_core::action::{ActionEvent, ActionState};
use skep_core::approval::ApprovalStatus;
use skep_core::audit::AuditKind;
use skep_core::identity::{ActionId, ApprovalId, BatchId};
use skep_core::notice::NoticeKind;

use super::Harness;
use super::fixtures::*;
use crate::{
    ApprovalFilter, AuditFilter, BatchMember, BatchOutcome, BatchRequest, Decision, Error,
    IntentOutcome,
};

/// The decision about these requests of [`pending`], as they stand.
async fn about(leader: &Leader, id: &str, decision: Decision, members: &[&str]) -> BatchRequest {
    let mut seen = Vec::new();
    for member in members {
        let approval = leader.store.approval(&format!("action_approval:a-{member}")).await.unwrap();
        seen.push(BatchMember {
            approval: approval.id,
            revision: approval.revision,
            binding: approval.binding,
        });
    }
    BatchRequest {
        id: BatchId::new(id),
        decision,
        chosen: "group 0123".to_owned(),
        halts: true,
        actor: "alice".to_owned(),
        source: "host:operator".to_owned(),
        comment: Some("release 12".to_owned()),
        members: seen,
        start_by: (decision == Decision::Approve).then(|| at(3600)),
    }
}

async fn decide(leader: &Leader, request: &BatchRequest) -> BatchOutcome {
    leader.store.decide_batch(request, at(3)).await.unwrap()
}

/// Four requests that one decision has approved.
async fn approved(harness: &dyn Harness, halts: bool) -> Leader {
    let leader = leader(harness).await;
    for id in ["a", "b", "c", "d"] {
        leader.propose(pending(id, id)).await;
    }
    let request = about(&leader, "batch1", Decision::Approve, &["a", "b", "c", "d"]).await;
    decide(&leader, &BatchRequest { halts, ..request }).await;
    leader
}

async fn begin(leader: &Leader, id: &str) {
    let intent = intent(&format!("i-{id}"), id, id);
    leader.store.begin(&leader.fence, 2, &intent, at(4)).await.unwrap();
}

async fn settle(leader: &Leader, id: &str, outcome: &IntentOutcome) {
    let intent = intent(&format!("i-{id}"), id, id).id;
    leader.store.settle(&leader.fence, &intent, outcome, at(5)).await.unwrap();
}

fn refused() -> IntentOutcome {
    IntentOutcome::Refused { detail: "no such image".to_owned(), failed: None }
}

async fn states(leader: &Leader) -> Vec<ActionState> {
    let mut states = Vec::new();
    for id in ["a", "b", "c", "d"] {
        states.push(leader.state(id).await);
    }
    states
}

use ActionState::{Executing, Failed, Granted, Succeeded, Superseded};

pub(super) async fn one_decision_covers_many(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    leader.propose(pending("b", "two")).await;
    leader.propose(pending("c", "three")).await;
    let request = about(&leader, "batch1", Decision::Approve, &["b", "a"]).await;
    let outcome = decide(&leader, &request).await;
    assert!(outcome.refused.is_empty(), "{outcome:?}");
    let order: Vec<_> = outcome.decided.iter().map(|approval| approval.action.as_str()).collect();
    assert_eq!(order, ["b", "a"]);
    let batch = outcome.batch.unwrap();
    assert_eq!(
        (batch.id.as_str(), batch.decision, batch.halts),
        ("batch1", Decision::Approve, true)
    );
    assert_eq!((batch.actor.as_str(), batch.source.as_str()), ("alice", "host:operator"));
    assert_eq!((batch.comment.as_deref(), batch.decided_at), (Some("release 12"), at(3)));
    assert_eq!((batch.chosen.as_str(), &batch.halted), ("group 0123", &None));
    // Everybody sees the same.
    let person = harness.connect().await;
    assert_eq!(person.batch("batch1").await.unwrap(), batch);
    let covered = ApprovalFilter { batch: Some(batch.id.clone()), ..ApprovalFilter::default() };
    let covered = person.approvals(&covered).await.unwrap();
    assert_eq!(covered.len(), 2);
    for approval in covered {
        assert_eq!(approval.status, ApprovalStatus::Approved);
        assert_eq!(approval.batch.as_ref(), Some(&batch.id));
        assert_eq!(approval.decided_source.as_deref(), Some("host:operator"));
        let action = person.action(approval.action.as_str()).await.unwrap();
        assert_eq!((action.state, action.start_by), (Granted, Some(at(3600))));
        let told = leader.trail(approval.action.as_str()).await;
        assert_eq!(told[0], AuditKind::Approved);
    }
    assert_eq!(leader.state("c").await, ActionState::Pending);
    let last = leader.last_event().await;
    assert_eq!((last.kind, last.actor.as_str()), (AuditKind::BatchDecided, "alice"));
    assert!(last.detail.contains("batch1") && last.detail.contains("2 of 2"), "{}", last.detail);
}

pub(super) async fn a_decision_leaves_out_what_has_moved(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for id in ["a", "b", "c", "d"] {
        leader.propose(pending(id, id)).await;
    }
    let mut request = about(&leader, "batch1", Decision::Approve, &["a", "b", "c", "d"]).await;
    leader.close("a", 1, ActionEvent::Supersede).await.unwrap();
    request.members[1].revision += 1;
    request.members[2].binding = skep_core::canonical::Digest::of_bytes(b"something else");
    let unknown = ApprovalId::new("action_approval:unknown");
    request.members.push(BatchMember { approval: unknown, ..request.members[3].clone() });
    let outcome = decide(&leader, &request).await;
    let decided: Vec<_> = outcome.decided.iter().map(|approval| approval.action.as_str()).collect();
    assert_eq!(decided, ["d"]);
    let refused: Vec<_> = outcome.refused.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(
        refused,
        [
            "action_approval:a-a",
            "action_approval:a-b",
            "action_approval:a-c",
            "action_approval:unknown"
        ]
    );
    assert!(outcome.refused[..3].iter().all(|(_, error)| matches!(error, Error::Conflict { .. })));
    assert!(matches!(outcome.refused[3].1, Error::NotFound { .. }));
    assert_eq!(states(&leader).await[1..], [ActionState::Pending, ActionState::Pending, Granted]);
}

pub(super) async fn a_decision_that_fits_nothing_leaves_nothing(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    let request = about(&leader, "batch1", Decision::Approve, &["a"]).await;
    leader.store.decide(&decision("a", Decision::Deny), at(2)).await.unwrap();
    let before = everything(&leader.store).await;
    let outcome = decide(&leader, &request).await;
    assert!(outcome.batch.is_none() && outcome.decided.is_empty(), "{outcome:?}");
    assert_eq!(outcome.refused.len(), 1);
    let machine = BatchRequest { source: "gitops".to_owned(), ..request };
    assert!(decide(&leader, &machine).await.batch.is_none());
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn a_failure_halts_the_rest(harness: &dyn Harness) {
    let leader = approved(harness, true).await;
    begin(&leader, "a").await;
    begin(&leader, "b").await;
    settle(&leader, "a", &refused()).await;
    // What has begun goes on; nobody can take it back.
    assert_eq!(states(&leader).await, [Failed, Executing, Superseded, Superseded]);
    // In another process, as after a crash.
    let person = harness.connect().await;
    for id in ["c", "d"] {
        let action = person.action(id).await.unwrap();
        assert!(action.detail.contains("batch1"), "{}", action.detail);
        assert!(action.detail.contains("because a failed"), "{}", action.detail);
        let approval = person.approval(&format!("action_approval:a-{id}")).await.unwrap();
        assert_eq!(approval.status, ApprovalStatus::Superseded);
        assert_eq!(approval.decided_by.as_deref(), Some("alice"), "the decision stays on record");
        assert_eq!(leader.trail(id).await[0], AuditKind::Superseded);
        let intent = intent(&format!("i-{id}"), id, id);
        let began = leader.store.begin(&leader.fence, 2, &intent, at(6)).await;
        assert!(is_conflict(&began), "{began:?}");
    }
    let halt = person.batch("batch1").await.unwrap().halted.unwrap();
    assert_eq!((halt.action, halt.target.as_str(), halt.at), (ActionId::new("a"), "a", at(5)));
    assert_eq!(halt.reason, "no such image");
    let told = person.notices(0).await.unwrap();
    let halted: Vec<_> = told.iter().filter(|n| n.kind == NoticeKind::BatchHalted).collect();
    assert_eq!(halted.len(), 1, "told once, not for each that does not start");
    assert_eq!(halted[0].body["data"]["not_started"], 2);
    assert!(!told.iter().any(|notice| notice.kind == NoticeKind::GrantSuperseded));
    let trail = person.audit(&AuditFilter::default()).await.unwrap();
    assert_eq!(trail.iter().filter(|(_, e)| e.kind == AuditKind::BatchHalted).count(), 1);
    // A second failure halts nothing more, and the first one stays the reason.
    settle(&leader, "b", &refused()).await;
    assert_eq!(person.batch("batch1").await.unwrap().halted.unwrap().target.as_str(), "a");
    // The keys are free: the next plan asks again.
    leader.propose(pending("e", "c")).await;
}

pub(super) async fn a_rollout_that_is_undone_halts_the_rest(harness: &dyn Harness) {
    let leader = approved(harness, true).await;
    for id in ["a", "b"] {
        begin(&leader, id).await;
        settle(&leader, id, &accepted(crate::Effects::default())).await;
    }
    leader.close("a", 4, ActionEvent::Succeed).await.unwrap();
    assert_eq!(states(&leader).await[2..], [Granted, Granted], "success halts nothing");
    leader.close("b", 4, ActionEvent::Fail).await.unwrap();
    assert_eq!(states(&leader).await, [Succeeded, Failed, Superseded, Superseded]);
}

pub(super) async fn what_returns_after_a_halt_does_not_start_again(harness: &dyn Harness) {
    let leader = approved(harness, true).await;
    begin(&leader, "a").await;
    begin(&leader, "b").await;
    settle(&leader, "a", &refused()).await;
    settle(
        &leader,
        "b",
        &IntentOutcome::Retry { detail: "it never arrived".to_owned(), attempt: None },
    )
    .await;
    assert_eq!(states(&leader).await[1], Superseded);
    let detail = leader.store.action("b").await.unwrap().detail;
    assert!(detail.contains("because a failed"), "{detail}");
    let approval = leader.store.approval("action_approval:a-b").await.unwrap();
    assert_eq!(approval.status, ApprovalStatus::Superseded);
}

pub(super) async fn a_decision_may_go_on_after_failures(harness: &dyn Harness) {
    let leader = approved(harness, false).await;
    begin(&leader, "a").await;
    settle(&leader, "a", &refused()).await;
    assert_eq!(states(&leader).await, [Failed, Granted, Granted, Granted]);
    let batch = leader.store.batch("batch1").await.unwrap();
    assert_eq!((batch.halts, batch.halted), (false, None));
}

pub(super) async fn a_halt_reaches_nobody_else(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for id in ["a", "b", "c"] {
        leader.propose(pending(id, id)).await;
    }
    leader.propose(granted("d", "d")).await;
    for (batch, member) in [("batch1", "a"), ("batch2", "b")] {
        let request = about(&leader, batch, Decision::Approve, &[member]).await;
        decide(&leader, &request).await;
    }
    leader.store.decide(&decision("c", Decision::Approve), at(3)).await.unwrap();
    begin(&leader, "a").await;
    settle(&leader, "a", &refused()).await;
    assert_eq!(states(&leader).await, [Failed, Granted, Granted, Granted]);
}

pub(super) async fn many_are_denied_and_revoked_at_once(harness: &dyn Harness) {
    let leader = approved(harness, true).await;
    begin(&leader, "a").await;
    let request = about(&leader, "batch2", Decision::Revoke, &["a", "b", "c"]).await;
    let outcome = decide(&leader, &request).await;
    assert_eq!((outcome.decided.len(), outcome.refused.len()), (2, 1), "{outcome:?}");
    let states = states(&leader).await;
    assert_eq!(states, [Executing, ActionState::Denied, ActionState::Denied, Granted]);
    assert!(!outcome.batch.unwrap().halts, "there is nothing to halt");
    leader.propose(pending("e", "e")).await;
    leader.propose(pending("f", "f")).await;
    let request = about(&leader, "batch3", Decision::Deny, &["e", "f"]).await;
    assert_eq!(decide(&leader, &request).await.decided.len(), 2);
    assert_eq!(leader.state("f").await, ActionState::Denied);
}

pub(super) async fn decisions_are_found_by_the_start_of_their_id(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (id, batch) in [("a", "ff01"), ("b", "ff02"), ("c", "ff0")] {
        leader.propose(pending(id, id)).await;
        let request = about(&leader, batch, Decision::Approve, &[id]).await;
        decide(&leader, &request).await;
    }
    let store = &leader.store;
    for (given, expected) in [("ff02", "ff02"), ("ff01", "ff01"), ("ff0", "ff0")] {
        assert_eq!(store.batch(given).await.unwrap().id.as_str(), expected);
    }
    assert!(matches!(store.batch("ff").await, Err(Error::Ambiguous { count: 3, .. })));
    for unknown in ["", "e", "ff03"] {
        assert!(matches!(store.batch(unknown).await, Err(Error::NotFound { .. })), "{unknown}");
    }
    let listed = store.batches(2).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|batch| batch.id.as_str()).collect();
    assert_eq!(ids, ["ff0", "ff02"], "newest first");
}

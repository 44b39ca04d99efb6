//! Decisions of people: once, in time, on what they saw.

use futures::future::join_all;
use skep_core::action::{ActionEvent, ActionState};
use skep_core::approval::ApprovalStatus;
use skep_core::audit::AuditKind;
use skep_core::canonical::Digest;
use skep_core::identity::{ActionId, PlanId};

use super::Harness;
use super::fixtures::*;
use crate::{ApprovalFilter, AuditFilter, Decision, DecisionRequest, Error};

pub(super) async fn approving_grants_the_action(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let filed = pending("a", "one");
    leader.propose(filed.clone()).await;
    // Anybody may decide while any process leads.
    let person = harness.connect().await;
    let decided = person.decide(&decision("a", Decision::Approve), at(3)).await.unwrap();
    let mut expected = filed.approval.unwrap();
    expected.status = ApprovalStatus::Approved;
    expected.revision = 2;
    expected.decided_at = Some(at(3));
    expected.decided_by = Some("alice".to_owned());
    expected.decided_source = Some("host:operator".to_owned());
    expected.comment = Some("looks right".to_owned());
    assert_eq!(decided, expected);
    assert_eq!(leader.store.approval("a").await.unwrap(), expected);
    let mut action = filed.action;
    action.state = ActionState::Granted;
    action.revision = 2;
    action.updated_at = at(3);
    action.granted_at = Some(at(3));
    action.start_by = Some(at(700));
    assert_eq!(leader.store.action("a").await.unwrap(), action);
    assert_last_told(&leader, "a", AuditKind::Approved).await;
}

pub(super) async fn denying_ends_the_action(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    let decided = leader.store.decide(&decision("a", Decision::Deny), at(3)).await.unwrap();
    assert_eq!(decided.status, ApprovalStatus::Denied);
    let action = leader.store.action("a").await.unwrap();
    assert_eq!((action.state, action.revision), (ActionState::Denied, 2));
    assert_eq!((action.granted_at, action.start_by), (None, None));
    assert_last_told(&leader, "a", AuditKind::Denied).await;
    leader.propose(pending("b", "one")).await;
}

async fn assert_last_told(leader: &Leader, action: &str, kind: AuditKind) {
    let about = AuditFilter { action: Some(ActionId::new(action)), limit: 1, ..Default::default() };
    let (_, last) = leader.store.audit(&about).await.unwrap().remove(0);
    assert_eq!((last.kind, last.actor.as_str(), last.at), (kind, "alice", at(3)));
    assert_eq!((last.key, last.detail.as_str()), (Some(key("one")), "looks right"));
}

pub(super) async fn fifty_decisions_leave_one(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    let stores = processes(harness, 5).await;
    let requests: Vec<_> = (0..CROWD)
        .map(|n| {
            let word = if n % 2 == 0 { Decision::Approve } else { Decision::Deny };
            DecisionRequest { actor: format!("person-{n}"), ..decision("a", word) }
        })
        .collect();
    let tries = requests.iter().enumerate().map(|(n, r)| stores[n % stores.len()].decide(r, at(3)));
    let results = join_all(tries).await;
    let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(results.iter().filter(|result| is_conflict(result)).count(), CROWD - 1);
    assert_eq!(leader.store.approval("a").await.unwrap(), *won[0]);
    let action = leader.store.action("a").await.unwrap();
    let granted = won[0].status == ApprovalStatus::Approved;
    assert_eq!(action.state == ActionState::Granted, granted);
    assert_eq!(action.revision, 2);
    // Proposed and decided: no row of the forty-nine others.
    let about = AuditFilter { action: Some(action.id), ..Default::default() };
    assert_eq!(leader.store.audit(&about).await.unwrap().len(), 2);
}

pub(super) async fn a_decision_is_made_once(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (n, first) in [Decision::Approve, Decision::Deny].into_iter().enumerate() {
        let id = format!("action-{n}");
        leader.propose(pending(&id, &id)).await;
        leader.store.decide(&decision(&id, first), at(3)).await.unwrap();
        let before = everything(&leader.store).await;
        for second in [Decision::Approve, Decision::Deny] {
            let error = leader.store.decide(&decision(&id, second), at(4)).await.unwrap_err();
            let status = if first == Decision::Approve { "approved" } else { "denied" };
            assert!(
                matches!(&error, Error::Conflict { current, .. } if current == status),
                "{error:?}"
            );
        }
        assert_eq!(everything(&leader.store).await, before);
    }
    let unknown = leader.store.decide(&decision("x", Decision::Approve), at(4)).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })), "{unknown:?}");
}

pub(super) async fn a_decision_compares_the_revision(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    let before = everything(&leader.store).await;
    let seen = |revision| DecisionRequest {
        expected_revision: Some(revision),
        ..decision("a", Decision::Approve)
    };
    for other in [0, 2] {
        let result = leader.store.decide(&seen(other), at(3)).await;
        assert!(is_conflict(&result), "{result:?}");
    }
    assert_eq!(everything(&leader.store).await, before);
    leader.store.decide(&seen(1), at(3)).await.unwrap();
}

pub(super) async fn a_decision_compares_what_was_seen(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let action = leader.propose(pending("a", "one")).await;
    let before = everything(&leader.store).await;
    let seen = |binding| DecisionRequest {
        expected_binding: Some(binding),
        ..decision("a", Decision::Approve)
    };
    let result = leader.store.decide(&seen(Digest::of_bytes(b"something else")), at(3)).await;
    assert!(is_conflict(&result), "{result:?}");
    assert_eq!(everything(&leader.store).await, before);
    leader.store.decide(&seen(action.binding), at(3)).await.unwrap();
}

pub(super) async fn a_machine_decides_nothing(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let action = leader.propose(pending("a", "one")).await;
    let before = everything(&leader.store).await;
    for word in [Decision::Approve, Decision::Deny] {
        for (actor, source) in [
            ("alice", "reconciler"),
            ("alice", "host:autoscaler"),
            ("", "host:operator"),
            (action.actor.as_str(), "host:operator"),
        ] {
            let (actor, source) = (actor.to_owned(), source.to_owned());
            let request = DecisionRequest { actor, source, ..decision("a", word) };
            let result = leader.store.decide(&request, at(3)).await;
            assert!(is_refused(&result), "{request:?}: {result:?}");
        }
    }
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn an_approval_is_revoked_until_it_starts(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    let revoke = |id| decision(id, Decision::Revoke);
    let result = leader.store.decide(&revoke("a"), at(3)).await;
    assert!(is_conflict(&result), "nothing was approved: {result:?}");
    leader.store.decide(&decision("a", Decision::Approve), at(3)).await.unwrap();
    // Long after the request itself would have lapsed.
    let revoked = leader.store.decide(&revoke("a"), at(90_000)).await.unwrap();
    assert_eq!(revoked.status, ApprovalStatus::Denied);
    assert_eq!(leader.state("a").await, ActionState::Denied);
    let began = leader.store.begin(&leader.fence, 2, &intent("i-a", "a", "one"), at(4)).await;
    assert!(is_conflict(&began), "{began:?}");
    // What has started is not taken back.
    leader.propose(pending("b", "two")).await;
    leader.store.decide(&decision("b", Decision::Approve), at(3)).await.unwrap();
    leader.store.begin(&leader.fence, 2, &intent("i-b", "b", "two"), at(4)).await.unwrap();
    let before = everything(&leader.store).await;
    let result = leader.store.decide(&revoke("b"), at(5)).await;
    assert!(is_conflict(&result), "{result:?}");
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn a_decision_comes_too_late_after_the_deadline(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    let before = everything(&leader.store).await;
    for word in [Decision::Approve, Decision::Deny] {
        let error = leader.store.decide(&decision("a", word), at(86_400)).await.unwrap_err();
        assert!(
            matches!(&error, Error::Conflict { current, .. } if current == "expired"),
            "{error:?}"
        );
    }
    assert_eq!(everything(&leader.store).await, before);
    leader.store.decide(&decision("a", Decision::Approve), at(86_399)).await.unwrap();
}

pub(super) async fn a_grant_needs_a_deadline(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    let before = everything(&leader.store).await;
    let endless = DecisionRequest { start_by: None, ..decision("a", Decision::Approve) };
    let result = leader.store.decide(&endless, at(3)).await;
    assert!(is_refused(&result), "{result:?}");
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn a_request_ends_with_its_action(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    leader.close("a", 1, ActionEvent::Supersede).await.unwrap();
    let error = leader.store.decide(&decision("a", Decision::Approve), at(6)).await.unwrap_err();
    assert!(
        matches!(&error, Error::Conflict { current, .. } if current == "superseded"),
        "{error:?}"
    );
    let approval = leader.store.approval("a").await.unwrap();
    assert_eq!((approval.revision, approval.decided_by), (2, None));
}

pub(super) async fn approvals_are_found_by_the_start_of_any_of_their_ids(harness: &dyn Harness) {
    let leader = leader(harness).await;
    // The ids of their requests are `action_approval:a-…`.
    for (id, name) in [("ff01", "one"), ("ff02", "two"), ("ee", "three")] {
        leader.propose(pending(id, name)).await;
    }
    let store = &leader.store;
    for (given, action) in [
        ("action_approval:a-ff01", "ff01"),
        ("action_approval:a-e", "ee"),
        ("a-ff02", "ff02"),
        ("a-e", "ee"),
        ("ff01", "ff01"),
        ("e", "ee"),
    ] {
        let found = store.approval(given).await.unwrap();
        assert_eq!(found.action.as_str(), action, "{given}");
    }
    for (given, expected) in [("action_approval:a-", 3), ("a-ff", 2), ("ff", 2), ("a", 3)] {
        let error = store.approval(given).await.unwrap_err();
        assert!(
            matches!(error, Error::Ambiguous { count, .. } if count == expected),
            "{given}: {error:?}"
        );
    }
    // The part that all have in common names none of them.
    for unknown in ["", "action_approval:", "action_appr", "zz", "action_approval:zz", "a-ff011"] {
        let result = store.approval(unknown).await;
        assert!(matches!(result, Err(Error::NotFound { .. })), "{unknown:?}: {result:?}");
    }
    // The tail of one request's id can be the start of another action's id.
    leader.propose(pending("a-ee", "four")).await;
    let error = store.approval("a-e").await.unwrap_err();
    assert!(matches!(error, Error::Ambiguous { count: 2, .. }), "{error:?}");
    assert_eq!(store.approval("action_approval:a-ee").await.unwrap().action.as_str(), "ee");
}

pub(super) async fn approvals_are_listed_oldest_first_and_filtered(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (id, name, plan) in [("a", "one", "p1"), ("b", "two", "p2"), ("c", "three", "p1")] {
        let mut new = pending(id, name);
        new.action.plan = PlanId::new(plan);
        new.approval.as_mut().unwrap().plan = PlanId::new(plan);
        leader.propose(new).await;
    }
    leader.propose(granted("d", "four")).await;
    leader.store.decide(&decision("a", Decision::Approve), at(3)).await.unwrap();
    let none = ApprovalFilter::default;
    let plan = Some(PlanId::new("p1"));
    for (filter, expected) in [
        (none(), "abc"),
        (ApprovalFilter { limit: 2, ..none() }, "ab"),
        (ApprovalFilter { status: Some(ApprovalStatus::Pending), ..none() }, "bc"),
        (ApprovalFilter { status: Some(ApprovalStatus::Denied), ..none() }, ""),
        (ApprovalFilter { plan: plan.clone(), ..none() }, "ac"),
        (ApprovalFilter { plan, status: Some(ApprovalStatus::Pending), limit: 9, ..none() }, "c"),
    ] {
        let listed = leader.store.approvals(&filter).await.unwrap();
        let ids: String = listed.iter().map(|approval| approval.action.as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

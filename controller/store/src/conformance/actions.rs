//! Proposals, their ends, and finding them.

use futures::future::join_all;
use skep_core::action::{ActionEvent, ActionState, ActuatorMode};
use skep_core::approval::ApprovalStatus;
use skep_core::audit::AuditKind;
use skep_core::identity::{ActionId, ApprovalId, ClusterId};

use super::Harness;
use super::fixtures::*;
use crate::{
    ActionFilter, ApprovalFilter, AuditFilter, Decision, Error, LedgerFilter, NewAction,
    ProposeOutcome,
};

pub(super) async fn a_proposal_is_recorded_with_all_its_parts(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let (asked, allowed) = (pending("asked", "one"), granted("allowed", "two"));
    let batch = [asked.clone(), allowed.clone()];
    leader.store.propose(&leader.fence, &batch, at(4)).await.unwrap();
    // Read by another process, so that nothing comes from memory.
    let reader = harness.connect().await;
    assert_eq!(reader.action("asked").await.unwrap(), asked.action);
    assert_eq!(reader.action("allowed").await.unwrap(), allowed.action);
    assert_eq!(Some(reader.approval("asked").await.unwrap()), asked.approval);
    let approvals = reader.approvals(&ApprovalFilter::default()).await.unwrap();
    assert_eq!(approvals.len(), 1);
    let all = LedgerFilter { since: at(0), allowed_only: false };
    assert_eq!(reader.decisions(&all).await.unwrap(), [asked.decision, allowed.decision]);
    for (id, name, kinds) in [
        ("asked", "one", &[AuditKind::Proposed][..]),
        ("allowed", "two", &[AuditKind::Allowed, AuditKind::Proposed]),
    ] {
        let filter = AuditFilter { action: Some(ActionId::new(id)), ..Default::default() };
        let trail = reader.audit(&filter).await.unwrap();
        assert_eq!(trail.iter().map(|(_, e)| e.kind).collect::<Vec<_>>(), kinds);
        for (_, event) in trail {
            assert_eq!(event.at, at(4));
            assert_eq!(event.actor, "reconciler@host");
            assert_eq!(event.key, Some(key(name)));
        }
    }
}

pub(super) async fn a_key_has_one_open_action(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (n, event) in [None, Some(Decision::Approve)].into_iter().enumerate() {
        let (id, name) = (format!("first-{n}"), format!("service-{n}"));
        leader.propose(pending(&id, &name)).await;
        if let Some(yes) = event {
            leader.store.decide(&decision(&id, yes), at(1)).await.unwrap();
        }
        let before = everything(&leader.store).await;
        let again = [granted(&format!("second-{n}"), &name)];
        let outcome = leader.store.propose(&leader.fence, &again, at(2)).await.unwrap();
        assert_eq!(outcome, [ProposeOutcome::KeyBusy(ActionId::new(id))]);
        assert_eq!(everything(&leader.store).await, before);
    }
    leader.begin("running", "service-9").await;
    let again = [granted("another", "service-9")];
    let outcome = leader.store.propose(&leader.fence, &again, at(2)).await.unwrap();
    assert_eq!(outcome, [ProposeOutcome::KeyBusy(ActionId::new("running"))]);
}

pub(super) async fn a_batch_is_recorded_in_order_and_a_busy_key_leaves_nothing(
    harness: &dyn Harness,
) {
    let leader = leader(harness).await;
    let batch = [pending("a", "one"), pending("b", "two"), pending("c", "one")];
    let outcomes = leader.store.propose(&leader.fence, &batch, at(0)).await.unwrap();
    let busy = ProposeOutcome::KeyBusy(ActionId::new("a"));
    assert_eq!(outcomes, [ProposeOutcome::Recorded, ProposeOutcome::Recorded, busy]);
    assert!(matches!(leader.store.action("c").await, Err(Error::NotFound { .. })));
    assert!(matches!(leader.store.approval("a-c").await, Err(Error::NotFound { .. })));
    let all = LedgerFilter { since: at(0), allowed_only: false };
    assert_eq!(leader.store.decisions(&all).await.unwrap().len(), 2);
    let about_c = AuditFilter { action: Some(ActionId::new("c")), ..Default::default() };
    assert_eq!(leader.store.audit(&about_c).await.unwrap(), []);
}

pub(super) async fn fifty_proposals_for_one_key_leave_one(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let stores = processes(harness, 5).await;
    let batches: Vec<_> = (0..CROWD).map(|n| [pending(&format!("p{n}"), "one")]).collect();
    let tries = batches
        .iter()
        .enumerate()
        .map(|(n, batch)| stores[n % stores.len()].propose(&leader.fence, batch, at(0)));
    let outcomes: Vec<_> =
        join_all(tries).await.into_iter().map(|r| r.unwrap().remove(0)).collect();
    let open = leader.store.actions(&ActionFilter::default()).await.unwrap();
    assert_eq!(open.len(), 1);
    let recorded = outcomes.iter().filter(|o| **o == ProposeOutcome::Recorded).count();
    let busy = ProposeOutcome::KeyBusy(open[0].id.clone());
    assert_eq!(recorded, 1);
    assert_eq!(outcomes.iter().filter(|o| **o == busy).count(), CROWD - 1);
}

pub(super) async fn a_key_is_free_after_its_action_ended(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("first", "one")).await;
    leader.close("first", 1, ActionEvent::Supersede).await.unwrap();
    leader.propose(pending("second", "one")).await;
    assert_eq!(leader.state("first").await, ActionState::Superseded);
    assert_eq!(leader.state("second").await, ActionState::Pending);
}

pub(super) async fn a_proposal_that_contradicts_itself_refuses_the_batch(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let broken = |change: fn(&mut NewAction)| {
        let mut new = pending("broken", "two");
        change(&mut new);
        new
    };
    let before = everything(&leader.store).await;
    for (what, new) in [
        ("pending without a request", broken(|new| new.approval = None)),
        ("granted with a request", broken(|new| new.action.state = ActionState::Granted)),
        ("already running", broken(|new| new.action.state = ActionState::Executing)),
        ("names another request", {
            broken(|new| new.action.approval = Some(ApprovalId::new("action_approval:x")))
        }),
        ("request about another action", {
            broken(|new| new.approval.as_mut().unwrap().action = ActionId::new("x"))
        }),
        ("request decided already", {
            broken(|new| new.approval.as_mut().unwrap().status = ApprovalStatus::Approved)
        }),
        ("decision about another action", {
            broken(|new| new.decision.action = Some(ActionId::new("x")))
        }),
    ] {
        let batch = [pending("fine", "one"), new];
        let result = leader.store.propose(&leader.fence, &batch, at(0)).await;
        assert!(is_refused(&result), "{what}: {result:?}");
        assert_eq!(everything(&leader.store).await, before, "{what}");
    }
}

pub(super) async fn closing_ends_the_action_and_its_request(harness: &dyn Harness) {
    use {ActionEvent as E, ActionState as S, ApprovalStatus as A, AuditKind as K};
    let leader = leader(harness).await;
    for (n, (approve, event, state, status, kind)) in [
        (false, E::Supersede, S::Superseded, A::Superseded, K::Superseded),
        (false, E::Expire, S::Expired, A::Expired, K::Expired),
        (false, E::Deny, S::Denied, A::Denied, K::Denied),
        (true, E::Supersede, S::Superseded, A::Superseded, K::Superseded),
        (true, E::Expire, S::Expired, A::Expired, K::Expired),
        (true, E::Deny, S::Denied, A::Denied, K::Denied),
        // The rehearsal took place; what was approved stays approved.
        (true, E::Rehearse, S::Rehearsed, A::Approved, K::Rehearsed),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("action-{n}");
        let mut new = pending(&id, "one");
        if event == E::Rehearse {
            new.action.mode = ActuatorMode::DryRun;
        }
        leader.propose(new).await;
        if approve {
            leader.store.decide(&decision(&id, Decision::Approve), at(1)).await.unwrap();
        }
        let revision = if approve { 2 } else { 1 };
        leader.close(&id, revision, event).await.unwrap();
        let action = leader.store.action(&id).await.unwrap();
        assert_eq!((action.state, action.revision), (state, revision + 1), "{event}");
        assert_eq!((action.detail.as_str(), action.updated_at), ("it no longer fits", at(5)));
        let approval = leader.store.approval(&id).await.unwrap();
        assert_eq!(approval.status, status, "{event}");
        assert_eq!(
            approval.decided_by.as_deref(),
            match (approve, event) {
                (_, E::Deny) => Some("policy"),
                (true, _) => Some("alice"),
                (false, _) => None,
            }
        );
        let about = AuditFilter { action: Some(action.id), limit: 1, ..Default::default() };
        let (_, last) = leader.store.audit(&about).await.unwrap().remove(0);
        assert_eq!((last.kind, last.actor.as_str(), last.at), (kind, "policy", at(5)));
        assert_eq!(last.detail, "it no longer fits");
    }
}

pub(super) async fn closing_compares_the_revision(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    leader.store.decide(&decision("a", Decision::Approve), at(1)).await.unwrap();
    let before = everything(&leader.store).await;
    for stale in [1, 3] {
        let result = leader.close("a", stale, ActionEvent::Supersede).await;
        assert!(is_conflict(&result), "{result:?}");
    }
    let unknown = leader.close("b", 1, ActionEvent::Supersede).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })), "{unknown:?}");
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn closing_never_ends_what_may_have_happened(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.begin("a", "one").await;
    let before = everything(&leader.store).await;
    for event in ActionEvent::ALL.iter().copied() {
        let result = leader.close("a", 2, event).await;
        assert!(is_transition(&result), "{event}: {result:?}");
    }
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn closing_never_starts_anything(harness: &dyn Harness) {
    use ActionEvent as E;
    let leader = leader(harness).await;
    leader.propose(pending("p", "one")).await;
    leader.propose(granted("g", "two")).await;
    let before = everything(&leader.store).await;
    for event in [E::Grant, E::Begin, E::Accept, E::Succeed, E::Fail, E::Retry] {
        for id in ["p", "g"] {
            let result = leader.close(id, 1, event).await;
            assert!(is_transition(&result), "{id} {event}: {result:?}");
        }
    }
    let unasked = leader.close("p", 1, E::Rehearse).await;
    assert!(is_transition(&unasked), "nobody has approved it: {unasked:?}");
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn what_has_ended_never_moves_again(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (n, first) in
        [ActionEvent::Supersede, ActionEvent::Expire, ActionEvent::Deny].into_iter().enumerate()
    {
        let id = format!("action-{n}");
        leader.propose(pending(&id, "one")).await;
        leader.close(&id, 1, first).await.unwrap();
        let before = everything(&leader.store).await;
        for event in ActionEvent::ALL.iter().copied() {
            let result = leader.close(&id, 2, event).await;
            assert!(is_transition(&result), "{event} after {first}: {result:?}");
        }
        let late = leader.store.decide(&decision(&id, Decision::Approve), at(6)).await;
        assert!(is_conflict(&late), "{late:?}");
        let start = intent("i", &id, "one");
        let begun = leader.store.begin(&leader.fence, 2, &start, at(6)).await;
        assert!(is_transition(&begun), "{begun:?}");
        assert_eq!(everything(&leader.store).await, before);
    }
}

pub(super) async fn actions_are_found_by_the_start_of_their_id(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (id, name) in [("abc1", "one"), ("abc2", "two"), ("abd", "three"), ("ab%_", "four")] {
        leader.propose(granted(id, name)).await;
    }
    leader.propose(granted("abc", "five")).await;
    let store = &leader.store;
    assert_eq!(store.action("abd").await.unwrap().key, key("three"));
    assert_eq!(store.action("abc2").await.unwrap().key, key("two"));
    // A whole id wins over longer ones.
    assert_eq!(store.action("abc").await.unwrap().key, key("five"));
    // Nothing is a wildcard.
    assert_eq!(store.action("ab%").await.unwrap().key, key("four"));
    for (prefix, expected) in [("ab", 5), ("a", 5)] {
        let error = store.action(prefix).await.unwrap_err();
        assert!(matches!(error, Error::Ambiguous { count, .. } if count == expected), "{error:?}");
    }
    for unknown in ["", "x", "abc11", "%", "_", "ABD", "abd "] {
        let result = store.action(unknown).await;
        assert!(matches!(result, Err(Error::NotFound { .. })), "{unknown:?}: {result:?}");
    }
}

pub(super) async fn actions_are_listed_newest_first_and_filtered(harness: &dyn Harness) {
    use ActionState as S;
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    leader.close("a", 1, ActionEvent::Expire).await.unwrap();
    leader.propose(pending("b", "two")).await;
    leader.propose(granted("c", "one")).await;
    leader.propose(pending("d", "three")).await;
    leader.close("d", 1, ActionEvent::Expire).await.unwrap();
    let none = ActionFilter::default();
    for (filter, expected) in [
        (none.clone(), "dcba"),
        (ActionFilter { limit: 3, ..none.clone() }, "dcb"),
        (ActionFilter { states: vec![S::Pending], ..none.clone() }, "b"),
        (ActionFilter { states: vec![S::Pending, S::Granted], ..none.clone() }, "cb"),
        (ActionFilter { states: vec![S::Failed], ..none.clone() }, ""),
        (ActionFilter { keys: vec![key("one")], ..none.clone() }, "ca"),
        (ActionFilter { keys: vec![key("nine")], ..none.clone() }, ""),
        (ActionFilter { keys: vec![key("two"), key("one")], ..none.clone() }, "cba"),
        (ActionFilter { keys: vec![key("two"), key("one")], limit: 1, ..none.clone() }, "c"),
        (ActionFilter { latest_per_key: true, ..none.clone() }, "dcb"),
        // The newest of "one" is granted, so its older, expired one is not meant.
        (ActionFilter { latest_per_key: true, states: vec![S::Expired], ..none.clone() }, "d"),
        (ActionFilter { latest_per_key: true, keys: vec![key("one")], ..none.clone() }, "c"),
    ] {
        let listed = leader.store.actions(&filter).await.unwrap();
        let ids: String = listed.iter().map(|action| action.id.as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

/// More objects than a statement takes parameters, in any database.
pub(super) async fn actions_of_many_objects_are_listed(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    leader.propose(pending("b", "two")).await;
    let mut keys: Vec<_> = (0..70_000).map(|n| key(&format!("service-{n}"))).collect();
    keys.push(key("two"));
    // The same name on another swarm is another object.
    let mut elsewhere = key("one");
    elsewhere.cluster = ClusterId::new("cluster-0");
    keys.push(elsewhere);
    let filter = ActionFilter { keys, ..ActionFilter::default() };
    let list = leader.store.list_actions(&filter).await.unwrap();
    assert_eq!(list.actions.iter().map(|action| action.id.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(list.unreadable.is_empty());
}

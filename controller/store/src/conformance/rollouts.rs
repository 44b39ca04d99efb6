//! Between the engine's yes and the end of the rollout.

use skep_core::action::{ActionEvent, ActionKind, ActionState};
use skep_core::approval::ApprovalStatus;
use skep_core::audit::AuditKind;
use skep_core::identity::ActionId;

use super::Harness;
use super::fixtures::*;
use crate::{Decision, Effects, ProposeOutcome};

impl Leader {
    /// An action that a person approved and that is rolling out, at revision 4.
    async fn rolling(&self, id: &str, name: &str) {
        self.propose(pending(id, name)).await;
        self.store.decide(&decision(id, Decision::Approve), at(1)).await.unwrap();
        let intent = intent(&format!("i-{id}"), id, name);
        self.store.begin(&self.fence, 2, &intent, at(2)).await.unwrap();
        let outcome = accepted(Effects::default());
        self.store.settle(&self.fence, &intent.id, &outcome, at(3)).await.unwrap();
    }
}

pub(super) async fn an_accepted_action_rolls_out(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.rolling("a", "one").await;
    let action = leader.store.action("a").await.unwrap();
    assert_eq!((action.state, action.revision), (ActionState::RollingOut, 4));
    assert_eq!((action.detail.as_str(), action.updated_at), ("accepted", at(3)));
    assert_eq!(leader.store.approval("a").await.unwrap().status, ApprovalStatus::Approved);
    assert!(leader.store.open_intents().await.unwrap().is_empty(), "nothing is unknown any more");
    let event = leader.last_event().await;
    assert_eq!((event.kind, event.actor.as_str()), (AuditKind::Accepted, "leader@host"));
    assert_eq!((event.detail.as_str(), event.at), ("accepted", at(3)));
}

pub(super) async fn a_rollout_ends_well_or_badly(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (id, event, state, kind) in [
        ("a", ActionEvent::Succeed, ActionState::Succeeded, AuditKind::Succeeded),
        ("b", ActionEvent::Fail, ActionState::Failed, AuditKind::Failed),
    ] {
        leader.rolling(id, "one").await;
        let before = everything(&leader.store).await;
        for stale in [3, 5] {
            let result = leader.close(id, stale, event).await;
            assert!(is_conflict(&result), "{result:?}");
        }
        assert_eq!(everything(&leader.store).await, before);
        leader.close(id, 4, event).await.unwrap();
        let action = leader.store.action(id).await.unwrap();
        assert_eq!((action.state, action.revision), (state, 5));
        assert_eq!((action.detail.as_str(), action.updated_at), ("it no longer fits", at(5)));
        // What was approved took place, whatever came of it.
        assert_eq!(leader.store.approval(id).await.unwrap().status, ApprovalStatus::Approved);
        let last = leader.last_event().await;
        assert_eq!((last.kind, last.actor.as_str(), last.at), (kind, "policy", at(5)));
        let again = leader.close(id, 5, event).await;
        assert!(is_transition(&again), "{again:?}");
    }
}

pub(super) async fn a_rollout_ends_in_no_other_way(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.rolling("a", "one").await;
    let before = everything(&leader.store).await;
    let ends = [ActionEvent::Succeed, ActionEvent::Fail];
    // What fails leaves a letter, and this leaves none.
    let fail = closing("a", 4, ActionEvent::Fail);
    let result = leader.store.close_action(&leader.fence, &fail, at(5)).await;
    assert!(is_transition(&result), "{result:?}");
    for event in ActionEvent::ALL.iter().copied().filter(|event| !ends.contains(event)) {
        let result = leader.close("a", 4, event).await;
        assert!(is_transition(&result), "{event}: {result:?}");
    }
    let begun = leader.store.begin(&leader.fence, 4, &intent("again", "a", "one"), at(6)).await;
    assert!(is_transition(&begun), "{begun:?}");
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn a_rollout_keeps_its_key_busy(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.rolling("a", "one").await;
    let next = [granted("b", "one")];
    let outcome = leader.store.propose(&leader.fence, &next, at(6)).await.unwrap();
    assert_eq!(outcome, [ProposeOutcome::KeyBusy(ActionId::new("a"))]);
    leader.close("a", 4, ActionEvent::Succeed).await.unwrap();
    let outcome = leader.store.propose(&leader.fence, &next, at(7)).await.unwrap();
    assert_eq!(outcome, [ProposeOutcome::Recorded]);
}

pub(super) async fn nothing_rolls_out_without_a_write(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(adoption("a", "one", ActionKind::AdoptService)).await;
    let before = everything(&leader.store).await;
    let (a, outcome) = (ActionId::new("a"), accepted(Effects::default()));
    let result = leader.store.settle_without_write(&leader.fence, &a, 1, &outcome, at(2)).await;
    assert!(is_refused(&result), "{result:?}");
    assert_eq!(everything(&leader.store).await, before);
}

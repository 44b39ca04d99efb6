//! Failed attempts are counted across processes and leaders.

use skep_core::action::ActionState;
use skep_core::audit::AuditKind;
use skep_core::identity::{ActionId, IntentId};
use skep_core::letter::LetterReason;
use skep_core::retry::Failure;

use super::Harness;
use super::fixtures::*;
use crate::{Attempts, Decision, IntentOutcome};

/// An attempt that ended its intent without an effect.
fn retry(second: i64) -> IntentOutcome {
    IntentOutcome::Retry {
        detail: "it never arrived".to_owned(),
        attempt: Some(failed_attempt(Failure::NoReply, second)),
    }
}

pub(super) async fn attempts_are_counted_by_action(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.begin("a", "one").await;
    leader.begin("b", "two").await;
    assert_eq!(leader.store.attempts(&ActionId::new("a")).await.unwrap(), None);
    let noted = |second| {
        let attempt = failed_attempt(Failure::EngineError, second + 10);
        let (store, fence) = (leader.store.clone(), leader.fence.clone());
        async move {
            let intent = IntentId::new("i-a");
            store.note_attempt(&fence, &intent, &attempt, "it is busy", at(second)).await.unwrap()
        }
    };
    let first = noted(2).await;
    let event = leader.last_event().await;
    assert_eq!((event.kind, event.actor.as_str()), (AuditKind::AttemptFailed, "leader@host"));
    assert_eq!((event.key, event.at), (Some(key("one")), at(2)));
    assert_eq!(event.detail, "attempt 1 failed (engine_error): it is busy");
    let second = noted(4).await;
    let expected = |failed, last| Attempts {
        action: ActionId::new("a"),
        failed,
        failure: Failure::EngineError,
        detail: "it is busy".to_owned(),
        first_at: at(2),
        last_at: at(last),
        not_before: at(last + 10),
    };
    assert_eq!((first, &second), (expected(1, 2), &expected(2, 4)));
    // Its outcome is as unknown as before.
    assert_eq!(leader.state("a").await, ActionState::Executing);
    assert_eq!(leader.store.open_intents().await.unwrap().len(), 2);
    let reader = harness.connect().await;
    assert_eq!(reader.attempts(&ActionId::new("a")).await.unwrap(), Some(second));
    assert_eq!(reader.attempts(&ActionId::new("b")).await.unwrap(), None);
}

pub(super) async fn a_retry_counts_when_it_was_an_attempt(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let a = ActionId::new("a");
    let first = leader.begin("a", "one").await;
    leader.store.settle(&leader.fence, &first.id, &retry(3), at(3)).await.unwrap();
    let counted = leader.store.attempts(&a).await.unwrap().unwrap();
    assert_eq!((counted.failed, counted.failure), (1, Failure::NoReply));
    assert_eq!((counted.detail.as_str(), counted.not_before), ("it never arrived", at(3)));
    // Nothing had been sent: no attempt.
    let second = intent("second", "a", "one");
    leader.store.begin(&leader.fence, 3, &second, at(4)).await.unwrap();
    let moved = IntentOutcome::Retry { detail: "it moved".to_owned(), attempt: None };
    leader.store.settle(&leader.fence, &second.id, &moved, at(5)).await.unwrap();
    assert_eq!(leader.store.attempts(&a).await.unwrap(), Some(counted));
}

pub(super) async fn the_count_survives_a_leader(harness: &dyn Harness) {
    let old = leader(harness).await;
    let a = ActionId::new("a");
    let first = old.begin("a", "one").await;
    old.store.settle(&old.fence, &first.id, &retry(3), at(3)).await.unwrap();
    harness.advance(TTL);
    let store = harness.connect().await;
    let fence = take_lease(&store, "successor").await.fence;
    let new = Leader { store, fence };
    let second = intent("second", "a", "one");
    new.store.begin(&new.fence, 3, &second, at(9)).await.unwrap();
    let late = old.store.settle(&old.fence, &second.id, &retry(9), at(9)).await;
    assert!(is_fenced(&late), "{late:?}");
    new.store.settle(&new.fence, &second.id, &retry(10), at(10)).await.unwrap();
    let counted = new.store.attempts(&a).await.unwrap().unwrap();
    assert_eq!((counted.failed, counted.first_at, counted.last_at), (2, at(3), at(10)));
}

pub(super) async fn only_open_actions_have_a_next_attempt(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let open = || async {
        let open = leader.store.open_attempts().await.unwrap();
        open.into_iter().map(|attempts| attempts.action.to_string()).collect::<String>()
    };
    for id in ["a", "b", "c"] {
        let intent = leader.begin(id, id).await;
        leader.store.settle(&leader.fence, &intent.id, &retry(3), at(3)).await.unwrap();
    }
    assert_eq!(open().await, "abc");
    for (id, outcome) in [("a", done(None)), ("b", refused_for(LetterReason::Refused))] {
        let again = intent(&format!("again-{id}"), id, id);
        leader.store.begin(&leader.fence, 3, &again, at(4)).await.unwrap();
        assert!(open().await.contains(id), "it is executing");
        leader.store.settle(&leader.fence, &again.id, &outcome, at(5)).await.unwrap();
    }
    assert_eq!(open().await, "c");
    assert!(leader.store.attempts(&ActionId::new("a")).await.unwrap().is_some(), "for the record");
}

pub(super) async fn a_settled_intent_takes_no_attempt(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    leader.store.decide(&decision("a", Decision::Approve), at(1)).await.unwrap();
    let first = intent("first", "a", "one");
    leader.store.begin(&leader.fence, 2, &first, at(2)).await.unwrap();
    leader.store.settle(&leader.fence, &first.id, &done(None), at(3)).await.unwrap();
    let before = everything(&leader.store).await;
    let attempt = failed_attempt(Failure::EngineError, 9);
    let noted = leader.store.note_attempt(&leader.fence, &first.id, &attempt, "no", at(4)).await;
    assert!(is_conflict(&noted), "{noted:?}");
    assert_eq!(everything(&leader.store).await, before);
}

//! What follows from an outcome is stored with it, or not at all.

use skep_core::action::{ActionKind, ActionState};
use skep_core::audit::AuditKind;
use skep_core::hold::HoldKind;
use skep_core::identity::ActionId;
use skep_core::letter::LetterReason;
use skep_core::revision::RevisionOrigin;

use super::Harness;
use super::fixtures::*;
use crate::{Effects, IntentOutcome, OwnershipChange};

/// Every effect, on one object.
fn all(name: &str, action: &str) -> Effects {
    let mut revision = revision(name, RevisionOrigin::Applied);
    revision.action = Some(ActionId::new(action));
    Effects {
        ownership: Some(OwnershipChange::Record(owned(name, "new-id"))),
        revision: Some(revision),
        hold: Some(hold(name, HoldKind::Manual)),
    }
}

pub(super) async fn all_effects_are_stored_with_the_outcome(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (id, outcome) in [("a", done_with(all("a", "a"))), ("b", accepted(all("b", "b")))] {
        let intent = leader.begin(id, id).await;
        leader.store.settle(&leader.fence, &intent.id, &outcome, at(3)).await.unwrap();
        let reader = harness.connect().await;
        let effects = all(id, id);
        assert_eq!(reader.owned_of(&[key(id)]).await.unwrap(), [owned(id, "new-id")]);
        let recorded = reader.revision(&key(id), 1).await.unwrap();
        assert_eq!(Some(recorded), effects.revision.map(|revision| revision.numbered(1)));
        assert!(reader.holds(&cluster()).await.unwrap().contains(&hold(id, HoldKind::Manual)));
    }
}

pub(super) async fn no_effect_without_an_outcome(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (n, outcome) in [
        refused_for(LetterReason::Refused),
        IntentOutcome::NoEffect { detail: "moved".to_owned() },
        IntentOutcome::Retry { detail: "later".to_owned(), attempt: None },
        done_with(Effects::default()),
        accepted(Effects::default()),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("a{n}");
        let intent = leader.begin(&id, &id).await;
        leader.store.settle(&leader.fence, &intent.id, &outcome, at(3)).await.unwrap();
    }
    assert_eq!(leader.store.owned(&cluster()).await.unwrap(), []);
    assert_eq!(leader.store.revision_heads(&cluster()).await.unwrap(), []);
    assert_eq!(leader.store.holds(&cluster()).await.unwrap(), []);
}

pub(super) async fn effects_follow_only_their_own_object(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let intent = leader.begin("a", "one").await;
    leader.propose(adoption("b", "two", ActionKind::AdoptService)).await;
    let before = everything(&leader.store).await;
    let none = Effects::default();
    // The first part is right each time: it must not stay when another is refused.
    let ownership = Some(OwnershipChange::Record(owned("one", "id")));
    for effects in [
        Effects { ownership: Some(OwnershipChange::Forget(key("other"))), ..none.clone() },
        Effects {
            ownership: ownership.clone(),
            revision: Some(revision("other", RevisionOrigin::Applied)),
            ..none.clone()
        },
        Effects { ownership, hold: Some(hold("other", HoldKind::Manual)), ..none.clone() },
    ] {
        for outcome in [done_with(effects.clone()), accepted(effects.clone())] {
            let settled = leader.store.settle(&leader.fence, &intent.id, &outcome, at(2)).await;
            assert!(is_refused(&settled), "{outcome:?}: {settled:?}");
        }
        let (b, outcome) = (ActionId::new("b"), done_with(effects));
        let adopted =
            leader.store.settle_without_write(&leader.fence, &b, 1, &outcome, at(2)).await;
        assert!(is_refused(&adopted), "{outcome:?}: {adopted:?}");
    }
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn a_revision_names_its_own_action(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let intent = leader.begin("a", "one").await;
    leader.begin("b", "two").await;
    let before = everything(&leader.store).await;
    let outcome = done_with(all("one", "b"));
    let settled = leader.store.settle(&leader.fence, &intent.id, &outcome, at(2)).await;
    assert!(is_refused(&settled), "{settled:?}");
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn effects_come_without_an_intent_too(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(adoption("a", "one", ActionKind::AdoptService)).await;
    let (a, outcome) = (ActionId::new("a"), done_with(all("one", "a")));
    leader.store.settle_without_write(&leader.fence, &a, 1, &outcome, at(2)).await.unwrap();
    assert_eq!(leader.state("a").await, ActionState::Succeeded);
    assert_eq!(leader.store.owned(&cluster()).await.unwrap(), [owned("one", "new-id")]);
    assert_eq!(leader.store.revisions(&key("one"), 0).await.unwrap().len(), 1);
    assert_eq!(leader.store.holds(&cluster()).await.unwrap(), [hold("one", HoldKind::Manual)]);
    use AuditKind as K;
    assert_eq!(leader.trail("a").await, [K::Succeeded, K::Started, K::Allowed, K::Proposed]);
}

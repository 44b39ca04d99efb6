//! A removal and a create under one intent: whoever leads next knows which of them is next.

use futures::future::join_all;
use skep_core::action::{ActionState, IntentPhase};
use skep_core::audit::AuditKind;
use skep_core::identity::IntentId;

use super::Harness;
use super::fixtures::*;
use crate::{Error, Intent, OwnershipChange, Result};

use IntentPhase::{Create, Remove, Write};

impl Leader {
    async fn advance(&self, id: &str, from: IntentPhase, to: IntentPhase) -> Result<()> {
        self.store.advance(&self.fence, &IntentId::new(id), from, to, at(2)).await
    }
}

pub(super) async fn a_replacement_goes_on_with_the_create(harness: &dyn Harness) {
    let old = leader(harness).await;
    let intent = old.begin_replacement("a", "one").await;
    assert!(old.store.open_intents().await.unwrap() == [intent.clone()], "with its phase");
    old.advance("i-a", Remove, Create).await.unwrap();
    let event = old.last_event().await;
    assert_eq!((event.kind, event.actor.as_str()), (AuditKind::Advanced, "leader@host"));
    assert_eq!((event.key, event.at), (Some(key("one")), at(2)));
    // The process dies here; another one takes over.
    harness.advance(TTL);
    let store = harness.connect().await;
    let new = Leader { fence: take_lease(&store, "successor@host").await.fence, store };
    let open = new.store.open_intents().await.unwrap();
    assert!(open == [Intent { phase: Create, ..intent }], "everything else is as it was");
    assert_eq!(new.state("a").await, ActionState::Executing);
    let record = done(Some(OwnershipChange::Record(owned("one", "new-id"))));
    new.store.settle(&new.fence, &open[0].id, &record, at(9)).await.unwrap();
    assert_eq!(new.state("a").await, ActionState::Succeeded);
    assert_eq!(new.store.owned(&cluster()).await.unwrap(), [owned("one", "new-id")]);
}

pub(super) async fn only_a_removal_is_followed_by_a_create(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.begin("write", "one").await;
    leader.begin_replacement("replace", "two").await;
    let before = everything(&leader.store).await;
    for (id, from, to) in
        [("i-write", Write, Create), ("i-write", Write, Remove), ("i-replace", Remove, Write)]
    {
        let result = leader.advance(id, from, to).await;
        assert!(is_refused(&result), "{id} {from} {to}: {result:?}");
    }
    for (id, from) in [("i-write", Remove), ("i-replace", Write), ("i-replace", Create)] {
        let result = leader.advance(id, from, Create).await;
        assert!(is_conflict(&result), "{id} is not in {from}: {result:?}");
    }
    let unknown = leader.advance("i", Remove, Create).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })), "{unknown:?}");
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn a_settled_intent_does_not_go_on(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let intent = leader.begin_replacement("a", "one").await;
    leader.store.settle(&leader.fence, &intent.id, &done(None), at(2)).await.unwrap();
    let before = everything(&leader.store).await;
    let result = leader.advance("i-a", Remove, Create).await;
    assert!(is_conflict(&result), "{result:?}");
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn a_replacement_begins_with_the_removal(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(granted("a", "one")).await;
    let before = everything(&leader.store).await;
    let second_half = Intent { phase: Create, ..intent("i", "a", "one") };
    let result = leader.store.begin(&leader.fence, 1, &second_half, at(1)).await;
    assert!(is_refused(&result), "{result:?}");
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn fifty_steps_leave_one(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let intent = leader.begin_replacement("a", "one").await;
    let stores = processes(harness, 5).await;
    let tries = (0..CROWD).map(|n| {
        stores[n % stores.len()].advance(&leader.fence, &intent.id, Remove, Create, at(2))
    });
    let results = join_all(tries).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(results.iter().filter(|result| is_conflict(result)).count(), CROWD - 1);
    let advanced = leader.trail("a").await;
    assert_eq!(advanced.iter().filter(|kind| **kind == AuditKind::Advanced).count(), 1);
}

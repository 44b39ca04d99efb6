//! *Unknown* before the write, the outcome after it, each exactly once.

use futures::future::join_all;
use skep_core::action::{ActionEvent, ActionKind, ActionState, ActuatorMode};
use skep_core::approval::ApprovalStatus;
use skep_core::audit::AuditKind;
use skep_core::identity::{ActionId, IntentId, SwarmId};
use skep_core::letter::LetterReason;

use super::Harness;
use super::fixtures::*;
use crate::{AuditFilter, Decision, Error, Intent, IntentOutcome, OwnershipChange};

fn refused() -> IntentOutcome {
    let failed = Some(failed(LetterReason::Refused));
    IntentOutcome::Refused { detail: "port is already in use".to_owned(), failed }
}

fn no_effect() -> IntentOutcome {
    IntentOutcome::NoEffect { detail: "the service has moved".to_owned() }
}

fn retry() -> IntentOutcome {
    IntentOutcome::Retry { detail: "update out of sequence".to_owned(), attempt: None }
}

pub(super) async fn beginning_stores_the_exact_bytes_as_unknown(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(granted("a", "one")).await;
    leader.propose(granted("b", "two")).await;
    let update = Intent {
        object: Some(SwarmId::new("service-id")),
        version: Some(u64::try_from(i64::MAX).unwrap()),
        body: (0..=255).cycle().take(100_000).collect(),
        ..intent("z-first", "a", "one")
    };
    let create = intent("a-second", "b", "two");
    leader.store.begin(&leader.fence, 1, &update, at(1)).await.unwrap();
    leader.store.begin(&leader.fence, 1, &create, at(2)).await.unwrap();
    let reader = harness.connect().await;
    assert!(reader.open_intents().await.unwrap() == [update, create], "oldest first, unchanged");
    let action = reader.action("a").await.unwrap();
    assert_eq!((action.state, action.revision), (ActionState::Executing, 2));
    assert_eq!(action.updated_at, at(1));
    let about = AuditFilter { action: Some(action.id), limit: 1, ..Default::default() };
    let (_, last) = reader.audit(&about).await.unwrap().remove(0);
    assert_eq!((last.kind, last.actor.as_str()), (AuditKind::Started, "leader@host"));
    assert!(last.detail.contains("z-first"), "{}", last.detail);
}

pub(super) async fn fifty_beginnings_leave_one(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(granted("a", "one")).await;
    let stores = processes(harness, 5).await;
    let intents: Vec<_> = (0..CROWD).map(|n| intent(&format!("i{n}"), "a", "one")).collect();
    let tries = intents
        .iter()
        .enumerate()
        .map(|(n, intent)| stores[n % stores.len()].begin(&leader.fence, 1, intent, at(1)));
    let results = join_all(tries).await;
    let won: Vec<_> = (0..CROWD).filter(|n| results[*n].is_ok()).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(results.iter().filter(|result| is_conflict(result)).count(), CROWD - 1);
    let open = leader.store.open_intents().await.unwrap();
    assert!(open == [intents[won[0]].clone()]);
    assert_eq!(leader.store.action("a").await.unwrap().revision, 2);
}

/// However many execute one grant, there is one write.
pub(super) async fn a_thousand_beginnings_of_a_grant_leave_one(harness: &dyn Harness) {
    const THOUSAND: usize = 1_000;
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    leader.store.decide(&decision("a", Decision::Approve), at(1)).await.unwrap();
    let stores = processes(harness, 8).await;
    let intents: Vec<_> = (0..THOUSAND).map(|n| intent(&format!("i{n}"), "a", "one")).collect();
    let tries = intents
        .iter()
        .enumerate()
        .map(|(n, intent)| stores[n % stores.len()].begin(&leader.fence, 2, intent, at(2)));
    let results = join_all(tries).await;
    let won: Vec<_> = (0..THOUSAND).filter(|n| results[*n].is_ok()).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(results.iter().filter(|result| is_conflict(result)).count(), THOUSAND - 1);
    let open = leader.store.open_intents().await.unwrap();
    assert!(open == [intents[won[0]].clone()]);
    let begun = leader.trail("a").await;
    assert_eq!(begun.iter().filter(|kind| **kind == AuditKind::Started).count(), 1);
}

pub(super) async fn only_a_granted_action_begins(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("asked", "one")).await;
    leader.begin("running", "two").await;
    leader.begin("finished", "three").await;
    let finished = IntentId::new("i-finished");
    leader.store.settle(&leader.fence, &finished, &done(None), at(2)).await.unwrap();
    let before = everything(&leader.store).await;
    for (id, name, revision) in
        [("asked", "one", 1), ("running", "two", 2), ("finished", "three", 3)]
    {
        let again = intent("again", id, name);
        let result = leader.store.begin(&leader.fence, revision, &again, at(3)).await;
        assert!(is_transition(&result), "{id}: {result:?}");
    }
    let unknown = leader.store.begin(&leader.fence, 1, &intent("i", "x", "one"), at(3)).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })), "{unknown:?}");
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn beginning_compares_the_revision(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    leader.store.decide(&decision("a", Decision::Approve), at(1)).await.unwrap();
    let before = everything(&leader.store).await;
    for other in [1, 3] {
        let result =
            leader.store.begin(&leader.fence, other, &intent("i", "a", "one"), at(2)).await;
        assert!(is_conflict(&result), "{result:?}");
    }
    assert_eq!(everything(&leader.store).await, before);
    leader.store.begin(&leader.fence, 2, &intent("i", "a", "one"), at(2)).await.unwrap();
}

pub(super) async fn a_rehearsal_never_begins(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let mut new = granted("a", "one");
    new.action.mode = ActuatorMode::DryRun;
    leader.propose(new).await;
    let mut new = adoption("b", "two", ActionKind::AdoptService);
    new.action.mode = ActuatorMode::DryRun;
    leader.propose(new).await;
    let before = everything(&leader.store).await;
    let begun = leader.store.begin(&leader.fence, 1, &intent("i", "a", "one"), at(1)).await;
    assert!(is_refused(&begun), "{begun:?}");
    let adopted = leader
        .store
        .settle_without_write(&leader.fence, &ActionId::new("b"), 1, &done(None), at(1))
        .await;
    assert!(is_refused(&adopted), "{adopted:?}");
    assert_eq!(everything(&leader.store).await, before);
    leader.close("a", 1, ActionEvent::Rehearse).await.unwrap();
    assert_eq!(leader.state("a").await, ActionState::Rehearsed);
}

pub(super) async fn an_intent_fits_its_action(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(granted("a", "one")).await;
    leader.propose(adoption("b", "two", ActionKind::AdoptService)).await;
    let before = everything(&leader.store).await;
    for wrong in [intent("i", "a", "three"), intent("i", "b", "two")] {
        let result = leader.store.begin(&leader.fence, 1, &wrong, at(1)).await;
        assert!(is_refused(&result), "{wrong:?}: {result:?}");
    }
    let too_large = Intent { version: Some(u64::MAX), ..intent("i", "a", "one") };
    let result = leader.store.begin(&leader.fence, 1, &too_large, at(1)).await;
    assert!(is_refused(&result), "{result:?}");
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn each_outcome_ends_the_action_in_its_way(harness: &dyn Harness) {
    use {ActionState as S, ApprovalStatus as A, AuditKind as K};
    let leader = leader(harness).await;
    for (n, (outcome, state, status, kind)) in [
        (done(None), S::Succeeded, A::Approved, K::Succeeded),
        (refused(), S::Failed, A::Approved, K::Failed),
        (no_effect(), S::Superseded, A::Superseded, K::Superseded),
    ]
    .into_iter()
    .enumerate()
    {
        let (id, intent_id) = (format!("a{n}"), format!("i{n}"));
        leader.propose(pending(&id, "one")).await;
        leader.store.decide(&decision(&id, Decision::Approve), at(1)).await.unwrap();
        let start = intent(&intent_id, &id, "one");
        leader.store.begin(&leader.fence, 2, &start, at(2)).await.unwrap();
        leader.store.settle(&leader.fence, &start.id, &outcome, at(3)).await.unwrap();
        let action = leader.store.action(&id).await.unwrap();
        assert_eq!((action.state, action.revision), (state, 4));
        assert_eq!((action.detail.as_str(), action.updated_at), (outcome.detail(), at(3)));
        assert_eq!(leader.store.approval(&id).await.unwrap().status, status);
        assert!(leader.store.open_intents().await.unwrap().is_empty());
        let about = AuditFilter { action: Some(action.id), limit: 1, ..Default::default() };
        let (_, last) = leader.store.audit(&about).await.unwrap().remove(0);
        assert_eq!((last.kind, last.actor.as_str(), last.at), (kind, "leader@host", at(3)));
        assert_eq!(last.detail, outcome.detail());
    }
}

pub(super) async fn a_retry_keeps_the_grant(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    leader.store.decide(&decision("a", Decision::Approve), at(1)).await.unwrap();
    let first = intent("first", "a", "one");
    leader.store.begin(&leader.fence, 2, &first, at(2)).await.unwrap();
    leader.store.settle(&leader.fence, &first.id, &retry(), at(3)).await.unwrap();
    let action = leader.store.action("a").await.unwrap();
    assert_eq!((action.state, action.revision), (ActionState::Granted, 4));
    assert_eq!((action.granted_at, action.start_by), (Some(at(1)), Some(at(700))));
    assert_eq!(leader.store.approval("a").await.unwrap().status, ApprovalStatus::Approved);
    let about = AuditFilter { action: Some(action.id), limit: 1, ..Default::default() };
    assert_eq!(leader.store.audit(&about).await.unwrap()[0].1.kind, AuditKind::Retried);
    let second = intent("second", "a", "one");
    leader.store.begin(&leader.fence, 4, &second, at(4)).await.unwrap();
    assert!(leader.store.open_intents().await.unwrap() == [second.clone()]);
    // The answer to the first one comes in after all.
    let late = leader.store.settle(&leader.fence, &first.id, &done(None), at(5)).await;
    assert!(is_conflict(&late), "{late:?}");
    leader.store.settle(&leader.fence, &second.id, &done(None), at(6)).await.unwrap();
    assert_eq!(leader.state("a").await, ActionState::Succeeded);
}

pub(super) async fn settling_happens_once(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (n, first) in [done(None), refused(), no_effect(), retry()].into_iter().enumerate() {
        let id = format!("a{n}");
        let intent = leader.begin(&id, &id).await;
        leader.store.settle(&leader.fence, &intent.id, &first, at(3)).await.unwrap();
        let before = everything(&leader.store).await;
        for second in [done(None), refused(), no_effect(), retry()] {
            let result = leader.store.settle(&leader.fence, &intent.id, &second, at(4)).await;
            assert!(is_conflict(&result), "{second:?} after {first:?}: {result:?}");
        }
        assert_eq!(everything(&leader.store).await, before);
    }
    let unknown = leader.store.settle(&leader.fence, &IntentId::new("x"), &refused(), at(4)).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })), "{unknown:?}");
}

pub(super) async fn fifty_outcomes_leave_one(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let intent = leader.begin("a", "one").await;
    let stores = processes(harness, 5).await;
    let outcomes: Vec<_> =
        (0..CROWD).map(|n| if n % 2 == 0 { done(None) } else { refused() }).collect();
    let tries = outcomes.iter().enumerate().map(|(n, outcome)| {
        stores[n % stores.len()].settle(&leader.fence, &intent.id, outcome, at(3))
    });
    let results = join_all(tries).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(results.iter().filter(|result| is_conflict(result)).count(), CROWD - 1);
    assert_eq!(leader.store.action("a").await.unwrap().revision, 3);
}

pub(super) async fn a_new_leader_settles_what_the_old_one_began(harness: &dyn Harness) {
    let old = leader(harness).await;
    let intent = old.begin("a", "one").await;
    harness.advance(TTL);
    let store = harness.connect().await;
    let fence = take_lease(&store, "successor@host").await.fence;
    let open = store.open_intents().await.unwrap();
    assert!(open == [intent.clone()]);
    let record = OwnershipChange::Record(owned("one", "new-id"));
    store.settle(&fence, &open[0].id, &done(Some(record)), at(9)).await.unwrap();
    assert_eq!(store.owned(&cluster()).await.unwrap(), [owned("one", "new-id")]);
    // The old leader's own answer arrives.
    let late = old.store.settle(&old.fence, &intent.id, &refused(), at(10)).await;
    assert!(is_fenced(&late), "{late:?}");
    assert_eq!(old.state("a").await, ActionState::Succeeded);
}

pub(super) async fn ownership_changes_only_with_an_outcome(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let store = &leader.store;
    let intent = leader.begin("a", "one").await;
    assert_eq!(store.owned(&cluster()).await.unwrap(), [], "not before the outcome is known");
    let record = done(Some(OwnershipChange::Record(owned("one", "id-1"))));
    store.settle(&leader.fence, &intent.id, &record, at(2)).await.unwrap();
    assert_eq!(store.owned(&cluster()).await.unwrap(), [owned("one", "id-1")]);

    // An update changes nothing on record, neither does a refusal or a retry.
    for (id, outcome) in [("b", done(None)), ("c", refused()), ("d", no_effect()), ("e", retry())] {
        let intent = leader.begin(id, if id == "e" { "two" } else { "one" }).await;
        store.settle(&leader.fence, &intent.id, &outcome, at(3)).await.unwrap();
        assert_eq!(store.owned(&cluster()).await.unwrap(), [owned("one", "id-1")], "{id}");
    }

    // Created again: another id under the same name.
    let intent = leader.begin("f", "one").await;
    let record = done(Some(OwnershipChange::Record(owned("one", "id-2"))));
    store.settle(&leader.fence, &intent.id, &record, at(4)).await.unwrap();
    assert_eq!(store.owned(&cluster()).await.unwrap(), [owned("one", "id-2")]);

    let intent = leader.begin("g", "one").await;
    let forget = done(Some(OwnershipChange::Forget(key("one"))));
    store.settle(&leader.fence, &intent.id, &forget, at(5)).await.unwrap();
    assert_eq!(store.owned(&cluster()).await.unwrap(), []);
}

pub(super) async fn ownership_follows_only_its_own_object(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let intent = leader.begin("a", "one").await;
    leader.propose(adoption("b", "two", ActionKind::AdoptService)).await;
    let before = everything(&leader.store).await;
    for change in
        [OwnershipChange::Record(owned("other", "id")), OwnershipChange::Forget(key("other"))]
    {
        let outcome = done(Some(change));
        let settled = leader.store.settle(&leader.fence, &intent.id, &outcome, at(2)).await;
        assert!(is_refused(&settled), "{settled:?}");
        let b = ActionId::new("b");
        let adopted =
            leader.store.settle_without_write(&leader.fence, &b, 1, &outcome, at(2)).await;
        assert!(is_refused(&adopted), "{adopted:?}");
    }
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn our_own_records_change_without_an_intent(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let store = &leader.store;
    let record = done(Some(OwnershipChange::Record(owned("one", "id-1"))));
    let adopt = ActionId::new("adopt");
    leader.propose(adoption("adopt", "one", ActionKind::AdoptService)).await;
    let stale = store.settle_without_write(&leader.fence, &adopt, 2, &record, at(2)).await;
    assert!(is_conflict(&stale), "{stale:?}");
    store.settle_without_write(&leader.fence, &adopt, 1, &record, at(2)).await.unwrap();
    assert_eq!(store.owned(&cluster()).await.unwrap(), [owned("one", "id-1")]);
    let action = store.action("adopt").await.unwrap();
    assert_eq!((action.state, action.detail.as_str()), (ActionState::Succeeded, "created"));
    assert!(action.revision > 1);
    let again = store.settle_without_write(&leader.fence, &adopt, action.revision, &record, at(3));
    assert!(is_transition(&again.await));

    let forget = done(Some(OwnershipChange::Forget(key("one"))));
    leader.propose(adoption("release", "one", ActionKind::ReleaseService)).await;
    let release = ActionId::new("release");
    store.settle_without_write(&leader.fence, &release, 1, &forget, at(4)).await.unwrap();
    assert_eq!(store.owned(&cluster()).await.unwrap(), []);

    // What does write to the engine cannot take this way.
    leader.propose(granted("deploy", "two")).await;
    let before = everything(store).await;
    let deploy = ActionId::new("deploy");
    let result = store.settle_without_write(&leader.fence, &deploy, 1, &done(None), at(5)).await;
    assert!(is_refused(&result), "{result:?}");
    assert_eq!(everything(store).await, before);
}

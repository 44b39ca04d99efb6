//! The history of every service.

use futures::future::join_all;
use skep_core::audit::AuditKind;
use skep_core::identity::{ActionId, ClusterId};
use skep_core::revision::{NewRevision, RevisionOrigin};

use super::Harness;
use super::fixtures::*;
use crate::{Error, REVISIONS_KEPT};

use RevisionOrigin::{Adopted, Applied, External};

impl Leader {
    async fn record(&self, revision: &NewRevision) -> u32 {
        self.store.record_revision(&self.fence, revision, at(5)).await.unwrap()
    }

    /// The numbers of an object's history, newest first.
    async fn numbers(&self, name: &str, limit: u32) -> Vec<u32> {
        let revisions = self.store.revisions(&key(name), limit).await.unwrap();
        revisions.iter().map(|revision| revision.number).collect()
    }
}

pub(super) async fn a_revision_comes_back_with_all_its_parts(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(granted("a", "one")).await;
    let mut full = revision("one", Adopted);
    full.action = Some(ActionId::new("a"));
    full.version = Some(u64::try_from(i64::MAX).unwrap());
    let mut bare = revision("one", External);
    bare.version = None;
    bare.source = None;
    bare.provenance = None;
    bare.changes = Vec::new();
    bare.previous = None;
    for (number, new) in [(1, full), (2, bare)] {
        assert_eq!(leader.record(&new).await, number);
        let reader = harness.connect().await;
        let expected = new.numbered(number);
        assert_eq!(reader.revision(&key("one"), number).await.unwrap(), expected);
        assert_eq!(reader.revisions(&key("one"), 1).await.unwrap(), [expected]);
    }
}

pub(super) async fn numbers_count_from_one_for_each_object(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let mut elsewhere = revision("one", External);
    elsewhere.key.cluster = ClusterId::new("cluster-0");
    for (new, number) in [
        (revision("one", Adopted), 1),
        (revision("two", External), 1),
        (revision("one", External), 2),
        (elsewhere, 1),
        (revision("one", External), 3),
    ] {
        assert_eq!(leader.record(&new).await, number);
    }
}

pub(super) async fn fifty_revisions_have_fifty_numbers(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let stores = processes(harness, 5).await;
    let new = revision("one", External);
    let tries =
        (0..CROWD).map(|n| stores[n % stores.len()].record_revision(&leader.fence, &new, at(5)));
    let mut numbers: Vec<_> = join_all(tries).await.into_iter().map(|n| n.unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=u32::try_from(CROWD).unwrap()).collect::<Vec<_>>());
}

pub(super) async fn a_change_by_somebody_else_is_in_the_trail(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let before = leader.store.change_counter().await.unwrap();
    leader.record(&revision("one", External)).await;
    assert!(leader.store.change_counter().await.unwrap() > before);
    let event = leader.last_event().await;
    assert_eq!((event.kind, event.actor.as_str()), (AuditKind::RevisionNoted, "leader@host"));
    assert_eq!((event.key, event.action, event.at), (Some(key("one")), None, at(5)));
    assert!(event.detail.contains("bob (docker)"), "{}", event.detail);
}

pub(super) async fn a_history_is_read_newest_first(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for _ in 0..4 {
        leader.record(&revision("one", External)).await;
    }
    leader.record(&revision("two", External)).await;
    assert_eq!(leader.numbers("one", 0).await, [4, 3, 2, 1]);
    assert_eq!(leader.numbers("one", 3).await, [4, 3, 2]);
    assert!(leader.numbers("nine", 0).await.is_empty());
    for (name, number) in [("one", 0), ("one", 5), ("nine", 1)] {
        let result = leader.store.revision(&key(name), number).await;
        assert!(matches!(result, Err(Error::NotFound { .. })), "{name} {number}: {result:?}");
    }
}

pub(super) async fn the_heads_are_the_newest_of_each_object(harness: &dyn Harness) {
    let leader = leader(harness).await;
    assert_eq!(leader.store.revision_heads(&cluster()).await.unwrap(), []);
    leader.record(&revision("b", Adopted)).await;
    leader.record(&revision("a", Adopted)).await;
    let mut newest = revision("b", External);
    newest.version = None;
    newest.fingerprint = "another".to_owned();
    newest.at = at(9);
    leader.record(&newest).await;
    let mut elsewhere = revision("c", External);
    elsewhere.key.cluster = ClusterId::new("cluster-0");
    leader.record(&elsewhere).await;
    let heads = leader.store.revision_heads(&cluster()).await.unwrap();
    assert_eq!(
        heads.iter().map(|head| (&*head.key.name, head.number)).collect::<Vec<_>>(),
        [("a", 1), ("b", 2)]
    );
    let head = &heads[1];
    assert_eq!((head.version, head.origin, head.at), (None, External, at(9)));
    assert_eq!((head.fingerprint.as_str(), &head.object), ("another", &newest.object));
    assert_eq!(heads[0].version, Some(41));
}

pub(super) async fn a_history_has_a_length_and_keeps_what_was_adopted(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let kept = REVISIONS_KEPT;
    leader.record(&revision("other", External)).await;
    // Without an adoption the newest stay.
    for _ in 0..kept + 3 {
        leader.record(&revision("one", External)).await;
    }
    assert_eq!(leader.numbers("one", 0).await, (4..=kept + 3).rev().collect::<Vec<_>>());
    // Of two adoptions the later one stays, and counts.
    leader.record(&revision("two", Adopted)).await;
    leader.record(&revision("two", Adopted)).await;
    for number in 3..=kept + 5 {
        assert_eq!(leader.record(&revision("two", Applied)).await, number, "no number twice");
        assert!(leader.numbers("two", 0).await.len() <= usize::try_from(kept).unwrap());
    }
    let mut expected: Vec<_> = (7..=kept + 5).rev().collect();
    expected.push(2);
    assert_eq!(leader.numbers("two", 0).await, expected);
    assert_eq!(leader.numbers("other", 0).await, [1], "another object's history is its own");
}

pub(super) async fn a_version_that_cannot_be_kept_is_refused(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.record(&revision("one", Adopted)).await;
    let before = everything(&leader.store).await;
    let mut new = revision("one", External);
    new.version = Some(u64::MAX);
    let result = leader.store.record_revision(&leader.fence, &new, at(5)).await;
    assert!(is_refused(&result), "{result:?}");
    assert_eq!(everything(&leader.store).await, before);
}

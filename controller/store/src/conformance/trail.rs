//! The audit trail hangs together, whoever writes it and at once.

use std::ops::ControlFlow;

use futures::future::join_all;
use skep_core::audit::{AuditKind, AuditRecord, Scope, TrailSeals, Verified, Verifier};
use skep_core::hold::HoldKind;
use skep_core::request::RequestVerb;

use super::Harness;
use super::fixtures::*;
use crate::{AuditFilter, Decision, Store, TrailReader};

/// The whole trail in memory, which only tests can afford.
#[derive(Default)]
struct Collected {
    seals: Option<TrailSeals>,
    rows: Vec<AuditRecord>,
}

impl TrailReader for Collected {
    fn seals(&mut self, seals: TrailSeals) {
        assert!(self.rows.is_empty(), "the seals come first");
        self.seals = Some(seals);
    }

    fn row(&mut self, record: AuditRecord) -> ControlFlow<()> {
        self.rows.push(record);
        ControlFlow::Continue(())
    }
}

async fn collect(store: &dyn Store, from: Option<i64>) -> Collected {
    let mut trail = Collected::default();
    store.read_trail(from, &mut trail).await.unwrap();
    trail
}

async fn verified(store: &dyn Store) -> Verified {
    let trail = collect(store, None).await;
    let (protection, seals) = (protection(), trail.seals.unwrap());
    let mut verifier = Verifier::new(protection.audit(), seals, Scope::Whole, None);
    trail.rows.iter().for_each(|row| verifier.row(row));
    verifier.finish()
}

pub(super) async fn an_empty_trail_is_whole(harness: &dyn Harness) {
    let store = harness.connect().await;
    let found = verified(store.as_ref()).await;
    assert_eq!((found.rows, found.chains, found.damage), (0, 0, vec![]));
}

pub(super) async fn every_row_is_in_a_chain_of_its_writer(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    let person = harness.connect().await;
    person.decide(&decision("a", Decision::Approve), at(1)).await.unwrap();
    leader.store.begin(&leader.fence, 2, &intent("i", "a", "one"), at(2)).await.unwrap();
    let trail = collect(leader.store.as_ref(), None).await;
    let places: Vec<_> = trail
        .rows
        .iter()
        .map(|row| {
            let chained = row.chained.as_ref().unwrap();
            (
                row.kind.as_str(),
                chained.chain.starts_with("term:term-leader@host"),
                chained.position,
            )
        })
        .collect();
    assert_eq!(places[0].0, "leader_started");
    let (proposed, started) = (places[1], places[3]);
    assert_eq!((proposed.0, proposed.1), ("proposed", true));
    assert_eq!(started, ("started", true, proposed.2 + 1), "the chain of the leader's term");
    assert_eq!((places[2].0, places[2].1), ("approved", false), "a person has another chain");
    let heads = &trail.seals.unwrap().heads;
    let hangs_together = heads.iter().any(|head| head.start.follows.is_some());
    assert!(hangs_together, "a chain begins behind the newest row: {heads:?}");
    assert_eq!(verified(leader.store.as_ref()).await.damage, []);
}

pub(super) async fn many_writers_at_once_leave_whole_chains(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let people = processes(harness, 8).await;
    let writing = (0..CROWD).map(|number| {
        let (leader, store) = (&leader, &people[number % people.len()]);
        async move {
            let name = format!("service-{number}");
            leader.propose(pending(&format!("{number:03}"), &name)).await;
            store.place_hold(&hold(&name, HoldKind::Manual)).await.unwrap();
            let decision = decision(&format!("{number:03}"), Decision::Deny);
            store.decide(&decision, at(1)).await.unwrap();
        }
    });
    join_all(writing).await;
    let found = verified(people[0].as_ref()).await;
    assert_eq!(found.damage, []);
    assert_eq!(found.rows, found.intact_rows);
    assert_eq!(found.rows, 1 + 3 * CROWD as u64);
    assert!(found.chains >= 2, "{}", found.chains);
}

pub(super) async fn a_refused_write_leaves_the_chain_as_it_was(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    leader.store.decide(&decision("a", Decision::Deny), at(1)).await.unwrap();
    let before = collect(leader.store.as_ref(), None).await;
    assert!(is_conflict(&leader.store.decide(&decision("a", Decision::Approve), at(2)).await));
    let mut other = granted("b", "two");
    other.decision.action = Some(skep_core::identity::ActionId::new("somebody-else"));
    let proposals = [granted("c", "three"), other];
    assert!(is_refused(&leader.store.propose(&leader.fence, &proposals, at(2)).await));
    let after = collect(leader.store.as_ref(), None).await;
    assert_eq!((before.seals, before.rows), (after.seals, after.rows));
    leader.propose(granted("c", "three")).await;
    assert_eq!(verified(leader.store.as_ref()).await.damage, []);
}

pub(super) async fn facts_come_back_in_the_shape_of_their_kind(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.store.place_hold(&hold("two", HoldKind::Manual)).await.unwrap();
    leader.store.lift_hold(&key("two"), "alice", at(5)).await.unwrap();
    let asked = request("r", "three", RequestVerb::Scale { replicas: 3 });
    leader.store.submit(&[asked], at(1)).await.unwrap();
    leader.begin("a", "one").await;
    leader.propose(pending("b", "four")).await;
    let revision = revision("one", skep_core::revision::RevisionOrigin::External);
    leader.store.record_revision(&leader.fence, &revision, at(6)).await.unwrap();
    let rows = leader.store.audit(&AuditFilter::default()).await.unwrap();
    assert!(rows.len() > 7, "{rows:?}");
    for (_, event) in &rows {
        let shape = event.data.as_ref().map(skep_core::audit::AuditData::shape);
        assert_eq!(shape, event.kind.shape(), "{event:?}");
        assert!(shape.is_some(), "{event:?}");
    }
}

pub(super) async fn attempts_are_counted(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.begin("a", "one").await;
    let retry = crate::IntentOutcome::Retry { detail: "moved".to_owned(), attempt: None };
    leader.store.settle(&leader.fence, &"i-a".into(), &retry, at(2)).await.unwrap();
    leader.store.begin(&leader.fence, 3, &intent("i-2", "a", "one"), at(3)).await.unwrap();
    let filter = AuditFilter { kinds: vec![AuditKind::Started], ..AuditFilter::default() };
    let attempts: Vec<_> = leader
        .store
        .audit(&filter)
        .await
        .unwrap()
        .into_iter()
        .map(|(_, event)| match event.data {
            Some(skep_core::audit::AuditData::Action(facts)) => facts.attempts_before,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(attempts, [1, 0]);
}

pub(super) async fn the_trail_is_read_from_a_number_on(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (number, name) in ["one", "two", "three"].into_iter().enumerate() {
        let mut placed = hold(name, HoldKind::Manual);
        placed.placed_at = at(10 * (number as i64 + 1));
        leader.store.place_hold(&placed).await.unwrap();
    }
    let all = collect(leader.store.as_ref(), None).await;
    assert_eq!(all.rows.len(), 4);
    let second = all.rows[2].seq;
    let some = collect(leader.store.as_ref(), Some(second)).await;
    assert_eq!(some.rows, all.rows[2..]);
    assert_eq!(some.seals, all.seals);
    assert_eq!(leader.store.first_since(at(20)).await.unwrap(), Some(second));
    assert_eq!(leader.store.first_since(at(21)).await.unwrap(), Some(all.rows[3].seq));
    assert_eq!(leader.store.first_since(at(1_000_000_000)).await.unwrap(), None);
}

pub(super) async fn the_trail_is_filtered_in_every_way(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (name, actor, second) in [("one", "alice", 10), ("two", "bob", 20), ("one", "bob", 30)] {
        let mut placed = hold(name, HoldKind::Manual);
        (placed.actor, placed.placed_at) = (actor.to_owned(), at(second));
        leader.store.place_hold(&placed).await.unwrap();
    }
    leader.store.lift_hold(&key("one"), "alice", at(40)).await.unwrap();
    let none = || AuditFilter {
        kinds: vec![AuditKind::Held, AuditKind::HoldLifted],
        ..AuditFilter::default()
    };
    let seqs: Vec<_> =
        leader.store.audit(&none()).await.unwrap().iter().map(|(seq, _)| *seq).collect();
    for (filter, expected) in [
        (none(), &[40, 30, 20, 10][..]),
        (AuditFilter { kinds: vec![AuditKind::HoldLifted], ..none() }, &[40]),
        (AuditFilter { actor: Some("bob".to_owned()), ..none() }, &[30, 20]),
        (AuditFilter { name: Some("one".to_owned()), ..none() }, &[40, 30, 10]),
        (AuditFilter { since: Some(at(20)), ..none() }, &[40, 30, 20]),
        (AuditFilter { until: Some(at(20)), ..none() }, &[10]),
        (AuditFilter { after: Some(seqs[1]), ..none() }, &[40]),
        (AuditFilter { limit: 1, actor: Some("bob".to_owned()), ..none() }, &[30]),
    ] {
        let rows = leader.store.audit(&filter).await.unwrap();
        let seconds: Vec<_> =
            rows.iter().map(|(_, event)| event.at.as_second() - at(0).as_second()).collect();
        assert_eq!(seconds, expected, "{filter:?}");
    }
}

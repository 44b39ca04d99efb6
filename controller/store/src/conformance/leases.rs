//! One holder at a time, and a quick successor.

use std::time::Duration;

use futures::future::join_all;
use skep_core::audit::AuditKind;
use skep_core::identity::TermId;

use super::Harness;
use super::fixtures::*;
use crate::AuditFilter;

const MOMENT: Duration = Duration::from_secs(1);

pub(super) async fn a_lease_goes_to_one_of_many(harness: &dyn Harness) {
    let stores = processes(harness, 5).await;
    let requests: Vec<_> = (0..20).map(|n| lease_request(&format!("p{n}"))).collect();
    let tries = requests.iter().enumerate().map(|(n, r)| stores[n % stores.len()].acquire_lease(r));
    let results: Vec<_> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
    let won: Vec<_> = (0..20).filter(|n| results[*n].is_ok()).collect();
    assert_eq!(won.len(), 1, "{results:?}");
    for holder in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(holder.holder, format!("p{}", won[0]));
        assert_eq!(holder.epoch, 1);
    }
}

pub(super) async fn a_lease_is_taken_over_only_after_its_end(harness: &dyn Harness) {
    let (first, second) = (harness.connect().await, harness.connect().await);
    let lease = take_lease(&first, "first").await;
    harness.advance(TTL - MOMENT);
    let holder = second.acquire_lease(&lease_request("second")).await.unwrap().unwrap_err();
    assert_eq!(holder.holder, "first");
    harness.advance(MOMENT);
    let taken = take_lease(&second, "second").await;
    assert_eq!(taken.fence.epoch, lease.fence.epoch + 1);
    assert_eq!(taken.fence.term, TermId::new("term-second"));
    assert_eq!(taken.ttl, TTL);
    assert!(first.acquire_lease(&lease_request("first")).await.unwrap().is_err());
}

pub(super) async fn a_release_hands_over_at_once(harness: &dyn Harness) {
    let (first, second) = (harness.connect().await, harness.connect().await);
    let lease = take_lease(&first, "first").await;
    first.release_lease(&lease).await.unwrap();
    assert_eq!(second.lease_holder().await.unwrap(), None);
    let taken = take_lease(&second, "second").await;
    assert_eq!(taken.fence.epoch, lease.fence.epoch + 1);
    let trail = second.audit(&AuditFilter::default()).await.unwrap();
    let told: Vec<_> = trail.iter().rev().map(|(_, e)| (e.kind, e.actor.as_str())).collect();
    assert_eq!(
        told,
        [
            (AuditKind::LeaderStarted, "first"),
            (AuditKind::LeaderReleased, "first"),
            (AuditKind::LeaderStarted, "second"),
        ]
    );
}

pub(super) async fn a_renewal_extends_the_lease(harness: &dyn Harness) {
    let (first, second) = (harness.connect().await, harness.connect().await);
    let lease = take_lease(&first, "first").await;
    let before = first.lease_holder().await.unwrap().unwrap();
    harness.advance(TTL - MOMENT);
    first.renew_lease(&lease).await.unwrap();
    let after = first.lease_holder().await.unwrap().unwrap();
    assert!(after.expires_at > before.expires_at);
    assert_eq!((after.epoch, after.since), (before.epoch, before.since));
    harness.advance(TTL - MOMENT);
    assert!(second.acquire_lease(&lease_request("second")).await.unwrap().is_err());
    harness.advance(MOMENT);
    assert!(second.acquire_lease(&lease_request("second")).await.unwrap().is_ok());
}

pub(super) async fn a_late_renewal_counts_if_nobody_took_over(harness: &dyn Harness) {
    let (first, second) = (harness.connect().await, harness.connect().await);
    let lease = take_lease(&first, "first").await;
    harness.advance(TTL * 2);
    assert_eq!(first.lease_holder().await.unwrap(), None);
    first.renew_lease(&lease).await.unwrap();
    assert!(second.acquire_lease(&lease_request("second")).await.unwrap().is_err());
}

pub(super) async fn an_old_holder_can_neither_renew_nor_release(harness: &dyn Harness) {
    let (first, second) = (harness.connect().await, harness.connect().await);
    let old = take_lease(&first, "first").await;
    harness.advance(TTL);
    take_lease(&second, "second").await;
    let before = everything(&second).await;
    assert!(is_fenced(&first.renew_lease(&old).await));
    first.release_lease(&old).await.unwrap();
    assert_eq!(everything(&second).await, before);
}

pub(super) async fn a_repeated_request_gets_the_same_epoch(harness: &dyn Harness) {
    let store = harness.connect().await;
    let lease = take_lease(&store, "first").await;
    let trail = store.audit(&AuditFilter::default()).await.unwrap();
    harness.advance(MOMENT);
    let again = take_lease(&store, "first").await;
    assert_eq!(again.fence, lease.fence);
    assert_eq!(store.audit(&AuditFilter::default()).await.unwrap(), trail);
}

pub(super) async fn epochs_only_grow(harness: &dyn Harness) {
    let store = harness.connect().await;
    let mut last = 0;
    for round in 0..6 {
        let lease = take_lease(&store, &format!("p{round}")).await;
        assert!(lease.fence.epoch > last, "{} after {last}", lease.fence.epoch);
        last = lease.fence.epoch;
        if round % 2 == 0 {
            store.release_lease(&lease).await.unwrap();
        } else {
            harness.advance(TTL);
        }
    }
}

pub(super) async fn the_holder_is_named_while_it_holds(harness: &dyn Harness) {
    let (first, second) = (harness.connect().await, harness.connect().await);
    assert_eq!(second.lease_holder().await.unwrap(), None);
    take_lease(&first, "skep serve, pid 7 on host").await;
    let holder = second.lease_holder().await.unwrap().unwrap();
    assert_eq!(holder.holder, "skep serve, pid 7 on host");
    assert_eq!(holder.epoch, 1);
    assert_eq!(holder.since + TTL, holder.expires_at);
    harness.advance(TTL);
    assert_eq!(second.lease_holder().await.unwrap(), None);
}

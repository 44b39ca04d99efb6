//! What a person said about an object that outweighs the plan.

use skep_core::audit::AuditKind;
use skep_core::canonical::Digest;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::ClusterId;

use super::Harness;
use super::fixtures::*;

pub(super) async fn a_hold_is_kept_until_it_is_lifted(harness: &dyn Harness) {
    // Nobody needs to lead.
    let (store, reader) = (harness.connect().await, harness.connect().await);
    let before = reader.change_counter().await.unwrap();
    let placed = Hold {
        difference: Some(Digest::of_bytes(b"difference")),
        until: Some(at(7200)),
        ..hold("one", HoldKind::Accepted)
    };
    store.place_hold(&placed).await.unwrap();
    let after = reader.change_counter().await.unwrap();
    assert!(after > before);
    assert_eq!(reader.holds(&cluster()).await.unwrap(), [placed]);
    assert!(!store.lift_hold(&key("two"), "bob", at(5)).await.unwrap());
    assert_eq!(reader.change_counter().await.unwrap(), after, "nothing was lifted");
    assert!(store.lift_hold(&key("one"), "bob", at(5)).await.unwrap());
    assert_eq!(reader.holds(&cluster()).await.unwrap(), []);
    assert!(reader.change_counter().await.unwrap() > after);
    assert!(!store.lift_hold(&key("one"), "bob", at(6)).await.unwrap());
}

pub(super) async fn an_object_has_one_hold(harness: &dyn Harness) {
    let store = harness.connect().await;
    let first = Hold {
        difference: Some(Digest::of_bytes(b"difference")),
        until: Some(at(7200)),
        ..hold("one", HoldKind::Accepted)
    };
    store.place_hold(&first).await.unwrap();
    store.place_hold(&hold("two", HoldKind::Manual)).await.unwrap();
    let second = Hold {
        actor: "bob".to_owned(),
        reason: "again".to_owned(),
        placed_at: at(8),
        ..hold("one", HoldKind::Retry)
    };
    store.place_hold(&second).await.unwrap();
    let two = hold("two", HoldKind::Manual);
    assert_eq!(store.holds(&cluster()).await.unwrap(), [second, two]);
}

pub(super) async fn holds_are_in_the_trail_under_their_own_words(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (kind, until, word, detail) in [
        (
            HoldKind::Accepted,
            Some(at(7200)),
            AuditKind::DriftAccepted,
            format!("until {}: trying something", at(7200)),
        ),
        (HoldKind::Manual, None, AuditKind::Held, "trying something".to_owned()),
        (HoldKind::Retry, None, AuditKind::RetriedByHand, "trying something".to_owned()),
    ] {
        leader.store.place_hold(&Hold { until, ..hold("one", kind) }).await.unwrap();
        let event = leader.last_event().await;
        assert_eq!((event.kind, event.actor.as_str(), event.at), (word, "alice", at(4)));
        assert_eq!((event.key, event.detail), (Some(key("one")), detail));
    }
    leader.store.lift_hold(&key("one"), "bob", at(9)).await.unwrap();
    let event = leader.last_event().await;
    assert_eq!((event.kind, event.actor.as_str()), (AuditKind::HoldLifted, "bob"));
    assert_eq!((event.key, event.at), (Some(key("one")), at(9)));
    assert!(event.detail.contains("retry"), "{}", event.detail);
}

pub(super) async fn holds_are_listed_by_cluster(harness: &dyn Harness) {
    let store = harness.connect().await;
    let mut elsewhere = hold("b", HoldKind::Manual);
    elsewhere.key.cluster = ClusterId::new("cluster-0");
    for placed in [&hold("c", HoldKind::Manual), &elsewhere, &hold("a", HoldKind::Retry)] {
        store.place_hold(placed).await.unwrap();
    }
    let here = [hold("a", HoldKind::Retry), hold("c", HoldKind::Manual)];
    assert_eq!(store.holds(&cluster()).await.unwrap(), here);
    assert_eq!(store.holds(&elsewhere.key.cluster).await.unwrap(), [elsewhere]);
}

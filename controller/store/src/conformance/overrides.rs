//! What people put in front of the policy file.

use jiff::Timestamp;
use skep_core::audit::AuditKind;
use skep_core::gate::{FREEZE_PRIORITY, Lifted, MAX_OVERRIDES, Override};
use skep_core::identity::OverrideId;
use skep_crds::policy::{BlastRadius, MaintenanceWindow, PolicyRule, RateLimit, Tier};

use super::Harness;
use super::fixtures::*;
use crate::{Error, OverrideFilter, Result};

fn freeze(id: &str, second: i64) -> Override {
    Override {
        id: OverrideId::new(id),
        rule: PolicyRule::about_everything(Tier::Forbidden, FREEZE_PRIORITY),
        reason: "release week".to_owned(),
        actor: "alice".to_owned(),
        created_at: at(second),
        expires_at: None,
        lifted: None,
    }
}

fn by(moment: Option<Timestamp>) -> OverrideFilter {
    OverrideFilter { not_ended_by: moment }
}

pub(super) async fn an_override_comes_back_with_all_its_parts(harness: &dyn Harness) {
    let (store, reader) = (harness.connect().await, harness.connect().await);
    let full = Override {
        rule: PolicyRule {
            name: Some("nights".to_owned()),
            kind: "deploy_*".to_owned(),
            target: "staging-*".to_owned(),
            domain: "fin\"ance".to_owned(),
            tier: Tier::AutoNotify,
            rate_limit: Some(RateLimit { max: u32::MAX, window_s: 60 }),
            blast_radius: Some(BlastRadius { max_targets: 0, window_s: 1 }),
            maintenance_window: MaintenanceWindow::parse(
                "Mon-Fri 22:00-04:00 Europe/Berlin; Sun 00:00-24:00",
            ),
            priority: -7,
            fields: vec!["mounts".to_owned(), "/A/\"b\"".to_owned()],
            ..freeze("b", 0).rule
        },
        expires_at: Some(at(7200)),
        ..freeze("b", 2)
    };
    store.place_override(&freeze("a", 1)).await.unwrap();
    store.place_override(&full).await.unwrap();
    assert_eq!(reader.overrides(&by(None)).await.unwrap(), [freeze("a", 1), full]);
}

pub(super) async fn an_override_ends_at_its_time_or_when_it_is_lifted(harness: &dyn Harness) {
    let (store, reader) = (harness.connect().await, harness.connect().await);
    let short = Override { expires_at: Some(at(100)), ..freeze("short", 1) };
    for new in [&short, &freeze("lifted", 2), &freeze("stays", 3)] {
        store.place_override(new).await.unwrap();
    }
    let lifted = store.lift_override("lif", "bob", at(50)).await.unwrap();
    assert_eq!(lifted.lifted, Some(Lifted { at: at(50), by: "bob".to_owned() }));
    for (moment, expected) in [
        (Some(at(49)), vec!["short", "lifted", "stays"]),
        (Some(at(50)), vec!["short", "stays"]),
        (Some(at(99)), vec!["short", "stays"]),
        (Some(at(100)), vec!["stays"]),
        (None, vec!["short", "lifted", "stays"]),
    ] {
        let found = reader.overrides(&by(moment)).await.unwrap();
        let ids: Vec<_> = found.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, expected, "{moment:?}");
    }
    let stored = reader.overrides(&by(None)).await.unwrap();
    assert_eq!(stored[1], lifted, "who lifted it stays on record");
    // What has ended cannot be lifted.
    for gone in ["lifted", "short", "unknown", ""] {
        let error = store.lift_override(gone, "bob", at(200)).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{gone}: {error}");
    }
}

pub(super) async fn overrides_are_found_by_the_start_of_their_id(harness: &dyn Harness) {
    let store = harness.connect().await;
    for id in ["0a", "0ab", "0c"] {
        store.place_override(&freeze(id, 1)).await.unwrap();
    }
    let error = store.lift_override("0", "bob", at(2)).await.unwrap_err();
    assert!(matches!(error, Error::Ambiguous { count: 3, .. }), "{error}");
    assert_eq!(store.lift_override("0a", "bob", at(2)).await.unwrap().id.as_str(), "0a");
    assert_eq!(store.lift_override("0a", "bob", at(2)).await.unwrap().id.as_str(), "0ab");
}

pub(super) async fn the_overrides_counter_moves_with_overrides_alone(harness: &dyn Harness) {
    let (leader, reader) = (leader(harness).await, harness.connect().await);
    let mut last = reader.overrides_counter().await.unwrap();
    let mut woken = reader.change_counter().await.unwrap();
    leader.store.place_override(&freeze("a", 1)).await.unwrap();
    for lift in [false, true] {
        if lift {
            leader.store.lift_override("a", "bob", at(2)).await.unwrap();
        }
        let (counter, change) =
            (reader.overrides_counter().await.unwrap(), reader.change_counter().await.unwrap());
        assert!(counter > last && change > woken, "the loop wakes too");
        (last, woken) = (counter, change);
    }
    leader.propose(granted("x", "one")).await;
    assert!(leader.store.lift_override("a", "bob", at(3)).await.is_err());
    assert_eq!(reader.overrides_counter().await.unwrap(), last);
}

pub(super) async fn a_hundred_overrides_are_the_most(harness: &dyn Harness) {
    let store = harness.connect().await;
    for number in 1..MAX_OVERRIDES {
        store.place_override(&freeze(&format!("o{number:03}"), 1)).await.unwrap();
    }
    let short = Override { expires_at: Some(at(10)), ..freeze("short", 1) };
    store.place_override(&short).await.unwrap();
    let place = async |second| -> Result<()> { store.place_override(&freeze("new", second)).await };
    let refused = place(9).await;
    assert!(is_refused(&refused), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("100 overrides"));
    // One that has ended makes room.
    place(10).await.unwrap();
    assert!(is_refused(&store.place_override(&freeze("one-more", 11)).await));
    store.lift_override("o001", "bob", at(12)).await.unwrap();
    store.place_override(&freeze("one-more", 12)).await.unwrap();
}

pub(super) async fn fifty_last_overrides_leave_one(harness: &dyn Harness) {
    let store = harness.connect().await;
    for number in 1..MAX_OVERRIDES {
        store.place_override(&freeze(&format!("o{number:03}"), 1)).await.unwrap();
    }
    let stores = processes(harness, 5).await;
    let new: Vec<_> = (0..CROWD).map(|n| freeze(&format!("new{n}"), 2)).collect();
    let tries = new.iter().enumerate().map(|(n, new)| stores[n % 5].place_override(new));
    let results = futures::future::join_all(tries).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().filter(|result| result.is_err()).all(is_refused));
    assert_eq!(store.overrides(&by(Some(at(3)))).await.unwrap().len(), MAX_OVERRIDES);
}

pub(super) async fn an_override_that_never_holds_is_refused(harness: &dyn Harness) {
    let store = harness.connect().await;
    let backwards = Override { expires_at: Some(at(5)), ..freeze("a", 5) };
    let lifted = Lifted { at: at(5), by: "bob".to_owned() };
    let lifted = Override { lifted: Some(lifted), ..freeze("b", 5) };
    for new in [backwards, lifted] {
        assert!(is_refused(&store.place_override(&new).await), "{new:?}");
    }
    assert_eq!(store.overrides(&by(None)).await.unwrap(), []);
}

pub(super) async fn overrides_are_in_the_trail_under_their_own_words(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let mut open = freeze("open", 1);
    open.rule.tier = Tier::Auto;
    open.rule.target = "caddy-*".to_owned();
    let frozen = Override { expires_at: Some(at(7200)), ..freeze("0123456789", 2) };
    for (new, placed, lifted, name) in [
        (&open, AuditKind::OverridePlaced, AuditKind::OverrideLifted, "override open"),
        (&frozen, AuditKind::Frozen, AuditKind::Unfrozen, "freeze 01234567"),
    ] {
        leader.store.place_override(new).await.unwrap();
        let event = leader.last_event().await;
        assert_eq!((event.kind, event.actor.as_str(), event.at), (placed, "alice", new.created_at));
        assert!(event.detail.contains(name) && event.detail.contains("release week"), "{event:?}");
        leader.store.lift_override(new.id.as_str(), "bob", at(9)).await.unwrap();
        let event = leader.last_event().await;
        assert_eq!((event.kind, event.actor.as_str(), event.at), (lifted, "bob", at(9)));
        assert!(event.detail.contains(name), "{event:?}");
    }
}

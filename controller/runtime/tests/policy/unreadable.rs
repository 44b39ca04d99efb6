//! A ledger or overrides that cannot be read: machines are denied, people are queued or wait, and
//! nothing that was asked for or approved is lost.

use skep_core::action::ActionState;
use skep_store::{Ledger as _, LedgerFilter, OverrideFilter, Overrides as _};

use crate::world::{World, waits};

const AUTO: &str = "rules: [{tier: auto, rate_limit: {max: 9}, blast_radius: {max_targets: 9}}]";

async fn world_with_a_damaged_ledger() -> World {
    let world = World::new(AUTO, &["a"]);
    world.pass().await;
    assert_eq!(world.swarm.effects(), 1);
    // A field of the facts of a decision.
    world.damage("\"target_unavailable\"", "\"target_unawailable\"").await;
    let all = LedgerFilter { since: jiff::Timestamp::UNIX_EPOCH, allowed_only: true };
    assert!(world.store().await.decisions(&all).await.is_err(), "otherwise this proves nothing");
    world
}

#[tokio::test]
async fn an_unreadable_ledger_denies_machines_and_queues_people() {
    let world = world_with_a_damaged_ledger().await;
    world.declare(&["a", "b"], "2");
    for _ in 0..2 {
        let report = world.pass().await;
        assert!(waits(&report, "POLICY_UNDECIDABLE"), "{report:?}");
    }
    assert_eq!((world.swarm.effects(), world.pending().await.len()), (1, 0));
    world.ask_for_restart("a").await;
    world.pass().await;
    assert_eq!((world.swarm.effects(), world.pending().await.len()), (1, 1));
    let reason = world.pending().await.remove(0);
    assert_eq!(reason.target.as_str(), "a");
    // What needs no counting still works.
    world.approve().await;
    world.pass().await;
    assert_eq!(world.swarm.effects(), 2);
}

async fn damage_overrides(world: &World) {
    // An override that matches nothing here, so that only its reading matters.
    let mut odd = world.freeze("nothing-of-this-name", None).await;
    world.unfreeze(&odd).await;
    odd.id = skep_core::identity::OverrideId::new("odd");
    odd.rule.maintenance_window =
        skep_crds::policy::MaintenanceWindow::parse("Wed 03:17-04:18 Asia/Kolkata");
    world.store().await.place_override(&odd).await.unwrap();
    world.damage("Wed 03:17-04:18", "Xed 03:17-04:18").await;
    let all = OverrideFilter::default();
    assert!(world.store().await.overrides(&all).await.is_err(), "otherwise this proves nothing");
}

#[tokio::test]
async fn unreadable_overrides_stop_machines_and_people_alike() {
    let world = World::new(AUTO, &["a"]);
    world.pass().await;
    damage_overrides(&world).await;
    world.declare(&["a", "b"], "2");
    world.ask_for_restart("a").await;
    for _ in 0..2 {
        let report = world.pass().await;
        assert!(waits(&report, "POLICY_UNDECIDABLE"), "{report:?}");
    }
    assert_eq!((world.swarm.effects(), world.pending().await.len()), (1, 0));
    assert!(world.swarm.service("b").is_none());
    let refusals = world.decisions().await;
    assert!(refusals.iter().all(|row| row.decision == "allow"), "nobody refused anything");
}

#[tokio::test]
async fn requests_and_grants_outlive_overrides_that_cannot_be_read() {
    let world = World::new("rules: [{tier: approval_required}]", &["a", "b"]);
    world.pass().await;
    let [one, two]: [_; 2] = world.pending().await.try_into().unwrap();
    assert_ne!(one.id, two.id);
    damage_overrides(&world).await;
    world.pass().await;
    assert_eq!(world.approve().await, 2, "the requests are still there");
    world.pass().await;
    assert_eq!(world.states().await.0, [ActionState::Granted; 2]);
    assert_eq!(world.swarm.effects(), 0);
    // Mended: they run.
    world.damage("Xed 03:17-04:18", "Wed 03:17-04:18").await;
    world.pass().await;
    assert_eq!(world.swarm.effects(), 2);
}

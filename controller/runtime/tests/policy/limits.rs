//! Every limit and budget counts from the ledger: a restart or a new leader does not begin again.

use jiff::SignedDuration;
use skep_core::action::ActionState;

use crate::world::{World, waits};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Each pass is another process with another leadership; nothing of the one before is in memory.
#[tokio::test]
async fn the_rate_limit_survives_a_restart_and_a_new_leader() {
    let world = World::new("rules: [{tier: auto, rate_limit: {max: 1}}]", &["a"]);
    world.pass().await;
    assert_eq!(world.swarm.effects(), 1);
    world.declare(&["a"], "2");
    for _ in 0..2 {
        let report = world.pass().await;
        assert!(waits(&report, "RATE_LIMITED"), "{report:?}");
    }
    assert_eq!((world.swarm.effects(), world.pending().await.len()), (1, 0));
    world.later(HOUR + SignedDuration::from_secs(1));
    world.pass().await;
    assert_eq!((world.swarm.effects(), world.tag("a")), (2, "2".to_owned()));
}

#[tokio::test]
async fn a_person_over_the_rate_limit_is_queued() {
    let world = World::new("rules: [{tier: auto, rate_limit: {max: 1}}]", &["a"]);
    world.pass().await;
    world.ask_for_restart("a").await;
    world.pass().await;
    assert_eq!(world.swarm.effects(), 2, "the first restart");
    world.ask_for_restart("a").await;
    world.pass().await;
    assert_eq!((world.swarm.effects(), world.pending().await.len()), (2, 1));
}

#[tokio::test]
async fn the_blast_radius_survives_a_restart_and_a_new_leader() {
    let world = World::new("rules: [{tier: auto, blast_radius: {max_targets: 2}}]", &["a", "b"]);
    world.pass().await;
    assert_eq!(world.swarm.effects(), 2);
    world.declare(&["a", "b", "c"], "1");
    world.pass().await;
    assert_eq!((world.swarm.effects(), world.pending().await.len()), (2, 1));
}

#[tokio::test]
async fn the_storm_guard_survives_a_restart_and_a_new_leader() {
    let mut world = World::new("rules: [{tier: auto}]", &["a", "b"]);
    world.max_actions = 1;
    let report = world.pass().await;
    assert_eq!((world.swarm.effects(), report.deferred.len()), (1, 1));
    let report = world.pass().await;
    assert_eq!((world.swarm.effects(), report.deferred.len()), (1, 1), "{report:?}");
    world.later(SignedDuration::from_secs(121));
    world.pass().await;
    assert_eq!(world.swarm.effects(), 2);
}

const OPEN: &str = "rules: [{tier: auto, rate_limit: {max: 9}, blast_radius: {max_targets: 9}}]";

#[tokio::test]
async fn the_budget_of_changes_is_a_share_of_the_fleet_and_survives_a_restart() {
    // Of four services half may change in an hour.
    let policy = format!("budgets: {{changed: {{percent: 50}}}}\n{OPEN}");
    let world = World::new(&policy, &["a", "b", "c", "d"]);
    world.pass().await;
    assert_eq!((world.swarm.effects(), world.pending().await.len()), (2, 2));
    let reason = world.decisions().await.pop().unwrap().reason;
    assert!(reason.contains("50 % of the fleet services may be changed"), "{reason}");
    world.pass().await;
    assert_eq!(world.swarm.effects(), 2, "a new leader does not begin again");
    // The same services again are no further ones.
    world.declare(&["a", "b", "c", "d"], "2");
    world.pass().await;
    assert_eq!(world.swarm.effects(), 4);
    // Later there is room again; who was asked meanwhile stays asked.
    world.later(HOUR + HOUR);
    world.pass().await;
    assert_eq!((world.swarm.effects(), world.pending().await.len()), (4, 2));
    world.declare(&["a", "b", "c", "d"], "3");
    world.pass().await;
    assert_eq!(world.swarm.effects(), 6);
}

#[tokio::test]
async fn what_is_down_counts_as_unavailable_and_may_be_repaired() {
    let world = World::new(OPEN, &["a", "b"]);
    world.swarm.break_image("x/a:1", "no such image");
    world.pass().await;
    world.pass().await;
    world.policy(&format!("budgets: {{unavailable: {{max: 1}}}}\n{OPEN}"));
    world.declare(&["a", "b"], "2");
    world.swarm.hold_rollouts("updating");
    let report = world.pass().await;
    // What is down is mended; what is up is left up until then.
    assert_eq!((world.tag("a"), world.tag("b")), ("2".to_owned(), "1".to_owned()), "{report:?}");
    assert!(waits(&report, "TOO_MUCH_UNAVAILABLE"), "{report:?}");
    world.swarm.roll("a", "completed");
    world.pass().await;
    assert_eq!(world.tag("b"), "2");
}

#[tokio::test]
async fn what_people_approved_starts_only_as_fast_as_the_fleet_can_bear_it() {
    let names = ["a", "b", "c", "d", "e"];
    let world = World::new(OPEN, &names);
    world.pass().await;
    world.policy("budgets: {unavailable: {max: 2}}\nrules: [{tier: approval_required}]");
    world.declare(&names, "2");
    world.pass().await;
    assert_eq!(world.approve().await, 5);
    world.swarm.hold_rollouts("updating");
    world.pass().await;
    let updated = names.iter().filter(|name| world.tag(name) == "2").count();
    assert_eq!(updated, 2, "sixteen could have started side by side");
    let (states, _) = world.states().await;
    let count = |state| states.iter().filter(|one| **one == state).count();
    assert_eq!((count(ActionState::RollingOut), count(ActionState::Granted)), (2, 3));
    for name in names.iter().filter(|name| world.tag(name) == "2") {
        world.swarm.roll(name, "completed");
    }
    world.pass().await;
    world.pass().await;
    assert_eq!(names.iter().filter(|name| world.tag(name) == "2").count(), 4);
}

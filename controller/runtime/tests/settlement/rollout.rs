//! What the engine accepted ends when Swarm has ended its rollout; what failed is not tried again
//! by itself.

use serde_json::json;
use skep_core::action::ActionState;
use skep_store::{ActionFilter, Actions as _};

use skep_swarm::fake::Fault;

use crate::World;

use ActionState::{Failed, Pending, RollingOut, Succeeded};

const OTHER_IMAGE: &str = "host_port: 8200, env: {LEVEL: debug}";
const ALL_ALLOWED: &str = "version: 1\nrules: [{kind: \"*\", tier: auto}]\n";

/// A world in which a change of the tasks was accepted and rolls out.
async fn rolling_out() -> World {
    let world = World::deployed().await;
    world.swarm.hold_rollouts("updating");
    world.declare(OTHER_IMAGE);
    world.attempt(&[]).await;
    assert_eq!(world.states().await.0, [RollingOut, Succeeded]);
    assert_eq!(world.open_intents().await, 0, "its outcome is known: it was accepted");
    world
}

async fn codes(world: &World) -> Vec<String> {
    world.pass().await.waiting.into_iter().map(|waiting| waiting.code).collect()
}

#[tokio::test]
async fn a_rollout_ends_when_swarm_says_so_whoever_leads() {
    let world = rolling_out().await;
    for _ in 0..3 {
        assert_eq!(codes(&world).await, ["ROLLOUT_RUNNING"]);
    }
    assert_eq!(world.states().await.0[0], RollingOut);
    world.swarm.roll("a", "completed");
    let report = world.pass().await;
    assert_eq!(report.approved_drained[0].state.as_deref(), Some("succeeded"), "{report:?}");
    let (states, detail) = world.states().await;
    assert_eq!(states, [Succeeded, Succeeded]);
    assert!(detail.contains("rolled out"), "{detail}");
    assert_eq!((world.swarm.effects(), world.pass().await.divergences), (2, 0));
}

#[tokio::test]
async fn a_lost_reply_is_followed_as_well() {
    let world = World::deployed().await;
    world.swarm.hold_rollouts("updating");
    world.declare(OTHER_IMAGE);
    world.crash(&[Fault::HeldAfter]).await;
    world.pass().await;
    assert_eq!(world.states().await.0[0], RollingOut);
    world.swarm.roll("a", "completed");
    world.pass().await;
    assert_eq!((world.states().await.0[0], world.swarm.effects()), (Succeeded, 2));
}

/// Swarm went back before anybody looked: no label and no spec is left of the write.
#[tokio::test]
async fn a_lost_reply_of_what_swarm_took_back_is_a_failure_and_not_asked_again() {
    let world = World::deployed().await;
    world.swarm.hold_rollouts("updating");
    world.declare(OTHER_IMAGE);
    world.crash(&[Fault::HeldAfter]).await;
    world.swarm.roll_back("a", "task: non-zero exit (3)");
    world.pass().await;
    until_ended(&world).await;
    let (states, detail) = world.states().await;
    assert_eq!(states, [Failed, Succeeded], "{detail}");
    assert!(detail.contains("rolled it back: task: non-zero exit (3)"), "{detail}");
    for _ in 0..3 {
        assert_eq!(codes(&world).await, ["DEGRADED"]);
    }
    assert_eq!(world.swarm.effects(), 2);
}

#[tokio::test]
async fn a_pass_by_hand_waits_for_what_it_began() {
    let world = World::deployed().await;
    world.swarm.hold_rollouts("updating");
    world.declare(OTHER_IMAGE);
    world.pass().await;
    world.approve().await;
    let waiting = world.patient_pass();
    let swarm = std::sync::Arc::clone(&world.swarm);
    let rolls = async move {
        while swarm.effects() < 2 {
            tokio::task::yield_now().await;
        }
        swarm.roll("a", "completed");
    };
    let (report, ()) = tokio::join!(waiting, rolls);
    let [action] = report.approved_drained.as_slice() else { panic!("{report:?}") };
    assert_eq!(action.state.as_deref(), Some("succeeded"), "{report:?}");
}

/// Rolled back after its tasks failed: ten passes write nothing, although a rule would allow it.
#[tokio::test]
async fn what_swarm_rolled_back_is_degraded_until_something_else_is_declared() {
    let mut world = rolling_out().await;
    world.swarm.roll_back("a", "task: non-zero exit (3)");
    // Without our label only time tells a rollback from an old picture.
    until_ended(&world).await;
    let (states, detail) = world.states().await;
    assert_eq!(states[0], Failed);
    assert!(detail.contains("rolled it back: task: non-zero exit (3)"), "{detail}");

    world.policy = Some(ALL_ALLOWED);
    for _ in 0..10 {
        assert_eq!(codes(&world).await, ["DEGRADED"]);
    }
    assert_eq!((world.swarm.effects(), world.states().await.0.len()), (2, 2));
    let planned = world.process().plan().await.unwrap();
    assert!(planned.plan.waiting.iter().any(|waiting| waiting.code == "DEGRADED"));

    world.swarm.hold_rollouts("completed");
    world.declare("host_port: 8200, env: {LEVEL: info}");
    world.pass().await;
    assert_eq!((world.states().await.0[0], world.swarm.effects()), (Succeeded, 3));
    assert_eq!(world.pass().await.divergences, 0);
}

async fn until_ended(world: &World) {
    while world.states().await.0[0] == RollingOut {
        world.pass().await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Paused: the spec is as declared and its task fails, which a restart would not mend.
#[tokio::test]
async fn what_swarm_paused_is_degraded_and_not_restarted() {
    let mut world = rolling_out().await;
    world.policy = Some(ALL_ALLOWED);
    world.swarm.fail_task("a", "No such image");
    world.swarm.roll("a", "paused");
    assert_eq!(codes(&world).await, ["DEGRADED"]);
    let (states, detail) = world.states().await;
    assert_eq!(states[0], Failed);
    assert!(detail.contains("paused it: No such image"), "{detail}");
    for _ in 0..10 {
        assert_eq!(codes(&world).await, ["DEGRADED"]);
    }
    assert_eq!((world.swarm.effects(), world.states().await.0.len()), (2, 2));
}

/// A task that ends soon after each restart: a few are tried, then somebody has to look.
#[tokio::test]
async fn restarts_that_do_not_help_come_to_an_end() {
    let mut world = World::deployed().await;
    world.policy = Some(ALL_ALLOWED);
    world.swarm.fail_task("a", "task: non-zero exit (1)");
    for _ in 0..10 {
        world.pass().await;
    }
    assert_eq!(world.swarm.effects(), 1 + 3, "the create and three restarts");
    assert_eq!(codes(&world).await, ["DEGRADED"]);

    // One that Swarm pauses is not even tried twice.
    let mut world = World::deployed().await;
    world.policy = Some(ALL_ALLOWED);
    world.swarm.hold_rollouts("rollback_paused");
    world.swarm.fail_task("a", "task: non-zero exit (1)");
    for _ in 0..10 {
        world.pass().await;
    }
    assert_eq!(world.swarm.effects(), 1 + 1);
    let actions = world.store.actions(&ActionFilter::default()).await.unwrap();
    assert_eq!(actions[0].state, Failed);
}

#[tokio::test]
async fn a_change_without_a_rollout_succeeds_at_once() {
    let world = World::deployed().await;
    world.swarm.hold_rollouts("updating");
    world.declare("host_port: 8200, labels: {team: x}");
    world.attempt(&[]).await;
    assert_eq!(world.states().await.0, [Succeeded, Succeeded]);
    world.swarm.meddle("a", "/Labels/team", json!("y"));
    world.pass().await;
    assert_eq!(world.states().await.0[0], Pending, "drift of a label is found at once");
}

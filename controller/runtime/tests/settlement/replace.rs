//! A replacement that ends in the middle goes on, whichever moment it was; and a service is never
//! lost on the way.

use futures::future::join_all;
use serde_json::{Value, json};
use skep_core::action::{ActionState, ActuatorMode};
use skep_store::{ActionFilter, Actions as _};

use skep_swarm::fake::Fault;

use crate::World;

use Fault::{HeldAfter, HeldBefore, Lost, Passes, Refused, ReplyLost};

/// A world in which the service runs as declared but for its mode.
async fn of_another_mode() -> World {
    let world = World::deployed().await;
    world.swarm.meddle("a", "/Mode", json!({"Global": {}}));
    world.swarm.meddle("a", "/Labels/team", json!("theirs"));
    world
}

fn mode(world: &World) -> Value {
    world.swarm.service("a").map_or(json!("gone"), |service| service["Spec"]["Mode"].clone())
}

fn replicated() -> Value {
    json!({"Replicated": {"Replicas": 1}})
}

/// The one action that is not the deployment's: its state and detail.
async fn newest(world: &World) -> (ActionState, String) {
    let (states, detail) = world.states().await;
    (states[0], detail)
}

/// One removal, one create, on record under the new id, and nothing left to do.
async fn assert_replaced(world: &World) {
    let (state, detail) = newest(world).await;
    assert_eq!(state, ActionState::Succeeded, "{detail}");
    assert_eq!(mode(world), replicated());
    assert_eq!((world.swarm.removals(), world.swarm.effects()), (1, 2), "one of each");
    assert_eq!(world.open_intents().await, 0);
    let report = world.pass().await;
    assert_eq!(report.divergences, 0, "it is ours under its new id: {report:?}");
}

#[tokio::test]
async fn another_mode_is_replaced_after_a_person_said_so() {
    let mut world = of_another_mode().await;
    // A rule that allows everything by itself does not decide about downtime.
    world.policy = Some("version: 1\nrules: [{kind: \"*\", tier: auto}]\n");
    world.pass().await;
    assert_eq!(newest(&world).await.0, ActionState::Pending);
    assert_eq!(world.swarm.removals(), 0);
    world.approve().await;
    world.pass().await;
    assert_replaced(&world).await;
}

#[tokio::test]
async fn a_crash_at_any_point_goes_on() {
    let points = [&[HeldBefore][..], &[HeldAfter], &[Passes, HeldBefore], &[Passes, HeldAfter]];
    let lives = points.map(|faults| async move {
        let world = of_another_mode().await;
        world.crash(faults).await;
        let (state, _) = newest(&world).await;
        assert_eq!(state, ActionState::Executing, "{faults:?}");
        world.pass().await;
        assert_replaced(&world).await;
    });
    join_all(lives).await;
}

#[tokio::test]
async fn lost_requests_and_replies_are_one_effect() {
    for faults in [&[Lost][..], &[ReplyLost], &[Passes, Lost], &[Passes, ReplyLost]] {
        let world = of_another_mode().await;
        world.attempt(faults).await;
        world.pass().await;
        assert_replaced(&world).await;
    }
}

/// The former service is there again, on record, and nobody tries once more.
async fn assert_put_back(world: &World) {
    let (state, detail) = newest(world).await;
    assert_eq!(state, ActionState::Failed);
    assert!(detail.contains("the former one was put back"), "{detail}");
    let service = world.swarm.service("a").unwrap();
    assert_eq!(service["Spec"]["Mode"], json!({"Global": {}}));
    assert_eq!(world.open_intents().await, 0);
    let (removals, effects) = (world.swarm.removals(), world.swarm.effects());
    for _ in 0..3 {
        let report = world.pass().await;
        let codes: Vec<_> = report.waiting.iter().map(|waiting| waiting.code.as_str()).collect();
        assert_eq!(codes, ["DEGRADED"], "{report:?}");
        world.approve().await;
    }
    assert_eq!((world.swarm.removals(), world.swarm.effects()), (removals, effects));
}

#[tokio::test]
async fn what_the_engine_refuses_to_create_is_put_back() {
    let world = of_another_mode().await;
    let before = world.swarm.service("a").unwrap();
    world.attempt(&[Passes, Refused(400)]).await;
    let after = world.swarm.service("a").unwrap();
    let without_label = |service: &Value| {
        let mut spec = service["Spec"].clone();
        spec["Labels"].as_object_mut().unwrap().remove("dev.skep.action");
        spec
    };
    assert_eq!(without_label(&after), without_label(&before));
    assert_put_back(&world).await;
}

#[tokio::test]
async fn a_crash_while_putting_back_goes_on_putting_back() {
    let lives = [HeldBefore, HeldAfter].map(|held| async move {
        let world = of_another_mode().await;
        world.crash(&[Passes, Refused(400), held]).await;
        assert_eq!(newest(&world).await.0, ActionState::Executing);
        // Where nothing is there, the new one is tried first.
        world.swarm.fail_next(Refused(400));
        world.pass().await;
        world.swarm.clear_faults();
        assert_put_back(&world).await;
    });
    join_all(lives).await;
}

#[tokio::test]
async fn a_service_that_can_neither_come_nor_come_back_is_not_given_up() {
    let world = of_another_mode().await;
    world.pass().await;
    world.approve().await;
    world.swarm.fail_next(Passes);
    for _ in 0..60 {
        world.swarm.fail_next(Refused(400));
    }
    let report = world.pass().await;
    let said = report.approved_drained[0].execution.clone().unwrap();
    assert!(said.contains("the service is gone") && said.contains("kept"), "{said}");
    assert_eq!((newest(&world).await.0, mode(&world)), (ActionState::Executing, json!("gone")));
    world.swarm.clear_faults();
    world.pass().await;
    assert_replaced(&world).await;
}

#[tokio::test]
async fn a_service_that_moved_in_between_is_not_removed() {
    let world = of_another_mode().await;
    world.crash(&[HeldBefore]).await;
    world.swarm.meddle("a", "/Labels/team", json!("moved"));
    world.pass().await;
    let states = world.states().await.0;
    assert_eq!(states[..2], [ActionState::Pending, ActionState::Superseded], "asked again");
    assert_eq!((world.swarm.removals(), mode(&world)), (0, json!({"Global": {}})));
}

#[tokio::test]
async fn somebody_elses_service_of_that_name_stays() {
    let world = of_another_mode().await;
    world.crash(&[HeldAfter]).await;
    world.swarm.intrude("a");
    let theirs = world.swarm.service("a");
    world.pass().await;
    let actions = world.store.actions(&ActionFilter::default()).await.unwrap();
    let failed = actions.iter().find(|action| action.state == ActionState::Failed).unwrap();
    assert!(failed.detail.contains("FOREIGN_NAME"), "{}", failed.detail);
    assert_eq!(world.swarm.service("a"), theirs);
    assert_eq!(world.swarm.effects(), 1, "the deployment");
}

#[tokio::test]
async fn a_refused_removal_removes_nothing() {
    let world = of_another_mode().await;
    world.attempt(&[Refused(400)]).await;
    let (state, detail) = newest(&world).await;
    assert_eq!(state, ActionState::Failed);
    assert!(detail.contains("was not removed"), "{detail}");
    assert_eq!((world.swarm.removals(), mode(&world)), (0, json!({"Global": {}})));
}

#[tokio::test]
async fn a_dry_run_neither_removes_nor_creates() {
    let mut world = of_another_mode().await;
    world.mode = ActuatorMode::DryRun;
    world.attempt(&[]).await;
    assert_eq!(newest(&world).await.0, ActionState::Rehearsed);
    assert_eq!(world.swarm.removals(), 0);

    let mut world = of_another_mode().await;
    world.crash(&[HeldAfter]).await;
    world.mode = ActuatorMode::DryRun;
    world.pass().await;
    assert_eq!((newest(&world).await.0, mode(&world)), (ActionState::Executing, json!("gone")));
    world.mode = ActuatorMode::Swarm;
    world.pass().await;
    assert_replaced(&world).await;
}

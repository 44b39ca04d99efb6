//! Where the parts of a pass meet: history with open intents, holds with the clock, requests with
//! settlement.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use skep_core::action::ActionState;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{ClusterId, ObjectKey, RequestId, ServiceName};
use skep_core::ports::Clock as _;
use skep_core::request::{NewRequest, RequestVerb};
use skep_core::revision::RevisionOrigin;
use skep_runtime::{Options, SystemClock, SystemRandom};
use skep_store::{
    ActionFilter, Actions as _, Holds as _, RequestFilter, Requests as _, Revisions as _,
};
use tokio_util::sync::CancellationToken;

use skep_swarm::fake::Fault;

use crate::World;

use ActionState::{Executing, Failed, Pending, Succeeded, Superseded};

fn key(name: &str) -> ObjectKey {
    ObjectKey::service(&ClusterId::new("cluster1"), &ServiceName::new(name))
}

async fn ask(world: &World, verb: RequestVerb) {
    let request = NewRequest {
        id: RequestId::generate(&SystemRandom),
        key: key("a"),
        verb,
        actor: "alice".to_owned(),
        reason: None,
    };
    world.store.submit(&[request], SystemClock.now()).await.unwrap();
}

fn accepted(name: &str, difference: Option<skep_core::canonical::Digest>) -> Hold {
    let now = SystemClock.now();
    Hold {
        key: key(name),
        kind: HoldKind::Accepted,
        difference,
        until: now.checked_add(SignedDuration::from_secs(1)).ok(),
        actor: "alice".to_owned(),
        reason: String::new(),
        placed_at: now,
    }
}

/// The write arrived, its reply was lost, and its worker rests between two attempts.
#[tokio::test]
async fn a_write_that_is_not_settled_is_nobody_elses() {
    let world = World::deployed().await;
    world.declare("host_port: 8200, labels: {team: x}");
    let mut faults = vec![Fault::ReplyLost];
    faults.extend([Fault::Lost; 30]);
    world.attempt(&faults).await;
    world.swarm.clear_faults();
    assert_eq!(world.states().await.0[0], Executing);
    world.pass().await;
    assert_eq!(world.states().await.0[0], Succeeded);
    let heads = world.store.revision_heads(&ClusterId::new("cluster1")).await.unwrap();
    assert_eq!(heads[0].number, 2, "one revision for each write");
    let head = world.store.revision(&key("a"), 2).await.unwrap();
    assert_eq!(head.origin, RevisionOrigin::Applied);
}

#[tokio::test]
async fn credentials_that_the_engine_never_took_are_not_handed_over() {
    let world = World::deployed().await;
    ask(&world, RequestVerb::RefreshCredentials).await;
    world.attempt(&[Fault::Lost, Fault::Refused(400)]).await;
    world.pass().await;
    let (states, detail) = world.states().await;
    assert_eq!((states[0], world.swarm.effects()), (Failed, 1), "{detail}");
}

/// What only time changes is looked at, however often something else wakes the loop.
#[tokio::test]
async fn the_end_of_a_hold_is_seen_in_a_fleet_that_never_rests() {
    let world = World::deployed().await;
    world.swarm.meddle("a", "/TaskTemplate/ContainerSpec/Image", json!("example/theirs:1"));
    world.pass().await;
    let actions = world.store.actions(&ActionFilter::default()).await.unwrap();
    world.store.place_hold(&accepted("a", actions[0].step.difference.clone())).await.unwrap();
    let report = world.pass().await;
    assert!(report.waiting.iter().any(|one| one.code == "ACCEPTED_DRIFT"), "{report:?}");
    assert!(world.pending().await.is_empty());
    let interval = Duration::from_secs(1);
    let process = world.process_with(|options| Options { interval, ..options });
    let stop = CancellationToken::new();
    let asked_again = async {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while world.pending().await.is_empty() {
            assert!(tokio::time::Instant::now() < deadline, "the end of the hold was not seen");
            world.store.place_hold(&accepted("another", None)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stop.cancel();
    };
    let (served, ()) = tokio::join!(process.serve(stop.clone()), asked_again);
    served.unwrap();
}

#[tokio::test]
async fn a_request_that_cannot_be_answered_stops_nobody_else() {
    let mut world = World::deployed().await;
    world.declare("host_port: 8200, labels: {team: x}");
    world.attempt(&[]).await;
    world.key = 8;
    ask(&world, RequestVerb::Rollback { revision: 1 }).await;
    world.pass().await;
    let requests = world.store.requests(&RequestFilter::default()).await.unwrap();
    assert!(requests[0].detail.contains("REVISION_UNREADABLE"), "{requests:?}");
}

#[tokio::test]
async fn a_request_that_was_overtaken_does_not_keep_the_plan_waiting() {
    let world = World::deployed().await;
    ask(&world, RequestVerb::Scale { replicas: 5 }).await;
    world.pass().await;
    assert_eq!(world.states().await.0[0], Pending);
    world.swarm.meddle("a", "/Mode", json!({"Replicated": {"Replicas": 5}}));
    world.pass().await;
    assert_eq!(world.states().await.0[0], Superseded);
    world.pass().await;
    let newest = &world.store.actions(&ActionFilter::default()).await.unwrap()[0];
    assert_eq!((newest.state, newest.step.request.is_none()), (Pending, true));
}

/// By hand away from what is declared and back again: whoever goes there later is not the person.
#[tokio::test]
async fn what_a_person_took_back_is_not_held_any_longer() {
    let world = World::deployed().await;
    for replicas in [5, 1] {
        ask(&world, RequestVerb::Scale { replicas }).await;
        world.attempt(&[]).await;
        world.pass().await;
    }
    assert_eq!(world.pass().await.divergences, 0);
    world.swarm.meddle("a", "/Mode", json!({"Replicated": {"Replicas": 5}}));
    let report = world.pass().await;
    assert_eq!(world.states().await.0[0], Pending, "{report:?}");
}

#[tokio::test]
async fn what_people_ask_for_is_no_storm() {
    let mut world = World::deployed().await;
    world.policy = Some("version: 1\nrules: [{kind: \"*\", tier: auto}]\n");
    ask(&world, RequestVerb::Restart).await;
    world.pass().await;
    assert_eq!(world.states().await.0[0], Succeeded);
    world.declare("host_port: 8200, labels: {team: x}");
    let process = world.process_with(|options| Options { max_actions: 1, ..options });
    let report = process.reconcile_once(&CancellationToken::new()).await.unwrap();
    assert_eq!((report.deferred.len(), world.label()), (0, json!("x")), "{report:?}");
}

#[tokio::test]
async fn a_pass_by_hand_that_hangs_at_a_registry_can_be_ended() {
    let world = World::new().await;
    world.swarm.hang_at_registries();
    let (process, stop) = (world.process(), CancellationToken::new());
    let ended = async {
        world.swarm.held().await;
        stop.cancel();
    };
    let both = async { tokio::join!(process.reconcile_once(&stop), ended) };
    let (report, ()) = tokio::time::timeout(Duration::from_secs(8), both).await.unwrap();
    assert_eq!(report.unwrap().processed, 0);
}

/// The values of the environment are placeholders in the step; a crash at any point ends with the
/// value of then, with one revision for it, and with what the person wanted left alone.
#[tokio::test]
async fn a_rollback_with_values_survives_a_crash() {
    for fault in [Fault::HeldBefore, Fault::HeldAfter] {
        let world = World::deployed().await;
        for level in ["one-of-then", "two"] {
            world.declare(&format!("host_port: 8200, env: {{LEVEL: {level}}}"));
            world.attempt(&[]).await;
            world.pass().await;
        }
        ask(&world, RequestVerb::Rollback { revision: 2 }).await;
        world.crash(&[fault]).await;
        world.pass().await;
        let report = world.pass().await;
        let service = world.swarm.service("a").unwrap();
        let env = &service["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"];
        let env = env.as_array().unwrap();
        assert!(env.contains(&json!("LEVEL=one-of-then")), "{fault:?}: {env:?}");
        assert_eq!((world.states().await.0[0], world.swarm.effects()), (Succeeded, 4));
        let heads = world.store.revision_heads(&ClusterId::new("cluster1")).await.unwrap();
        assert_eq!(heads[0].number, 4, "{fault:?}");
        assert!(report.waiting.iter().any(|one| one.code == "HELD"), "{report:?}");
        let actions = world.store.actions(&ActionFilter::default()).await.unwrap();
        let step = serde_json::to_string(&actions[0].step).unwrap();
        assert!(!step.contains("one-of-then"), "{step}");
    }
}

/// A replacement that rests between its two halves: the service that is gone has not vanished,
/// nothing else is asked for, and history has one revision for it.
#[tokio::test]
async fn a_replacement_that_rests_is_nobody_elses() {
    let world = World::deployed().await;
    world.swarm.meddle("a", "/Mode", json!({"Global": {}}));
    let mut faults = vec![Fault::Passes, Fault::ReplyLost];
    faults.extend([Fault::Refused(500); 30]);
    world.attempt(&faults).await;
    world.swarm.clear_faults();
    world.pass().await;
    let states = world.states().await;
    assert_eq!(states.0, [Succeeded, Succeeded], "{}", states.1);
    assert_eq!(world.pass().await.divergences, 0);
    let heads = world.store.revision_heads(&ClusterId::new("cluster1")).await.unwrap();
    // The create, what somebody changed, the replacement.
    assert_eq!(heads[0].number, 3);
}

#[tokio::test]
async fn a_rollback_to_a_network_that_is_gone_ends() {
    let world = World::deployed().await;
    world.pass().await;
    world.swarm.meddle("a", "/TaskTemplate/Networks", json!([{"Target": "gone"}]));
    world.attempt(&[]).await;
    world.pass().await;
    assert_eq!(world.pass().await.divergences, 0);
    ask(&world, RequestVerb::Rollback { revision: 2 }).await;
    world.attempt(&[]).await;
    let (states, detail) = world.states().await;
    assert_eq!((states[0], world.swarm.effects()), (Superseded, 2), "{detail}");
    assert!(detail.contains("gone"), "{detail}");
}

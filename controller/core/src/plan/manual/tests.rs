use serde_json::{Value, json};

use super::*;
use crate::identity::SwarmId;
use crate::observed::UpdateStatus;
use crate::plan::fixtures::{World, set};
use crate::plan::{Late, bind};

fn asked(world: &World, name: &str, verb: &RequestVerb, revision: Option<&Value>) -> Requested {
    plan_request(&world.input(), &ServiceName::new(name), verb, revision)
}

fn step(requested: Requested) -> Step {
    match requested {
        Requested::Step { step, .. } => *step,
        other => panic!("no step: {other:?}"),
    }
}

fn code(requested: Requested) -> String {
    match requested {
        Requested::Refused(blocked) => blocked.code,
        Requested::Nothing(_) => "NOTHING_TO_DO".to_owned(),
        Requested::Step { step, .. } => panic!("a step: {step:?}"),
    }
}

fn live(world: &World) -> &ObservedService {
    world.observed.services.get(&ServiceName::new("a")).unwrap()
}

fn world() -> World {
    let mut world = World::new();
    world.declare("a");
    world.deploy("a");
    world
}

const SCALE: RequestVerb = RequestVerb::Scale { replicas: 5 };
const BACK: RequestVerb = RequestVerb::Rollback { revision: 3 };

#[test]
fn only_what_is_ours_can_be_asked_about() {
    let mut world = World::new();
    world.put_foreign("a");
    for verb in [&SCALE, &RequestVerb::Restart, &RequestVerb::Stop, &RequestVerb::Release] {
        assert_eq!(code(asked(&world, "a", verb, None)), "NOT_OURS", "{verb}");
        assert_eq!(code(asked(&world, "gone", verb, None)), "NOT_FOUND", "{verb}");
    }
    // Another service under the recorded name is not ours either.
    world.owned.insert(ServiceName::new("a"), SwarmId::new("an-earlier-one"));
    assert_eq!(code(asked(&world, "a", &SCALE, None)), "NOT_OURS");
    let adopt = step(asked(&world, "a", &RequestVerb::Adopt, None));
    assert_eq!((adopt.action, adopt.source), (ActionKind::AdoptService, Source::Manual));
}

#[test]
fn what_is_so_already_is_no_step() {
    let world = world();
    let two = RequestVerb::Scale { replicas: 2 };
    assert_eq!(code(asked(&world, "a", &two, None)), "NOTHING_TO_DO");
    assert_eq!(code(asked(&world, "a", &RequestVerb::Adopt, None)), "NOTHING_TO_DO");
    let same = live(&world).spec.value();
    assert_eq!(code(asked(&world, "a", &BACK, Some(&same))), "NOTHING_TO_DO");
    assert_eq!(code(asked(&world, "a", &BACK, None)), "NOT_FOUND");
}

#[test]
fn scaling_by_hand_leaves_the_drift_that_planning_then_sees() {
    let mut world = world();
    let scale = step(asked(&world, "a", &SCALE, None));
    assert_eq!(scale.changes.len(), 1);
    assert_eq!(scale.changes[0].after, json!(5));
    set(
        &mut world.observed.services.get_mut(&ServiceName::new("a")).unwrap().spec,
        "/Mode/Replicated/Replicas",
        json!(5),
    );
    let planned = world.plan();
    assert_eq!(planned.steps.len(), 1);
    assert_eq!(planned.steps[0].difference, scale.difference);
    // Anything else that differs is another drift.
    set(
        &mut world.observed.services.get_mut(&ServiceName::new("a")).unwrap().spec,
        "/Labels/team",
        json!("b"),
    );
    assert_ne!(world.plan().steps[0].difference, scale.difference);
}

#[test]
fn going_back_to_what_is_declared_leaves_no_drift() {
    let mut world = world();
    let declared = live(&world).spec.value();
    set(
        &mut world.observed.services.get_mut(&ServiceName::new("a")).unwrap().spec,
        "/TaskTemplate/ContainerSpec/Image",
        json!("example/a:2"),
    );
    let back = step(asked(&world, "a", &BACK, Some(&declared)));
    assert_eq!(back.action, ActionKind::RollbackService);
    assert_eq!(back.difference, None);
}

#[test]
fn a_rollback_holds_no_value_of_the_environment_and_is_bound_with_them() {
    let world = world();
    let mut earlier = live(&world).spec.value();
    earlier["TaskTemplate"]["ContainerSpec"]["Env"] = json!(["TOKEN=canary-old", "INHERITED"]);
    let requested = asked(&world, "a", &BACK, Some(&earlier));
    let Requested::Step { step, secrets: Some(secrets) } = requested else {
        panic!("{requested:?}");
    };
    let stored = serde_json::to_string(&step).unwrap();
    assert!(!stored.contains("canary-old") && !stored.contains("secret-value"), "{stored}");
    assert!(step.difference.is_some());
    let late = Late {
        object: None,
        snapshot: &world.observed,
        live: world.observed.services.get(&ServiceName::new("a")),
        secrets: &secrets,
        action: &"action1".into(),
        fleet: &"default".into(),
    };
    let body: Value = serde_json::from_slice(&bind(&step, late).unwrap().body).unwrap();
    let mut env: Vec<&str> = body["TaskTemplate"]["ContainerSpec"]["Env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    env.sort_unstable();
    assert_eq!(env, ["INHERITED", "TOKEN=canary-old"]);
}

#[test]
fn a_rollback_leaves_alone_what_the_owner_told_to_leave_alone() {
    let mut world = world();
    let key = ServiceName::new("a");
    world.desired.services.get_mut(&key).unwrap().ignore = vec!["/Labels/team".to_owned()];
    let mut earlier = live(&world).spec.value();
    set(&mut earlier, "/Labels/team", json!("old"));
    assert_eq!(code(asked(&world, "a", &BACK, Some(&earlier))), "NOTHING_TO_DO");
}

#[test]
fn modes_decide_what_can_be_asked() {
    let mut world = world();
    let key = ServiceName::new("a");
    let mut with_mode = |mode: Value| {
        set(&mut world.observed.services.get_mut(&key).unwrap().spec, "/Mode", mode);
        [&SCALE, &RequestVerb::Stop, &RequestVerb::Restart].map(|verb| {
            match asked(&world, "a", verb, None) {
                Requested::Refused(blocked) => blocked.code,
                _ => "fine".to_owned(),
            }
        })
    };
    assert_eq!(with_mode(json!({"Global": {}})), ["NOT_SCALABLE", "NOT_SCALABLE", "fine"]);
    assert_eq!(
        with_mode(json!({"ReplicatedJob": {"MaxConcurrent": 1}})),
        ["NOT_SCALABLE", "NOT_SCALABLE", "IS_A_JOB"]
    );
    assert_eq!(with_mode(json!({"Replicated": {}})), ["fine", "fine", "fine"]);
    assert_eq!(with_mode(json!({})), ["fine", "fine", "fine"]);
    set(&mut world.observed.services.get_mut(&key).unwrap().spec, "/Mode", json!({"Global": {}}));
    let replicated = json!({"Name": "a", "Mode": {"Replicated": {"Replicas": 1}}});
    assert_eq!(code(asked(&world, "a", &BACK, Some(&replicated))), "IMMUTABLE_FIELD");
}

#[test]
fn a_running_rollout_is_left_alone_and_releasing_is_not_a_write() {
    let mut world = world();
    world.observed.services.get_mut(&ServiceName::new("a")).unwrap().update = Some(UpdateStatus {
        state: "updating".to_owned(),
        message: String::new(),
        started_at: None,
    });
    for verb in [&SCALE, &RequestVerb::Restart, &BACK] {
        assert_eq!(code(asked(&world, "a", verb, None)), "ROLLOUT_RUNNING");
    }
    let release = step(asked(&world, "a", &RequestVerb::Release, None));
    assert!(release.action.writes_nothing_to_the_engine());
}

#[test]
fn an_approval_of_a_restart_is_not_one_of_the_next_restart() {
    let mut world = world();
    let first = step(asked(&world, "a", &RequestVerb::Restart, None));
    set(
        &mut world.observed.services.get_mut(&ServiceName::new("a")).unwrap().spec,
        "/TaskTemplate/ForceUpdate",
        json!(1),
    );
    let second = step(asked(&world, "a", &RequestVerb::Restart, None));
    assert_ne!(first.digest, second.digest);
}

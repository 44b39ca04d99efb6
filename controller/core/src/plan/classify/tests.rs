mod engine;
mod keyed;

use serde_json::json;

use super::super::fixtures::{World, set};
use super::super::{Blocked, DriftClass, Operation, Risk};
use super::*;
use crate::action::{ActionKind, Source};
use crate::desired::SourceState;
use crate::identity::SwarmId;
use crate::observed::{Services, TaskFailure, TaskSummary, UpdateStatus};

fn only_step(world: &World) -> Step {
    let plan = world.plan();
    assert_eq!(plan.steps.len(), 1, "{plan:#?}");
    plan.steps.into_iter().next().unwrap()
}

#[test]
fn what_is_declared_and_not_there_is_created() {
    let mut world = World::new();
    world.declare("a");
    let step = only_step(&world);
    assert_eq!((step.action, step.class), (ActionKind::DeployService, DriftClass::Missing));
    assert_eq!(world.plan().summary.create, 1);
    assert!(step.id.as_str().ends_with("-a"));
}

#[test]
fn a_deployed_fleet_has_an_empty_plan() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.declare(name);
        world.deploy(name);
    }
    let plan = world.plan();
    assert!(plan.steps.is_empty(), "{plan:#?}");
    assert_eq!(plan.summary.unchanged, 3);
    assert!(plan.summary.is_settled());
}

/// Docker writes a list as it stands in the file, and to the engine another order is a change.
#[test]
fn a_stack_is_written_in_the_order_of_its_file() {
    const AT: &str = "/TaskTemplate/Placement/Constraints";
    let constraints = || json!(["node.role == manager", "node.labels.a==b"]);
    let mut world = World::new();
    let service = world.declare("a");
    service.provenance.source = Source::Gitops;
    set(&mut service.spec, AT, constraints());
    let Operation::Create { spec } = only_step(&world).operation else { panic!("no create") };
    assert_eq!(spec.pointer(AT), Some(&constraints()));
    set(&mut world.deploy("a").spec, AT, json!(["node.role==worker"]));
    let Operation::Update { edits } = only_step(&world).operation else { panic!("no update") };
    assert_eq!((edits.len(), edits[0].value.as_ref()), (1, Some(&constraints())));
    // The engine's default is not written out where the file says nothing.
    const POLICY: &str = "/TaskTemplate/RestartPolicy";
    let mut other = World::new();
    other.declare("b").provenance.source = Source::Gitops;
    set(&mut other.deploy("b").spec, POLICY, json!({"Condition": "none"}));
    let Operation::Update { edits } = only_step(&other).operation else { panic!("no update") };
    assert_eq!((edits[0].pointer.as_str(), edits[0].value.as_ref()), (POLICY, None));
    // What says the same is left as it is.
    let turned = json!(["node.labels.a == b", "node.role==manager"]);
    let name = ServiceName::new("a");
    set(&mut world.observed.services.get_mut(&name).unwrap().spec, AT, turned);
    assert!(world.plan().steps.is_empty());
    // A registry has no order of docker's to keep.
    world.observed.services = Services::default();
    world.owned.clear();
    world.desired.services.get_mut(&name).unwrap().provenance.source = Source::Registry;
    let Operation::Create { spec } = only_step(&world).operation else { panic!("no create") };
    assert_ne!(spec.pointer(AT), Some(&constraints()));
}

#[test]
fn each_field_behind_our_back_is_found_by_its_path() {
    let cases: [(&str, serde_json::Value, DriftClass, ActionKind, &str); 5] = [
        (
            "/TaskTemplate/ContainerSpec/Image",
            json!("example/a:evil@sha256:00"),
            DriftClass::Image,
            ActionKind::DeployService,
            "/TaskTemplate/ContainerSpec/Image",
        ),
        (
            "/TaskTemplate/ContainerSpec/Env",
            json!(["HOST=0.0.0.0", "TOKEN=secret-value", "EXTRA=1"]),
            DriftClass::Spec,
            ActionKind::DeployService,
            "/TaskTemplate/ContainerSpec/Env/EXTRA",
        ),
        ("/Labels/team", json!("b"), DriftClass::Spec, ActionKind::DeployService, "/Labels/team"),
        (
            "/Mode/Replicated/Replicas",
            json!(5),
            DriftClass::Replicas,
            ActionKind::ScaleService,
            "/Mode/Replicated/Replicas",
        ),
        (
            "/TaskTemplate/Resources/Limits/MemoryBytes",
            json!(1024),
            DriftClass::Spec,
            ActionKind::DeployService,
            "/TaskTemplate/Resources/Limits/MemoryBytes",
        ),
    ];
    for (pointer, value, class, action, path) in cases {
        let mut world = World::new();
        world.declare("a");
        set(&mut world.deploy("a").spec, pointer, value);
        let step = only_step(&world);
        assert_eq!((step.class, step.action), (class, action), "{pointer}");
        let paths: Vec<_> = step.changes.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(paths, [path]);
    }
}

#[test]
fn a_digest_written_by_image_resolution_is_no_drift() {
    let mut world = World::new();
    world.declare("a");
    let image = json!("example/a:latest@sha256:0123");
    set(&mut world.deploy("a").spec, "/TaskTemplate/ContainerSpec/Image", image);
    assert!(world.plan().steps.is_empty());
}

#[test]
fn our_labels_restart_counters_and_platforms_are_no_drift() {
    let mut world = World::new();
    world.declare("a");
    let live = world.deploy("a");
    set(&mut live.spec, "/Labels/dev.skep.action", json!("x"));
    set(&mut live.spec, "/TaskTemplate/ForceUpdate", json!(3));
    set(&mut live.spec, "/TaskTemplate/Placement/Platforms", json!([{"OS": "linux"}]));
    assert!(world.plan().steps.is_empty());
}

#[test]
fn values_of_the_environment_are_never_shown() {
    let mut world = World::new();
    world.declare("a");
    let created = format!("{:?} {}", world.plan(), json!(world.plan().steps[0].changes));
    assert!(!created.contains("secret-value"), "{created}");
    let env = json!(["HOST=0.0.0.0", "TOKEN=other-secret"]);
    set(&mut world.deploy("a").spec, "/TaskTemplate/ContainerSpec/Env", env);
    let step = only_step(&world);
    let shown = json!(step.changes).to_string();
    assert!(!shown.contains("secret"), "{shown}");
    assert_ne!(step.changes[0].before, step.changes[0].after, "the two can be told apart");
}

#[test]
fn declared_as_stopped() {
    let mut world = World::new();
    let service = world.declare("a");
    service.running = false;
    set(&mut service.spec, "/Mode/Replicated/Replicas", json!(0));
    assert_eq!(world.plan().summary.unchanged, 1, "absent and stopped needs nothing");
    set(&mut world.deploy("a").spec, "/Mode/Replicated/Replicas", json!(2));
    let step = only_step(&world);
    assert_eq!((step.action, step.class), (ActionKind::StopService, DriftClass::ShouldBeStopped));
    assert_eq!(step.risk, Risk::High);
    assert_eq!(step.changes[0].after, json!(0));
}

#[test]
fn zero_replicas_on_purpose_is_not_down() {
    let mut world = World::new();
    set(&mut world.declare("a").spec, "/Mode/Replicated/Replicas", json!(0));
    world.deploy("a").tasks = TaskSummary { failed: 2, ..Default::default() };
    assert!(world.plan().steps.is_empty());
}

#[test]
fn no_running_task_is_down_after_the_grace() {
    let mut world = World::new();
    world.declare("a");
    let now = world.now;
    let live = world.deploy("a");
    live.tasks = TaskSummary {
        failed: 2,
        last_failure: Some(failure("task: non-zero exit (1)")),
        ..Default::default()
    };
    live.updated_at = now - jiff::SignedDuration::from_secs(5);
    assert!(world.plan().steps.is_empty(), "still within the grace");
    world.observed.services.values_mut().next().unwrap().updated_at =
        now - jiff::SignedDuration::from_secs(60);
    let step = only_step(&world);
    assert_eq!((step.action, step.class), (ActionKind::RestartService, DriftClass::Down));
    assert!(step.reason.contains("non-zero exit (1)"));
}

#[test]
fn while_swarm_still_tries_nothing_is_down() {
    let mut world = World::new();
    world.declare("a");
    let live = world.deploy("a");
    // Between two attempts of a crash loop: the next task waits for its restart delay.
    live.tasks = TaskSummary {
        starting: 1,
        failed: 4,
        last_failure: Some(failure("No such image: example/a:9")),
        ..TaskSummary::default()
    };
    let plan = world.plan();
    assert!(plan.steps.is_empty(), "a restart would only begin it anew: {plan:#?}");
    let [waiting] = plan.waiting.as_slice() else { panic!("{plan:#?}") };
    assert!(waiting.code == "DOWN" && waiting.reason.contains("No such image"), "{waiting:?}");
    world.observed.services.values_mut().next().unwrap().tasks.starting = 0;
    assert_eq!(only_step(&world).class, DriftClass::Down, "Swarm gave up");
}

#[test]
fn what_needs_no_task_is_not_down() {
    for (mode, failed, down) in [
        (json!({"ReplicatedJob": {}}), 1, false),
        (json!({"GlobalJob": {}}), 1, false),
        (json!({"Global": {}}), 0, false),
        (json!({"Global": {}}), 1, true),
        (json!({"Replicated": {}}), 0, true),
    ] {
        let mut world = World::new();
        set(&mut world.declare("a").spec, "/Mode", mode.clone());
        world.deploy("a").tasks = TaskSummary { failed, ..Default::default() };
        assert_eq!(world.plan().steps.len(), usize::from(down), "{mode} {failed}");
    }
}

#[test]
fn each_incident_is_told_apart() {
    let mut world = World::new();
    world.declare("a");
    world.deploy("a").tasks = TaskSummary { failed: 1, ..Default::default() };
    let first = only_step(&world);
    let live = world.observed.services.values_mut().next().unwrap();
    assert_eq!(first.observed_at, Some(live.updated_at));
    live.version += 3;
    assert_eq!(only_step(&world).digest, first.digest, "still the same incident");
    let live = world.observed.services.values_mut().next().unwrap();
    set(&mut live.spec, "/TaskTemplate/ForceUpdate", json!(1));
    assert_ne!(only_step(&world).digest, first.digest, "a restart of the restart");

    // An ordinary update says what it changes; when it was seen and restarts are no part of it.
    let mut world = World::new();
    world.declare("a");
    let created = only_step(&world);
    assert_eq!(created.observed_at, None);
    set(&mut world.deploy("a").spec, "/Mode/Replicated/Replicas", json!(5));
    let first = only_step(&world);
    let live = world.observed.services.values_mut().next().unwrap();
    live.updated_at += jiff::SignedDuration::from_secs(600);
    set(&mut live.spec, "/TaskTemplate/ForceUpdate", json!(1));
    let second = only_step(&world);
    assert_eq!(second.digest, first.digest);
    assert!(second.observed_at > first.observed_at);
    let mut stored = json!(second);
    stored.as_object_mut().unwrap().remove("observed_at");
    let older: Step = serde_json::from_value(stored).unwrap();
    assert_eq!(older.observed_at, None, "steps stored before there was the field are read");
}

#[test]
fn a_scaled_service_outside_of_its_bounds_goes_to_the_nearest() {
    for (live, nearest) in [(0, Some(2)), (1, Some(2)), (2, None), (5, None), (9, Some(5))] {
        let mut world = World::new();
        world.declare("a").autoscaled = Some(ScalingBounds { min: 2, max: 5 });
        set(&mut world.deploy("a").spec, "/Mode/Replicated/Replicas", json!(live));
        let plan = world.plan();
        let step = plan.steps.first();
        assert_eq!(step.map(|step| step.changes[0].after.clone()), nearest.map(|n| json!(n)));
        if let Some(step) = step {
            assert_eq!((step.action, step.class), (ActionKind::ScaleService, DriftClass::Replicas));
            assert!(step.reason.contains("bounds 2-5"), "{}", step.reason);
        }
    }
}

/// A service whose only reference cannot be resolved: its line is missing from the desired spec
/// and stands in the live one.
fn unresolved() -> World {
    let mut world = World::new();
    world.declare("a");
    world.deploy("a");
    let service = world.desired.services.values_mut().next().unwrap();
    set(&mut service.spec, "/TaskTemplate/ContainerSpec/Env", json!(["HOST=0.0.0.0"]));
    service.unresolved = vec!["TOKEN".to_owned()];
    service.blocked = Some(Blocked {
        code: "SECRET_UNRESOLVED".to_owned(),
        message: "TOKEN".to_owned(),
        hint: String::new(),
    });
    world
}

fn live_mut(world: &mut World) -> &mut ObservedService {
    world.observed.services.values_mut().next().unwrap()
}

#[test]
fn what_is_unresolved_or_missing_blocks_deployments_only() {
    // Nothing else differs: what cannot be compared is not reported as removed.
    let world = unresolved();
    let step = only_step(&world);
    assert_eq!(step.blocked.as_ref().unwrap().code, "SECRET_UNRESOLVED");
    assert_eq!(step.action, ActionKind::DeployService);
    assert!(step.changes.is_empty(), "{:?}", step.changes);

    let mut world = unresolved();
    set(&mut live_mut(&mut world).spec, "/Labels/team", json!("b"));
    let step = only_step(&world);
    assert_eq!(step.blocked.as_ref().unwrap().code, "SECRET_UNRESOLVED");
    assert_eq!(step.changes.len(), 1, "{:?}", step.changes);

    // Scale, stop and restart change neither environment nor networks nor ports.
    let missing_network = |mut world: World| {
        world.observed.networks.clear();
        let network = json!([{"Target": "fleet"}]);
        set(&mut live_mut(&mut world).spec, "/TaskTemplate/Networks", network);
        world
    };
    for obstacles in [|world| world, missing_network] {
        let mut world = obstacles(unresolved());
        set(&mut live_mut(&mut world).spec, "/Mode/Replicated/Replicas", json!(5));
        let step = only_step(&world);
        assert_eq!((step.action, step.blocked), (ActionKind::ScaleService, None));

        let mut world = obstacles(unresolved());
        let service = world.desired.services.values_mut().next().unwrap();
        service.running = false;
        set(&mut service.spec, "/Mode/Replicated/Replicas", json!(0));
        let step = only_step(&world);
        assert_eq!((step.action, step.blocked), (ActionKind::StopService, None));

        let mut world = obstacles(unresolved());
        live_mut(&mut world).tasks = TaskSummary { failed: 1, ..Default::default() };
        let step = only_step(&world);
        assert_eq!((step.action, step.blocked), (ActionKind::RestartService, None));
    }
}

#[test]
fn a_taken_port_does_not_keep_a_service_from_being_stopped() {
    let mut world = World::new();
    world.declare("a");
    world.deploy("a");
    let ports = live_mut(&mut world).ports.clone();
    world.put_foreign("zzz").ports = ports;
    set(&mut live_mut(&mut world).spec, "/Labels/team", json!("b"));
    assert_eq!(only_step(&world).blocked.unwrap().code, "PORT_TAKEN");
    let service = world.desired.services.values_mut().next().unwrap();
    service.running = false;
    set(&mut service.spec, "/Mode/Replicated/Replicas", json!(0));
    let step = only_step(&world);
    assert_eq!((step.action, step.blocked), (ActionKind::StopService, None));
}

#[test]
fn a_failure_ratio_is_compared_as_the_engine_keeps_it() {
    for (declared, live) in [
        (json!(1.0), json!(1)),
        (json!(0.123_456_789), json!(0.123_456_79)),
        (json!(0.0), json!(0)),
    ] {
        let mut world = World::new();
        let block = |ratio: &Value| json!({"Parallelism": 1, "MaxFailureRatio": ratio});
        set(&mut world.declare("a").spec, "/UpdateConfig", block(&declared));
        let service = world.desired.services.values_mut().next().unwrap();
        set(&mut service.spec, "/RollbackConfig", block(&declared));
        let service = world.deploy("a");
        set(&mut service.spec, "/UpdateConfig", block(&live));
        set(&mut service.spec, "/RollbackConfig", block(&live));
        assert!(world.plan().steps.is_empty(), "{:#?}", world.plan());
    }
}

#[test]
fn labels_of_docker_stack_are_left_alone_unless_declared_otherwise() {
    let mut world = World::new();
    world.declare("a");
    let live = world.deploy("a");
    set(&mut live.spec, "/Labels/com.docker.stack.image", json!("x"));
    set(&mut live.spec, "/Labels/com.docker.stack.namespace", json!("web"));
    let inside = "/TaskTemplate/ContainerSpec/Labels/com.docker.stack.namespace";
    set(&mut live.spec, inside, json!("web"));
    assert!(world.plan().steps.is_empty(), "{:#?}", world.plan());
    let service = world.desired.services.values_mut().next().unwrap();
    set(&mut service.spec, "/Labels/com.docker.stack.namespace", json!("other"));
    let step = only_step(&world);
    let paths: Vec<_> = step.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["/Labels/com.docker.stack.namespace"]);
}

#[test]
fn nothing_that_is_printed_for_debugging_holds_a_spec() {
    let mut world = unresolved();
    world.declare("b");
    let shown = format!("{:?} {:?} {:?}", world.observed, world.desired, world.plan());
    assert!(!shown.contains("secret-value"), "{shown}");
    assert!(shown.contains("TOKEN") && shown.contains("id-a"), "the rest is shown");
}

#[test]
fn a_service_of_the_same_name_is_adopted_not_written() {
    let mut world = World::new();
    world.declare("a");
    world.put_foreign("a");
    let step = only_step(&world);
    assert_eq!((step.action, step.class), (ActionKind::AdoptService, DriftClass::Foreign));
    assert_eq!(step.operation, Operation::Adopt);
    assert!(step.changes.is_empty(), "the specs are equal");
    set(&mut world.put_foreign("a").spec, "/Labels/team", json!("other"));
    assert_eq!(only_step(&world).changes.len(), 1);
}

#[test]
fn a_recorded_name_with_another_id_is_foreign() {
    let mut world = World::new();
    world.declare("a");
    world.deploy("a");
    world.owned.insert(ServiceName::new("a"), SwarmId::new("older"));
    assert_eq!(only_step(&world).class, DriftClass::Foreign);
}

#[test]
fn a_published_port_of_somebody_else_blocks_and_names_the_candidate() {
    let mut world = World::new();
    world.declare("a");
    let port = world.desired.services.values().next().unwrap().spec.value()["EndpointSpec"].clone();
    let other = world.put_foreign("zzz");
    set(&mut other.spec, "/EndpointSpec", port);
    other.ports[0].published = 8200 + u16::from(b'a');
    let step = only_step(&world);
    let blocked = step.blocked.unwrap();
    assert_eq!((blocked.code.as_str(), step.class), ("PORT_TAKEN", DriftClass::Foreign));
    assert!(blocked.message.contains("\"zzz\""), "{}", blocked.message);
    assert_eq!(world.plan().summary.blocked, 1);
    assert_eq!(world.plan().summary.create, 0);
}

#[test]
fn a_missing_network_blocks() {
    let mut world = World::new();
    world.declare("a");
    world.observed.networks.clear();
    assert_eq!(only_step(&world).blocked.unwrap().code, "NETWORK_MISSING");
}

#[test]
fn nothing_is_written_while_a_rollout_runs() {
    let mut world = World::new();
    world.declare("a");
    let live = world.deploy("a");
    set(&mut live.spec, "/Labels/team", json!("b"));
    live.update = Some(update_status("updating", "in progress"));
    let plan = world.plan();
    assert!(plan.steps.is_empty());
    assert_eq!(plan.waiting[0].code, "ROLLOUT_RUNNING");
}

#[test]
fn another_mode_is_a_replacement_that_a_person_confirms() {
    let mut world = World::new();
    world.declare("a");
    let live = world.deploy("a");
    set(&mut live.spec, "/Mode", json!({"Global": {}}));
    live.tasks.running = 3;
    let step = only_step(&world);
    assert_eq!((step.action, step.class), (ActionKind::DeployService, DriftClass::Immutable));
    assert_eq!((step.risk, step.blocked.as_ref()), (Risk::High, None));
    let expected = "its mode changes from global to replicated, which Swarm cannot do in place: \
                    the service is removed and created again: its 3 tasks stop, published port \
                    8297 goes away until the new tasks run, its id changes";
    assert_eq!(step.reason, expected);
    assert!(step.confirm.as_ref().is_some_and(|why| why.contains("downtime")), "{step:?}");
    assert_eq!(step.object.as_ref().unwrap().as_str(), "id-a");
    let Operation::Replace { edits } = &step.operation else { panic!("{step:?}") };
    let pointers: Vec<_> = edits.iter().map(|edit| edit.pointer.as_str()).collect();
    assert_eq!(pointers, ["/Mode/Global", "/Mode/Replicated/Replicas"]);
    // What was approved is replaced, nothing newer.
    let live = world.observed.services.values_mut().next().unwrap();
    set(&mut live.spec, "/TaskTemplate/ContainerSpec/Image", json!("example/a:fixed"));
    assert_ne!(only_step(&world).digest, step.digest);
    // The checks of a create hold, but for its own port.
    world.observed.networks.clear();
    assert_eq!(only_step(&world).blocked.unwrap().code, "NETWORK_MISSING");
}

#[test]
fn every_other_mode_is_a_replacement_and_the_same_one_never_is() {
    let modes = [
        json!({"Replicated": {"Replicas": 2}}),
        json!({"Global": {}}),
        json!({"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 4}}),
        json!({"GlobalJob": {}}),
    ];
    for (from, before) in modes.iter().enumerate() {
        for (to, after) in modes.iter().enumerate() {
            let mut world = World::new();
            set(&mut world.declare("a").spec, "/Mode", after.clone());
            set(&mut world.deploy("a").spec, "/Mode", before.clone());
            let steps = world.plan().steps;
            let replaces = steps.iter().any(|step| step.class == DriftClass::Immutable);
            assert_eq!(replaces, from != to, "{before} {after}: {steps:?}");
        }
    }
    let mut world = World::new();
    world.declare("a").ignore = vec!["/Mode".to_owned()];
    set(&mut world.deploy("a").spec, "/Mode", json!({"Global": {}}));
    assert!(world.plan().steps.is_empty(), "whoever ignores the mode keeps it");
}

#[test]
fn a_paused_rollout_is_degraded_and_another_declaration_goes_on() {
    let mut world = World::new();
    world.declare("a");
    let live = world.deploy("a");
    live.update = Some(update_status("paused", "update paused due to failure of task t1"));
    live.tasks = TaskSummary { failed: 1, ..TaskSummary::default() };
    let plan = world.plan();
    assert!(plan.steps.is_empty(), "no restart of what fails: {plan:#?}");
    assert_eq!((plan.waiting[0].code.as_str(), plan.summary.unchanged), ("DEGRADED", 0));
    let service = world.desired.services.values_mut().next().unwrap();
    set(&mut service.spec, "/TaskTemplate/ContainerSpec/Image", json!("example/a:fixed"));
    assert_eq!(only_step(&world).class, DriftClass::Image);
}

fn update_status(state: &str, message: &str) -> UpdateStatus {
    UpdateStatus { state: state.to_owned(), message: message.to_owned(), started_at: None }
}

fn failure(error: &str) -> TaskFailure {
    TaskFailure {
        task: SwarmId::new("t1"),
        node: "n1".to_owned(),
        error: error.to_owned(),
        created_at: Timestamp::UNIX_EPOCH,
        failed_at: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn ignored_pointers_and_autoscaled_replicas_are_left_alone() {
    let mut world = World::new();
    let service = world.declare("a");
    service.autoscaled = Some(ScalingBounds { min: 1, max: 10 });
    service.ignore = vec!["/Labels/team".to_owned()];
    let live = world.deploy("a");
    set(&mut live.spec, "/Labels/team", json!("theirs"));
    set(&mut live.spec, "/Mode/Replicated/Replicas", json!(9));
    assert!(world.plan().steps.is_empty());
}

#[test]
fn orphans_are_reported_and_kept() {
    let mut world = World::new();
    world.deploy("old");
    let plan = world.plan();
    assert!(plan.steps.is_empty());
    assert_eq!(plan.waiting[0].code, "ORPHAN");
}

#[test]
fn a_source_that_never_loaded_says_nothing_about_absence() {
    let mut world = World::new();
    world.deploy("a");
    world.desired.sources[0].state = SourceState::NeverLoaded;
    let plan = world.plan();
    assert!(plan.steps.is_empty());
    let codes: Vec<_> = plan.waiting.iter().map(|waiting| waiting.code.as_str()).collect();
    assert_eq!(codes, ["SOURCE_NEVER_LOADED"]);
}

#[test]
fn waves_follow_dependencies() {
    let mut world = World::new();
    for name in ["a", "b", "c", "d"] {
        world.declare(name);
    }
    let depends = |world: &mut World, name: &str, on: &str| {
        let service = world.desired.services.get_mut(&ServiceName::new(name)).unwrap();
        service.depends_on.push(ServiceName::new(on));
    };
    depends(&mut world, "a", "b");
    depends(&mut world, "b", "d");
    let order = |world: &World| -> Vec<(String, u32)> {
        let steps = world.plan().steps;
        steps.iter().map(|step| (step.target.to_string(), step.wave)).collect()
    };
    let named = |pairs: &[(&str, u32)]| -> Vec<(String, u32)> {
        pairs.iter().map(|(name, wave)| ((*name).to_owned(), *wave)).collect()
    };
    assert_eq!(order(&world), named(&[("c", 1), ("d", 1), ("b", 2), ("a", 3)]));
    world.deploy("b");
    // A satisfied dependency adds no wave, what lies behind it does.
    assert_eq!(order(&world), named(&[("c", 1), ("d", 1), ("a", 2)]));
}

#[test]
fn many_vanished_at_once_need_a_person() {
    let mut world = World::new();
    for name in ["a", "b", "c", "d", "e"] {
        world.declare(name);
        world.deploy(name);
    }
    world.observed.services.remove(&ServiceName::new("a"));
    assert_eq!(only_step(&world).confirm, None, "one deleted service is an ordinary repair");
    world.observed.services = Services::default();
    let plan = world.plan();
    assert!(plan.steps.iter().all(|step| step.confirm.is_some()));
}

#[test]
fn another_swarm_needs_a_person() {
    let mut world = World::new();
    world.declare("a");
    world.known_clusters = vec![ClusterId::new("elsewhere")];
    assert!(only_step(&world).confirm.is_some());
    world.known_clusters.push(ClusterId::new("cluster1"));
    assert!(only_step(&world).confirm.is_none());
}

#[test]
fn the_digest_survives_what_is_bound_late_and_sees_everything_else() {
    let mut world = World::new();
    world.declare("a");
    set(&mut world.deploy("a").spec, "/Labels/team", json!("b"));
    let before = only_step(&world);

    // Late: the Version, the network's id, the time, other services, our own labels.
    world.declare("b");
    world.deploy("b");
    world.now += jiff::SignedDuration::from_secs(3600);
    let live = world.observed.services.get_mut(&ServiceName::new("a")).unwrap();
    live.version += 10;
    set(&mut live.spec, "/Labels/dev.skep.action", json!("another"));
    let mut networks = std::mem::take(&mut world.observed.networks);
    let (_, mut network) = networks.pop_first().unwrap();
    network.id = SwarmId::new("net2id");
    world.observed.networks.insert(network.id.clone(), network);
    let after = only_step(&world);
    assert_eq!(before.digest, after.digest);
    assert_eq!(before.id, after.id);

    // Not late: what is declared, what is patched, the object.
    let key = ServiceName::new("a");
    let mut changed = world.desired.services[&key].clone();
    set(&mut changed.spec, "/Labels/team", json!("c"));
    world.desired.services.insert(key.clone(), changed);
    assert_ne!(only_step(&world).digest, before.digest);
    world.declare("a");
    set(&mut world.desired.services.get_mut(&key).unwrap().spec, "/Labels/team", json!("a"));
    assert_eq!(only_step(&world).digest, before.digest, "back to the same bytes");
    let new_id = SwarmId::new("recreated");
    world.observed.services.get_mut(&key).unwrap().id = new_id.clone();
    world.owned.insert(key, new_id);
    assert_ne!(only_step(&world).digest, before.digest);
}

#[test]
fn the_digest_is_the_same_in_every_process() {
    let mut world = World::new();
    world.declare("a");
    // Written down once: a changed value means that every stored approval is superseded, which
    // needs a new PLANNER_VERSION.
    let digest = only_step(&world).digest;
    insta::assert_snapshot!(digest.as_str());
    // And the one from before digests had a key, which stored actions get the new one from.
    let before =
        Digest::from_stored("76eb46a046c837c53e871f6e37e1a6dbdc06462827ae5b958fb85c6bdcdc1194");
    assert_eq!(world.digester.keyed(crate::digester::Purpose::Step, &before), digest);
}

#[test]
fn planning_a_key_alone_gives_the_same_step() {
    let mut world = World::new();
    for name in ["a", "b"] {
        world.declare(name);
    }
    let whole = world.plan();
    for step in &whole.steps {
        let alone = plan_key(&world.input(), &step.target).into_step().unwrap();
        assert_eq!(alone.digest, step.digest);
    }
}

#[test]
fn a_service_that_did_its_work_is_not_down() {
    let mut world = World::new();
    let service = world.declare("a");
    set(&mut service.spec, "/TaskTemplate/RestartPolicy", json!({"Condition": "on-failure"}));
    let done = TaskSummary { completed: 2, ..TaskSummary::default() };
    world.deploy("a").tasks = done.clone();
    assert!(world.plan().steps.is_empty());
    // Ended without an error although it should run for ever.
    let service = world.desired.services.get_mut(&ServiceName::new("a")).unwrap();
    set(&mut service.spec, "/TaskTemplate/RestartPolicy", json!({"Condition": "any"}));
    world.deploy("a").tasks = done;
    assert_eq!(only_step(&world).class, DriftClass::Down);
}

#[test]
fn secrets_outside_of_the_environment_are_masked_too() {
    let mut world = World::new();
    world.declare("a");
    let live = world.put_foreign("a");
    let options =
        json!({"Name": "splunk", "Options": {"splunk-token": "canary1", "url": "https://x"}});
    set(&mut live.spec, "/TaskTemplate/LogDriver", options);
    let driver = json!({"Options": {"o": "addr=1.2.3.4,password=canary2"}});
    let mount =
        json!({"Type": "volume", "Target": "/x", "VolumeOptions": {"DriverConfig": driver}});
    set(&mut live.spec, "/TaskTemplate/ContainerSpec/Mounts", json!([mount]));
    let arguments = json!([
        "--api-key=canary3",
        "serve",
        "--password",
        "canary5",
        "-H",
        "X-Api-Key: canary6",
        "postgres://me:canary7@db/x",
    ]);
    set(&mut live.spec, "/TaskTemplate/ContainerSpec/Args", arguments);
    set(&mut live.spec, "/Labels/proxy.auth", json!("canary4"));
    let health = json!({"Test": ["CMD-SHELL", "curl -u me:canary8 --token canary9 http://x/"]});
    set(&mut live.spec, "/TaskTemplate/ContainerSpec/Healthcheck", health);
    let shown = json!(only_step(&world).changes).to_string();
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("https://x") && shown.contains("serve"), "{shown}");
}

#[test]
fn a_decision_about_one_value_says_nothing_about_another() {
    let mut world = World::new();
    world.declare("a");
    let image = "/TaskTemplate/ContainerSpec/Image";
    set(&mut world.deploy("a").spec, image, json!("example/a:1.2"));
    let asked = only_step(&world).digest;
    // Somebody fixes it in a hurry: approving must not undo what nobody has looked at.
    set(&mut world.deploy("a").spec, image, json!("example/a:1.4"));
    assert_ne!(only_step(&world).digest, asked);
}

#[test]
fn what_nobody_declares_any_more_has_not_vanished() {
    let mut world = World::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        world.declare(name);
        world.deploy(name);
    }
    for retired in ["a", "b", "c"] {
        world.desired.services.remove(&ServiceName::new(retired));
        world.observed.services.remove(&ServiceName::new(retired));
    }
    world.declare("new");
    assert_eq!(only_step(&world).confirm, None);
}

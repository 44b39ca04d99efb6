use proptest::prelude::*;
use serde_json::json;

use super::super::fixtures::{World, set};
use super::super::{normalise, plan_key};
use super::*;
use crate::identity::ServiceName;
use crate::image::ImageReference;
use crate::resolution::{Platform, Resolution, ResolveImage, Resolved};

fn bound(world: &World, name: &str) -> Result<(BoundRequest, Value), BindError> {
    let name = ServiceName::new(name);
    let step = plan_key(&world.input(), &name).into_step().expect("a step");
    let request = bind(
        &step,
        Late {
            object: None,
            snapshot: &world.observed,
            live: world.observed.services.get(&name),
            secrets: &world.desired.secrets,
            action: &ActionId::new("act1"),
            fleet: &FleetName::new("default"),
        },
    )?;
    let body = serde_json::from_slice(&request.body).unwrap();
    Ok((request, body))
}

#[test]
fn a_create_resolves_names_and_carries_our_labels() {
    let mut world = World::new();
    world.declare("a");
    let (request, body) = bound(&world, "a").unwrap();
    assert_eq!(request.update, None);
    assert_eq!(body["TaskTemplate"]["Networks"][0]["Target"], "net1id");
    assert_eq!(body["Labels"]["dev.skep.action"], "act1");
    assert_eq!(body["Labels"]["dev.skep.source"], "registry");
    assert_eq!(body["Labels"]["team"], "a");
}

#[test]
fn an_update_changes_only_what_differs_and_keeps_unknown_fields() {
    let mut world = World::new();
    world.declare("a");
    let live = world.deploy("a");
    set(&mut live.spec, "/Labels/team", json!("b"));
    let env = json!(["HOST=0.0.0.0", "EXTRA=1", "TOKEN=secret-value"]);
    set(&mut live.spec, "/TaskTemplate/ContainerSpec/Env", env);
    set(&mut live.spec, "/TaskTemplate/Networks/0", json!({}));
    set(&mut live.spec, "/TaskTemplate/Networks", json!([{"Target": "net1id"}]));
    // Late-bound or volatile, so no part of the comparison; it must come back untouched.
    set(&mut live.spec, "/TaskTemplate/Placement/Platforms", json!([{"OS": "linux"}]));
    set(&mut live.spec, "/TaskTemplate/ForceUpdate", json!(4));
    let before = live.spec.value();
    let (request, body) = bound(&world, "a").unwrap();
    assert_eq!(request.update, Some((SwarmId::new("id-a"), 7)));
    let mut expected = before;
    set(&mut expected, "/Labels/team", json!("a"));
    expected["TaskTemplate"]["ContainerSpec"]["Env"] =
        json!(["HOST=0.0.0.0", "TOKEN=secret-value"]);
    for (key, value) in [("fleet", "default"), ("source", "registry"), ("action", "act1")] {
        set(&mut expected, &format!("/Labels/dev.skep.{key}"), json!(value));
    }
    assert_eq!(body, expected);
}

/// What an engine reports for a service on which every option of `docker service update` was used.
fn every_flag() -> Value {
    serde_json::from_str(include_str!("every_flag.json")).unwrap()
}

/// The blocks and fields that those options change, each on its own.
const CHANGED: [&str; 37] = [
    "/Labels",
    "/TaskTemplate/ContainerSpec/Image",
    "/TaskTemplate/ContainerSpec/Labels",
    "/TaskTemplate/ContainerSpec/Command",
    "/TaskTemplate/ContainerSpec/Args",
    "/TaskTemplate/ContainerSpec/Hostname",
    "/TaskTemplate/ContainerSpec/Env",
    "/TaskTemplate/ContainerSpec/Dir",
    "/TaskTemplate/ContainerSpec/User",
    "/TaskTemplate/ContainerSpec/Groups",
    "/TaskTemplate/ContainerSpec/Init",
    "/TaskTemplate/ContainerSpec/StopSignal",
    "/TaskTemplate/ContainerSpec/TTY",
    "/TaskTemplate/ContainerSpec/ReadOnly",
    "/TaskTemplate/ContainerSpec/Mounts",
    "/TaskTemplate/ContainerSpec/StopGracePeriod",
    "/TaskTemplate/ContainerSpec/Healthcheck",
    "/TaskTemplate/ContainerSpec/Hosts",
    "/TaskTemplate/ContainerSpec/DNSConfig",
    "/TaskTemplate/ContainerSpec/Secrets",
    "/TaskTemplate/ContainerSpec/Configs",
    "/TaskTemplate/ContainerSpec/Isolation",
    "/TaskTemplate/ContainerSpec/Sysctls",
    "/TaskTemplate/ContainerSpec/CapabilityAdd",
    "/TaskTemplate/ContainerSpec/Ulimits",
    "/TaskTemplate/Resources/Limits",
    "/TaskTemplate/Resources/Reservations",
    "/TaskTemplate/Resources",
    "/TaskTemplate/RestartPolicy",
    "/TaskTemplate/Placement",
    "/TaskTemplate/Networks",
    "/TaskTemplate/LogDriver",
    "/Mode/Replicated/Replicas",
    "/UpdateConfig",
    "/RollbackConfig",
    "/EndpointSpec/Mode",
    "/EndpointSpec/Ports",
];

/// Other values of the same fields: what the options change to other than on or off.
fn others() -> Vec<(&'static str, Value)> {
    vec![
        ("/Labels/extra", json!("x")),
        ("/Labels/team", json!("")),
        ("/TaskTemplate/ContainerSpec/Env", json!(["TOKEN=other", "NAKED"])),
        ("/TaskTemplate/ContainerSpec/Env", json!(["TOKEN=1", "TOKEN=2", "TOKEN"])),
        ("/TaskTemplate/ContainerSpec/Env", json!(["A/B~C=1", "EMPTY="])),
        ("/TaskTemplate/ContainerSpec/Image", json!("example/a:2")),
        (
            "/TaskTemplate/ContainerSpec/Mounts",
            json!([{"Type": "bind", "Source": "/", "Target": "/x"}, {
                "Type": "volume", "Source": "other", "Target": "/v",
                "VolumeOptions": {"NoCopy": true, "DriverConfig": {
                    "Name": "local", "Options": {"o": "", "type": "nfs"},
                }},
            }]),
        ),
        ("/TaskTemplate/ContainerSpec/Healthcheck", json!({"Test": ["NONE"]})),
        ("/TaskTemplate/ContainerSpec/Healthcheck", json!({"Retries": 3})),
        (
            "/TaskTemplate/ContainerSpec/Secrets",
            json!([{
                "File": {"Name": "sss", "UID": "5", "GID": "0", "Mode": 0},
                "SecretID": "another", "SecretName": "another",
            }]),
        ),
        ("/TaskTemplate/ContainerSpec/StopGracePeriod", json!(0)),
        ("/TaskTemplate/ContainerSpec/Privileges", json!({"SELinuxContext": null})),
        ("/TaskTemplate/ContainerSpec/Ulimits", json!([{"Name": "core", "Hard": 0, "Soft": 0}])),
        ("/TaskTemplate/Networks", json!([])),
        ("/TaskTemplate/Networks", json!([{"Target": "net1id", "Aliases": ["b", "a"]}])),
        (
            "/TaskTemplate/Resources/Reservations",
            json!({"GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]}),
        ),
        ("/TaskTemplate/RestartPolicy", json!({"Condition": "none", "Delay": 0, "MaxAttempts": 0})),
        (
            "/TaskTemplate/Placement",
            json!({"Constraints": ["b==1", "a==2"], "Platforms": [{"OS": "linux"}]}),
        ),
        ("/TaskTemplate/LogDriver", json!({"Name": "syslog"})),
        ("/Mode/Replicated/Replicas", json!(0)),
        ("/UpdateConfig", json!({"Parallelism": 3})),
        ("/UpdateConfig", json!({"Parallelism": 0, "MaxFailureRatio": 0.1, "Monitor": 0})),
        ("/RollbackConfig", json!({"Order": "start-first", "FailureAction": "continue"})),
        ("/EndpointSpec", json!({"Mode": "dnsrr"})),
        ("/EndpointSpec/Ports", json!([{"TargetPort": 1, "PublishedPort": 9}])),
        ("/EndpointSpec/Ports", json!([{"TargetPort": 1}, {"TargetPort": 1}])),
    ]
}

/// Every changed field with every value that the tests know for it.
fn pieces() -> Vec<(&'static str, Value)> {
    let all = every_flag();
    let said = CHANGED.iter().map(|at| (*at, all.pointer(at).cloned().unwrap()));
    said.chain(others()).collect()
}

/// Writes the step of the only service, if there is one, and plans again.
fn assert_one_write_is_enough(mut world: World, what: &str) {
    if !world.plan().steps.is_empty() {
        let (_, body) = bound(&world, "a").unwrap_or_else(|error| panic!("{what}: {error}"));
        world.observed.services.values_mut().next().unwrap().spec = body.into();
    }
    let plan = world.plan();
    assert!(plan.steps.is_empty(), "{what}: {:?}", plan.steps[0].changes);
}

#[test]
fn after_the_write_nothing_is_left_to_plan() {
    for (pointer, value) in pieces() {
        let mut world = World::new();
        world.declare("a");
        set(&mut world.deploy("a").spec, pointer, value.clone());
        assert_one_write_is_enough(world, &format!("live {pointer} {value}"));

        let mut world = World::new();
        world.declare("a");
        world.deploy("a");
        let service = world.desired.services.values_mut().next().unwrap();
        // Nobody declares ids.
        if !value.to_string().contains("newer-than-the-snapshot") {
            set(&mut service.spec, pointer, value.clone());
        }
        assert_one_write_is_enough(world, &format!("declared {pointer} {value}"));
    }
    let mut world = World::new();
    world.declare("a");
    world.deploy("a").spec = every_flag().into();
    assert!(world.plan().steps[0].changes.len() > 40, "{:?}", world.plan().steps[0].changes);
    assert_one_write_is_enough(world, "all at once");
}

proptest! {
    /// Whatever somebody changed, whatever is declared, and whatever is ignored.
    #[test]
    fn one_write_is_enough_for_any_mixture(
        live in prop::sample::subsequence(pieces(), 0..12),
        declared in prop::sample::subsequence(others(), 0..8),
        ignore in prop::sample::subsequence(vec![
            "/UpdateConfig/Parallelism",
            "/RollbackConfig/Order",
            "/TaskTemplate/ContainerSpec/Mounts/~1v/ReadOnly",
            "/TaskTemplate/ContainerSpec/Mounts/~1v/VolumeOptions",
            "/TaskTemplate/ContainerSpec/Healthcheck/Interval",
            "/TaskTemplate/ContainerSpec/Healthcheck/Test/0",
            "/TaskTemplate/ContainerSpec/Secrets/sss/File/Mode",
            "/TaskTemplate/LogDriver/Options",
            "/TaskTemplate/Resources/Limits",
            "/TaskTemplate/ContainerSpec/Env/TOKEN",
            "/EndpointSpec/Ports",
        ], 0..4),
    ) {
        let mut world = World::new();
        let service = world.declare("a");
        for (pointer, value) in &declared {
            set(&mut service.spec, pointer, value.clone());
        }
        service.ignore = ignore.iter().map(|pointer| (*pointer).to_owned()).collect();
        let service = world.deploy("a");
        for (pointer, value) in &live {
            set(&mut service.spec, pointer, value.clone());
        }
        let before = service.spec.value();
        let names = NetworkNames::of(&world.observed);
        if !world.plan().steps.is_empty() {
            let (_, body) = bound(&world, "a").unwrap();
            let (before, after) = (normalise(&before, &names), normalise(&body, &names));
            // An entry that is removed goes with what is ignored in it, and an argument of a
            // command is nothing on its own.
            let kept = |at: &&&str| !["/Mounts/", "/Secrets/", "/Test/"].iter().any(|s| at.contains(s));
            for at in ignore.iter().filter(kept) {
                prop_assert_eq!(before.pointer(at), after.pointer(at), "{}", at);
            }
        }
        assert_one_write_is_enough(world, "any mixture");
    }
}

#[test]
fn another_image_takes_the_platforms_of_the_one_before_with_it() {
    for (pointer, kept) in [("/TaskTemplate/ContainerSpec/Image", false), ("/Labels/team", true)] {
        let mut world = World::new();
        world.declare("a");
        let live = world.deploy("a");
        set(&mut live.spec, pointer, json!("other"));
        set(&mut live.spec, "/TaskTemplate/Placement/Platforms", json!([{"OS": "linux"}]));
        let (_, body) = bound(&world, "a").unwrap();
        let platforms = body.pointer("/TaskTemplate/Placement/Platforms");
        assert_eq!(platforms.is_some(), kept, "{pointer}");
    }
}

#[test]
fn another_image_brings_its_own_platforms() {
    let mut world = World::new();
    world.declare("a");
    let live = world.deploy("a");
    set(&mut live.spec, "/TaskTemplate/ContainerSpec/Image", json!("other"));
    let old = json!({"Platforms": [{"OS": "windows"}], "MaxReplicas": 2});
    set(&mut live.spec, "/TaskTemplate/Placement", old);
    world.declare("a").ignore = vec!["/TaskTemplate/Placement/MaxReplicas".to_owned()];
    let platform = Platform { architecture: "amd64".to_owned(), os: "linux".to_owned() };
    let tag = ImageReference::parse("example/a:latest");
    let found = Resolved::new(tag, "sha256:1".to_owned(), vec![platform]);
    world.images.mode = ResolveImage::Changed;
    world.images.services.insert(ServiceName::new("a"), Resolution::Resolved(found));
    let (_, body) = bound(&world, "a").unwrap();
    assert_eq!(body["TaskTemplate"]["ContainerSpec"]["Image"], "example/a:latest@sha256:1");
    let placement =
        json!({"Platforms": [{"Architecture": "amd64", "OS": "linux"}], "MaxReplicas": 2});
    assert_eq!(body["TaskTemplate"]["Placement"], placement);
}

#[test]
fn fresh_credentials_go_with_the_live_spec_as_it_is() {
    let mut world = World::new();
    world.declare("a");
    let live = world.deploy("a");
    set(&mut live.spec, "/Labels/dev.skep.action", json!("an earlier one"));
    set(&mut live.spec, "/Unknown", json!({"Kept": [1]}));
    let live = live.clone();
    // Another declaration than the live one: it is not what this step is about.
    set(&mut world.declare("a").spec, "/Labels/team", json!("b"));
    let mut step = plan_key(&world.input(), &ServiceName::new("a")).into_step().unwrap();
    step.operation = Operation::RefreshCredentials;
    let (action, fleet) = (ActionId::new("act1"), FleetName::new("default"));
    let late = |live| Late {
        object: None,
        snapshot: &world.observed,
        live,
        secrets: &world.desired.secrets,
        action: &action,
        fleet: &fleet,
    };
    let request = bind(&step, late(Some(&live))).unwrap();
    assert_eq!(request.update, Some((live.id.clone(), live.version)));
    assert_eq!(live.spec, serde_json::from_slice::<Value>(&request.body).unwrap());
    assert_eq!(bind(&step, late(None)), Err(BindError::ObjectMoved));
}

#[test]
fn live_network_ids_that_the_snapshot_does_not_have_pass() {
    let mut world = World::new();
    world.declare("a");
    let live = world.deploy("a");
    let networks = json!([{"Target": "net1id"}, {"Target": "newer"}]);
    set(&mut live.spec, "/TaskTemplate/Networks", networks.clone());
    set(&mut live.spec, "/Mode/Replicated/Replicas", json!(5));
    let service = world.desired.services.values_mut().next().unwrap();
    service.ignore = vec!["/TaskTemplate/Networks".to_owned()];
    let (_, body) = bound(&world, "a").unwrap();
    assert_eq!(body["TaskTemplate"]["Networks"], networks);

    // A name from an edit needs its network.
    let service = world.desired.services.values_mut().next().unwrap();
    service.ignore.clear();
    let step = plan_key(&world.input(), &ServiceName::new("a")).into_step().unwrap();
    let mut gone = world.observed.clone();
    gone.networks.clear();
    set(&mut gone.services.values_mut().next().unwrap().spec, "/TaskTemplate/Networks", json!([]));
    let mut step = Step { blocked: None, ..step };
    step.operation = Operation::Update {
        edits: vec![Edit {
            pointer: "/TaskTemplate/Networks/fleet".to_owned(),
            value: Some(json!({"Target": "fleet"})),
        }],
    };
    let late = Late {
        object: None,
        snapshot: &gone,
        live: gone.services.values().next(),
        secrets: &world.desired.secrets,
        action: &ActionId::new("act1"),
        fleet: &FleetName::new("default"),
    };
    assert_eq!(bind(&step, late), Err(BindError::NetworkMissing("fleet".to_owned())));
}

#[test]
fn what_is_ignored_inside_of_a_block_or_an_entry_stays_when_a_sibling_changes() {
    let mount = |source: &str, read_only: bool| json!([{"Type": "volume", "Source": source, "Target": "/data", "ReadOnly": read_only}]);
    let mounts = "/TaskTemplate/ContainerSpec/Mounts";
    let mut world = World::new();
    let service = world.declare("a");
    set(&mut service.spec, "/UpdateConfig", json!({"Parallelism": 1, "Delay": 9}));
    set(&mut service.spec, mounts, mount("declared", true));
    service.ignore = vec![
        "/UpdateConfig/Parallelism".to_owned(),
        "/TaskTemplate/ContainerSpec/Mounts/~1data/ReadOnly".to_owned(),
    ];
    let live = world.deploy("a");
    set(&mut live.spec, "/UpdateConfig", json!({"Parallelism": 4, "Delay": 9}));
    set(&mut live.spec, mounts, mount("declared", false));
    assert!(world.plan().steps.is_empty(), "only what is ignored differs: {:#?}", world.plan());
    let live = world.observed.services.values_mut().next().unwrap();
    set(&mut live.spec, "/UpdateConfig/Delay", json!(1));
    set(&mut live.spec, mounts, mount("other", false));
    let (_, body) = bound(&world, "a").unwrap();
    assert_eq!(body["UpdateConfig"]["Parallelism"], 4);
    assert_eq!(body["UpdateConfig"]["Delay"], 9);
    let written = &body["TaskTemplate"]["ContainerSpec"]["Mounts"][0];
    assert_eq!(written["Source"], "declared");
    assert_ne!(written["ReadOnly"], true, "{written}");
}

#[test]
fn of_several_lines_with_one_key_one_is_left() {
    let mut world = World::new();
    world.declare("a");
    let env = "/TaskTemplate/ContainerSpec/Env";
    let live = json!(["HOST=0.0.0.0", "TOKEN=secret-value", "X=1", "TOKEN=2", "TOKEN"]);
    set(&mut world.deploy("a").spec, env, live);
    let (_, body) = bound(&world, "a").unwrap();
    assert_eq!(body.pointer(env), Some(&json!(["HOST=0.0.0.0", "TOKEN=secret-value"])));
    // The engine takes the last one, so this is what was declared.
    let live = json!(["HOST=0.0.0.0", "TOKEN=1", "TOKEN=secret-value"]);
    set(&mut world.observed.services.values_mut().next().unwrap().spec, env, live);
    assert!(world.plan().steps.is_empty());
}

#[test]
fn a_rewritten_secret_entry_keeps_the_id_of_the_same_secret() {
    let at = "/TaskTemplate/ContainerSpec/Secrets";
    let entry = |name: &str, mode: u32| {
        json!([{
            "File": {"Name": "f", "UID": "0", "GID": "0", "Mode": mode}, "SecretName": name,
        }])
    };
    let mut world = World::new();
    set(&mut world.declare("a").spec, at, entry("s", 0o444));
    let mut live = entry("s", 0o400);
    live[0]["SecretID"] = json!("sid");
    set(&mut world.deploy("a").spec, at, live.clone());
    let (_, body) = bound(&world, "a").unwrap();
    assert_eq!(body.pointer(at).unwrap()[0]["SecretID"], "sid");
    live[0]["SecretName"] = json!("another");
    set(&mut world.observed.services.values_mut().next().unwrap().spec, at, live);
    let (_, body) = bound(&world, "a").unwrap();
    assert_eq!(body.pointer(at).unwrap()[0]["SecretID"], "id-of-s");
    world.observed.secrets.clear();
    assert_eq!(bound(&world, "a"), Err(BindError::SecretMissing("s".to_owned())));
}

#[test]
fn one_changed_rollout_field_writes_the_whole_block() {
    let mut world = World::new();
    let service = world.declare("a");
    set(&mut service.spec, "/UpdateConfig", json!({"Parallelism": 1, "Delay": 9}));
    let live = world.deploy("a");
    live.spec = live.spec.changed(|spec| {
        spec.as_object_mut().unwrap().remove("UpdateConfig");
    });
    let step = plan_key(&world.input(), &ServiceName::new("a")).into_step().unwrap();
    assert_eq!(step.changes.len(), 1, "the reader sees the one field");
    let (_, body) = bound(&world, "a").unwrap();
    // Written alone, a delay would have given Parallelism 0: all tasks at once.
    assert_eq!(body["UpdateConfig"]["Parallelism"], 1);
    assert_eq!(body["UpdateConfig"]["Delay"], 9);
}

#[test]
fn references_are_filled_in_at_the_last_moment() {
    let mut world = World::new();
    let placeholder = SecretValues::placeholder("env:TOKEN", "abcd");
    let service = world.declare("a");
    set(
        &mut service.spec,
        "/TaskTemplate/ContainerSpec/Env",
        json!([format!("TOKEN={placeholder}")]),
    );
    assert_eq!(bound(&world, "a"), Err(BindError::ReferenceUnresolved("TOKEN".to_owned())));
    world.desired.secrets.insert(placeholder, "real".to_owned());
    let (_, body) = bound(&world, "a").unwrap();
    assert_eq!(body["TaskTemplate"]["ContainerSpec"]["Env"], json!(["TOKEN=real"]));
    // The live value equals the one behind the placeholder: no drift.
    world.deploy("a").spec = body.into();
    assert!(world.plan().steps.is_empty());
}

#[test]
fn a_recreated_object_is_not_written() {
    let mut world = World::new();
    world.declare("a");
    set(&mut world.deploy("a").spec, "/Labels/team", json!("b"));
    let step = plan_key(&world.input(), &ServiceName::new("a")).into_step().unwrap();
    let mut live = world.observed.services.values().next().unwrap().clone();
    live.id = SwarmId::new("other");
    let late = Late {
        object: None,
        snapshot: &world.observed,
        live: Some(&live),
        secrets: &world.desired.secrets,
        action: &ActionId::new("act1"),
        fleet: &FleetName::new("default"),
    };
    assert_eq!(bind(&step, late), Err(BindError::ObjectMoved));
    assert_eq!(bind(&step, Late { live: None, ..late }), Err(BindError::ObjectMoved));
}

#[test]
fn a_restart_raises_the_counter_and_nothing_else() {
    let mut world = World::new();
    world.declare("a");
    let live = world.deploy("a");
    live.tasks = crate::observed::TaskSummary { failed: 1, ..Default::default() };
    set(&mut live.spec, "/TaskTemplate/ForceUpdate", json!(4));
    let (_, body) = bound(&world, "a").unwrap();
    assert_eq!(body["TaskTemplate"]["ForceUpdate"], 5);
    let names = NetworkNames::of(&world.observed);
    let live = world.observed.services.values().next().unwrap();
    assert_eq!(normalise(&body, &names), normalise(&live.spec.value(), &names));
}

#[test]
fn a_replacement_holds_the_new_service_and_the_former_one() {
    let mut world = World::new();
    let declared = world.declare("a");
    declared.ignore = vec!["/Labels/theirs".to_owned()];
    set(&mut declared.spec, "/Mode", json!({"Global": {}}));
    set(&mut declared.spec, "/Labels/team", json!("b"));
    let live = world.deploy("a");
    set(&mut live.spec, "/Mode", json!({"Replicated": {"Replicas": 2}}));
    set(&mut live.spec, "/TaskTemplate/Networks", json!([{"Target": "net1id"}]));
    for (label, value) in [
        ("team", "a"),
        ("theirs", "1"),
        ("com.docker.stack.namespace", "web"),
        ("dev.skep.action", "act0"),
    ] {
        set(&mut live.spec, &format!("/Labels/{label}"), json!(value));
    }
    let before = live.spec.value();
    let (request, _) = bound(&world, "a").unwrap();
    assert_eq!(request.update, Some((SwarmId::new("id-a"), 7)));
    let replacement = Replacement::from_bytes(&request.body).unwrap();

    let created: Value = serde_json::from_slice(&replacement.create()).unwrap();
    assert_eq!(created["Mode"], json!({"Global": {}}));
    assert_eq!(created["TaskTemplate"]["Networks"][0]["Target"], "net1id");
    let labels = &created["Labels"];
    assert_eq!((&labels["team"], &labels["dev.skep.action"]), (&json!("b"), &json!("act1")));
    // What an update would have left alone is not lost with the removal.
    assert_eq!(labels["theirs"], "1");
    assert_eq!(labels["com.docker.stack.namespace"], "web");

    let mut former = before;
    former["Labels"]["dev.skep.action"] = json!("act1");
    let restored: Value = serde_json::from_slice(&replacement.restore()).unwrap();
    assert_eq!(restored, former);
    assert!(replacement.is_done_by(&created.into()) && !replacement.is_done_by(&restored.into()));
}

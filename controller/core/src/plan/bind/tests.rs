use serde_json::json;

use super::super::fixtures::{World, set};
use super::super::{normalise, plan_key};
use super::*;
use crate::identity::ServiceName;

fn bound(world: &World, name: &str) -> Result<(BoundRequest, Value), BindError> {
    let name = ServiceName::new(name);
    let step = plan_key(&world.input(), &name).expect("a step");
    let request = bind(
        &step,
        Late {
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
    live.spec["TaskTemplate"]["Networks"] = json!([{"Target": "net1id"}]);
    // Late-bound or volatile, so no part of the comparison; it must come back untouched.
    set(&mut live.spec, "/TaskTemplate/Placement/Platforms", json!([{"OS": "linux"}]));
    set(&mut live.spec, "/TaskTemplate/ForceUpdate", json!(4));
    let before = live.spec.clone();
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

#[test]
fn after_the_write_nothing_is_left_to_plan() {
    let edits: [(&str, Value); 8] = [
        ("/Labels/extra", json!("x")),
        ("/TaskTemplate/ContainerSpec/Env", json!(["TOKEN=other", "NAKED"])),
        ("/TaskTemplate/ContainerSpec/Image", json!("example/a:2")),
        (
            "/TaskTemplate/ContainerSpec/Mounts",
            json!([{"Type": "bind", "Source": "/", "Target": "/x"}]),
        ),
        ("/TaskTemplate/ContainerSpec/Healthcheck", json!({"Test": ["NONE"]})),
        ("/TaskTemplate/Networks", json!([])),
        ("/UpdateConfig", json!({"Parallelism": 3})),
        ("/EndpointSpec/Ports", json!([{"TargetPort": 1, "PublishedPort": 9}])),
    ];
    for (pointer, value) in edits {
        let mut world = World::new();
        world.declare("a");
        set(&mut world.deploy("a").spec, pointer, value);
        let (_, body) = bound(&world, "a").unwrap();
        world.observed.services.values_mut().next().unwrap().spec = body;
        assert!(world.plan().steps.is_empty(), "{pointer}: {:#?}", world.plan());
    }
}

#[test]
fn one_changed_rollout_field_writes_the_whole_block() {
    let mut world = World::new();
    let service = world.declare("a");
    set(&mut service.spec, "/UpdateConfig", json!({"Parallelism": 1, "Delay": 9}));
    let live = world.deploy("a");
    live.spec.as_object_mut().unwrap().remove("UpdateConfig");
    let step = plan_key(&world.input(), &ServiceName::new("a")).unwrap();
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
    service.spec["TaskTemplate"]["ContainerSpec"]["Env"] = json!([format!("TOKEN={placeholder}")]);
    assert_eq!(bound(&world, "a"), Err(BindError::ReferenceUnresolved("TOKEN".to_owned())));
    world.desired.secrets.insert(placeholder, "real".to_owned());
    let (_, body) = bound(&world, "a").unwrap();
    assert_eq!(body["TaskTemplate"]["ContainerSpec"]["Env"], json!(["TOKEN=real"]));
    // The live value equals the one behind the placeholder: no drift.
    world.deploy("a").spec = body;
    assert!(world.plan().steps.is_empty());
}

#[test]
fn a_recreated_object_is_not_written() {
    let mut world = World::new();
    world.declare("a");
    set(&mut world.deploy("a").spec, "/Labels/team", json!("b"));
    let step = plan_key(&world.input(), &ServiceName::new("a")).unwrap();
    let mut live = world.observed.services.values().next().unwrap().clone();
    live.id = SwarmId::new("other");
    let late = Late {
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
    assert_eq!(normalise(&body, &names), normalise(&live.spec, &names));
}

//! Approve, and exactly that runs; afterwards nothing is written any more.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Fleet, untouched, wait};

const LIVE: (&str, &str) = ("FLEET_ACTUATOR", "swarm");

#[test]
fn what_is_approved_runs_and_a_hundred_ticks_write_nothing() {
    let fleet = Fleet::new("converge");
    let registry = fleet.registry(&[
        ("a", "env: {LOG: debug}; labels: {team: x}"),
        ("b", "replicas: 2; resources: {limits: {memory: 64M}}; update: {delay: 1s}"),
        ("c", "replicas: 0"),
        ("d", "desired: stopped"),
        ("e", "health: {test: [CMD, /skep-test-mcp, probe], interval: 1s}"),
        ("f", "restart: {condition: on-failure}; constraints: [node.role==manager]"),
        ("g", "mounts: [{type: tmpfs, target: /scratch}]; update: {max_failure_ratio: 1, order: start-first}"),
    ]);
    let arguments = ["--registry", registry.to_str().unwrap()];
    let serve = fleet.serve(&arguments, &[LIVE, ("FLEET_RECONCILER_INTERVAL", "100ms")]);
    let planned = fleet.plan(&registry);
    // Absent and stopped needs nothing.
    assert_eq!(planned["summary"]["create"], 6, "{}", planned["summary"]);
    fleet.wait_for_approvals(&serve, 6);
    fleet.approve_all();
    fleet.wait_for_states(&serve, "succeeded", 6);

    let names: Vec<String> = ["a", "b", "c", "e", "f", "g"].map(|s| fleet.service(s)).to_vec();
    for name in &names {
        assert!(fleet.exists(name), "{name}");
    }
    assert!(!fleet.exists(&fleet.service("d")));
    let a = fleet.inspect(&names[0]);
    let labels = &a["Spec"]["Labels"];
    assert_eq!(labels["team"], "x");
    assert_eq!(labels["dev.skep.fleet"], fleet.name.as_str());
    assert_eq!(labels["dev.skep.source"], "registry");
    let env = a["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"].to_string();
    assert!(env.contains("LOG=debug"), "{env}");
    let tasks = |name: &str| {
        fleet
            .engine
            .docker(&[
                "service",
                "ps",
                name,
                "--filter",
                "desired-state=running",
                "--format",
                "{{.CurrentState}}",
            ])
            .unwrap()
    };
    wait(&serve, "two running tasks", || {
        (tasks(&names[1]).matches("Running").count() == 2).then_some(())
    });

    let plan = fleet.plan(&registry);
    assert_eq!(plan["steps"], serde_json::json!([]), "{plan}");
    assert_eq!(plan["summary"]["unchanged"], 7);

    let before: Vec<Value> = names.iter().map(|name| untouched(&fleet.inspect(name))).collect();
    let writes = fleet.mutations().len();
    assert_eq!(writes, 6, "one write each: {:?}", fleet.mutations());
    // A hundred ticks of 100 ms.
    std::thread::sleep(Duration::from_secs(10));
    serve.stop();
    assert_eq!(fleet.mutations().len(), writes, "{:?}", fleet.mutations());
    let after: Vec<Value> = names.iter().map(|name| untouched(&fleet.inspect(name))).collect();
    assert_eq!(before, after);
    fleet.finish();
}

#[test]
fn the_whole_shipped_registry_runs_after_one_approval_fixed_ports() {
    let fleet = Fleet::new("shipped");
    let registry =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/mcp-fleet.registry.yml");
    let registry = registry.to_str().unwrap();
    let serve = fleet.serve(&["--registry", registry], &[LIVE]);
    let pending = fleet.wait_for_approvals(&serve, 68);
    let plan = pending[0]["plan"].as_str().unwrap();
    let output = fleet.run(&["approvals", "approve", "--plan", plan], &[]);
    assert!(output.status.success(), "{}", crate::harness::text(&output));
    fleet.wait_for_states(&serve, "succeeded", 68);
    serve.stop();
    let plan = fleet.json(&["plan", "--registry", registry], &[]);
    assert_eq!(plan["summary"]["unchanged"], 68, "{}", plan["summary"]);
    assert_eq!(fleet.mutations().len(), 68);
    fleet.finish();
}

#[test]
fn an_approval_takes_effect_at_once_and_dependents_wait() {
    let fleet = Fleet::new("waves");
    let first = fleet.service("first");
    let registry = fleet.registry(&[
        ("second", &format!("depends_on: [{first}]")),
        ("first", "env: {SLOW_START_SECONDS: \"1\"}"),
    ]);
    let serve = fleet.serve(&["--registry", registry.to_str().unwrap()], &[LIVE]);
    let plan = fleet.plan(&registry);
    let waves: Vec<_> =
        plan["steps"].as_array().unwrap().iter().map(|s| s["wave"].clone()).collect();
    assert_eq!(waves, [1, 2]);
    fleet.wait_for_approvals(&serve, 2);
    let asked = std::time::Instant::now();
    fleet.approve_all();
    wait(&serve, "the first service", || fleet.exists(&first).then_some(()));
    // The promise is a second; what is measured here also holds the approving command itself.
    assert!(asked.elapsed() < Duration::from_secs(20));
    fleet.wait_for_states(&serve, "succeeded", 2);
    let created: Vec<_> = fleet
        .proxy
        .mutations()
        .iter()
        .map(|request| request.json()["Name"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(created, [first, fleet.service("second")]);
    serve.stop();
    fleet.finish();
}

/// The engine also answers to the start of an id. With a few dozen services every letter is the
/// start of one, and some of several.
#[test]
fn a_short_name_that_begins_several_ids_is_created() {
    let fleet = Fleet::new("shortname");
    let mut ids = Vec::new();
    for number in 0..40 {
        let spec = serde_json::json!({
            "Name": fleet.service(&format!("filler{number}")),
            "TaskTemplate": {"ContainerSpec": {"Image": "skep-test/mcp:1"}},
            "Mode": {"Replicated": {"Replicas": 0}},
        });
        let created = fleet.engine.call("POST", "/services/create", Some(&spec)).unwrap();
        ids.push(created["ID"].as_str().unwrap().to_owned());
    }
    // Forty ids begin with at most thirty-six letters.
    let first = |id: &String| id[..1].to_owned();
    let name = ids
        .iter()
        .map(first)
        .find(|letter| ids.iter().filter(|id| id.starts_with(letter)).count() > 1)
        .unwrap();
    let registry = fleet.path("registry.yml");
    let text =
        format!("services:\n  - {{name: \"{name}\", image: \"skep-test/mcp:1\", replicas: 0}}\n");
    std::fs::write(&registry, text).unwrap();
    let environment =
        [("FLEET_ACTUATOR", "swarm"), ("FLEET_REGISTRY_PATH", registry.to_str().unwrap())];
    fleet.json(&["reconcile", "--once"], &environment);
    fleet.approve_all();
    let report = fleet.json(&["reconcile", "--once"], &environment);
    assert_eq!(report["approved_drained"][0]["state"], "succeeded", "{report}");
    let live = fleet.inspect(&name);
    assert_eq!(live["Spec"]["Name"], name.as_str());
    fleet
        .engine
        .call("DELETE", &format!("/services/{}", live["ID"].as_str().unwrap()), None)
        .unwrap();
    fleet.finish();
}

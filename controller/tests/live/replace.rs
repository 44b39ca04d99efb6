//! Another mode: the service is removed and created again after a person said so.

use serde_json::{Value, json};

use crate::harness::{Fleet, steps, wait};

const LIVE: (&str, &str) = ("FLEET_ACTUATOR", "swarm");

/// A rule that allows everything does not decide about downtime.
const ALL_ALLOWED: &str = "version: 1\nrules: [{kind: \"*\", tier: auto}]\n";

#[test]
fn a_global_service_becomes_a_replicated_one_and_stays_ours() {
    let fleet = Fleet::new("modes");
    let name = fleet.service("a");
    let create = ["service", "create", "--detach", "--name", &name, "--mode", "global"];
    let options = ["--label", "com.docker.stack.namespace=web", "--publish", "18941:8000"];
    fleet.engine.docker(&[&create[..], &options, &["skep-test/mcp:1"]].concat()).unwrap();
    let registry = fleet.registry(&[("a", "host_port: 18941; replicas: 2")]);
    let policy = fleet.path("policy.yml");
    std::fs::write(&policy, ALL_ALLOWED).unwrap();
    let environment = [LIVE, ("ACTION_POLICY_PATH", policy.to_str().unwrap())];
    let serve = fleet.serve(&["--registry", registry.to_str().unwrap()], &environment);
    // Adopted by rule, then asked about.
    let pending = fleet.wait_for_approvals(&serve, 1).remove(0);
    let before = fleet.inspect(&name);
    let reason = pending["reason"].as_str().unwrap();
    assert!(reason.contains("from global to replicated"), "{reason}");
    assert!(reason.contains("published port 18941 goes away"), "{reason}");
    assert_eq!(fleet.mutations(), [""; 0], "nothing is written before somebody decides");
    fleet.approve_all();
    wait(&serve, "the replacement", || {
        let live = fleet.engine.call("GET", &format!("/services/{name}"), None).ok()?;
        (live["Spec"]["Mode"] == json!({"Replicated": {"Replicas": 2}})).then_some(())
    });
    wait(&serve, "an empty plan", || {
        let plan = fleet.plan(&registry);
        (steps(&plan).is_empty() && plan["summary"]["unchanged"] == 1).then_some(())
    });
    let after = fleet.inspect(&name);
    assert_ne!(before["ID"], after["ID"]);
    assert_eq!(after["Spec"]["Labels"]["com.docker.stack.namespace"], "web");
    let effects: Vec<String> = fleet
        .proxy
        .mutations()
        .iter()
        .map(|request| format!("{} {:?}", request.method, request.status))
        .collect();
    assert_eq!(effects, ["DELETE Some(200)", "POST Some(201)"]);
    let actions = fleet.actions();
    assert!(actions.iter().all(|action| action["state"] == "succeeded"), "{actions:?}");
    let history: Value = fleet.json(&["service", "history", &name], &[]);
    assert!(history.to_string().contains("from global to replicated"), "{history}");
    serve.stop();
    fleet.finish();
}

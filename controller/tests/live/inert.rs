//! Nothing moves by itself: with no configuration the engine sees not one mutating request.

use std::path::PathBuf;

use crate::harness::Fleet;

fn shipped() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../stacks/mcp-fleet.registry.yml")
}

#[test]
fn the_shipped_registry_is_only_ever_rehearsed_fixed_ports() {
    let fleet = Fleet::new("inert");
    let registry = shipped();
    let registry = registry.to_str().unwrap();

    let plan = fleet.json(&["plan", "--registry", registry], &[]);
    assert_eq!(plan["summary"]["create"], 68, "{}", plan["summary"]);
    assert_eq!(plan["steps"].as_array().unwrap().len(), 68);

    // Three ticks and more.
    let serve = fleet.serve(&["--registry", registry], &[("FLEET_RECONCILER_INTERVAL", "1s")]);
    let pending = fleet.wait_for_approvals(&serve, 68);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(fleet.approvals("pending").len(), 68, "no tick files anything twice");
    let first = pending[0]["id"].as_str().unwrap();
    assert!(first.starts_with("action_approval:"), "{first}");

    fleet.approve_all();
    fleet.wait_for_states(&serve, "rehearsed", 68);
    serve.stop();
    assert_eq!(fleet.mutations(), Vec::<String>::new());

    // What was approved as a rehearsal never runs for real: everything is asked anew.
    let live = fleet.serve(
        &["--registry", registry],
        &[("FLEET_ACTUATOR", "swarm"), ("FLEET_RECONCILER_INTERVAL", "1s")],
    );
    fleet.wait_for_approvals(&live, 68);
    std::thread::sleep(std::time::Duration::from_secs(2));
    live.stop();
    assert_eq!(fleet.mutations(), Vec::<String>::new());
    fleet.finish();
}

#[test]
fn what_waits_from_a_dry_run_is_superseded_when_the_actuator_is_turned_on() {
    let fleet = Fleet::new("superseded");
    let registry = fleet.registry(&[("a", "")]);
    let registry = registry.to_str().unwrap();
    // Granted, but nobody carried it out: no `serve` runs.
    fleet.json(&["reconcile", "--once", "--registry", registry], &[]);
    fleet.approve_all();
    let report = fleet
        .json(&["reconcile", "--once", "--registry", registry], &[("FLEET_ACTUATOR", "swarm")]);
    assert_eq!(fleet.mutations(), Vec::<String>::new(), "{report}");
    let states: Vec<_> =
        fleet.actions().iter().map(|action| action["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["pending", "superseded"]);
    fleet.finish();
}

#[test]
fn an_observer_files_nothing() {
    let fleet = Fleet::new("observer");
    let registry = fleet.registry(&[("a", "")]);
    let report = fleet.json(
        &["reconcile", "--once", "--registry", registry.to_str().unwrap()],
        &[("FLEET_RECONCILER", "false"), ("FLEET_ACTUATOR", "swarm")],
    );
    assert_eq!(report["divergences"], 1);
    assert_eq!(fleet.approvals("pending").len(), 0);
    assert_eq!(fleet.mutations(), Vec::<String>::new());
    fleet.finish();
}

//! Approving twice, from many processes at once, and beside a running loop.

use std::process::Stdio;

use crate::harness::{Fleet, text, wait};

const LIVE: (&str, &str) = ("FLEET_ACTUATOR", "swarm");

#[test]
fn fifty_processes_approve_and_it_runs_once() {
    let fleet = Fleet::new("fifty");
    let registry = fleet.registry(&[("a", "")]);
    let serve = fleet.serve(&["--registry", registry.to_str().unwrap()], &[LIVE]);
    let pending = fleet.wait_for_approvals(&serve, 1).remove(0);
    let id = pending["id"].as_str().unwrap();
    let children: Vec<_> = (0..50)
        .map(|_| {
            fleet
                .command(&["approvals", "approve", id])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let outputs: Vec<_> =
        children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let succeeded = outputs.iter().filter(|output| output.status.success()).count();
    assert_eq!(succeeded, 1, "exactly one decided");
    for output in outputs.iter().filter(|output| !output.status.success()) {
        assert_eq!(output.status.code(), Some(1), "{}", text(output));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("ALREADY_DECIDED"), "{said}");
    }
    fleet.wait_for_states(&serve, "succeeded", 1);
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(fleet.mutations().len(), 1, "{:?}", fleet.mutations());
    serve.stop();
    fleet.finish();
}

#[test]
fn denied_is_not_asked_again_until_something_changes() {
    let fleet = Fleet::new("denied");
    let registry = fleet.registry(&[("a", "")]);
    let environment = [LIVE, ("FLEET_RECONCILER_INTERVAL", "300ms")];
    let serve = fleet.serve(&["--registry", registry.to_str().unwrap()], &environment);
    let pending = fleet.wait_for_approvals(&serve, 1).remove(0);
    let id = pending["id"].as_str().unwrap();
    let output = fleet.run(&["approvals", "deny", id, "--comment", "not today"], &[]);
    assert!(output.status.success(), "{}", text(&output));
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(fleet.approvals("pending").len(), 0);
    assert_eq!(fleet.plan(&registry)["steps"][0]["asked"]["state"], "denied");
    let shown = fleet.json(&["approvals", "show", id], &[]);
    assert_eq!(shown["status"], "denied");
    assert_eq!(shown["comment"], "not today");
    assert!(shown["decided_by"].as_str().unwrap().starts_with("tester"), "{shown}");
    fleet.registry(&[("a", "replicas: 2")]);
    fleet.wait_for_approvals(&serve, 1);
    assert_eq!(fleet.mutations(), Vec::<String>::new());
    serve.stop();
    fleet.finish();
}

#[test]
fn a_pass_by_hand_says_who_leads() {
    let fleet = Fleet::new("leads");
    let registry = fleet.registry(&[("a", "")]);
    let arguments = ["--registry", registry.to_str().unwrap()];
    let serve = fleet.serve(&arguments, &[]);
    fleet.wait_for_approvals(&serve, 1);
    let output = fleet.run(&[&["reconcile", "--once"][..], &arguments].concat(), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("LEASE_HELD") && said.contains("serve"), "{said}");
    serve.stop();
    // Handed over at the end: no waiting for the lease to run out.
    let output = fleet.run(&[&["reconcile", "--once"][..], &arguments].concat(), &[]);
    assert!(output.status.success(), "{}", text(&output));
    fleet.finish();
}

#[test]
fn a_second_controller_takes_over_from_a_killed_one() {
    let fleet = Fleet::new("takeover");
    let registry = fleet.registry(&[("a", "")]);
    let arguments = ["--registry", registry.to_str().unwrap()];
    let first = fleet.serve(&arguments, &[LIVE]);
    fleet.wait_for_approvals(&first, 1);
    let second = fleet.serve(&arguments, &[LIVE]);
    std::thread::sleep(std::time::Duration::from_secs(1));
    first.kill();
    fleet.approve_all();
    fleet.wait_for_states(&second, "succeeded", 1);
    assert_eq!(fleet.mutations().len(), 1);
    wait(&second, "the takeover in the log", || {
        second.log().contains("leader.started").then_some(())
    });
    second.stop();
    fleet.finish();
}

#[test]
fn a_policy_that_allows_is_held_by_the_storm_guard() {
    let fleet = Fleet::new("storm");
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let services: Vec<_> = names.iter().map(|name| (*name, "replicas: 0")).collect();
    let registry = fleet.registry(&services);
    let policy = fleet.path("policy.yml");
    std::fs::write(
        &policy,
        "version: 1\ndefaults: {tier: approval_required}\nrules:\n  - kind: deploy_service\n    \
         tier: auto\n    rate_limit: {max: 100, window_s: 60}\n    \
         blast_radius: {max_targets: 100, window_s: 60}\n",
    )
    .unwrap();
    let arguments = [
        "reconcile",
        "--once",
        "--registry",
        registry.to_str().unwrap(),
        "--policy",
        policy.to_str().unwrap(),
    ];
    let report = fleet.json(&arguments, &[LIVE, ("FLEET_RECONCILER_MAX_ACTIONS", "5")]);
    assert_eq!(fleet.mutations().len(), 5, "{report}");
    assert_eq!(report["deferred"].as_array().unwrap().len(), 2, "{report}");
    // A restart does not begin again at the full number.
    fleet.json(&arguments, &[LIVE]);
    assert_eq!(fleet.mutations().len(), 5);
    fleet.finish();
}

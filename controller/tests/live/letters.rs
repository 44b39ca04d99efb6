//! What failed on a real engine is a dead letter, and comes back only through the gate.

use serde_json::Value;
use skep_testkit::{FaultKind, Matcher};

use crate::harness::{Fleet, Serve, wait};

const LIVE: (&str, &str) = ("FLEET_ACTUATOR", "swarm");
const QUICK: (&str, &str) = ("FLEET_RECONCILER_INTERVAL", "200ms");

fn letters(fleet: &Fleet) -> Vec<Value> {
    let list = fleet.json(&["dlq", "list"], &[]);
    list["rejections"].as_array().unwrap().clone()
}

fn the_letter(fleet: &Fleet, serve: &Serve) -> Value {
    wait(serve, "a dead letter", || letters(fleet).into_iter().next())
}

#[test]
fn a_refused_create_is_a_letter_that_is_requeued_through_an_approval() {
    let fleet = Fleet::new("refusedletter");
    let registry = fleet.registry(&[("a", "")]).display().to_string();
    let serve = fleet.serve(&["--registry", &registry], &[LIVE, QUICK]);
    fleet.wait_for_approvals(&serve, 1);
    let refusal = fleet.proxy.fail_next(FaultKind::Refuse(400), Matcher::new("POST", "/services/"));
    fleet.approve_all();
    let letter = the_letter(&fleet, &serve);
    drop(refusal);
    assert_eq!((&letter["reason"], &letter["attemptCount"]), (&"refused".into(), &1.into()));
    assert_eq!(letter["target"], fleet.service("a").as_str());
    let sent = fleet.mutations().len();

    let id = letter["eventId"].as_str().unwrap();
    let environment = [LIVE, ("FLEET_REGISTRY_PATH", registry.as_str())];
    let requeued = fleet.json(&["dlq", "requeue", id], &environment);
    let item = &requeued["items"][0];
    assert_eq!((&item["outcome"], &item["state"]), (&"requeued".into(), &"pending".into()));
    assert_eq!(fleet.mutations().len(), sent, "a person is asked first");
    fleet.approve_all();
    fleet.wait_for_states(&serve, "succeeded", 1);
    assert!(fleet.exists(&fleet.service("a")) && letters(&fleet).is_empty());
    let again = fleet.json(&["dlq", "requeue", id], &environment);
    assert_eq!(again["items"][0]["outcome"], "already-requeued");
    serve.stop();
    fleet.finish();
}

#[test]
fn a_rollout_that_hangs_ends_with_its_time() {
    let fleet = Fleet::new("hangs");
    let registry = fleet.registry(&[("a", "")]).display().to_string();
    let environment = [LIVE, QUICK, ("FLEET_ACTION_TIMEOUT", "4s")];
    let serve = fleet.serve(&["--registry", &registry], &environment);
    fleet.wait_for_approvals(&serve, 1);
    fleet.approve_all();
    fleet.wait_for_states(&serve, "succeeded", 1);
    // No node has this label: the new task is never placed, and Swarm waits for it.
    fleet.registry(&[("a", "constraints: [node.labels.nowhere == yes]")]);
    fleet.wait_for_approvals(&serve, 1);
    fleet.approve_all();
    fleet.wait_for_states(&serve, "rolling_out", 1);
    let letter = the_letter(&fleet, &serve);
    assert_eq!((&letter["reason"], &letter["attemptCount"]), (&"timeout".into(), &1.into()));
    let detail = letter["detail"].as_str().unwrap();
    assert!(detail.contains("after 4s (updating"), "{detail}");
    let failed = fleet.actions().remove(0);
    assert_eq!(failed["state"], "failed", "{failed}");
    // Swarm is still at it, and Skep writes nothing.
    let live = fleet.inspect(&fleet.service("a"));
    assert_eq!(live["UpdateStatus"]["State"], "updating", "{live}");
    let sent = fleet.mutations().len();
    let name = fleet.service("a");
    let status = fleet.run(&["service", "status", &name, "--registry", &registry], &[]);
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(said.contains("dead letter") && said.contains("timeout"), "{said}");
    assert_eq!(fleet.mutations().len(), sent, "{:?}", fleet.mutations());
    serve.stop();
    fleet.finish();
}

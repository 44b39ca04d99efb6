//! What the verbs print, log, trace and store, on a fleet in which a change was planned, asked,
//! approved, sent, refused by an engine that quotes it, and dropped.

use serde_json::Value;

use super::scene::Scene;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

/// The history of one service: adopted, its update sent and refused, asked again, denied.
fn live_through(scene: &Scene) {
    let policy = scene.home.path("inputs/policy.yml").display().to_string();
    scene.run(&["plan"]);
    let adopted = scene.run_as("json", &["service", "adopt", "web", "alpha", "--approve"], &[]);
    assert_eq!(adopted.code(), 0, "{adopted}");
    // By the shipped policy a person is asked about what the registry says.
    scene.run(&["reconcile", "--once"]);
    let pending = scene.json(&["approvals", "list"])["items"].clone();
    let about = |name: &str| {
        let one = pending.as_array().unwrap().iter().find(|one| one["target"] == name);
        text(&one.unwrap_or_else(|| panic!("{name}: {pending}"))["id"])
    };
    let (alpha, beta) = (about("alpha"), about("ghcr"));
    scene.run(&["approvals", "show", &alpha]);
    scene.run(&["approvals", "approve", &alpha, "--comment", "fine"]);
    scene.run(&["approvals", "deny", &beta, "--comment", "no"]);
    let refused = scene.run_as("table", &["reconcile", "--once"], &[]);
    assert!(!scene.engine.writes().is_empty(), "nothing was refused: {refused}");
    let failed = scene.json(&["actions", "list", "--state", "failed"])["items"].clone();
    assert!(text(&failed[0]["detail"]).contains("invalid: "), "the refusal is quoted: {failed}");
    scene.run(&["dlq", "list"]);
    let letter = text(&scene.json(&["dlq", "list"])["rejections"][0]["eventId"]);
    scene.run(&["dlq", "show", &letter]);
    scene.run_as("yaml", &["dlq", "requeue", &letter], &[("ACTION_POLICY_PATH", &policy)]);
    scene.run(&["dlq", "drop", "--all", "--reason", "known"]);
    // Another declaration of the same service: what was asked moves, and why is told.
    scene.home.file("inputs/fleet.yml", &scene.registry(2));
    scene.run(&["service", "retry", "alpha"]);
    scene.run(&["reconcile", "--once"]);
    scene.home.file("inputs/fleet.yml", &scene.registry(3));
    scene.run(&["reconcile", "--once"]);
}

#[test]
fn no_secret_is_in_what_commands_print_log_trace_or_store() {
    let scene = Scene::new();
    live_through(&scene);
    let home = |name: &str| scene.home.path(name).display().to_string();
    let (hidden, strict, policy) =
        (home("hidden"), home("inputs/strict.yml"), home("inputs/policy.yml"));
    let actions = scene.json(&["actions", "list"])["items"].clone();
    for action in actions.as_array().unwrap() {
        scene.run_as("table", &["actions", "show", &text(&action["id"])], &[]);
        scene.run_as("json", &["actions", "show", &text(&action["id"])], &[]);
    }
    let registry = home("inputs/fleet.yml");
    for arguments in [
        &["plan"][..],
        &["images", "--check"],
        &["service", "list"],
        &["service", "status"],
        &["service", "status", "alpha"],
        &["service", "why", "alpha"],
        &["service", "history", "alpha"],
        &["service", "diff", "alpha"],
        &["service", "diff", "alpha", "--from", "1", "--to", "declared"],
        &["service", "restart", "web"],
        &["service", "scale", "web=3"],
        &["service", "accept-drift", "alpha", "--for", "2h", "--reason", "later"],
        &["service", "rollback", "alpha", "--to", "1"],
        &["service", "refresh-credentials", "web"],
        &["service", "stop", "web"],
        &["service", "release", "web"],
        &["pause", "alpha", "--reason", "looking"],
        &["contain", "list"],
        &["kill", "alpha"],
        &["resume", "alpha"],
        &["approvals", "list"],
        &["approvals", "list", "--group"],
        &["approvals", "list", "--all"],
        &["approvals", "approve", "--all"],
        &["approvals", "revoke", "00000000"],
        &["actions", "list"],
        &["audit", "list"],
        &["audit", "verify"],
        &["audit", "export"],
        &["notify", "list"],
        &["notify", "test"],
        &["notify", "retry", "--all"],
        &["dlq", "list"],
        &["store", "check"],
        &["freeze", "--for", "1h", "--reason", "release week"],
        &["freeze", "list"],
        &["policy", "override", "list"],
        &["unfreeze", "--all"],
        &["halt", "--for", "1h"],
        &["unfreeze", "--all"],
        &["policy", "explain", "deploy_service", "alpha"],
        &["policy", "lint", &policy],
        &["policy", "replay", &strict],
        &["registry", "validate", &registry],
        &["registry", "import", "--to", "-", "--all", "--secrets-dir", &hidden, "--force"],
        &["config", "show", "--origin"],
        &["version"],
        &["schema"],
    ] {
        scene.run(arguments);
    }
    scene.assert_clean(&["output", "errors and log lines", "traces", "messages", "files"]);
}

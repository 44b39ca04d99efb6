//! Asking by hand: what is refused before anything is asked, and what a dry run makes of it.

use serde_json::{Value, json};

use crate::Home;
use crate::engine::FakeEngine;

/// One hand-made service that nobody declares, and one that is declared.
fn swarm(home: &Home) -> (FakeEngine, String) {
    let engine = FakeEngine::start(home);
    let service = |name: &str| {
        json!({
            "ID": format!("id-{name}"), "Version": {"Index": 3},
            "UpdatedAt": "2026-01-01T00:00:00Z",
            "Spec": {
                "Name": name, "Mode": {"Replicated": {"Replicas": 1}},
                "TaskTemplate": {"ContainerSpec": {
                    "Image": "example/x:1", "Env": ["API_TOKEN=canary-value"]
                }},
            },
        })
    };
    let (web, alpha) = (service("web"), service("alpha"));
    engine.says("services", &json!([web, alpha]).to_string());
    let registry = home.file("fleet.yml", crate::fleet::REGISTRY);
    (engine, registry)
}

#[test]
fn wrong_words_are_refused_before_anything_is_asked() {
    let home = Home::new();
    for arguments in [
        &["service", "scale", "web"][..],
        &["service", "scale", "web=-1"],
        &["service", "scale", "web=many"],
        &["service", "scale", "we b=1"],
        &["service", "accept-drift", "web"],
        &["service", "accept-drift", "web", "--for", "soon"],
        &["service", "accept-drift", "web", "--for", "-2h"],
        &["service", "accept-drift", "web", "--for", "0s"],
        &["service", "rollback", "web"],
        &["service", "rollback", "web", "--to", "first"],
        &["service", "diff", "web", "--from", "yesterday"],
        &["service", "adopt"],
        &["service", "adopt", "web", "--all"],
        &["service", "restart"],
    ] {
        let run = home.run(arguments);
        assert_eq!(run.code(), 64, "{arguments:?}: {run}");
        assert!(!home.path(".local/state/skep/skep.db").exists());
    }
}

#[test]
fn an_unknown_service_is_named_with_its_neighbour() {
    let home = Home::new();
    let (engine, registry) = swarm(&home);
    let variables = [("DOCKER_HOST", engine.host.as_str()), ("FLEET_REGISTRY_PATH", &registry)];
    for verb in ["adopt", "restart", "retry", "history", "why", "diff"] {
        let error = home.run_with(&["service", verb, "wep", "-o", "json"], &variables).error(1);
        assert_eq!(error["code"], "NOT_FOUND", "{verb}");
        assert!(error["next"].as_str().unwrap().contains("web"), "{verb}: {error}");
    }
}

#[test]
fn a_dry_run_rehearses_and_a_refusal_says_why() {
    let home = Home::new();
    let (engine, registry) = swarm(&home);
    let variables = [("DOCKER_HOST", engine.host.as_str()), ("FLEET_REGISTRY_PATH", &registry)];
    let run = |arguments: &[&str]| {
        let run = home.run_with(&[arguments, &["-o", "json"]].concat(), &variables);
        let shown = format!("{}{}", run.stdout(), run.stderr());
        assert!(!shown.contains("canary-value"), "{arguments:?} shows a secret:\n{shown}");
        run
    };
    let item = |value: &Value| value["items"][0].clone();

    let adopted = item(&run(&["service", "adopt", "web"]).json());
    assert_eq!((&adopted["verb"], &adopted["state"]), (&json!("adopt"), &json!("pending")));
    let again = item(&run(&["service", "adopt", "web"]).json());
    assert_eq!(again["action_id"], adopted["action_id"], "asking twice is asking once");

    let refused = home.run_with(&["service", "stop", "alpha", "-o", "json"], &variables);
    assert_eq!(refused.code(), 1, "{refused}");
    assert!(refused.stdout().contains("NOT_OURS"), "{refused}");
    let status = run(&["service", "status", "web"]).json();
    assert_eq!(status["last_actions"][0]["kind"], "adopt_service");
    assert_eq!(status["last_actions"][0]["source"], "manual");
    assert!(engine.writes().is_empty());
}

//! Taking over and letting go of networks, configs and secrets by hand.

use serde_json::{Value, json};

use crate::Home;
use crate::engine::FakeEngine;

/// A config of another stack under a name that a stack of ours declares.
fn swarm(home: &Home) -> (FakeEngine, String) {
    let engine = FakeEngine::start(home);
    let config = json!([{
        "ID": "id-shared", "Version": {"Index": 3},
        "CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": "2026-01-01T00:00:00Z",
        "Spec": {
            "Name": "shared", "Data": "b25l",
            "Labels": {"com.docker.stack.namespace": "elsewhere"},
        },
    }]);
    engine.says("configs", &config.to_string());
    home.file("one.txt", "one");
    home.file(
        "web.yml",
        "services: {web: {image: 'w:1', configs: [shared]}}\n\
         configs: {shared: {name: shared, file: ./one.txt}}\n",
    );
    let stacks = home.file("stacks.yml", "stacks: [{name: web, files: [web.yml]}]\n");
    (engine, stacks)
}

#[test]
fn wrong_words_are_refused_before_anything_is_asked() {
    let home = Home::new();
    for arguments in [
        &["object", "adopt"][..],
        &["object", "adopt", "shared"],
        &["object", "adopt", "config/"],
        &["object", "adopt", "service/web"],
        &["object", "release", "volume/data"],
    ] {
        let run = home.run(arguments);
        assert_eq!(run.code(), 64, "{arguments:?}: {run}");
        assert!(!home.path(".local/state/skep/skep.db").exists());
    }
    let help = home.run(&["object", "adopt", "--help"]);
    assert!(help.stdout().contains("skep object adopt network/web_front"), "{help}");
}

#[test]
fn an_object_of_somebody_else_is_asked_for_under_its_kind() {
    let home = Home::new();
    let (engine, stacks) = swarm(&home);
    let variables = [("DOCKER_HOST", engine.host.as_str()), ("SKEP_STACKS", &stacks)];
    let run =
        |arguments: &[&str]| home.run_with(&[arguments, &["-o", "json"]].concat(), &variables);
    let plan = run(&["plan"]).json();
    let taken = plan["steps"].as_array().unwrap().iter();
    let taken = taken.clone().find(|step| step["target"] == "config/shared").unwrap();
    assert_eq!(taken["blocked"]["code"], "NAME_TAKEN", "{plan:#}");

    let error = run(&["object", "adopt", "config/sharde"]).error(1);
    assert_eq!(error["code"], "NOT_FOUND");
    assert!(error["next"].as_str().unwrap().contains("config/shared"), "{error}");
    let refused = run(&["object", "release", "config/shared"]);
    assert_eq!(refused.code(), 1, "{refused}");
    assert!(refused.stdout().contains("NOT_OURS"), "{refused}");

    let item = |value: &Value| value["items"][0].clone();
    let adopted =
        item(&run(&["object", "adopt", "config/shared", "--reason", "it is ours"]).json());
    assert_eq!((&adopted["verb"], &adopted["state"]), (&json!("adopt"), &json!("pending")));
    assert_eq!(adopted["target"], "config/shared");
    let again = item(&run(&["object", "adopt", "config/shared"]).json());
    assert_eq!(again["action_id"], adopted["action_id"], "asking twice is asking once");
    let actions = run(&["actions", "list"]).json();
    assert_eq!(actions["items"][0]["kind"], "adopt_config", "{actions:#}");
    assert!(engine.writes().is_empty());
}

//! One decision about many, as it is told: what was decided, and what has moved since.

use serde_json::Value;

use crate::engine::FakeEngine;
use crate::{Home, Run};

struct Fleet {
    home: Home,
    engine: FakeEngine,
    registry: String,
}

impl Fleet {
    fn new() -> Self {
        let home = Home::new();
        let engine = FakeEngine::start(&home);
        let registry = home.file("fleet.yml", &registry("1"));
        Self { home, engine, registry }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let variables =
            [("DOCKER_HOST", self.engine.host.as_str()), ("FLEET_REGISTRY_PATH", &self.registry)];
        self.home.run_with(arguments, &variables)
    }
}

/// Three connectors; the tag of the third is given.
fn registry(tag: &str) -> String {
    let service =
        |name: &str, tag: &str| format!("  - {{name: {name}, image: \"example/{name}:{tag}\"}}\n");
    let services = [service("a", "1"), service("b", "1"), service("c", tag)].concat();
    format!("version: 1\nservices:\n{services}")
}

#[test]
fn a_decision_about_many_tells_each_and_later_what_moved() {
    let fleet = Fleet::new();
    fleet.run(&["reconcile", "--once", "-o", "json"]).json();
    let told = fleet.run(&["approvals", "approve", "--all", "--except", "b"]);
    assert_eq!(told.code(), 0, "{told}");
    let table = told.stdout();
    let row = |name: &str| {
        let is_about = |line: &&str| line.split_whitespace().nth(2) == Some(name);
        table.lines().find(is_about).unwrap_or_default().to_owned()
    };
    for name in ["a", "c"] {
        assert!(row(name).contains("approved"), "{name}: {table}");
    }
    assert_eq!(row("b"), "", "what was left out is not told as decided: {table}");

    // One of them is declared anew, and the actuator is turned on: that one and the other move.
    fleet.home.file("fleet.yml", &registry("2"));
    fleet.run(&["reconcile", "--once", "-o", "json"]).json();
    let approved = fleet.run(&["approvals", "list", "--all", "-o", "json"]).json();
    let items = approved["items"].as_array().unwrap();
    let decision = items.iter().find_map(|one| one["batch_id"].as_str()).unwrap();
    let shown = fleet.run(&["approvals", "show", decision, "-o", "json"]).json();
    assert_eq!(shown["moved"].as_array().unwrap().len(), 1, "{shown}");
    assert_eq!(shown["moved"][0]["target"], "c");
    assert_eq!(shown["moved"][0]["fields"][0]["field"], "/TaskTemplate/ContainerSpec/Image");
    let text = fleet.run(&["approvals", "show", decision]).stdout();
    assert!(text.contains("rehearsed") && text.contains("superseded"), "{text}");
    assert!(text.contains("\nc\nwhat moved since\n"), "{text}");
    assert!(text.contains("example/c:1") && text.contains("example/c:2"), "{text}");
    assert!(!text.contains("example/a:1"), "what did not move is not told: {text}");
}

const WARNS: &str = "version: 1\nrules:\n  - {name: strict, tier: forbidden, mode: warn}\n  \
                     - {tier: approval_required}\n";

#[test]
fn a_plan_shows_what_the_policy_warns_of_until_it_is_filed() {
    let fleet = Fleet::new();
    let policy = fleet.home.file("policy.yml", WARNS);
    let plan = |output: &str| fleet.run(&["plan", "--policy", &policy, "-o", output]);
    let warnings = |plan: &Value| -> usize {
        let steps = plan["steps"].as_array().unwrap().iter();
        steps.map(|step| step["warnings"].as_array().map_or(0, Vec::len)).sum()
    };
    let seen = plan("json").json();
    assert_eq!(warnings(&seen), 3, "{seen}");
    let warning = &seen["steps"][0]["warnings"][0];
    assert_eq!((&warning["mode"], &warning["decision"]), (&"warn".into(), &"deny".into()));
    let text = plan("table").stdout();
    assert_eq!(text.matches("warning: rule strict").count(), 3, "{text}");
    assert!(text.contains("would say deny: forbidden by policy"), "{text}");
    let yaml = plan("yaml").stdout();
    assert_eq!(yaml.matches("rule: strict").count(), 3, "{yaml}");
    // Without the rule there is nothing to warn of.
    let plain = fleet.run(&["plan", "-o", "json"]).json();
    assert!(plain["steps"][0].get("warnings").is_none(), "{plain}");

    // An action that is filed says it itself.
    let pass = fleet.run(&["reconcile", "--once", "--policy", &policy, "-o", "json"]);
    assert_eq!(pass.code(), 0, "{pass}");
    assert_eq!(warnings(&plan("json").json()), 0);
    let actions = fleet.run(&["actions", "list", "-o", "json"]).json();
    let reason = actions["items"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("warning: rule strict"), "{reason}");
    assert!(fleet.engine.writes().is_empty());
}

#[test]
fn what_should_have_happened_by_now_is_told() {
    let fleet = Fleet::new();
    let short = [
        ("DOCKER_HOST", fleet.engine.host.as_str()),
        ("FLEET_REGISTRY_PATH", &fleet.registry),
        ("FLEET_APPROVAL_TTL", "10ms"),
        ("FLEET_APPROVAL_BULK_START_WITHIN", "10ms"),
    ];
    let run = |arguments: &[&str]| fleet.home.run_with(arguments, &short);
    run(&["reconcile", "--once", "-o", "json"]).json();
    // The request has lapsed, and nobody runs who would end it.
    for (verb, word) in [("approvals", "decision"), ("actions", "decision")] {
        let items = run(&[verb, "list", "-o", "json"]).json()["items"].clone();
        assert_eq!(items[0]["overdue"], word, "{verb}: {items}");
        let table = run(&[verb, "list"]).stdout();
        assert!(table.contains("overdue: nobody decided in time"), "{verb}: {table}");
    }
    let in_time = fleet.run(&["actions", "list", "--state", "rehearsed", "-o", "json"]).json();
    assert_eq!(in_time["items"], Value::Array(Vec::new()));

    // What was approved has not started.
    let fleet = Fleet::new();
    let short = [
        ("DOCKER_HOST", fleet.engine.host.as_str()),
        ("FLEET_REGISTRY_PATH", &fleet.registry),
        ("FLEET_APPROVAL_BULK_START_WITHIN", "10ms"),
    ];
    fleet.run(&["reconcile", "--once", "-o", "json"]).json();
    let listed = fleet.run(&["actions", "list", "-o", "json"]).json();
    assert_eq!(listed["items"][0]["overdue"], Value::Null, "there is time: {listed}");
    assert_eq!(fleet.home.run_with(&["approvals", "approve", "--all"], &short).code(), 0);
    let listed = fleet.run(&["actions", "list", "-o", "json"]).json();
    let id = listed["items"][0]["id"].as_str().unwrap();
    assert_eq!(listed["items"][0]["overdue"], "start", "{listed}");
    let shown = fleet.run(&["actions", "show", id]).stdout();
    assert!(shown.contains("it should have started by now"), "{shown}");
}

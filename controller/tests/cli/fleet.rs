//! Plan, request, decision, rehearsal: against an engine that accepts nothing.

use serde_json::Value;

use crate::engine::FakeEngine;
use crate::{Home, Run, keys};

/// Two connectors; one holds a value that nobody may see.
pub(crate) const REGISTRY: &str = "\
version: 1
services:
  - name: alpha
    image: example/alpha:1
    env:
      API_TOKEN: canary-value
  - name: beta
    image: example/beta:1
    depends_on: [alpha]
";

struct Fleet {
    home: Home,
    engine: FakeEngine,
    registry: String,
}

impl Fleet {
    fn new() -> Self {
        let home = Home::new();
        let engine = FakeEngine::start(&home);
        let registry = home.file("fleet.yml", REGISTRY);
        Self { home, engine, registry }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let variables =
            [("DOCKER_HOST", self.engine.host.as_str()), ("FLEET_REGISTRY_PATH", &self.registry)];
        let run = self.home.run_with(arguments, &variables);
        let shown = format!("{}{}", run.stdout(), run.stderr());
        assert!(!shown.contains("canary-value"), "{arguments:?} shows a secret:\n{shown}");
        run
    }

    fn items(&self, arguments: &[&str]) -> Vec<Value> {
        let list = self.run(&[arguments, &["-o", "json"]].concat()).json();
        list["items"].as_array().unwrap().clone()
    }
}

#[test]
fn a_plan_says_what_would_be_done_and_writes_nothing() {
    let fleet = Fleet::new();
    let plan = fleet.run(&["plan", "-o", "json"]).json();
    assert_eq!(keys(&plan), ["cluster_id", "digest", "plan_id", "steps", "summary", "waiting"]);
    assert_eq!(plan["cluster_id"], "cluster1");
    let targets: Vec<_> = plan["steps"].as_array().unwrap().iter().map(|s| &s["target"]).collect();
    assert_eq!(targets, ["alpha", "beta"]);
    assert_eq!(plan["steps"][1]["wave"], 2);

    let table = fleet.run(&["plan"]);
    let text = table.stdout();
    assert_eq!(table.code(), 0, "{table}");
    assert!(text.contains("+ alpha  deploy_service  missing  wave 1  risk low"), "{text}");
    assert!(text.contains("fleet.yml:3:"), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.contains(": 2 to create, 0 to update, "), "{last}");
    assert!(table.stderr().contains("skep reconcile --once"), "{table}");
    assert!(fleet.run(&["plan", "--quiet"]).stderr().is_empty());

    let again = fleet.run(&["plan", "-o", "json"]).json();
    assert_eq!(again["digest"], plan["digest"], "a plan does not depend on when it is made");
    assert!(fleet.engine.writes().is_empty());
}

#[test]
fn the_detailed_exit_code_tells_pending_from_settled() {
    let fleet = Fleet::new();
    assert_eq!(fleet.run(&["plan", "--detailed-exitcode"]).code(), 2);
    assert_eq!(fleet.run(&["plan"]).code(), 0);
    let empty = fleet.home.file("empty.yml", "version: 1\nservices: []\n");
    let run = fleet.run(&["plan", "--detailed-exitcode", "--registry", &empty]);
    assert_eq!(run.code(), 0, "{run}");
}

#[test]
fn yaml_and_json_hold_the_same() {
    let fleet = Fleet::new();
    let yaml = fleet.run(&["plan", "-o", "yaml"]).stdout();
    assert!(yaml.contains("cluster_id: cluster1\n"), "{yaml}");
    assert!(yaml.starts_with("plan_id: "), "the order is that of JSON: {yaml}");
}

#[test]
fn only_takes_known_names() {
    let fleet = Fleet::new();
    let plan = fleet.run(&["plan", "--only", "alpha", "-o", "json"]).json();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 1);
    let error = fleet.run(&["plan", "--only", "alpa", "-o", "json"]).error(1);
    assert_eq!(error["code"], "NOT_FOUND");
    assert!(error["next"].as_str().unwrap().contains("alpha"), "{error}");
    assert_eq!(fleet.run(&["plan", "--only", "a b"]).code(), 64);
}

#[test]
fn without_a_registry_nothing_is_declared() {
    let fleet = Fleet::new();
    let run = fleet.home.run_with(&["plan", "-o", "json"], &[("DOCKER_HOST", &fleet.engine.host)]);
    assert_eq!(run.json()["steps"], Value::Array(Vec::new()));
    assert!(run.stderr().contains("--registry"), "{run}");
}

#[test]
fn from_request_to_rehearsal() {
    let fleet = Fleet::new();
    let report = fleet.run(&["reconcile", "--once", "-o", "json"]).json();
    for name in [
        "divergences",
        "processed",
        "deferred",
        "actions",
        "approved_drained",
        "actuator",
        "health",
    ] {
        assert!(report.get(name).is_some(), "no {name} in {report}");
    }
    assert_eq!(report["processed"], 2);

    let waiting = fleet.items(&["approvals", "list"]);
    assert_eq!(waiting.len(), 2);
    let first = waiting.iter().find(|item| item["target"] == "alpha").unwrap();
    let id = first["id"].as_str().unwrap();
    assert!(id.starts_with("action_approval:"), "{id}");
    assert!(first["reason"].as_str().unwrap().contains("not on the swarm"), "{first}");
    let table = fleet.run(&["approvals", "list"]).stdout();
    let short = &id["action_approval:".len()..][..8];
    assert!(table.contains(short) && table.contains("deploy_service"), "{table}");

    // A misspelt exception decides nothing.
    let error =
        fleet.run(&["approvals", "approve", "--all", "--except", "bta", "-o", "json"]).error(1);
    assert_eq!(error["code"], "NOT_FOUND");
    assert_eq!(fleet.items(&["approvals", "list"]).len(), 2);

    let stale = ["approvals", "approve", short, "--expected-revision", "99", "-o", "json"];
    assert_eq!(fleet.run(&stale).error(1)["code"], "REVISION_CONFLICT");

    let run = fleet.run(&["approvals", "approve", short, "--comment", "fine"]);
    assert_eq!(run.code(), 0, "{run}");
    assert!(run.stderr().contains("rehearsed") && run.stderr().contains("skep serve"), "{run}");
    let error = fleet.run(&["approvals", "approve", short, "-o", "json"]).error(1);
    assert_eq!(error["code"], "ALREADY_DECIDED");
    assert!(error["message"].as_str().unwrap().contains("tester@"), "{error}");
    let shown = fleet.run(&["approvals", "show", short, "-o", "json"]).json();
    assert_eq!((&shown["status"], &shown["comment"]), (&"approved".into(), &"fine".into()));
    assert!(shown["action"]["step"].get("operation").is_none());

    let other =
        waiting.iter().find(|item| item["target"] == "beta").unwrap()["id"].as_str().unwrap();
    assert_eq!(fleet.run(&["approvals", "deny", other, "--comment", "no"]).code(), 0);
    let error = fleet.run(&["approvals", "approve", other, "-o", "json"]).error(1);
    assert_eq!(error["code"], "ALREADY_DECIDED");
    let run = fleet.run(&["approvals", "approve", "--all"]);
    assert_eq!((run.code(), run.stdout().as_str()), (0, "nothing waits for a decision\n"));

    fleet.run(&["reconcile", "--once", "-o", "json"]).json();
    let rehearsed = fleet.items(&["actions", "list", "--state", "rehearsed"]);
    assert_eq!(rehearsed.len(), 1);
    assert_eq!(rehearsed[0]["target"], "alpha");
    assert_eq!(fleet.items(&["actions", "list", "--only", "beta"])[0]["state"], "denied");
    let action = rehearsed[0]["id"].as_str().unwrap();
    let shown = fleet.run(&["actions", "show", &action[..10], "-o", "json"]).json();
    let history: Vec<_> =
        shown["history"].as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert_eq!(history, ["proposed", "approved", "rehearsed"]);
    assert!(fleet.run(&["actions", "show", action]).stdout().contains("rehearsed"));
    assert!(fleet.engine.writes().is_empty(), "{:?}", fleet.engine.writes());
}

#[test]
fn a_plan_is_approved_with_exceptions() {
    let fleet = Fleet::new();
    let report = fleet.run(&["reconcile", "--once", "-o", "json"]).json();
    let plan = report["plan"]["plan_id"].as_str().unwrap();
    let arguments =
        ["approvals", "approve", "--plan", &plan[..6], "--except", "beta", "-o", "json"];
    let decided = fleet.run(&arguments).json();
    assert_eq!(decided["items"].as_array().unwrap().len(), 1);
    assert_eq!(decided["items"][0]["target"], "alpha");
    assert_eq!(fleet.items(&["approvals", "list"]).len(), 1);
    let error = fleet.run(&["approvals", "approve", "--plan", "ffffffffff", "-o", "json"]).error(1);
    assert_eq!(error["code"], "NOT_FOUND");
}

#[test]
fn nothing_is_proposed_when_the_reconciler_is_off() {
    let fleet = Fleet::new();
    let report = fleet.run(&["reconcile", "--once", "--reconciler", "false", "-o", "json"]).json();
    assert_eq!((&report["divergences"], &report["processed"]), (&2.into(), &0.into()));
    assert!(fleet.items(&["approvals", "list"]).is_empty());
}

#[test]
fn services_are_listed_and_explained() {
    let fleet = Fleet::new();
    fleet.run(&["reconcile", "--once", "-o", "json"]).json();
    let services = fleet.items(&["service", "list"]);
    let alpha = services.iter().find(|service| service["name"] == "alpha").unwrap();
    assert_eq!((&alpha["state"], &alpha["class"]), (&"missing".into(), &"missing".into()));
    assert_eq!((&alpha["owner"], &alpha["source"]["line"]), (&"absent".into(), &3.into()));
    assert_eq!(alpha["action"]["state"], "pending");
    assert_eq!(alpha["replicas"]["wanted"], 1);
    assert_eq!((&alpha["health"], &alpha["mcp"]), (&Value::Null, &Value::Null));
    assert!(fleet.run(&["service", "list"]).stdout().contains("fleet.yml:3"));

    let status = fleet.run(&["service", "status", "alpha", "-o", "json"]).json();
    assert_eq!(status["step"]["action"], "deploy_service");
    assert_eq!(status["conditions"].as_array().unwrap().len(), 5);
    let mcp = &status["conditions"][4];
    assert_eq!((&mcp["type"], &mcp["status"]), (&"McpReady".into(), &Value::Null));
    assert_eq!(mcp["reason"], "not asked: no task runs");
    assert_eq!(status["last_actions"][0]["state"], "pending");
    let error = fleet.run(&["service", "status", "alpah", "-o", "json"]).error(1);
    assert_eq!(error["code"], "NOT_FOUND");
    assert!(error["next"].as_str().unwrap().contains("alpha"), "{error}");

    let overall = fleet.run(&["service", "status", "-o", "json"]).json();
    assert_eq!((&overall["pending_approvals"], &overall["leader"]), (&2.into(), &Value::Null));
    assert_eq!(overall["sources"][0]["state"], "ready");
    assert!(fleet.run(&["service", "status"]).stdout().contains("nobody: start `skep serve`"));
}

#[test]
fn a_broken_registry_leaves_the_last_good_one_in_force_and_says_why() {
    let fleet = Fleet::new();
    fleet.run(&["reconcile", "--once", "-o", "json"]).json();
    fleet.home.file("fleet.yml", "version: 1\nservices:\n  - name: alpha\n    imag: x\n");
    let overall = fleet.run(&["service", "status", "-o", "json"]).json();
    assert_eq!(overall["sources"][0]["state"], "stale", "{overall}");
    let reason = overall["sources"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("fleet.yml:4:5"), "{reason}");
    assert!(fleet.run(&["service", "status"]).stdout().contains("fleet.yml:4:5"));
    // The plan is shown, made from what was last valid; the exit code tells that it is not new.
    let run = fleet.run(&["plan", "-o", "json"]);
    assert_eq!(run.code(), 1, "{run}");
    assert!(run.stderr().contains("\"SOURCE_INVALID\""), "{run}");
    let plan: Value = serde_json::from_str(&run.stdout()).unwrap();
    assert_eq!((&plan["summary"]["create"], &plan["summary"]["remove"]), (&2.into(), &0.into()));
    assert!(
        plan["waiting"].as_array().unwrap().iter().any(|w| w["code"] == "SOURCE_INVALID"),
        "{plan}"
    );
}

#[test]
fn an_engine_that_is_no_manager_is_told_apart() {
    let fleet = Fleet::new();
    fleet.engine.says(
        "info",
        r#"{"Swarm": {"LocalNodeState": "inactive", "ControlAvailable": false, "Error": ""}}"#,
    );
    let error = fleet.run(&["plan", "-o", "json"]).error(1);
    assert_eq!(error["code"], "NOT_A_MANAGER");
    assert!(error["next"].as_str().unwrap().contains("docker swarm init"), "{error}");
}

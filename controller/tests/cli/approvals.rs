//! Deciding about many at once: groups, one decision, what moved, taking back, following.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::engine::FakeEngine;
use crate::{Home, Run};

/// So many connectors that are the same but for their names.
fn registry(count: usize, tag: u32) -> String {
    let service =
        |n: usize| format!("  - {{name: mcp-{n:02}, image: \"example/mcp-{n:02}:{tag}\"}}\n");
    format!("version: 1\nservices:\n{}", (0..count).map(service).collect::<String>())
}

struct Fleet {
    home: Home,
    engine: FakeEngine,
    registry: String,
}

impl Fleet {
    fn new(count: usize) -> Self {
        let home = Home::new();
        let engine = FakeEngine::start(&home);
        let registry = home.file("fleet.yml", &registry(count, 1));
        let fleet = Self { home, engine, registry };
        fleet.run(&["reconcile", "--once", "-o", "json"]).json();
        fleet
    }

    fn declare(&self, count: usize, tag: u32) {
        self.home.file("fleet.yml", &registry(count, tag));
    }

    fn variables(&self) -> [(&str, &str); 2] {
        [("DOCKER_HOST", self.engine.host.as_str()), ("FLEET_REGISTRY_PATH", &self.registry)]
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.home.run_with(arguments, &self.variables())
    }

    fn items(&self, arguments: &[&str]) -> Vec<Value> {
        let list = self.run(&[arguments, &["-o", "json"]].concat()).json();
        list["items"].as_array().unwrap().clone()
    }
}

#[test]
fn many_identical_requests_are_one_group_and_one_decision() {
    let fleet = Fleet::new(30);
    let table = fleet.run(&["approvals", "list"]).stdout();
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains(" 30 ") && table.contains("and 27 more"), "{table}");
    assert_eq!(fleet.run(&["approvals", "list", "--no-group"]).stdout().lines().count(), 31);
    // Programs get each request unless they ask for groups.
    assert_eq!(fleet.items(&["approvals", "list"]).len(), 30);
    let groups = fleet.items(&["approvals", "list", "--group"]);
    assert_eq!((groups.len(), &groups[0]["count"]), (1, &30.into()));
    let key = groups[0]["group"].as_str().unwrap();
    assert_eq!(groups[0]["targets"].as_array().unwrap().len(), 30);

    for (wrong, code) in [("ffffffffffffffff", "NOT_FOUND"), ("", "NOT_FOUND")] {
        let run = fleet.run(&["approvals", "approve", "--group", wrong, "-o", "json"]);
        assert_eq!(run.error(1)["code"], code, "{run}");
    }
    let run = fleet.run(&[
        "approvals",
        "approve",
        "--group",
        &key[..8],
        "--except",
        "mcp-03",
        "--except",
        "mcp-04",
        "--comment",
        "release 12",
    ]);
    assert_eq!(run.code(), 0, "{run}");
    let told = run.stderr();
    assert!(told.contains("approving 28 deploy_service on mcp-00"), "shown before: {told}");
    assert!(told.contains("halts at the first failure"), "{told}");

    let approved = fleet.items(&["approvals", "list", "--status", "approved"]);
    assert_eq!(approved.len(), 28);
    let decision = approved[0]["batch_id"].as_str().unwrap();
    assert!(approved.iter().all(|one| one["batch_id"] == decision));
    assert!(approved[0]["decided_source"].as_str().unwrap().ends_with(":operator"));
    let shown = fleet.run(&["approvals", "show", &decision[..8], "-o", "json"]).json();
    assert_eq!((&shown["halts"], &shown["halted"]), (&true.into(), &Value::Null));
    assert!(shown["chosen"].as_str().unwrap().starts_with(&format!("group {key}")), "{shown}");
    assert_eq!(shown["approvals"].as_array().unwrap().len(), 28);
    let one = fleet.run(&["approvals", "show", approved[0]["id"].as_str().unwrap()]).stdout();
    assert!(one.contains(&decision[..8]), "{one}");

    // Some are taken back, one by its id and the rest together.
    let id = approved[0]["id"].as_str().unwrap();
    assert_eq!(fleet.run(&["approvals", "revoke", id]).code(), 0);
    let error = fleet.run(&["approvals", "revoke", id, "-o", "json"]).error(1);
    assert_eq!(error["code"], "ALREADY_DECIDED");
    let rest = fleet.run(&["approvals", "revoke", "--decision", &decision[..8], "-o", "json"]);
    assert_eq!(rest.json()["items"].as_array().unwrap().len(), 27);
    assert!(fleet.items(&["approvals", "list", "--status", "approved"]).is_empty());
    let denied = fleet.run(&["approvals", "deny", "--all", "-o", "json"]).json();
    assert_eq!(denied["items"].as_array().unwrap().len(), 2);
    fleet.run(&["reconcile", "--once", "-o", "json"]).json();
    assert!(fleet.engine.writes().is_empty());
}

#[test]
fn what_moved_is_shown_beside_what_was_decided() {
    let fleet = Fleet::new(1);
    let id = fleet.items(&["approvals", "list"])[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(fleet.run(&["approvals", "approve", &id]).code(), 0);
    fleet.declare(1, 2);
    // A pass of another actuator would move that too.
    fleet.run(&["reconcile", "--once", "--actuator", "swarm", "-o", "json"]);
    let error = fleet.run(&["approvals", "approve", &id, "-o", "json"]).error(1);
    assert_eq!(error["code"], "SUPERSEDED");
    let causes = error["causes"].to_string();
    assert!(causes.contains("Image: decided about"), "{causes}");
    assert!(causes.contains("example/mcp-00:1") && causes.contains("example/mcp-00:2"), "{causes}");
    let shown = fleet.run(&["approvals", "show", &id, "-o", "json"]).json();
    let action = shown["action"]["id"].as_str().unwrap();
    let shown = fleet.run(&["actions", "show", action, "-o", "json"]).json();
    let fields: Vec<_> =
        shown["moved"]["fields"].as_array().unwrap().iter().map(|f| &f["field"]).collect();
    assert_eq!(fields, ["actuator", "/TaskTemplate/ContainerSpec/Image"]);
    for verb in ["approvals", "actions"] {
        let text = fleet.run(&[verb, "show", action]).stdout();
        assert!(text.contains("what moved since") && text.contains("planned now"), "{text}");
    }
}

#[test]
fn nobody_decides_in_a_machines_name() {
    let fleet = Fleet::new(1);
    for source in ["reconciler", "host:autoscaler", "GITOPS"] {
        for verb in ["approve", "deny"] {
            let run = fleet.run(&["approvals", verb, "--all", "--source", source]);
            assert!(run.code() == 64 && run.stderr().contains("a part of Skep"), "{run}");
        }
    }
    let proposer = fleet.items(&["actions", "list"])[0]["actor"].as_str().unwrap().to_owned();
    let run = fleet.run(&["approvals", "approve", "--all", "--actor", &proposer, "-o", "json"]);
    assert_eq!(run.error(1)["code"], "SOURCE_RESERVED", "{run}");
    assert_eq!(fleet.run(&["approvals", "approve", "--all", "--actor", " "]).code(), 64);
    assert_eq!(fleet.items(&["approvals", "list"]).len(), 1, "nothing was decided");
    let arguments = ["approvals", "approve", "--all", "--actor", "bob", "--source", "ops:bob"];
    assert_eq!(fleet.run(&arguments).code(), 0);
    let shown = &fleet.items(&["approvals", "list", "--all"])[0];
    assert_eq!(
        (&shown["decided_by"], &shown["decided_source"]),
        (&"bob".into(), &"ops:bob".into())
    );
}

/// Ends the process however the test ends.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn requests_and_decisions_are_followed_until_interrupted() {
    let fleet = Fleet::new(1);
    let mut command = fleet.home.command(&["approvals", "watch", "-o", "json"]);
    command.envs(fleet.variables()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut watching = Watching(command.spawn().unwrap());
    let mut lines = BufReader::new(watching.0.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let first = next();
    assert_eq!(
        (&first["event"], &first["approval"]["target"]),
        (&"waiting".into(), &"mcp-00".into())
    );
    assert_eq!(fleet.run(&["approvals", "approve", "--all"]).code(), 0);
    let approved = next();
    assert_eq!(
        (&approved["event"], &approved["approval"]["status"]),
        (&"approved".into(), &"approved".into())
    );
    fleet.declare(2, 1);
    fleet.run(&["reconcile", "--once", "-o", "json"]).json();
    let requested = next();
    assert_eq!(requested["event"], "requested");
    assert_eq!(requested["approval"]["target"], "mcp-01");
    let pid = rustix::process::Pid::from_child(&watching.0);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(watching.0.wait().unwrap().code(), Some(0));
}

#[test]
fn endpoints_are_named_with_a_reference_to_their_key() {
    let home = Home::new();
    let set =
        |value: &str| home.run_with(&["notify", "test", "-o", "json"], &[("FLEET_NOTIFY", value)]);
    let unset = home.run(&["notify", "test", "-o", "json"]).error(1);
    assert_eq!(unset["code"], "NOTIFY_UNSET");
    for (value, names) in [
        ("https://hooks.example/secret-path", "no signing key"),
        ("https://hooks.example/secret-path whsec_canary", "written in place"),
        ("ftp://hooks.example/secret-path env:KEY", "http and https"),
    ] {
        let run = set(value);
        let error = run.error(1);
        assert_eq!(error["code"], "CONFIG_INVALID", "{run}");
        assert!(error["message"].as_str().unwrap().contains(names), "{error}");
        let shown = format!("{run}");
        assert!(!shown.contains("secret-path") && !shown.contains("canary"), "{shown}");
    }
    // An unset key, and nobody there: told for each endpoint.
    let run = set("http://127.0.0.1:1/secret-path env:NO_SUCH_KEY");
    let items: Value = serde_json::from_str(&run.stdout()).unwrap();
    assert!(items["items"][0]["error"].as_str().unwrap().contains("NO_SUCH_KEY"), "{run}");
    assert!(run.stderr().contains("NOTIFY_FAILED"), "{run}");
    let shown =
        home.run_with(&["config", "show"], &[("FLEET_NOTIFY", "https://h/secret-path env:K")]);
    assert!(!shown.stdout().contains("secret-path"), "{shown}");
}

#[test]
fn messages_wait_in_the_outbox_until_somebody_is_told() {
    let fleet = Fleet::new(1);
    assert!(fleet.items(&["notify", "list"]).is_empty());
    assert!(fleet.run(&["notify", "list"]).stderr().contains("FLEET_NOTIFY"));
    let error = fleet.run(&["notify", "retry", "msg_0000", "-o", "json"]).error(1);
    assert_eq!(error["code"], "NOT_FOUND");
    let retried = fleet.run(&["notify", "retry", "--all", "-o", "json"]).json();
    assert_eq!(retried["retried"], 0);
    assert_eq!(fleet.run(&["notify", "retry"]).code(), 64);
}

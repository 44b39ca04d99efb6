//! Pausing, killing and resuming on a real engine: every mode, during executions and rollouts,
//! across crashes, and back to exactly what was there.

use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skep_testkit::{FaultKind, Matcher};

use crate::harness::{Fleet, PATIENCE, Serve, items, text, wait};

const LIVE: (&str, &str) = ("FLEET_ACTUATOR", "swarm");

/// A fleet whose commands all change the swarm.
struct Emergency {
    fleet: Fleet,
    registry: String,
}

impl Emergency {
    fn new(test: &str, services: &[(&str, &str)]) -> Self {
        let fleet = Fleet::new(test);
        let registry = fleet.registry(services).display().to_string();
        Self { fleet, registry }
    }

    /// The same, with everything declared running.
    fn running(test: &str, services: &[(&str, &str)]) -> Self {
        let emergency = Self::new(test, services);
        emergency.json(&["reconcile", "--once"]);
        emergency.fleet.approve_all();
        emergency.json(&["reconcile", "--once"]);
        emergency
    }

    fn environment(&self) -> [(&str, &str); 2] {
        [LIVE, ("FLEET_REGISTRY_PATH", &self.registry)]
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.fleet.json(arguments, &self.environment())
    }

    fn serve(&self) -> Serve {
        self.fleet.serve(&[], &self.environment())
    }

    fn spec(&self, name: &str) -> Value {
        self.fleet.inspect(name)["Spec"].clone()
    }

    fn replicas(&self, name: &str) -> Value {
        self.spec(name)["Mode"]["Replicated"]["Replicas"].clone()
    }

    /// A service made by hand.
    fn make(&self, suffix: &str, flags: &[&str]) -> String {
        let name = self.fleet.service(suffix);
        let create = ["service", "create", "--detach", "--name", &name];
        let image = ["skep-test/mcp:1"];
        self.fleet.engine.docker(&[&create[..], flags, &image[..]].concat()).unwrap();
        name
    }

    fn running_tasks(&self, name: &str) -> usize {
        let filter = format!("{{\"service\":[\"{name}\"],\"desired-state\":[\"running\"]}}");
        let path = format!("/tasks?filters={}", percent(&filter));
        self.fleet.engine.call("GET", &path, None).unwrap().as_array().unwrap().len()
    }

    fn wait_for_tasks(&self, name: &str, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.running_tasks(name) != count {
            assert!(Instant::now() < deadline, "{name}: {}", self.running_tasks(name));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The program in the background.
    fn spawn(&self, arguments: &[&str]) -> Child {
        self.fleet.command(arguments).envs(self.environment()).spawn().unwrap()
    }
}

fn percent(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

fn without_our_labels(mut spec: Value) -> Value {
    spec["Labels"].as_object_mut().unwrap().retain(|key, _| !key.starts_with("dev.skep."));
    spec
}

#[test]
fn every_mode_is_killed_in_its_way_and_resumed_exactly() {
    let emergency = Emergency::new("modes", &[("declared", "")]);
    let three = emergency.make("three", &["--replicas", "3", "--label", "team=a"]);
    let global = emergency.make("global", &["--mode", "global"]);
    let bound =
        emergency.make("bound", &["--mode", "global", "--constraint", "node.role==manager"]);
    let limited =
        emergency.make("limited", &["--replicas", "2", "--placement-pref", "spread=node.id"]);
    let job = emergency.make("job", &["--mode", "replicated-job"]);
    let jobs = emergency.make("jobs", &["--mode", "global-job"]);
    let names = [&three, &global, &bound, &limited, &job, &jobs].map(String::as_str);
    let adopted = emergency.json(&[&["service", "adopt", "--approve"][..], &names].concat());
    for adopted in items(&adopted) {
        assert_eq!(adopted["state"], "succeeded", "{adopted}");
    }
    let stoppable = [&three, &global, &bound, &limited];
    for (name, count) in [(&three, 3), (&global, 1), (&bound, 1), (&limited, 2)] {
        emergency.wait_for_tasks(name, count);
    }
    let before: Vec<Value> = stoppable.map(|name| emergency.spec(name)).to_vec();
    let jobs_before = [&job, &jobs].map(|name| emergency.fleet.inspect(name));

    let killed = emergency.json(&[&["kill"][..], &names, &["--reason", "drill"]].concat());
    assert_eq!((&killed["count"], &killed["dry_run"]), (&json!(4), &json!(false)), "{killed}");
    for name in stoppable {
        assert_eq!(killed["applied"][name], "killed", "{killed}");
        emergency.wait_for_tasks(name, 0);
    }
    let codes: Vec<_> = killed["skipped"].as_array().unwrap().iter().map(|s| &s["code"]).collect();
    assert_eq!(codes, ["IS_A_JOB", "IS_A_JOB"], "{killed}");
    assert_eq!(emergency.replicas(&three), 0);
    let constraints = emergency.spec(&bound)["TaskTemplate"]["Placement"]["Constraints"].clone();
    assert_eq!(constraints[0], "node.role==manager", "what was there stays: {constraints}");
    let jobs_after = [&job, &jobs].map(|name| emergency.fleet.inspect(name));
    for (before, after) in jobs_before.iter().zip(&jobs_after) {
        assert_eq!((&before["Spec"], &before["Version"]), (&after["Spec"], &after["Version"]));
    }

    let again = emergency.json(&[&["kill"][..], &names].concat());
    assert_eq!(again["count"], 0, "{again}");
    let resumed = emergency.json(&[&["resume"][..], &names[..4]].concat());
    assert_eq!(resumed["count"], 4, "{resumed}");
    for (name, before) in stoppable.iter().zip(before) {
        assert_eq!(without_our_labels(emergency.spec(name)), without_our_labels(before), "{name}");
    }
    for (name, count) in [(&three, 3), (&global, 1), (&bound, 1), (&limited, 2)] {
        emergency.wait_for_tasks(name, count);
    }
    assert_eq!(items(&emergency.json(&["contain", "list"])), [Value::Null; 0]);
    emergency.fleet.finish();
}

#[test]
fn a_domain_is_killed_after_a_confirmation_and_nothing_else_is_touched() {
    let services = [("a", "domain: finance"), ("b", ""), ("c", "replicas: 2")];
    let mut emergency = Emergency::running("domain", &services);
    let [a, b, c] = ["a", "b", "c"].map(|suffix| emergency.fleet.service(suffix));
    emergency.fleet.watch_bystander(&a);
    let protected = ("FLEET_PROTECTED", b.as_str());
    let environment = [LIVE, ("FLEET_REGISTRY_PATH", emergency.registry.as_str()), protected];
    let kill = || emergency.fleet.run(&["kill", "--domain", "default", "-o", "json"], &environment);
    let first = kill();
    assert_eq!(first.status.code(), Some(1), "{}", text(&first));
    assert!(text(&first).contains("CONFIRMATION_NEEDED"), "{}", text(&first));
    assert_eq!(emergency.replicas(&c), 2);
    let second = kill();
    assert!(second.status.success(), "{}", text(&second));
    let answer: Value = serde_json::from_slice(&second.stdout).unwrap();
    assert_eq!(answer["affected"], json!([c]), "{answer}");
    let skipped = &answer["skipped"][0];
    assert_eq!((&skipped["name"], &skipped["code"]), (&json!(b), &json!("PROTECTED")));
    assert_eq!((emergency.replicas(&b), emergency.replicas(&c)), (json!(1), json!(0)));

    let plan = emergency.fleet.plan(std::path::Path::new(&emergency.registry));
    assert_eq!(plan["steps"], json!([]), "nothing raises it: {plan}");
    emergency.json(&["resume", "--domain", "default"]);
    assert_eq!(emergency.replicas(&c), 2);
    emergency.fleet.finish();
}

#[test]
fn a_kill_reaches_the_leader_and_holds_against_other_hands() {
    let emergency = Emergency::running("leader", &[("a", "replicas: 2")]);
    let name = emergency.fleet.service("a");
    let serve = emergency.serve();
    wait(&serve, "a leader", || serve.log().contains("leader.started").then_some(()));
    let killed = emergency.json(&["kill", &name]);
    assert_eq!(killed["applied"][&name], "killed", "{killed}; {}", serve.log());
    assert_eq!(emergency.replicas(&name), 0);
    let scale = format!("{name}=4");
    emergency.fleet.engine.docker(&["service", "scale", "--detach", &scale]).unwrap();
    wait(&serve, "it to be killed again", || (emergency.replicas(&name) == 0).then_some(()));
    let asked = emergency
        .fleet
        .run(&["service", "scale", &format!("{name}=3"), "--approve"], &emergency.environment());
    assert!(!asked.status.success() && text(&asked).contains("KILLED"), "{}", text(&asked));
    let why = items(&emergency.json(&["service", "why", &name]));
    let kills = why.iter().filter(|line| line["what"].as_str().unwrap().starts_with("contained"));
    assert!(kills.count() >= 2, "each kill is audited: {why:?}");
    let resumed = emergency.json(&["resume", &name]);
    assert_eq!(resumed["applied"][&name], "resumed", "{resumed}");
    assert_eq!(emergency.replicas(&name), 2, "not what somebody else made of it");
    serve.stop();
    emergency.fleet.finish();
}

#[test]
fn a_kill_stops_a_rollout_that_swarm_runs() {
    let update = "replicas: 2; update: {monitor: 5s, delay: 5s}";
    let emergency = Emergency::running("rollout", &[("a", update)]);
    let name = emergency.fleet.service("a");
    emergency.wait_for_tasks(&name, 2);
    let serve = emergency.serve();
    emergency.fleet.registry(&[("a", &format!("image: skep-test/mcp:2; {update}"))]);
    emergency.fleet.wait_for_approvals(&serve, 1);
    emergency.fleet.approve_all();
    emergency.fleet.wait_for_states(&serve, "rolling_out", 1);
    assert_eq!(emergency.fleet.inspect(&name)["UpdateStatus"]["State"], "updating");
    let before = emergency.spec(&name);
    let killed = emergency.json(&["kill", &name]);
    assert_eq!(killed["applied"][&name], "killed", "{killed}");
    emergency.wait_for_tasks(&name, 0);
    let failed = emergency.json(&["actions", "list", "--state", "failed"]);
    assert!(items(&failed)[0]["detail"].as_str().unwrap().contains("overtaken"), "{failed}");
    emergency.json(&["resume", &name]);
    assert_eq!(without_our_labels(emergency.spec(&name)), without_our_labels(before));
    emergency.wait_for_tasks(&name, 2);
    serve.stop();
    emergency.fleet.finish();
}

#[test]
fn a_kill_overtakes_a_write_that_hangs() {
    let emergency = Emergency::running("hangs", &[("a", "")]);
    let name = emergency.fleet.service("a");
    let serve = emergency.serve();
    emergency.fleet.registry(&[("a", "replicas: 3; labels: {team: x}")]);
    emergency.fleet.wait_for_approvals(&serve, 1);
    let matcher = Matcher::new("POST", "/services/");
    let held = emergency.fleet.proxy.fail_next(FaultKind::HoldBeforeSend, matcher);
    emergency.fleet.approve_all();
    assert!(held.wait_reached(PATIENCE), "{}", serve.log());
    let killed = emergency.json(&["kill", &name]);
    assert_eq!(killed["applied"][&name], "killed", "{killed}");
    assert_eq!(emergency.replicas(&name), 0);
    // Let go, it comes too late: its Version has been used.
    drop(held);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(emergency.replicas(&name), 0);
    let label = emergency.spec(&name)["Labels"]["team"].clone();
    assert_eq!(label, Value::Null);
    serve.stop();
    emergency.fleet.finish();
}

/// The leader dies between the intent of a kill and its reply.
fn dies(test: &str, fault: FaultKind) {
    let emergency = Emergency::running(test, &[("a", "replicas: 2")]);
    let name = emergency.fleet.service("a");
    let before = emergency.fleet.inspect(&name);
    let serve = emergency.serve();
    wait(&serve, "a leader", || serve.log().contains("leader.started").then_some(()));
    emergency.fleet.proxy.clear();
    let held = emergency.fleet.proxy.fail_next(fault, Matcher::new("POST", "/services/"));
    let mut kill = emergency.spawn(&["kill", &name]);
    assert!(held.wait_reached(PATIENCE), "{}", serve.log());
    serve.kill();
    drop(held);
    // The command that waits takes over when the lease ends.
    assert!(kill.wait().unwrap().success());
    let after = emergency.fleet.inspect(&name);
    assert_eq!(emergency.replicas(&name), 0);
    assert_eq!(after["PreviousSpec"], before["Spec"], "one effect");
    let effects = emergency.fleet.proxy.mutations();
    let effects = effects.iter().filter(|one| one.forwarded && one.status == Some(200)).count();
    assert_eq!(effects, 1, "{:?}", emergency.fleet.mutations());
    emergency.json(&["resume", &name]);
    assert_eq!(emergency.replicas(&name), 2);
    emergency.fleet.finish();
}

#[test]
fn a_leader_that_dies_before_its_kill_is_sent_has_a_successor() {
    dies("diesbefore", FaultKind::HoldBeforeSend);
}

#[test]
fn a_leader_that_dies_before_the_reply_has_a_successor() {
    dies("diesafter", FaultKind::HoldReply);
}

#[test]
fn a_pause_leaves_what_runs_alone_and_its_drift_waiting() {
    let emergency = Emergency::running("paused", &[("a", "replicas: 2")]);
    let name = emergency.fleet.service("a");
    emergency.json(&["pause", &name, "--reason", "looking"]);
    emergency.fleet.proxy.clear();
    emergency.fleet.engine.docker(&["service", "scale", "--detach", &format!("{name}=1")]).unwrap();
    let report = emergency.json(&["reconcile", "--once"]);
    assert_eq!(report["waiting"][0]["code"], "PAUSED", "{report}");
    assert!(emergency.fleet.approvals("pending").is_empty());
    emergency.json(&["resume", &name]);
    emergency.json(&["reconcile", "--once"]);
    assert_eq!(emergency.fleet.approvals("pending").len(), 1, "the plan looks again");
    assert_eq!(emergency.fleet.mutations(), [""; 0]);
    emergency.fleet.finish();
}

#[test]
fn a_kill_without_the_store_is_written_down_and_put_on_record() {
    let emergency = Emergency::running("nostore", &[("a", "replicas: 2")]);
    let (name, other) = (emergency.fleet.service("a"), emergency.fleet.service("other"));
    let broken = emergency.fleet.path("broken.db");
    std::fs::write(&broken, "this is no database").unwrap();
    let broken = format!("sqlite:{}", broken.display());
    let environment = [LIVE, ("STATE_DB_URI", broken.as_str())];
    let kill = ["kill", &name, &other, "--reason", "disk full", "-o", "json"];
    let refused = emergency.fleet.run(&kill, &environment);
    assert!(!refused.status.success(), "{}", text(&refused));
    assert_eq!(emergency.replicas(&name), 2);
    let killed = emergency.fleet.run(&[&kill[..], &["--without-store"]].concat(), &environment);
    assert!(killed.status.success(), "{}", text(&killed));
    let answer: Value = serde_json::from_slice(&killed.stdout).unwrap();
    assert_eq!(answer["affected"], json!([name]), "{answer}");
    assert_eq!(answer["skipped"][0]["code"], "NOT_OURS", "{answer}");
    assert_eq!(emergency.replicas(&name), 0);

    // The store is back: before anything is planned, the kill is on record.
    let report = emergency.json(&["reconcile", "--once"]);
    assert_eq!(report["waiting"][0]["code"], "KILLED", "{report}");
    assert!(emergency.fleet.approvals("pending").is_empty());
    let held = items(&emergency.json(&["contain", "list"]));
    assert_eq!((&held[0]["state"], &held[0]["reason"]), (&json!("killed"), &json!("disk full")));
    emergency.json(&["resume", &name]);
    assert_eq!(emergency.replicas(&name), 2);
    // It was put aside: the next pass does not kill again.
    emergency.json(&["reconcile", "--once"]);
    assert_eq!(emergency.replicas(&name), 2);
    emergency.fleet.finish();
}

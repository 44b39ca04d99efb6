//! Dead letters: listed, proposed again through the gate, put away for a reason, each once.

use serde_json::{Value, json};

use crate::engine::FakeEngine;
use crate::fleet::REGISTRY;
use crate::{Home, Run, keys};

const ALL_ALLOWED: &str = "version: 1\nrules: [{kind: \"*\", tier: auto}]\n";
const FORBIDDEN: &str = "version: 1\nrules: [{kind: \"*\", tier: forbidden}]\n";

/// A fleet of two whose engine refuses every write.
struct Refused {
    home: Home,
    engine: FakeEngine,
    registry: String,
}

impl Refused {
    /// Both creates were allowed by a rule, sent, and refused.
    fn new() -> Self {
        let home = Home::new();
        let engine = FakeEngine::start(&home);
        engine.refuses_with("port '8200' is already in use");
        let registry = home.file("fleet.yml", REGISTRY);
        let refused = Self { home, engine, registry };
        // One depends on the other, which never comes.
        let run = refused.run_with(&["reconcile", "--once"], ALL_ALLOWED);
        assert_eq!(run.code(), 1, "{run}");
        assert_eq!(refused.engine.writes().len(), 1, "{run}");
        refused
    }

    fn run_with(&self, arguments: &[&str], policy: &str) -> Run {
        let policy = self.home.file("policy.yml", policy);
        let variables = [
            ("DOCKER_HOST", self.engine.host.as_str()),
            ("FLEET_REGISTRY_PATH", &self.registry),
            ("FLEET_ACTUATOR", "swarm"),
            ("ACTION_POLICY_PATH", &policy),
        ];
        let run = self.home.run_with(arguments, &variables);
        let shown = format!("{}{}", run.stdout(), run.stderr());
        assert!(!shown.contains("canary-value"), "{arguments:?} shows a secret:\n{shown}");
        run
    }

    fn dlq(&self, arguments: &[&str]) -> Run {
        self.run_with(&[&["dlq"], arguments, &["-o", "json"]].concat(), ALL_ALLOWED)
    }

    fn letters(&self, arguments: &[&str]) -> Vec<Value> {
        let list = self.dlq(&[&["list"], arguments].concat()).json();
        assert_eq!(keys(&list), ["failures", "rejections"]);
        assert_eq!(list["failures"], json!([]));
        list["rejections"].as_array().unwrap().clone()
    }

    fn letter(&self) -> String {
        self.letters(&[])[0]["eventId"].as_str().unwrap().to_owned()
    }

    fn actions(&self) -> Vec<Value> {
        let list = self.run_with(&["actions", "list", "-o", "json"], ALL_ALLOWED).json();
        list["items"].as_array().unwrap().clone()
    }

    /// What a requeue made of the only letter.
    fn requeued(&self, policy: &str) -> Value {
        let run = self.run_with(&["dlq", "requeue", &self.letter(), "-o", "json"], policy);
        let items = run.json()["items"].clone();
        assert_eq!(items.as_array().unwrap().len(), 1, "{run}");
        items[0].clone()
    }
}

#[test]
fn what_the_engine_refused_is_a_letter_with_the_names_that_scripts_know() {
    let refused = Refused::new();
    let letters = refused.letters(&[]);
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter = &letters[0];
    for key in ["host", "eventId", "reason", "attemptCount", "lastSeenMs"] {
        assert!(!letter[key].is_null(), "{key}: {letter}");
    }
    assert_eq!(letter["reason"], "refused");
    assert_eq!(letter["attemptCount"], 1);
    assert_eq!((&letter["kind"], &letter["target"]), (&json!("dispatch"), &json!("alpha")));
    assert_eq!(letter["eventId"], refused.actions()[1]["id"], "the action's own id");
    assert!(letter["detail"].as_str().unwrap().contains("8200"), "{letter}");

    for (filter, count) in [
        (&["--kind", "dispatch"][..], 1),
        (&["--kind", "ingress"], 0),
        (&["--reason", "refused"], 1),
        (&["--reason", "timeout"], 0),
        (&["--reason", "timeout", "--reason", "refused"], 1),
        (&["--min-attempts", "1"], 1),
        (&["--min-attempts", "2"], 0),
        (&["--since", "1h"], 1),
        (&["--since", "2099-01-01T00:00:00Z"], 0),
        (&["--limit", "1"], 1),
    ] {
        assert_eq!(refused.letters(filter).len(), count, "{filter:?}");
    }
    let shown = refused.dlq(&["show", &refused.letter()[..8]]).json();
    assert_eq!(shown["letter"], Value::Null, "flat");
    assert_eq!(shown["eventId"], letter["eventId"]);
    let table = refused.run_with(&["dlq", "list"], ALL_ALLOWED);
    assert!(table.stdout().contains("alpha"), "{table}");

    let status = refused.run_with(&["service", "status", "alpha"], ALL_ALLOWED).stdout();
    assert!(status.contains("dead letter") && status.contains("skep dlq requeue"), "{status}");
    let why = refused.run_with(&["service", "why", "alpha"], ALL_ALLOWED).stdout();
    assert!(why.contains("dead letter") && why.contains("skep dlq drop"), "{why}");
}

#[test]
fn wrong_words_are_refused_before_anything_is_looked_at() {
    let home = Home::new();
    for arguments in [
        &["dlq", "list", "--kind", "anything"][..],
        &["dlq", "list", "--reason", "bad luck"],
        &["dlq", "list", "--since", "yesterday"],
        &["dlq", "list", "--since", "-2h"],
        &["dlq", "requeue"],
        &["dlq", "drop", "1a2b"],
        &["dlq", "drop", "1a2b", "--reason", " "],
        &["dlq", "drop", "--reason", "poisoned"],
        &["dlq", "drop", "1a2b", "--all", "--reason", "poisoned"],
        &["dlq", "drop", "1a2b", "--kind", "ingress", "--reason", "poisoned"],
        // Nobody passes as a part of Skep.
        &["dlq", "drop", "1a2b", "--reason", "x", "--source", "reconciler"],
        &["dlq", "drop", "1a2b", "--reason", "x", "--source-label", "autoscaler:main"],
        &["dlq", "requeue", "1a2b", "--source", "deploy_watch"],
        &["dlq", "requeue", "1a2b", "--source", "a\nb"],
        &["service", "restart", "alpha", "--source", "playbook"],
    ] {
        let run = home.run(arguments);
        assert_eq!(run.code(), 64, "{arguments:?}: {run}");
        assert!(!home.path(".local/state/skep/skep.db").exists());
    }
}

/// Under each tier: allowed and tried, queued for a person, denied. Never around the gate.
#[test]
fn a_requeue_passes_the_gate_again() {
    let asked = Refused::new();
    let item = asked.requeued("version: 1\nrules: []\n");
    assert_eq!(item["outcome"], "requeued");
    assert_eq!(item["state"], "pending", "{item}");
    assert!(item["approvalId"].is_string(), "{item}");
    assert_eq!(asked.engine.writes().len(), 1, "nothing was sent");
    assert_eq!(asked.letters(&[]).len(), 0);
    assert_eq!(asked.letters(&["--all"])[0]["state"], "requeued");

    let denied = Refused::new();
    let item = denied.requeued(FORBIDDEN);
    assert_eq!((&item["outcome"], &item["actionId"]), (&json!("requeued"), &Value::Null));
    assert!(item["detail"].as_str().unwrap().contains("DENIED_BY_POLICY"), "{item}");
    assert_eq!(denied.engine.writes().len(), 1, "nothing was sent");

    let allowed = Refused::new();
    let item = allowed.requeued(ALL_ALLOWED);
    assert_eq!((&item["outcome"], &item["state"]), (&json!("requeued"), &json!("failed")));
    assert_eq!(allowed.engine.writes().len(), 2, "a new action, and sent once");
    let next = allowed.letters(&[]);
    assert_eq!((next.len(), &next[0]["eventId"]), (1, &item["actionId"]), "its own letter");
}

#[test]
fn a_second_requeue_files_nothing() {
    let refused = Refused::new();
    let id = refused.letter();
    refused.requeued("version: 1\nrules: []\n");
    let before = refused.actions().len();
    for _ in 0..2 {
        let items = refused.dlq(&["requeue", &id, &id[..8]]).json()["items"].clone();
        assert_eq!(items.as_array().unwrap().len(), 1, "{items}");
        assert_eq!(items[0]["outcome"], "already-requeued");
        assert!(items[0]["detail"].as_str().unwrap().contains("tester@"), "{items}");
    }
    let drop = refused.dlq(&["drop", &id, "--reason", "late"]).json();
    assert_eq!(drop["items"][0]["outcome"], "already-requeued");
    assert_eq!(refused.actions().len(), before);
}

#[test]
fn what_differs_no_more_is_put_away_and_says_so() {
    let refused = Refused::new();
    refused.home.file("fleet.yml", "version: 1\nservices: []\n");
    let item = refused.requeued(ALL_ALLOWED);
    assert_eq!(item["outcome"], "nothing-to-do", "{item}");
    assert!(item["detail"].as_str().unwrap().contains("nothing differs"), "{item}");
    assert_eq!((refused.letters(&[]).len(), refused.engine.writes().len()), (0, 1));
}

#[test]
fn what_is_not_there_is_told_apart_from_what_is_done() {
    let refused = Refused::new();
    let id = refused.letter();
    for verb in [&["requeue"][..], &["drop", "--reason", "poisoned"]] {
        let run = refused.dlq(&[verb, &["ffff-no-such"]].concat());
        assert_eq!(run.code(), 1, "{run}");
        let list: Value = serde_json::from_str(&run.stdout()).unwrap();
        assert_eq!(list["items"][0]["outcome"], "not-found", "{list}");
    }
    assert_eq!(refused.dlq(&["show", "ffff"]).error(1)["code"], "NOT_FOUND");
    // The others are handled all the same.
    let run = refused.dlq(&["drop", &id, "ffff", "--reason", "poisoned payload"]);
    assert_eq!(run.code(), 1, "{run}");
    let list: Value = serde_json::from_str(&run.stdout()).unwrap();
    let mut outcomes: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|item| &item["outcome"]).collect();
    outcomes.sort_by_key(|outcome| outcome.to_string());
    assert_eq!(outcomes, ["dropped", "not-found"]);
    let again = refused.dlq(&["drop", &id, "--reason", "again"]).json();
    assert_eq!(again["items"][0]["outcome"], "already-dropped");
    let letter = &refused.letters(&["--all"])[0];
    assert_eq!(letter["state"], "dropped");
    assert_eq!(letter["handledWhy"], "poisoned payload");
    let why = refused.run_with(&["service", "why", "alpha"], ALL_ALLOWED).stdout();
    let row = why.lines().find(|line| line.contains("letter_dropped")).unwrap();
    assert!(row.contains("tester@") && row.contains("attemptsBeforeOp=1"), "{row}");
    assert!(row.contains(":operator\"") && row.contains("poisoned payload"), "{row}");
}

#[test]
fn dropping_all_takes_a_yes_and_keeps_to_the_filters() {
    let refused = Refused::new();
    let reason = ["--reason", "maintenance"];
    let asked = refused.dlq(&[&["drop", "--all"], &reason[..]].concat());
    assert_eq!(asked.code(), 64, "{asked}");
    assert_eq!(refused.letters(&[]).len(), 1);
    let other = [&["drop", "--all", "--yes", "--failed-as", "timeout"], &reason[..]].concat();
    assert_eq!(refused.dlq(&other).json()["items"], json!([]));
    let label = ["--source", "night-shift:vm1"];
    let all = [&["drop", "--all", "--yes", "--kind", "dispatch"], &reason[..], &label].concat();
    assert_eq!(refused.dlq(&all).json()["items"][0]["outcome"], "dropped");
    assert_eq!(refused.letters(&[]).len(), 0);
    let why = refused.run_with(&["service", "why", "alpha"], ALL_ALLOWED).stdout();
    assert!(why.contains("source=\"night-shift:vm1\""), "{why}");
}

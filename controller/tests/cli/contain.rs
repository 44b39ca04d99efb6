//! Pausing, killing and resuming: what is refused, what is skipped, what has to be confirmed, and
//! what a dry run makes of it. What is written to a swarm is in the other test binary.

use serde_json::{Value, json};

use crate::engine::FakeEngine;
use crate::{Home, Run, keys};

const REGISTRY: &str = "\
version: 1
services:
  - {name: alpha, image: \"example/alpha:1\", domain: finance}
  - {name: beta, image: \"example/beta:1\", domain: itops}
";

/// Two declared services that are ours, one job of ours, one hand-made service that is not.
struct Swarm {
    home: Home,
    engine: FakeEngine,
    registry: String,
}

impl Swarm {
    fn new() -> Self {
        let home = Home::new();
        let engine = FakeEngine::start(&home);
        let registry = home.file("fleet.yml", REGISTRY);
        let swarm = Self { home, engine, registry };
        swarm.services("completed");
        for name in ["alpha", "beta", "job"] {
            let adopted = swarm.run(&["service", "adopt", name, "--approve"], &[LIVE]);
            assert_eq!(adopted.code(), 0, "{adopted}");
        }
        swarm
    }

    fn services(&self, rollout: &str) {
        let service = |name: &str, mode: Value| {
            json!({
                "ID": format!("id-{name}"), "Version": {"Index": 3},
                "UpdatedAt": "2026-01-01T00:00:00Z",
                "UpdateStatus": {"State": rollout, "Message": ""},
                "Spec": {
                    "Name": name, "Mode": mode,
                    "TaskTemplate": {"ContainerSpec": {"Image": "example/x:1"}},
                },
            })
        };
        let replicated = || json!({"Replicated": {"Replicas": 2}});
        let all = json!([
            service("alpha", replicated()),
            service("beta", replicated()),
            service("job", json!({"ReplicatedJob": {}})),
            service("theirs", replicated()),
        ]);
        self.engine.says("services", &all.to_string());
        for one in all.as_array().unwrap() {
            let name = one["ID"].as_str().unwrap();
            self.engine.says(Box::leak(name.to_owned().into_boxed_str()), &one.to_string());
            let name = one["Spec"]["Name"].as_str().unwrap();
            self.engine.says(Box::leak(name.to_owned().into_boxed_str()), &one.to_string());
        }
    }

    fn run(&self, arguments: &[&str], more: &[(&str, &str)]) -> Run {
        let mut variables = vec![
            ("DOCKER_HOST", self.engine.host.as_str()),
            ("FLEET_REGISTRY_PATH", self.registry.as_str()),
        ];
        variables.extend(more);
        self.home.run_with(&[arguments, &["-o", "json"]].concat(), &variables)
    }

    fn held(&self) -> Vec<(String, String)> {
        let list = self.run(&["contain", "list"], &[]).json();
        let items = list["items"].as_array().unwrap();
        let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
        items.iter().map(|one| (text(one, "name"), text(one, "state"))).collect()
    }
}

const LIVE: (&str, &str) = ("FLEET_ACTUATOR", "swarm");

#[test]
fn wrong_words_are_refused_before_anything_is_asked() {
    let home = Home::new();
    for arguments in [
        &["pause"][..],
        &["kill"],
        &["resume"],
        &["kill", "web", "--domain", "finance"],
        &["kill", "web", "--only", "web"],
        &["pause", "web", "--confirm"],
        &["kill", "--domain", "finance", "--without-store"],
        &["contain"],
        &["contain", "list", "--only", "web"],
    ] {
        let run = home.run(arguments);
        assert_eq!(run.code(), 64, "{arguments:?}: {run}");
        assert!(!home.path(".local/state/skep/skep.db").exists());
    }
}

#[test]
fn a_pause_holds_under_a_dry_run_and_says_who_and_why() {
    let swarm = Swarm::new();
    swarm.services("updating");
    let paused =
        swarm.run(&["pause", "alpha", "nobody", "theirs", "--reason", "leaks"], &[]).json();
    let shown = ["action", "affected", "applied", "count", "dry_run", "notes", "skipped"];
    assert_eq!(keys(&paused), shown);
    assert_eq!((&paused["action"], &paused["dry_run"]), (&json!("paused"), &json!(true)));
    assert_eq!(paused["affected"], json!(["alpha"]));
    assert_eq!(paused["applied"], json!({"alpha": "paused"}));
    let note = paused["notes"]["alpha"].as_str().unwrap();
    assert!(note.contains("Swarm goes on with the rollout"), "{note}");
    let skipped: Vec<_> = paused["skipped"].as_array().unwrap().iter().collect();
    let codes: Vec<_> = skipped.iter().map(|one| (&one["name"], &one["code"])).collect();
    let expected =
        [(&json!("nobody"), &json!("NOT_FOUND")), (&json!("theirs"), &json!("NOT_OURS"))];
    assert_eq!(codes, expected);

    let status = swarm.run(&["service", "status", "alpha"], &[]).json();
    assert_eq!(status["contained"]["code"], "PAUSED", "{status}");
    let reason = status["contained"]["reason"].as_str().unwrap();
    assert!(reason.contains("tester@") && reason.contains("leaks"), "{reason}");
    assert!(reason.contains("skep resume alpha"), "{reason}");
    swarm.services("completed");
    let plan = swarm.run(&["plan"], &[]).json();
    let waiting = plan["waiting"].as_array().unwrap();
    assert!(waiting.iter().any(|one| one["code"] == "PAUSED" && one["target"] == "alpha"));
    assert!(plan["steps"].as_array().unwrap().iter().all(|step| step["target"] != "alpha"));
    let why = swarm.run(&["service", "why", "alpha"], &[]).json();
    let lines = why["items"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["what"].as_str().unwrap().starts_with("paused")));
    let table =
        swarm.home.run_with(&["contain", "list"], &[("DOCKER_HOST", swarm.engine.host.as_str())]);
    assert!(table.stdout().contains("alpha") && table.stdout().contains("leaks"), "{table}");

    let again = swarm.run(&["pause", "alpha"], &[]).json();
    assert_eq!(
        (&again["count"], &again["skipped"][0]["code"]),
        (&json!(0), &json!("ALREADY_PAUSED"))
    );
    let resumed = swarm.run(&["resume", "alpha"], &[]).json();
    assert_eq!(resumed["applied"], json!({"alpha": "resumed"}));
    assert_eq!(swarm.held(), []);
    assert!(swarm.engine.writes().is_empty());
}

#[test]
fn a_kill_is_rehearsed_under_a_dry_run_and_holds_nothing() {
    let swarm = Swarm::new();
    let killed = swarm.run(&["kill", "alpha", "job"], &[]);
    assert!(killed.stderr().contains("nothing was written to Docker"), "{killed}");
    let answer = killed.json();
    assert_eq!(answer["dry_run"], true);
    assert_eq!(answer["applied"], json!({"alpha": "kill_rehearsed"}));
    assert_eq!(answer["skipped"][0]["code"], "IS_A_JOB");
    assert_eq!(swarm.held(), []);
    let why = swarm.run(&["service", "why", "alpha"], &[]).json();
    let lines = why["items"].as_array().unwrap();
    let is_told =
        |line: &Value| line["what"].as_str().unwrap().starts_with("containment_rehearsed");
    assert!(lines.iter().any(is_told), "{why}");
    assert!(swarm.engine.writes().is_empty());
}

#[test]
fn names_that_match_nothing_are_an_error() {
    let swarm = Swarm::new();
    for (arguments, code) in [
        (&["kill", "alpah"][..], "NOT_FOUND"),
        (&["kill", "theirs"], "NOT_OURS"),
        (&["kill", "job"], "IS_A_JOB"),
        (&["kill", "--domain", "financ"], "NOT_FOUND"),
        (&["resume", "--domain", "financ"], "NOT_FOUND"),
        (&["resume", "nobody"], "NOT_FOUND"),
    ] {
        let error = swarm.run(arguments, &[LIVE]).error(1);
        assert_eq!(error["code"], code, "{arguments:?}");
    }
    let error = swarm.run(&["kill", "alpah"], &[LIVE]).error(1);
    assert!(error["message"].as_str().unwrap().contains("did you mean alpha"), "{error}");
    let error = swarm.run(&["kill", "--domain", "financ"], &[LIVE]).error(1);
    assert!(error["next"].as_str().unwrap().contains("finance"), "{error}");
    let nothing = swarm.run(&["resume", "alpha"], &[LIVE]).json();
    assert_eq!(nothing["skipped"][0]["code"], "NOT_CONTAINED", "asking twice is no error");
    assert!(swarm.engine.writes().is_empty());
}

#[test]
fn the_protected_is_skipped_and_a_slip_in_the_setting_is_refused() {
    let swarm = Swarm::new();
    let error = swarm.run(&["kill", "alpha"], &[LIVE, ("FLEET_PROTECTED", "al*")]).error(1);
    assert_eq!(error["code"], "PROTECTED");
    assert!(error["message"].as_str().unwrap().contains("fleet_protected"), "{error}");
    let error = swarm.run(&["kill", "alpha"], &[LIVE, ("FLEET_PROTECTED", "label:")]).error(1);
    assert_eq!(error["code"], "CONFIG_INVALID");
    let stop = swarm.run(&["service", "stop", "alpha"], &[LIVE, ("FLEET_PROTECTED", "alpha")]);
    assert!(stop.code() == 1 && stop.stdout().contains("PROTECTED"), "{stop}");
    assert!(swarm.engine.writes().is_empty());
}

#[test]
fn a_whole_domain_is_paused_and_killed_with_a_confirmation() {
    let swarm = Swarm::new();
    let paused = swarm.run(&["pause", "--domain", "finance"], &[LIVE]).json();
    assert_eq!((&paused["affected"], &paused["domain"]), (&json!(["alpha"]), &json!("finance")));
    let listed = swarm.run(&["service", "list"], &[]).json();
    for service in listed["items"].as_array().unwrap() {
        let is_held = service["name"] == "alpha";
        assert_eq!(service["contained"] == "paused", is_held, "{service}");
    }
    let error = swarm.run(&["resume", "alpha"], &[LIVE]).error(1);
    assert_eq!(error["code"], "HELD_BY_DOMAIN");
    assert!(error["message"].as_str().unwrap().contains("--domain finance"), "{error}");
    swarm.run(&["resume", "--domain", "finance"], &[LIVE]).json();

    // The domain of everything else is asked about, whoever is in it: here a job and nobody else.
    swarm.home.file("fleet.yml", &REGISTRY.replace(", domain: itops", ""));
    let kill = || swarm.run(&["kill", "--domain", "default"], &[LIVE]);
    let error = kill().error(1);
    assert_eq!(error["code"], "CONFIRMATION_NEEDED");
    let causes: Vec<_> = error["causes"].as_array().unwrap().iter().collect();
    assert_eq!(causes, ["would be killed: beta"], "not the job: {error}");
    assert!(error["next"].as_str().unwrap().contains("60 seconds"), "{error}");
    assert_eq!(swarm.held(), [], "nothing was changed");
    // Nobody agrees where there is no terminal.
    let flag = swarm.run(&["kill", "--domain", "finance", "--confirm"], &[("USER", "other")]);
    assert_eq!(flag.code(), 0, "a small domain needs none: {flag}");
    let other =
        swarm.run(&["kill", "--domain", "default", "--confirm"], &[LIVE, ("USER", "other")]);
    assert_eq!(other.error(1)["code"], "CONFIRMATION_NEEDED", "another person's first call");
    assert!(swarm.engine.writes().is_empty());
}

#[test]
fn help_says_what_each_does() {
    let home = Home::new();
    for (verb, words) in [
        ("pause", "goes on running"),
        ("kill", "No rule, freeze or window"),
        ("resume", "exactly as it was"),
    ] {
        let help = home.run(&[verb, "--help"]);
        assert!(help.stdout().contains(words), "{help}");
        assert!(help.stdout().contains("Examples:"), "{help}");
    }
}

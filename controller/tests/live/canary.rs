//! Secrets on a real engine: written, rolled out, refused and changed by others, and nowhere in
//! what Skep says, logs or keeps.

use std::process::Output;
use std::time::Instant;

use serde_json::Value;
use skep_testkit::canary::{Canaries, Search};
use skep_testkit::{FaultKind, Matcher};

use crate::harness::{Fleet, PATIENCE, items, text};

const LIVE: (&str, &str) = ("FLEET_ACTUATOR", "swarm");
const PLACES: &[&str] = &[
    "environment value",
    "value behind file",
    "argument behind its flag",
    "label",
    "log option",
    "hand-made value",
    "next value",
];

struct Hidden<'a> {
    fleet: &'a Fleet,
    search: Search<'a>,
    registry: String,
}

impl Hidden<'_> {
    /// Runs it with every log line, and keeps what came out.
    fn run(&mut self, arguments: &[&str]) -> Output {
        let mut last = None;
        for output in ["table", "yaml", "json"] {
            last = Some(self.run_as(output, arguments));
        }
        last.unwrap()
    }

    fn run_as(&mut self, output: &str, arguments: &[&str]) -> Output {
        let environment =
            [LIVE, ("FLEET_REGISTRY_PATH", self.registry.as_str()), ("RUST_LOG", "trace")];
        let run = self.fleet.run(&[arguments, &["-o", output]].concat(), &environment);
        let which = format!("of {}", arguments.join(" "));
        self.search.bytes("output", &which, &run.stdout);
        self.search.bytes("log lines", &which, &run.stderr);
        run
    }

    fn json(&mut self, arguments: &[&str]) -> Value {
        let run = self.run_as("json", arguments);
        assert!(run.status.success(), "{arguments:?}: {}", text(&run));
        serde_json::from_slice(&run.stdout).unwrap()
    }

    /// One pass that files, a decision, and one that carries out.
    fn carry_out(&mut self) -> Value {
        self.run_as("json", &["reconcile", "--once"]);
        assert!(self.run_as("table", &["approvals", "approve", "--all"]).status.success());
        self.run_as("json", &["reconcile", "--once"]);
        items(&self.json(&["actions", "list"])).remove(0)
    }
}

#[test]
fn secrets_reach_the_swarm_and_nothing_else() {
    let canaries = Canaries::plant(PLACES).unwrap();
    let value = |place: &str| canaries.value(place).to_owned();
    let fleet = Fleet::new("canary");
    let secret = fleet.path("secret.txt");
    std::fs::write(&secret, value("value behind file")).unwrap();
    let declared = |token: &str, more: &str| {
        format!(
            "env: {{TOKEN: {token}, FILE_TOKEN: \"file:{file}\"}}; \
             command: [serve, \"--password\", {argument}]; labels: {{app.password: {label}}}; \
             update: {{monitor: 500ms}}; {more}",
            file = secret.display(),
            argument = value("argument behind its flag"),
            label = value("label"),
        )
    };
    let registry = fleet.registry(&[("a", &declared(&value("environment value"), ""))]);
    let mut hidden = Hidden {
        fleet: &fleet,
        search: canaries.search(),
        registry: registry.display().to_string(),
    };
    let name = fleet.service("a");
    hidden.run(&["plan"]);
    let created = hidden.carry_out();
    assert_eq!(created["state"], "succeeded", "{created}");
    let live = fleet.inspect(&name).to_string();
    for place in ["environment value", "value behind file", "argument behind its flag", "label"] {
        assert!(live.contains(&value(place)), "the {place} did not reach the swarm");
    }

    // A rollout with another value, which the engine keeps beside the former one.
    fleet.registry(&[("a", &declared(&value("next value"), ""))]);
    hidden.run(&["service", "diff", &name]);
    let updated = hidden.carry_out();
    assert!(
        ["succeeded", "rolling_out"].contains(&updated["state"].as_str().unwrap()),
        "{updated}"
    );
    // Somebody else's change, and one that the engine refuses.
    fleet
        .engine
        .docker(&[
            "service",
            "update",
            "--detach",
            "--env-add",
            &format!("TOKEN={}", value("hand-made value")),
            &name,
        ])
        .unwrap();
    hidden.run(&["plan"]);
    let log =
        format!("logging: {{driver: splunk, options: {{splunk-token: {}}}}}", value("log option"));
    fleet.registry(&[("a", &declared(&value("next value"), &log))]);
    // Nothing is written while a rollout runs.
    let deadline = Instant::now() + PATIENCE;
    while fleet.inspect(&name)["UpdateStatus"]["State"] != "completed" {
        assert!(Instant::now() < deadline, "{}", fleet.inspect(&name)["UpdateStatus"]);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let refusal = fleet.proxy.fail_next(FaultKind::Refuse(400), Matcher::new("POST", "/services/"));
    let refused = hidden.carry_out();
    drop(refusal);
    assert_eq!(refused["state"], "failed", "{refused}");
    for arguments in [
        &["service", "list"][..],
        &["service", "status"],
        &["service", "status", &name],
        &["service", "why", &name],
        &["service", "history", &name],
        &["service", "diff", &name, "--from", "1", "--to", "live"],
        &["dlq", "list"],
        &["audit", "export"],
        &["actions", "show", refused["id"].as_str().unwrap()],
        &["actions", "show", updated["id"].as_str().unwrap()],
        &["registry", "import", "--to", "-", "--all", "--name", &name, "--secrets-dir", "hidden"],
    ] {
        hidden.run(arguments);
    }
    let except = ["registry.yml", "secret.txt", "hidden"].map(|file| fleet.path(file));
    let except: Vec<_> = except.iter().map(std::path::PathBuf::as_path).collect();
    let search = &mut hidden.search;
    search.files("files", &fleet.path(""), &except).unwrap();
    for channel in ["output", "log lines", "files"] {
        assert!(search.searched(channel) > 1000, "{channel} was silent: {search}");
    }
    assert!(search.hits().is_empty(), "\n{search}");
    drop(hidden);
    fleet.finish();
}

//! A fleet with a secret in every place, an engine that quotes what it refuses, and everything
//! that comes out on the way.

use std::cell::RefCell;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use skep_testkit::canary::{Canaries, Search};

use crate::engine::FakeEngine;
use crate::receiver::Receiver;
use crate::{Home, Run};

/// Where secrets are planted.
const PLACES: &[&str] = &[
    "environment value",
    "unsuspicious environment value",
    "value behind env",
    "value behind file",
    "argument",
    "argument behind its flag",
    "argument with a header",
    "argument with a URL",
    "entrypoint",
    "label",
    "container label",
    "health check",
    "log option",
    "network option",
    "raw field",
    "live environment value",
    "live argument",
    "live label",
    "registry password",
    "identity token",
    "collector password",
    "collector header",
    "webhook path",
];

/// A key of 32 bytes, and the same as people write it.
const WEBHOOK_KEY: &str = "webhook key";
const INSTALLATION_KEY: &str = "installation key";

/// All of it, and what came out so far.
pub(super) struct Scene {
    pub(super) home: Home,
    pub(super) engine: FakeEngine,
    pub(super) canaries: Canaries,
    pub(super) collector: Receiver,
    pub(super) hook: Receiver,
    outputs: RefCell<Vec<(&'static str, String, Vec<u8>)>>,
}

impl Scene {
    pub(super) fn new() -> Self {
        let home = Home::new();
        let engine = FakeEngine::start(&home);
        engine.refuses_with_what_it_was_sent();
        let random = || {
            format!(
                "{:016x}",
                std::hash::BuildHasher::hash_one(
                    &std::collections::hash_map::RandomState::new(),
                    0
                )
            )
        };
        let key = [random(), random(), random(), random()].concat();
        let hook_key = STANDARD.encode([random(), random()].concat());
        let canaries = Canaries::plant(PLACES)
            .and_then(|canaries| canaries.and(WEBHOOK_KEY, &hook_key))
            .and_then(|canaries| canaries.and(INSTALLATION_KEY, &key))
            .unwrap();
        let (collector, hook) = (Receiver::start(), Receiver::start());
        let scene = Self { home, engine, canaries, collector, hook, outputs: RefCell::default() };
        scene.write_inputs();
        scene.show_services();
        scene
    }

    fn write_inputs(&self) {
        let value = |place| self.canaries.value(place);
        self.home.file("inputs/fleet.yml", &self.registry(1));
        self.home.file("inputs/secret.txt", value("value behind file"));
        let auth = STANDARD.encode(format!("user:{}", value("registry password")));
        let docker = json!({"auths": {
            "docker.io": {"auth": auth},
            "https://index.docker.io/v1/": {"auth": auth},
            "ghcr.io": {"auth": STANDARD.encode("00000000-0000-0000-0000-000000000000:"),
                "identitytoken": value("identity token")},
        }});
        self.home.file("inputs/docker/config.json", &docker.to_string());
        // What is refused needs no person: the engine is the one who says no.
        self.home
            .file("inputs/policy.yml", "version: 1\nrules: [{kind: \"*\", tier: auto_notify}]\n");
        self.home
            .file("inputs/strict.yml", "version: 1\nrules: [{kind: \"*\", tier: forbidden}]\n");
    }

    /// Two connectors full of secrets; the tag makes another declaration of the same ones.
    pub(super) fn registry(&self, tag: u32) -> String {
        let value = |place| self.canaries.value(place);
        let file = self.home.path("inputs/secret.txt").display().to_string();
        format!(
            r#"version: 1
services:
  - name: alpha
    image: example/alpha:{tag}
    env:
      TOKEN: "quo\"te\\{literal}"
      MODE: {plain}
      FROM_FILE: "file:{file}"
      FROM_ENV: "env:CANARY_VARIABLE"
    command: ["serve", "--token={argument}", "--password", "{behind}",
      "-H", "Authorization: Bearer {header}", "postgres://user:{url}@database/x"]
    entrypoint: ["/bin/sh", "-c", "exec app --api-key {entrypoint}"]
    labels: {{app.password: {label}}}
    container_labels: {{app.token: {container_label}}}
    health: {{test: "curl --header 'X-Api-Key: {health}' http://127.0.0.1/"}}
    logging: {{driver: splunk, options: {{splunk-token: {log}, tag: "t{tag}"}}}}
    networks: {{private: {{driver_opts: {{com.example.secret: {network}}}}}}}
    spec: {{TaskTemplate: {{ContainerSpec: {{Hosts: ["10.0.0.1 password={raw}"]}}}}}}
  - name: ghcr
    image: ghcr.io/example/beta:{tag}
"#,
            literal = value("environment value"),
            plain = value("unsuspicious environment value"),
            argument = value("argument"),
            behind = value("argument behind its flag"),
            header = value("argument with a header"),
            url = value("argument with a URL"),
            entrypoint = value("entrypoint"),
            label = value("label"),
            container_label = value("container label"),
            health = value("health check"),
            log = value("log option"),
            network = value("network option"),
            raw = value("raw field"),
        )
    }

    /// A hand-made service beside the declared one, which runs with other secrets.
    fn show_services(&self) {
        let value = |place| self.canaries.value(place);
        let service = |name: &str| {
            json!({
                "ID": format!("id-{name}"), "Version": {"Index": 3},
                "UpdatedAt": "2026-01-01T00:00:00Z",
                "Spec": {
                    "Name": name,
                    "Labels": {"app.password": value("live label")},
                    "Mode": {"Replicated": {"Replicas": 1}},
                    "TaskTemplate": {"ContainerSpec": {
                        "Image": "example/x:1",
                        "Env": [
                            format!("TOKEN={}", value("live environment value")),
                            "MODE=other",
                        ],
                        "Args": ["--token", value("live argument")],
                    }},
                },
            })
        };
        let (web, alpha) = (service("web"), service("alpha"));
        self.engine.says("services", &json!([web, alpha]).to_string());
        for (name, id, service) in [("web", "id-web", &web), ("alpha", "id-alpha", &alpha)] {
            self.engine.says(name, &service.to_string());
            self.engine.says(id, &service.to_string());
        }
        self.engine.says(
            "networks",
            r#"[{"Id": "n1", "Name": "private", "Driver": "overlay", "Scope": "swarm"}]"#,
        );
    }

    /// Everything that the program is told by its environment.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let value = |place| self.canaries.value(place);
        let path = |name: &str| self.home.path(name).display().to_string();
        let collector = self.collector.endpoint.replacen(
            "http://",
            &format!("http://tracer:{}@", value("collector password")),
            1,
        );
        vec![
            ("DOCKER_HOST", self.engine.host.clone()),
            ("FLEET_REGISTRY_PATH", path("inputs/fleet.yml")),
            ("FLEET_ACTUATOR", "swarm".to_owned()),
            ("DOCKER_CONFIG", path("inputs/docker")),
            ("CANARY_VARIABLE", value("value behind env").to_owned()),
            ("FLEET_INSTALLATION_KEY", "env:CANARY_KEY".to_owned()),
            ("CANARY_KEY", value(INSTALLATION_KEY).to_owned()),
            (
                "FLEET_NOTIFY",
                format!("{}/hook/{} env:CANARY_HOOK", self.hook.endpoint, value("webhook path")),
            ),
            ("CANARY_HOOK", format!("whsec_{}", value(WEBHOOK_KEY))),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                format!("authorization=Bearer {}", value("collector header")),
            ),
            ("RUST_LOG", "trace".to_owned()),
        ]
    }

    pub(super) fn store(&self) -> String {
        format!("sqlite:{}", self.home.path("state/skep.db").display())
    }

    /// Runs a verb in one form of output, with every log line that there is.
    pub(super) fn run_as(&self, output: &str, arguments: &[&str], more: &[(&str, &str)]) -> Run {
        let format = if output == "json" { "json" } else { "text" };
        let all = [arguments, &["-o", output, "--log-format", format]].concat();
        let variables = self.variables();
        let mut variables: Vec<_> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let store = self.store();
        variables.push(("STATE_DB_URI", &store));
        variables.extend(more);
        let run = self.home.run_with(&all, &variables);
        let which = format!("of skep {}", arguments.join(" "));
        self.keep("output", &which, &run.0.stdout);
        self.keep("errors and log lines", &which, &run.0.stderr);
        run
    }

    /// The same in every form of output; gives the last run.
    pub(super) fn run(&self, arguments: &[&str]) -> Run {
        for output in ["table", "yaml"] {
            self.run_as(output, arguments, &[]);
        }
        self.run_as("json", arguments, &[])
    }

    /// Its data. Log lines are on another stream.
    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        self.run_as("json", arguments, &[]).json()
    }

    /// Something that came out.
    pub(super) fn keep(&self, what: &'static str, which: &str, bytes: &[u8]) {
        self.outputs.borrow_mut().push((what, which.to_owned(), bytes.to_vec()));
    }

    /// Searches everything: what was kept, traces, messages, what the program wrote below its
    /// home. Panics when there is a hit, or when one of these channels was silent.
    pub(super) fn assert_clean(&self, channels: &[&str]) {
        let mut search = self.canaries.search();
        for (what, which, bytes) in self.outputs.borrow().iter() {
            search.bytes(what, which, bytes);
        }
        // What the collector's own request says to prove who asks is in its head.
        for (_, body) in self.collector.requests() {
            search.bytes("traces", "", &body);
        }
        for (head, body) in self.hook.requests() {
            let fields = head.split_once("\r\n").unwrap_or_default().1;
            search.bytes("messages", "(head)", fields.as_bytes());
            search.bytes("messages", "(body)", &body);
        }
        self.search_files(&mut search);
        for channel in channels {
            assert!(search.searched(channel) > 0, "{channel} was silent, which proves nothing");
        }
        assert!(search.hits().is_empty(), "\n{search}");
    }

    /// What people wrote, and what was asked to hold secrets, is no channel.
    fn search_files(&self, search: &mut Search<'_>) {
        let except: Vec<PathBuf> =
            ["inputs", "engine.sock", "hidden"].map(|name| self.home.path(name)).to_vec();
        let except: Vec<_> = except.iter().map(PathBuf::as_path).collect();
        search.files("files", &self.home.path(""), &except).unwrap();
    }
}

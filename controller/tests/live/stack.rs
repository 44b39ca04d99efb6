//! Stack files mean to Skep what they mean to docker: the same model, the same requests, the same
//! refusals. The corpus under `stacks/corpus` has every key and every notation.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use skep_core::observed::ApiVersion;
use skep_core::plan::{MASKED, NetworkNames, normalise};
use skep_testkit::{Engine, engine, fleet_name};
use skep_yaml::{Kind, Node, Resolved, Resolver, parse};

pub(crate) fn corpus() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../stacks/corpus"))
}

/// The stacks of the corpus: a name, and the files in the order in which they add to each other.
pub(crate) fn stacks() -> BTreeMap<String, Vec<String>> {
    let mut stacks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut files: Vec<String> = std::fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yml"))
        .collect();
    // `a.override.yml` comes after `a.yml`.
    files.sort_by_key(|name| (name.split('.').next().unwrap().to_owned(), name.len()));
    for file in files {
        stacks.entry(file.split('.').next().unwrap().to_owned()).or_default().push(file);
    }
    stacks
}

/// The variables of the corpus and nothing else of this machine but the path.
fn surrounded(command: &mut Command) -> &mut Command {
    let variables = std::fs::read_to_string(corpus().join("variables.env")).unwrap();
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).current_dir(corpus());
    command.envs(
        variables
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned())),
    )
}

pub(crate) fn ours(files: &[String], more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
    surrounded(&mut command)
        .args(["stack", "render", "--reveal", "--quiet"])
        .args(files)
        .args(more)
        .output()
        .unwrap()
}

/// YAML as docker reads it.
fn read(output: &Output) -> Value {
    assert!(output.status.success(), "{}", crate::harness::text(output));
    let parsed = parse("output", &output.stdout);
    json(parsed.root.as_deref().unwrap_or_else(|| panic!("{}", parsed.problems)))
}

fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Mapping(map) => {
            Value::Object(map.entries.iter().map(|e| (e.key.clone(), json(&e.value))).collect())
        }
        Kind::Sequence(items) => items.iter().map(|item| json(item)).collect(),
        Kind::Scalar(scalar) => match Resolver::Docker.resolve(scalar) {
            Resolved::Null => Value::Null,
            Resolved::Bool(value) => value.into(),
            Resolved::Int(value) => i64::try_from(value).unwrap().into(),
            Resolved::Float(value) => value.into(),
            Resolved::Timestamp(text) | Resolved::Text(text) => text.into(),
        },
    }
}

#[test]
fn the_corpus_means_what_docker_stack_config_says() {
    let mut different = Vec::new();
    for (name, files) in stacks() {
        let mut docker = Command::new("docker");
        surrounded(&mut docker).args(["stack", "config"]);
        files.iter().for_each(|file| {
            docker.args(["-c", file]);
        });
        let (docker, ours) = (read(&docker.output().unwrap()), read(&ours(&files, &[])));
        if docker != ours {
            different.push(format!("{name}:\n docker {docker:#}\n skep {ours:#}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// The one stack that an engine takes only with a plugin that nobody has.
pub(crate) const NEEDS_A_PLUGIN: &str = "secret-driver";

/// What the corpus takes for granted on a swarm.
pub(crate) fn outside(engine: &Engine) {
    let make = |kind: &str, body: Value| {
        // It is there already when another run has left it.
        let _ = engine.call("POST", &format!("/{kind}/create"), Some(&body));
    };
    make("networks", json!({"Name": "corpus-network", "Driver": "overlay", "Attachable": true}));
    make("secrets", json!({"Name": "corpus-secret", "Data": "c2tlcA=="}));
    make("configs", json!({"Name": "corpus-config", "Data": "c2tlcA=="}));
}

/// A deployed stack, removed again when it is dropped.
pub(crate) struct Deployed<'a> {
    engine: &'a Engine,
    pub(crate) name: String,
}

impl<'a> Deployed<'a> {
    pub(crate) fn new(engine: &'a Engine, files: &[String]) -> (Self, Output) {
        let deployed = Self::unmade(engine);
        let output = deployed.deploy(files);
        (deployed, output)
    }

    /// A stack that is not there yet.
    pub(crate) fn unmade(engine: &'a Engine) -> Self {
        Self { engine, name: fleet_name("stack") }
    }

    /// Deploys it again.
    pub(crate) fn deploy(&self, files: &[String]) -> Output {
        let engine = self.engine;
        let mut docker = engine.docker_command();
        let config = docker
            .get_envs()
            .find(|(key, _)| *key == "DOCKER_CONFIG")
            .unwrap()
            .1
            .unwrap()
            .to_owned();
        surrounded(&mut docker).env("DOCKER_CONFIG", config);
        docker.args(["stack", "deploy", "--detach", "--resolve-image", "never"]);
        files.iter().for_each(|file| {
            docker.args(["-c", file]);
        });
        docker.arg(&self.name).output().unwrap()
    }

    pub(crate) fn list(&self, kind: &str) -> Vec<Value> {
        let filter =
            format!("%7B%22label%22%3A%5B%22com.docker.stack.namespace%3D{}%22%5D%7D", self.name);
        let list = self.engine.call("GET", &format!("/{kind}?filters={filter}"), None).unwrap();
        list.as_array().unwrap().clone()
    }
}

impl Drop for Deployed<'_> {
    fn drop(&mut self) {
        for (kind, key) in
            [("services", "ID"), ("secrets", "ID"), ("configs", "ID"), ("networks", "Id")]
        {
            for object in self.list(kind) {
                let _ = self.engine.call(
                    "DELETE",
                    &format!("/{kind}/{}", object[key].as_str().unwrap()),
                    None,
                );
            }
        }
    }
}

fn named(list: &[Value], pointer: &str) -> BTreeMap<String, Value> {
    let name = |value: &Value| value.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    list.iter().map(|value| (name(value), value.clone())).collect()
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn fixed_ports_the_corpus_asks_the_engine_for_what_docker_asks() {
    let engine = engine::shared();
    outside(&engine);
    let version = engine.call("GET", "/version", None).unwrap();
    let (major, minor) = version["ApiVersion"].as_str().unwrap().split_once('.').unwrap();
    let api = ApiVersion { major: major.parse().unwrap(), minor: minor.parse().unwrap() };
    let mut different = Vec::new();
    let mut compared = 0;
    for (name, files) in stacks() {
        let (deployed, output) = Deployed::new(&engine, &files);
        if name == NEEDS_A_PLUGIN {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("plugin"), "{said}");
            continue;
        }
        if !output.status.success() {
            different.push(format!("{name}: {}", crate::harness::text(&output)));
            continue;
        }
        let rendered = ours(&files, &["--engine", "--name", &deployed.name, "-o", "json"]);
        assert!(rendered.status.success(), "{name}: {}", crate::harness::text(&rendered));
        let asked: Value = serde_json::from_slice(&rendered.stdout).unwrap();
        let mut differ = |what: &str, docker: Value, skep: Value| {
            compared += 1;
            if docker != skep {
                different.push(format!("{name} {what}:\n docker {docker:#}\n skep {skep:#}"));
            }
        };

        let networks = engine.call("GET", "/networks", None).unwrap();
        let names: BTreeMap<String, Value> = list(&networks)
            .iter()
            .map(|network| (network["Id"].as_str().unwrap().to_owned(), network["Name"].clone()))
            .collect();
        let live = named(&deployed.list("services"), "/Spec/Name");
        let declared = named(list(&asked["services"]), "/Name");
        differ(
            "services",
            json!(live.keys().collect::<Vec<_>>()),
            json!(declared.keys().collect::<Vec<_>>()),
        );
        for (service, declared) in declared {
            let mut live = live[&service]["Spec"].clone();
            for network in live
                .pointer_mut("/TaskTemplate/Networks")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                let id = network["Target"].as_str().unwrap();
                // The node's own networks have an id on the swarm that is in no list.
                let asked = || engine.call("GET", &format!("/networks/{id}"), None).unwrap();
                let name = names.get(id).cloned().unwrap_or_else(|| asked()["Name"].clone());
                network["Target"] = name;
            }
            let canonical = |spec: &Value| {
                let mut spec = normalise(spec, &NetworkNames::default());
                for field in
                    MASKED.iter().filter(|field| field.since.is_none_or(|since| api < since))
                {
                    strip(&mut spec, field.pointer);
                }
                spec
            };
            differ(&service, canonical(&live), canonical(&declared));
        }

        let live = named(&deployed.list("networks"), "/Name");
        let declared = named(list(&asked["networks"]), "/Name");
        differ(
            "networks",
            json!(live.keys().collect::<Vec<_>>()),
            json!(declared.keys().collect::<Vec<_>>()),
        );
        for (network, declared) in declared {
            let mut live = network_of(&live[&network]);
            let declared = network_of(&declared);
            // The engine gives a range where none is asked for.
            if list(&declared["subnets"]).is_empty() {
                live["subnets"] = json!([]);
            }
            differ(&network, live, declared);
        }
        for kind in ["secrets", "configs"] {
            let live = named(&deployed.list(kind), "/Spec/Name");
            let declared = named(list(&asked[kind]), "/Name");
            differ(
                kind,
                json!(live.keys().collect::<Vec<_>>()),
                json!(declared.keys().collect::<Vec<_>>()),
            );
            for (object, mut declared) in declared {
                if kind == "secrets" {
                    declared.as_object_mut().unwrap().remove("Data");
                }
                let mut live = live[&object]["Spec"].clone();
                // The engine writes out what is not set.
                live.as_object_mut().unwrap().retain(|_, value| !value.is_null());
                differ(&object, live, declared);
            }
        }
    }
    assert!(compared > 300, "{compared} objects");
    assert!(different.is_empty(), "{} of {compared}\n{}", different.len(), different.join("\n"));
}

/// Takes a canonical pointer out; `*` stands for every entry.
fn strip(value: &mut Value, pointer: &str) {
    let Some((first, rest)) =
        pointer.strip_prefix('/').map(|rest| rest.split_once('/').unwrap_or((rest, "")))
    else {
        return;
    };
    let rest = if rest.is_empty() { String::new() } else { format!("/{rest}") };
    let Value::Object(map) = value else { return };
    if first == "*" {
        map.values_mut().for_each(|child| strip(child, &rest));
    } else if rest.is_empty() {
        map.remove(first);
    } else if let Some(child) = map.get_mut(first) {
        strip(child, &rest);
        if child.as_object().is_some_and(serde_json::Map::is_empty) {
            map.remove(first);
        }
    }
}

/// What a request says of a network, from the request or from the network.
fn network_of(network: &Value) -> Value {
    let mut options = network["Options"].as_object().cloned().unwrap_or_default();
    // Given by the engine.
    options.remove("com.docker.network.driver.overlay.vxlanid_list");
    let subnets = |config: &Value| -> Vec<Value> {
        list(config).iter().map(|pool| pool["Subnet"].clone()).collect()
    };
    json!({
        "driver": network["Driver"],
        "options": options,
        "subnets": subnets(&network["IPAM"]["Config"]),
        "internal": network["Internal"].as_bool().unwrap_or(false),
        "attachable": network["Attachable"].as_bool().unwrap_or(false),
        "labels": network["Labels"],
    })
}

/// Docker refuses each of these files, some only when it deploys them. That Skep does, and with
/// which words, is tested without an engine.
#[test]
fn docker_refuses_what_the_corpus_calls_refused() {
    let engine = engine::shared();
    let mut accepted = Vec::new();
    for entry in std::fs::read_dir(corpus().join("refused")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (_deployed, output) = Deployed::new(&engine, &[format!("refused/{name}")]);
        if output.status.success() {
            accepted.push(name);
        }
    }
    assert!(accepted.is_empty(), "{accepted:?}");
}

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use skep_yaml::{Kind, Problems, Resolver, parse};

use super::*;

/// Files in memory.
#[derive(Default)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl Files for Memory {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).cloned().ok_or_else(|| "there is none".to_owned())
    }
}

fn files() -> Memory {
    let files = [
        ("/srv/web/data.txt", "data"),
        ("/srv/web/web.env", "A=1\nSECRET=canary\n"),
        ("/srv/web/bad.env", "A B=canary\n"),
        ("/srv/web/empty.txt", ""),
    ];
    Memory(
        files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect(),
    )
}

fn variables() -> Variables {
    let pairs = [("TAG", "1.27"), ("COUNT", "3"), ("SECRET", "canary"), ("EMPTY", "")];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn load_all(texts: &[&str]) -> Result<Loaded, Problems> {
    let sources: Vec<Source> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| Source {
            name: format!("{index}.yml").into(),
            bytes: text.as_bytes().to_vec(),
        })
        .collect();
    load(&sources, "/srv/web", &variables(), &files())
}

fn load_one(text: &str) -> Result<Loaded, Problems> {
    load_all(&[text])
}

fn model(text: &str) -> Value {
    let loaded = load_one(text).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    serde_json::to_value(loaded.stack).expect("a model")
}

/// A service with these lines.
fn service(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("services:\n  web:\n    image: nginx:1.27\n{lines}")
}

/// Every mistake, with the code and the place that it is told with.
#[test]
fn mistakes_are_told_with_their_places() {
    let table: &[(&str, &str, (u32, u32))] = &[
        ("services: []", "WRONG_TYPE", (1, 11)),
        ("[1]", "WRONG_TYPE", (1, 1)),
        ("services:\n  web:", "WRONG_TYPE", (2, 6)),
        ("services: {web: {image: a:1, imag: b}}", "UNKNOWN_KEY", (1, 30)),
        ("services: {'we b': {image: a:1}}", "BAD_NAME", (1, 12)),
        ("services: {a.b: {image: a:1}}", "BAD_NAME", (1, 12)),
        ("services: {web: {hostname: a}}", "MISSING_KEY", (1, 12)),
        ("services: {web: {image: 'A b'}}", "BAD_IMAGE", (1, 18)),
        ("version: '2.4'\nservices: {}", "UNKNOWN_VERSION", (1, 10)),
        ("version: 3.8\nservices: {}", "WRONG_TYPE", (1, 10)),
        (
            "version: '3.6'\nservices: {web: {image: a:1, init: true}}",
            "NEEDS_NEWER_VERSION",
            (2, 30),
        ),
        ("version: '3.0'\nsecrets: {}", "NEEDS_NEWER_VERSION", (2, 1)),
        (
            "version: '3.1'\nservices: {web: {image: a:1, ports: [{target: 1}]}}",
            "NEEDS_NEWER_VERSION",
            (2, 38),
        ),
        ("name: web\nservices: {}", "FORBIDDEN_KEY", (1, 1)),
        ("services: {web: {image: a:1, mem_limit: 1g}}", "FORBIDDEN_KEY", (1, 30)),
        ("services: {web: {image: a:1, extends: b}}", "FORBIDDEN_KEY", (1, 30)),
        ("services: {web: {image: a:1, scale: 2}}", "FORBIDDEN_KEY", (1, 30)),
        ("services: {web: {image: a:1, labels: {1: x}}}", "KEY_IS_NO_TEXT", (1, 39)),
        ("services: {web: {image: a:1}}\nservices: {}", "DUPLICATE_KEY", (2, 1)),
        ("services: {web: {image: a:1, image: b:1}}", "DUPLICATE_KEY", (1, 30)),
        ("services: {web: {image: a:1, environment: {A: true}}}", "WRONG_TYPE", (1, 47)),
        ("services: {web: {image: a:1, environment: [1]}}", "WRONG_TYPE", (1, 44)),
        ("services: {web: {image: a:1, environment: text}}", "WRONG_TYPE", (1, 43)),
        ("services: {web: {image: a:1, command: [1]}}", "WRONG_TYPE", (1, 40)),
        ("services: {web: {image: a:1, command: \"a 'b\"}}", "BAD_COMMAND", (1, 39)),
        ("services: {web: {image: a:1, dns: [a, a]}}", "DUPLICATE_ITEM", (1, 39)),
        ("services: {web: {image: a:1, ports: [x]}}", "BAD_PORT", (1, 38)),
        ("services: {web: {image: a:1, ports: ['1', '1']}}", "DUPLICATE_ITEM", (1, 43)),
        ("services: {web: {image: a:1, ports: [{published: 1}]}}", "MISSING_KEY", (1, 38)),
        ("services: {web: {image: a:1, ports: [{target: 70000}]}}", "OUT_OF_RANGE", (1, 47)),
        (
            "services: {web: {image: a:1, ports: [{target: 1, mode: mesh}]}}",
            "UNKNOWN_WORD",
            (1, 56),
        ),
        ("services: {web: {image: a:1, volumes: ['ab::c']}}", "BAD_MOUNT", (1, 40)),
        ("services: {web: {image: a:1, volumes: [{target: /a}]}}", "MISSING_KEY", (1, 40)),
        ("services: {web: {image: a:1, volumes: ['data:/a']}}", "UNDEFINED", (1, 40)),
        (
            "services: {web: {image: a:1, volumes: [{type: bind, target: /a}]}}",
            "MISSING_KEY",
            (1, 40),
        ),
        (
            "services: {web: {image: a:1, volumes: [{type: tmpfs, source: x, target: /a}]}}",
            "CONFLICTING_KEYS",
            (1, 40),
        ),
        (
            "services: {web: {image: a:1, volumes: [{type: image, source: x, target: /a}]}}",
            "UNKNOWN_WORD",
            (1, 41),
        ),
        (
            "services: {web: {image: a:1, volumes: [{type: disk, target: /a}]}}",
            "UNKNOWN_WORD",
            (1, 41),
        ),
        ("services: {web: {image: a:1, volumes: [/a, /a]}}", "DUPLICATE_TARGET", (1, 44)),
        ("services: {web: {image: a:1, networks: [nowhere]}}", "UNDEFINED", (1, 30)),
        ("services: {web: {image: a:1, secrets: [nothing]}}", "UNDEFINED", (1, 40)),
        ("services: {web: {image: a:1, configs: [nothing]}}", "UNDEFINED", (1, 40)),
        ("services: {web: {image: a:1, depends_on: {db: {}}}}", "WRONG_TYPE", (1, 42)),
        ("services: {web: {image: a:1, stop_grace_period: 10}}", "BAD_DURATION", (1, 49)),
        ("services: {web: {image: a:1, stop_grace_period: soon}}", "BAD_DURATION", (1, 49)),
        ("services: {web: {image: a:1, ulimits: {nofile: {soft: 1}}}}", "MISSING_KEY", (1, 48)),
        ("services: {web: {image: a:1, extra_hosts: [alone]}}", "BAD_HOST", (1, 44)),
        ("services: {web: {image: a:1, restart: sometimes}}", "UNKNOWN_WORD", (1, 30)),
        ("services: {web: {image: a:1, healthcheck: {test: [ls]}}}", "UNKNOWN_WORD", (1, 44)),
        (
            "services: {web: {image: a:1, healthcheck: {test: x, disable: true}}}",
            "CONFLICTING_KEYS",
            (1, 30),
        ),
        (
            "services: {web: {image: a:1, credential_spec: {file: a, registry: b}}}",
            "CONFLICTING_KEYS",
            (1, 30),
        ),
        ("services: {web: {image: a:1, env_file: none.env}}", "FILE_UNREADABLE", (1, 30)),
        ("services: {web: {image: a:1, deploy: {mode: everywhere}}}", "UNKNOWN_WORD", (1, 39)),
        (
            "services: {web: {image: a:1, deploy: {mode: global, replicas: 2}}}",
            "CONFLICTING_KEYS",
            (1, 53),
        ),
        ("services: {web: {image: a:1, deploy: {replicas: -1}}}", "OUT_OF_RANGE", (1, 49)),
        ("services: {web: {image: a:1, deploy: {replicas: many}}}", "WRONG_TYPE", (1, 49)),
        (
            "services: {web: {image: a:1, deploy: {update_config: {order: both}}}}",
            "UNKNOWN_WORD",
            (1, 62),
        ),
        (
            "services: {web: {image: a:1, deploy: {update_config: {failure_action: stop}}}}",
            "UNKNOWN_WORD",
            (1, 55),
        ),
        (
            "services: {web: {image: a:1, deploy: {resources: {limits: {cpus: 0.5}}}}}",
            "WRONG_TYPE",
            (1, 66),
        ),
        (
            "services: {web: {image: a:1, deploy: {resources: {limits: {memory: lots}}}}}",
            "BAD_QUANTITY",
            (1, 68),
        ),
        (
            "services: {web: {image: a:1, deploy: {resources: {limits: {gpus: 1}}}}}",
            "UNKNOWN_KEY",
            (1, 60),
        ),
        ("services: {web: {image: 'a:${'}}", "BAD_VARIABLE", (1, 25)),
        ("services: {web: {image: 'a:${NOTHING:?say which}'}}", "VARIABLE_REQUIRED", (1, 25)),
        ("services: {web: {image: a:1, deploy: {replicas: '${TAG}'}}}", "WRONG_TYPE", (1, 49)),
        ("services: {web: {image: a:1, init: '${COUNT}'}}", "WRONG_TYPE", (1, 36)),
        (
            "networks: {a: {external: true, name: b}, c: {external: {name: x}, name: y}}",
            "CONFLICTING_KEYS",
            (1, 46),
        ),
        ("volumes: {a: {external: true, driver: b}}", "CONFLICTING_KEYS", (1, 31)),
        ("secrets: {a: {}}", "MISSING_KEY", (1, 11)),
        ("secrets: {a: {file: nothing.txt}}", "FILE_UNREADABLE", (1, 15)),
        ("configs: {a: {file: empty.txt}}", "BAD_CONTENT", (1, 15)),
        ("secrets: {a: {file: data.txt, driver: x}}", "CONFLICTING_KEYS", (1, 15)),
        ("x-a: &a [*a]", "ALIAS_CYCLE", (1, 10)),
        ("services: {web: {image: a:1}}\n---\n{}", "SEVERAL_DOCUMENTS", (2, 1)),
    ];
    let mut wrong = Vec::new();
    for (text, code, (line, column)) in table {
        match load_one(text) {
            Ok(_) => wrong.push(format!("{text}: nothing is told")),
            Err(problems) => {
                let fits = problems.iter().any(|problem| {
                    problem.code == *code
                        && (problem.location.line, problem.location.column) == (*line, *column)
                });
                if !fits {
                    wrong.push(format!("{text}: {code} at {line}:{column} is not in\n{problems}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn all_mistakes_come_at_once_and_say_what_to_do() {
    let text =
        service("imgae: x\nports: [x]\ndeploy: {mode: everywhere, replicas: no}\nmem_limit: 1g");
    let text = text + "\nsecrets: {s: {file: nowhere.txt}}\n";
    let problems = load_one(&text).expect_err("mistakes");
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(
        codes,
        ["UNKNOWN_KEY", "BAD_PORT", "WRONG_TYPE", "FORBIDDEN_KEY", "FILE_UNREADABLE"]
    );
    let shown = problems.to_string();
    assert!(shown.contains("0.yml:4:5: services.web.imgae: unknown key"), "{shown}");
    assert!(shown.contains("did you mean \"image\"?"), "{shown}");
    assert!(shown.contains("deploy.resources.limits.memory"), "{shown}");
}

#[test]
fn what_has_no_effect_is_warned_of() {
    let text = service(
        "build: .\nprivileged: true\nrestart: always\ntmpfs: /run\nports: ['127.0.0.1:80:80']\n\
         volumes: ['./a:/b:z', {type: bind, source: /a, target: /c, bind: {create_host_path: true}, consistency: cached}]\n\
         deploy: {restart_policy: {condition: any}}\nhostname: $NOWHERE",
    );
    let loaded = load_one(&text).expect("a stack");
    let codes: Vec<&str> = loaded.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(
        codes,
        [
            "IGNORED_BY_SWARM",
            "IGNORED_BY_SWARM",
            "IGNORED_BY_SWARM",
            "IGNORED_BY_SWARM",
            "ADDRESS_IGNORED",
            "IGNORED_KEY",
            "IGNORED_KEY",
            "IGNORED_BY_SWARM",
            "VARIABLE_UNSET",
        ],
        "{}",
        loaded.warnings
    );
    assert!(load_one(&service("hostname: a")).expect("a stack").warnings.is_empty());
}

#[test]
fn variables_and_files_fill_the_environment() {
    let text = service("env_file: web.env\nenvironment: {EMPTY: '', TAG: , NEW: x, COUNT: ''}");
    let environment = &model(&text)["services"]["web"]["environment"];
    let expected =
        json!({"A": "1", "SECRET": "canary", "EMPTY": "", "TAG": "1.27", "NEW": "x", "COUNT": "3"});
    assert_eq!(*environment, expected);
}

#[test]
fn a_later_file_adds_to_the_first() {
    let loaded = load_all(&[
        "services: {web: {image: a:1, ports: [80]}}\nnetworks: {n: {driver: overlay}}\nx-a: 1",
        "services: {web: {image: b:2, volumes: [/a]}, db: {image: c:3}}\nnetworks: {n: {internal: true}}\nx-b: 2",
    ])
    .expect("a stack");
    let model = serde_json::to_value(&loaded.stack).expect("a model");
    assert_eq!(model["services"]["web"]["image"], "b:2");
    assert_eq!(model["services"]["web"]["ports"][0]["target"], 80);
    assert_eq!(model["services"]["web"]["volumes"][0]["target"], "/a");
    assert_eq!(model["services"]["db"]["image"], "c:3");
    assert_eq!(model["networks"]["n"], json!({"internal": true}));
    assert_eq!((&model["x-a"], &model["x-b"]), (&json!(1), &Value::Null));
    assert_eq!(loaded.places.of("services.web.image").to_string(), "1.yml:1:18");
    assert_eq!(loaded.places.of("services.web.ports").to_string(), "0.yml:1:30");
    let problems = load_all(&["version: '3.7'", "version: '3.8'"]).expect_err("two versions");
    assert!(problems.has("VERSION_MISMATCH"), "{problems}");
}

#[test]
fn no_message_shows_the_value_of_a_variable_or_of_a_file() {
    let mut texts: Vec<String> = [
        "ports: ['${SECRET}']",
        "ports: [{target: '${SECRET}'}]",
        "ports: [{target: 1, mode: '${SECRET}'}]",
        "volumes: ['${SECRET}:/a']",
        "volumes: [{type: '${SECRET}', target: /a, bind: {}}]",
        "networks: ['${SECRET}']",
        "secrets: ['${SECRET}']",
        "configs: [{source: '${SECRET}'}]",
        "env_file: ['${SECRET}']",
        "env_file: bad.env",
        "deploy: {mode: '${SECRET}'}",
        "deploy: {replicas: '${SECRET}'}",
        "deploy: {endpoint_mode: '${SECRET}'}",
        "deploy: {update_config: {order: '${SECRET}'}}",
        "deploy: {resources: {limits: {cpus: '${SECRET}', memory: '${SECRET}'}}}",
        "restart: '${SECRET}'",
        "stop_grace_period: '${SECRET}'",
        "healthcheck: {test: ['${SECRET}']}",
        "init: '${SECRET}'",
        "extra_hosts: ['${SECRET}']",
        "ulimits: {nofile: '${SECRET}'}",
        "environment: '${SECRET}'",
        "environment: {A: ['${SECRET}']}",
        "command: \"'${SECRET}\"",
        "deploy: '${SECRET}'",
        "read_only: '${SECRET}'",
        "credential_spec: {config: '${SECRET}'}",
        "labels: {A: ['${SECRET}']}",
        "logging: '${SECRET}'",
        "dns: ['${SECRET}', '${SECRET}']",
        "image: '${SECRET} x'",
    ]
    .iter()
    .map(|lines| service(lines).replace("    image: nginx:1.27\n    image", "    image"))
    .collect();
    texts.push("secrets: {a: {file: '${SECRET}'}}".to_owned());
    texts.push("configs: {a: {file: '${SECRET}', external: '${SECRET}'}}".to_owned());
    texts.push("networks: {a: {internal: '${SECRET}', driver_opts: '${SECRET}'}}".to_owned());
    for text in &texts {
        let problems = load_one(text).expect_err(text);
        assert!(!problems.to_string().contains("canary"), "{text}\n{problems}");
    }
    let loaded = load_one(&service("environment: {A: '${SECRET}'}\nvolumes: ['./a:/b:${SECRET}']"))
        .expect("a stack");
    let shown = format!("{loaded:?} {:?} {}", loaded.stack.services["web"], loaded.warnings);
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn bombs_are_bounded() {
    let lines: String = (1..9)
        .map(|n| {
            format!(
                "x-{n}: &a{n} [*a{p}, *a{p}, *a{p}, *a{p}, *a{p}, *a{p}, *a{p}, *a{p}]\n",
                p = n - 1
            )
        })
        .collect();
    let problems = load_one(&format!("x-0: &a0 [x]\n{lines}")).expect_err("an alias bomb");
    assert!(problems.has("TOO_MANY_NODES"), "{problems}");

    let wide = format!("x-a: &a '{}'\nx-b: [{}]", "x".repeat(1 << 20), "*a,".repeat(10_000));
    assert!(load_one(&wide).expect_err("wide").has("TOO_LARGE"));

    let ports: Vec<String> = (1..200).map(|last| format!("'1-{}'", 65_000 + last)).collect();
    let problems = load_one(&service(&format!("ports: [{}]", ports.join(",")))).expect_err("ports");
    assert!(problems.has("TOO_MANY_PORTS"), "{problems}");

    // A long key must not cost its length for each thing below it.
    let keys: String = (0..50_000).map(|n| format!("    k{n}: 1\n")).collect();
    let long = format!("x-a:\n  ? {}\n  :\n{keys}", "k".repeat(100_000));
    load_one(&long).expect("a stack");
}

/// Every key of every kind is in the corpus, and the corpus is large enough.
#[test]
fn the_corpus_has_every_key() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../stacks/corpus");
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yml") {
            continue;
        }
        count += usize::from(!path.display().to_string().contains(".override."));
        let parsed = parse("x", &std::fs::read(&path).expect("a file"));
        if let Some(root) = &parsed.root {
            keys(root, "", &mut found);
        }
    }
    assert!(count >= 60, "{count} stacks");
    let missing: Vec<String> = reference()
        .iter()
        .flat_map(|place| place.keys.iter().map(move |key| format!("{}.{}", place.path, key.name)))
        .map(|path| path.trim_start_matches('.').to_owned())
        .filter(|path| !found.contains(path))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Paths with `*` for names that people chose.
fn keys(node: &skep_yaml::Node, path: &str, found: &mut BTreeSet<String>) {
    match &node.kind {
        Kind::Mapping(mapping) => {
            let named = matches!(
                path,
                "services" | "networks" | "volumes" | "secrets" | "configs" | "services.*.networks"
            );
            for entry in &mapping.entries {
                let key = if named { "*" } else { &entry.key };
                let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                found.insert(path.clone());
                keys(&entry.value, &path, found);
            }
        }
        Kind::Sequence(items) => {
            items.iter().for_each(|item| keys(item, &format!("{path}[]"), found));
        }
        Kind::Scalar(scalar) => {
            let _ = Resolver::Docker.resolve(scalar);
        }
    }
}

/// Stack files with anything anywhere.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..70_000).prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "a",
            "a:b",
            "80:80",
            "1-3:4-6",
            "$A",
            "${TAG}",
            "${X:-y}",
            "$",
            "10s",
            "64M",
            "0.5",
            "data:/x:ro",
            "~/x",
            "C:\\x",
            "3.8",
            "-1",
            "'",
            "a=b",
            "[::1]:1:2",
            "global",
            "\u{0}ü",
        ])
        .prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "services",
        "networks",
        "volumes",
        "secrets",
        "configs",
        "version",
        "x-a",
        "web",
        "image",
        "deploy",
        "environment",
        "env_file",
        "ports",
        "target",
        "published",
        "command",
        "healthcheck",
        "test",
        "ulimits",
        "labels",
        "external",
        "name",
        "file",
        "driver",
        "type",
        "source",
        "resources",
        "limits",
        "cpus",
        "memory",
        "build",
        "restart",
        "mode",
        "replicas",
        "update_config",
        "order",
        "ipam",
        "config",
        "subnet",
        "extra_hosts",
        "credential_spec",
        "logging",
        "options",
        "generic_resources",
        "discrete_resource_spec",
        "tmpfs",
        "bind",
    ]);
    leaf.prop_recursive(6, 80, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// JSON is YAML, so this is any shape of document.
    #[test]
    fn any_document_is_survived(value in anything()) {
        let _ = load_one(&value.to_string());
    }

    #[test]
    fn any_service_is_survived(value in anything()) {
        let _ = load_one(&json!({"services": {"web": value}}).to_string());
    }

    #[test]
    fn any_text_is_survived(text in "\\PC{0,80}") {
        let _ = load_one(&text);
    }
}

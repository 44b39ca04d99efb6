use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::Map;

use super::*;
use crate::identity::{ClusterId, ServiceName, SwarmId};
use crate::observed::{ApiVersion, NodeCounts, ObservedNetwork, TaskSummary};
use crate::plan::pointer;

fn snapshot() -> Snapshot {
    let network = |id: &str, name: &str| {
        let id = SwarmId::new(id);
        let own = ObservedNetwork { id: id.clone(), name: name.to_owned(), scope: "swarm".into() };
        (id, own)
    };
    Snapshot {
        cluster: ClusterId::new("cluster"),
        // The newest: an older engine has fewer fields, and what it lacks is compared by nobody.
        api_version: ApiVersion { major: 1, minor: 53 },
        taken_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        services: crate::observed::Services::default(),
        networks: [network("net1id", "fleet"), network("net2id", "back.end")].into(),
        secrets: BTreeMap::new(),
        configs: BTreeMap::new(),
        objects: std::sync::Arc::default(),
        nodes: NodeCounts { ready: 1, total: 1 },
    }
}

fn observed(name: &str, spec: Value) -> ObservedService {
    ObservedService {
        id: SwarmId::new("service-id"),
        name: ServiceName::new(name),
        version: 7,
        spec: spec.into(),
        ports: Vec::new(),
        update: None,
        tasks: TaskSummary::default(),
        updated_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        returns_to: Vec::new(),
    }
}

fn naming(name: &str) -> Naming {
    Naming { name: name.to_owned(), stack: None, swarm_name: None }
}

fn imported(spec: &Value) -> Result<Imported, Error> {
    let naming = naming("a");
    let request = Request { naming: &naming, references: "/secrets/a" };
    import(&observed("a", spec.clone()), &snapshot(), request)
}

/// What planning says about an imported service, from the file that would be written.
fn replanned(spec: &Value, imported: &Imported) -> Vec<Change> {
    let values = imported.secrets.iter().map(|file| (file.path.clone(), file.value.clone()));
    let live = observed("a", spec.clone());
    let ignore = imported.entry.iter().find(|(word, _)| word == "ignore");
    let ignore: Vec<String> = ignore
        .and_then(|(_, list)| list.as_array())
        .into_iter()
        .flatten()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect();
    let words = imported.entry.iter().filter(|(word, _)| word != "ignore").cloned().collect();
    let draft = Draft {
        live: &live,
        snapshot: &snapshot(),
        values: values.collect(),
        words,
        patch: Value::Null,
    };
    draft.differences(&ignore).unwrap().0
}

fn yaml(imported: &Imported) -> String {
    to_yaml("", std::slice::from_ref(&imported.entry))
}

fn spec(container: Value, rest: Value) -> Value {
    let mut spec = json!({
        "Name": "a", "Labels": {},
        "TaskTemplate": {"ContainerSpec": {"Image": "e/a:1@sha256:00"}, "ForceUpdate": 0,
            "Runtime": "container"},
        "Mode": {"Replicated": {"Replicas": 1}},
    });
    let extend = |at: Option<&mut Value>, more: Value| {
        if let (Some(Value::Object(into)), Value::Object(more)) = (at, more) {
            into.extend(more);
        }
    };
    extend(spec.pointer_mut("/TaskTemplate/ContainerSpec"), container);
    extend(Some(&mut spec), rest);
    spec
}

#[test]
fn a_connector_is_said_in_few_words() {
    let live = spec(
        json!({"Env": ["HOST=0.0.0.0", "PORT=8000", "TRANSPORT=streamable-http", "LOG=debug"]}),
        json!({"EndpointSpec": {"Mode": "vip", "Ports": [{"Protocol": "tcp", "TargetPort": 8000,
            "PublishedPort": 8216, "PublishMode": "ingress"}]}}),
    );
    let imported = imported(&live).unwrap();
    assert_eq!(
        yaml(&imported),
        "version: 1\nservices:\n  - name: a\n    image: e/a:1\n    host_port: 8216\n    env:\n      \
         LOG: debug\n"
    );
    assert_eq!(imported.warnings, Vec::<String>::new());
}

#[test]
fn everything_that_has_a_word_is_said_with_it() {
    let live = spec(
        json!({
            "Command": ["/bin/a"], "Args": ["--x", "1.10"], "User": "1000:1000", "Dir": "/srv",
            "Hostname": "{{.Node.Hostname}}", "Groups": ["audio"], "TTY": true, "ReadOnly": true,
            "StopSignal": "SIGINT", "StopGracePeriod": 30_000_000_000_i64,
            "CapabilityAdd": ["CAP_NET_ADMIN"], "Hosts": ["10.0.0.1 db"],
            "DNSConfig": {"Nameservers": ["10.0.0.2"], "Search": ["example.org"]},
            "Sysctls": {"net.core.somaxconn": "1024"},
            "Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 9}],
            "Labels": {"com.docker.stack.namespace": "s", "team": "x"},
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000_i64},
            "Mounts": [
                {"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": true},
                {"Type": "tmpfs", "Target": "/tmp", "TmpfsOptions": {"SizeBytes": 1_048_576, "Mode": 511}},
                {"Type": "bind", "Source": "/x", "Target": "/x", "BindOptions": {"Propagation": "rslave"}},
            ],
            "Secrets": [{"SecretID": "sid", "SecretName": "tls", "File": {"Name": "tls.key",
                "UID": "0", "GID": "0", "Mode": 256}}],
            "Configs": [{"ConfigID": "cid", "ConfigName": "conf", "File": {"Name": "conf",
                "UID": "0", "GID": "0", "Mode": 292}}],
        }),
        json!({
            "Labels": {"com.docker.stack.namespace": "s", "com.docker.stack.image": "e/a", "l": "true"},
            "Mode": {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 5}},
        }),
    );
    let imported = imported(&live).unwrap();
    let text = yaml(&imported);
    assert!(!text.contains("spec:") && !text.contains("ignore:"), "{text}");
    assert_eq!(imported.warnings, Vec::<String>::new());
    for line in [
        "mode: replicated-job",
        "replicas: 5",
        "max_concurrent: 2",
        "entrypoint: [/bin/a]",
        "command: [\"--x\", \"1.10\"]",
        "hostname: \"{{.Node.Hostname}}\"",
        "stop_grace_period: 30s",
        "cap_add: [NET_ADMIN]",
        "- data:/data:ro",
        "size: 1M",
        "propagation: rslave",
        "mode: \"0400\"",
        "configs: [conf]",
        "test: \"true\"",
        "l: \"true\"",
        "env:\n      HOST: null\n      PORT: null\n      TRANSPORT: null",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn what_has_no_word_goes_into_the_spec() {
    let live = spec(
        json!({
            "Isolation": "hyperv", "Hosts": ["10.0.0.1 db db2"],
            "Privileges": {"NoNewPrivileges": true, "SELinuxContext": {"Disable": true}},
            "Mounts": [{"Type": "volume", "Source": "v", "Target": "/v",
                "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": {"type": "nfs"}}}}],
        }),
        json!({"RollbackConfig": {"Parallelism": 1, "FailureAction": "rollback", "Delay": 7}}),
    );
    let imported = imported(&live).unwrap();
    let text = yaml(&imported);
    assert_eq!(imported.warnings, Vec::<String>::new());
    assert_eq!(replanned(&live, &imported), Vec::new(), "{text}");
    for line in ["Isolation: hyperv", "NoNewPrivileges: true", "type: nfs", "\"10.0.0.1 db db2\""] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn secrets_of_the_environment_become_files_and_no_secret_is_in_the_text() {
    let live = spec(
        json!({
            "Env": ["API_TOKEN=canary1", "DB=postgres://u:canary2@h/db", "PLAIN=env:x", "EMPTY_KEY=",
                "INHERITED", "bad key=1", "NOTE=literal:a", "../KEY=canary3"],
            "Args": ["--password=canary4"],
            "Labels": {"api-token": "canary5", "org.opencontainers.image.authors": "us"},
        }),
        json!({"TaskTemplate2": 1}),
    );
    let mut live = live;
    pointer::remove(&mut live, "/TaskTemplate2");
    pointer::set(
        &mut live,
        "/TaskTemplate/LogDriver",
        json!({"Name": "splunk", "Options": {"splunk-token": "canary6", "tag": "x"}}),
    );
    let imported = imported(&live).unwrap();
    let text = yaml(&imported);
    assert!(!text.contains("canary") && !format!("{imported:?}").contains("canary"), "{text}");
    let files: Vec<_> =
        imported.secrets.iter().map(|file| (file.path.as_str(), file.value.as_str())).collect();
    assert_eq!(
        files,
        [("/secrets/a/API_TOKEN", "canary1"), ("/secrets/a/DB", "postgres://u:canary2@h/db")]
    );
    for line in [
        "API_TOKEN: file:/secrets/a/API_TOKEN",
        "PLAIN: literal:env:x",
        "EMPTY_KEY: \"\"",
        "NOTE: literal:literal:a",
        "authors: us",
        "/TaskTemplate/ContainerSpec/Args",
        "/TaskTemplate/LogDriver/Options/splunk-token",
        "tag: x",
        "/TaskTemplate/ContainerSpec/Env/INHERITED",
        "/TaskTemplate/ContainerSpec/Labels/api-token",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(imported.warnings.len(), 6, "{:#?}", imported.warnings);
    assert_eq!(replanned(&live, &imported), Vec::new(), "{text}");
}

#[test]
fn only_a_digest_stays_a_digest_and_a_plugin_is_no_connector() {
    let digest = format!("e/a@sha256:{}", "0".repeat(64));
    let pinned = imported(&spec(json!({"Image": digest}), json!({}))).unwrap();
    assert!(yaml(&pinned).contains(&format!("image: {digest}")));
    let plugin = json!({"Name": "a", "TaskTemplate": {"Runtime": "plugin"}});
    assert_eq!(imported(&plugin), Err(Error::NoImage));
}

#[test]
fn what_not_even_the_spec_can_say_is_ignored_and_named() {
    let live = spec(json!({"FromTheFuture": {"A": 1}}), json!({}));
    let imported = imported(&live).unwrap();
    assert_eq!(imported.warnings.len(), 1);
    assert!(imported.warnings[0].contains("FromTheFuture"), "{:?}", imported.warnings);
    assert_eq!(replanned(&live, &imported), Vec::new());
}

#[test]
fn names_are_short_where_that_is_unique() {
    let names_of = |list: &[(&str, Option<&str>)], taken: &[&str]| {
        let services: Vec<_> = list.iter().map(|(n, s)| (ServiceName::new(*n), *s)).collect();
        let services: Vec<_> = services.iter().map(|(name, stack)| (name, *stack)).collect();
        let taken: BTreeSet<String> = taken.iter().map(|name| (*name).to_owned()).collect();
        let short = |n: Naming| (n.name, n.stack.unwrap_or_default(), n.swarm_name.is_some());
        names(&services, &taken).into_values().map(short).collect::<Vec<_>>()
    };
    let own = |name: &str, stack: &str, swarm: bool| (name.to_owned(), stack.to_owned(), swarm);
    assert_eq!(names_of(&[("w_api", Some("w"))], &[]), [own("api", "w", false)]);
    assert_eq!(names_of(&[("w_api", Some("w"))], &["api"]), [own("w_api", "w", true)]);
    assert_eq!(names_of(&[("w_api", None)], &[]), [own("w_api", "", false)]);
    assert_eq!(names_of(&[("other", Some("w"))], &[]), [own("other", "w", true)]);
    assert_eq!(
        names_of(&[("v_api", Some("v")), ("w_api", Some("w"))], &[]),
        [own("v_api", "v", true), own("w_api", "w", true)]
    );
    assert_eq!(
        names_of(&[("api", None), ("w_api", Some("w"))], &[]),
        [own("api", "", false), own("w_api", "w", true)]
    );
}

/// Fields of a spec with values that an engine may report, good and odd.
fn fields() -> Vec<(&'static str, BoxedStrategy<Value>)> {
    let text = || "[a-zA-Z0-9:./_ {}-]{1,12}".prop_map(Value::from).boxed();
    let any_text = || any::<String>().prop_map(Value::from).boxed();
    let texts = || prop::collection::vec("[ -~]{0,9}", 0..4).prop_map(|list| json!(list)).boxed();
    let map = || {
        prop::collection::btree_map("[a-z][a-z./~-]{0,6}", any::<String>(), 0..3)
            .prop_map(|map| json!(map))
            .boxed()
    };
    let number = |range: std::ops::Range<i64>| range.prop_map(Value::from).boxed();
    let time = || {
        prop_oneof![Just(0_i64), 1..10_i64, 1_000_000..9_000_000_000_i64, Just(5_000_000_000)]
            .prop_map(Value::from)
            .boxed()
    };
    let flag = || any::<bool>().prop_map(Value::from).boxed();
    let word = |words: &'static [&'static str]| select(words).prop_map(Value::from).boxed();
    let list = |words: &'static [&'static str]| {
        subsequence(words, 0..=words.len()).prop_map(|list| json!(list)).boxed()
    };
    let env =
        prop::collection::btree_map("[A-Z_]{1,5}|HOST|PORT|API_KEY", any::<Option<String>>(), 0..5);
    let env = env.prop_map(|map| {
        let line = |(key, value): (String, Option<String>)| match value {
            Some(value) => format!("{key}={value}"),
            None => key,
        };
        json!(map.into_iter().map(line).collect::<Vec<_>>())
    });
    let some_of = |items: Value| {
        let items = items.as_array().cloned().unwrap_or_default();
        let most = items.len();
        subsequence(items, 0..=most).prop_map(Value::Array).boxed()
    };
    let c = "/TaskTemplate/ContainerSpec";
    let at = |rest: &str| -> &'static str { Box::leak(format!("{c}/{rest}").into_boxed_str()) };
    vec![
        (at("Env"), env.boxed()),
        (at("Command"), texts()),
        (at("Args"), texts()),
        (at("Labels"), map()),
        (at("User"), text()),
        (at("Dir"), any_text()),
        (at("Hostname"), any_text()),
        (at("Groups"), texts()),
        (at("Init"), flag()),
        (at("TTY"), flag()),
        (at("OpenStdin"), flag()),
        (at("ReadOnly"), flag()),
        (at("StopSignal"), text()),
        (at("StopGracePeriod"), time()),
        (at("Hosts"), list(&["10.0.0.1 db", "10.0.0.2 a b", "::1 six"])),
        (at("DNSConfig/Nameservers"), list(&["10.0.0.1", "10.0.0.2"])),
        (at("DNSConfig/Search"), texts()),
        (at("DNSConfig/Options"), texts()),
        (at("CapabilityAdd"), list(&["CAP_NET_ADMIN", "CAP_SYS_TIME"])),
        (at("CapabilityDrop"), list(&["ALL"])),
        (at("Sysctls"), map()),
        (at("Isolation"), word(&["default", "hyperv"])),
        (at("Privileges/SELinuxContext/Type"), text()),
        (at("Healthcheck/Test"), texts()),
        (at("Healthcheck/Interval"), time()),
        (at("Healthcheck/Retries"), number(0..2_000)),
        (
            at("Ulimits"),
            some_of(
                json!([{"Name": "nofile", "Soft": 1, "Hard": 2}, {"Name": "core", "Hard": 0, "Soft": 0}]),
            ),
        ),
        (
            at("Mounts"),
            some_of(json!([
                {"Type": "bind", "Source": "/a", "Target": "/a"},
                {"Type": "bind", "Source": "/b:c", "Target": "/b", "BindOptions": {"Propagation": "shared"}},
                {"Type": "volume", "Target": "/c"},
                {"Type": "volume", "Source": "d", "Target": "/d/", "VolumeOptions": {"NoCopy": true}},
                {"Type": "volume", "Source": "e", "Target": "/e", "VolumeOptions": {"Labels": {"a": "b"}}},
                {"Type": "tmpfs", "Target": "/f", "TmpfsOptions": {"SizeBytes": 5, "Mode": 0o1777}},
                {"Type": "npipe", "Source": "x", "Target": "/g"},
            ])),
        ),
        (
            at("Secrets"),
            some_of(json!([
                {"SecretID": "1", "SecretName": "a", "File": {"Name": "a", "UID": "0", "GID": "0", "Mode": 292}},
                {"SecretID": "2", "SecretName": "b", "File": {"Name": "/x", "UID": "5", "GID": "0", "Mode": 0}},
            ])),
        ),
        (
            at("Configs"),
            some_of(json!([
                {"ConfigID": "1", "ConfigName": "a", "File": {"Name": "/a", "UID": "0", "GID": "0", "Mode": 292}},
            ])),
        ),
        ("/Labels", map()),
        ("/TaskTemplate/LogDriver/Name", text()),
        ("/TaskTemplate/LogDriver/Options", map()),
        ("/TaskTemplate/Resources/Limits/NanoCPUs", number(0..3_000_000_000)),
        ("/TaskTemplate/Resources/Limits/MemoryBytes", number(0..90_000_000)),
        ("/TaskTemplate/Resources/Limits/Pids", number(0..100)),
        ("/TaskTemplate/Resources/Reservations/MemoryBytes", number(0..90_000_000)),
        (
            "/TaskTemplate/Resources/Reservations/GenericResources",
            some_of(json!([{"DiscreteResourceSpec": {"Kind": "SSD", "Value": 1}}])),
        ),
        ("/TaskTemplate/RestartPolicy/Condition", word(&["any", "none", "on-failure"])),
        ("/TaskTemplate/RestartPolicy/Delay", time()),
        ("/TaskTemplate/RestartPolicy/MaxAttempts", number(0..5)),
        ("/TaskTemplate/RestartPolicy/Window", time()),
        (
            "/TaskTemplate/Placement/Constraints",
            list(&["node.role==worker", "node.labels.a != b", "nonsense==1"]),
        ),
        ("/TaskTemplate/Placement/MaxReplicas", number(0..4)),
        (
            "/TaskTemplate/Placement/Preferences",
            some_of(json!([{"Spread": {"SpreadDescriptor": "node.labels.zone"}}])),
        ),
        (
            "/TaskTemplate/Networks",
            some_of(json!([
                {"Target": "net1id", "Aliases": ["b", "a"]},
                {"Target": "net2id", "DriverOpts": {"o": "p"}},
                {"Target": "unknown"},
            ])),
        ),
        (
            "/EndpointSpec/Ports",
            some_of(json!([
                {"Protocol": "tcp", "TargetPort": 8000, "PublishedPort": 81, "PublishMode": "ingress"},
                {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 53, "PublishMode": "host"},
                {"Protocol": "sctp", "TargetPort": 9, "PublishMode": "ingress"},
                {"Name": "n", "Protocol": "tcp", "TargetPort": 7, "PublishedPort": 7, "PublishMode": "ingress"},
            ])),
        ),
        ("/EndpointSpec/Mode", word(&["vip", "dnsrr"])),
        ("/UpdateConfig/Parallelism", number(0..3)),
        ("/UpdateConfig/Delay", time()),
        ("/UpdateConfig/FailureAction", word(&["pause", "continue", "rollback"])),
        ("/UpdateConfig/MaxFailureRatio", word(&["x"]).prop_map(|_| json!(0.25)).boxed()),
        ("/RollbackConfig/Monitor", time()),
        ("/RollbackConfig/Delay", time()),
        ("/RollbackConfig/FailureAction", word(&["pause", "rollback"])),
    ]
}

fn any_spec() -> impl Strategy<Value = Value> {
    let fields: Vec<_> = fields()
        .into_iter()
        .map(|(at, value)| {
            prop::option::weighted(0.3, value).prop_map(move |value| value.map(|value| (at, value)))
        })
        .collect();
    let modes = select(vec![
        json!({"Replicated": {"Replicas": 0}}),
        json!({"Replicated": {"Replicas": 3}}),
        json!({"Global": {}}),
        json!({"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 2}}),
        json!({"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 7}}),
        json!({"GlobalJob": {}}),
    ]);
    (fields, modes).prop_map(|(fields, mode)| {
        let is_job = mode.get("ReplicatedJob").or(mode.get("GlobalJob")).is_some();
        let mut out = spec(json!({}), json!({"Mode": mode}));
        let mut fields: Map<String, Value> =
            fields.into_iter().flatten().map(|(at, value)| (at.to_owned(), value)).collect();
        // The engine refuses rollouts of jobs.
        fields
            .retain(|at, _| !(is_job && (at.contains("UpdateConfig") || at.contains("Rollback"))));
        for (at, value) in fields {
            pointer::set(&mut out, &at, value);
        }
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_imported_service_plans_as_nothing_but_adopt(spec in any_spec()) {
        let imported = imported(&spec).unwrap();
        let text = yaml(&imported);
        prop_assert_eq!(replanned(&spec, &imported), Vec::new(), "{}", text);
        // The same again, byte by byte.
        prop_assert_eq!(yaml(&super::tests::imported(&spec).unwrap()), text);
    }
}

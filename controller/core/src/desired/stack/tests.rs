use skep_crds::stack::{Files, Source, Variables, load};

use super::*;

struct Memory;

impl Files for Memory {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        Ok(format!("content of {path}").into_bytes())
    }
}

fn loaded(text: &str) -> Loaded {
    let source = Source { name: "web.yml".into(), bytes: text.as_bytes().to_vec() };
    load(&[source], "/srv", &Variables::default(), &Memory)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn asked(text: &str) -> EngineStack {
    stack(&Name::parse("shop").unwrap(), &loaded(text))
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// The spec of the service `web` with these fields.
fn web(fields: &str) -> Value {
    asked(&format!("services: {{web: {{image: \"a:1\", {fields}}}}}"))
        .services
        .remove("web")
        .unwrap()
}

fn container(fields: &str) -> Value {
    web(fields)["TaskTemplate"]["ContainerSpec"].take()
}

#[test]
fn the_least_service_is_on_the_stack_s_own_network() {
    let asked = asked("services: {web: {image: \"a:1\"}}");
    let expected = json!({
        "Name": "shop_web",
        "Labels": {"com.docker.stack.namespace": "shop", "com.docker.stack.image": "a:1"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "a:1",
                "Labels": {"com.docker.stack.namespace": "shop"},
                "Privileges": {},
            },
            "Resources": {},
            "Placement": {},
            "Networks": [{"Target": "shop_default", "Aliases": ["web"]}],
        },
        "Mode": {"Replicated": {}},
        "EndpointSpec": {},
    });
    assert_eq!(asked.services["web"], expected);
    let labels = json!({"com.docker.stack.namespace": "shop"});
    let network = json!({"Name": "shop_default", "Driver": "overlay", "Labels": labels});
    assert_eq!(asked.networks.iter().map(|n| &n.request).collect::<Vec<_>>(), [&network]);
}

#[test]
fn names_are_the_stack_s_or_those_that_were_given() {
    let asked = asked(
        "services: {web: {image: \"a:1\", networks: {own: {aliases: [x]}, given: , out: , host: },\n\
         secrets: [s, t], configs: [c], volumes: [\"vv:/v\", \"ww:/w\", \"ee:/e\"]}}\n\
         networks: {own: , given: {name: g}, out: {external: true}, host: {external: true, name: host}, unused: }\n\
         secrets: {s: {file: a}, t: {external: true, name: outside}}\n\
         configs: {c: {file: b, name: named}}\n\
         volumes: {vv: {labels: {k: l}}, ww: {name: w}, ee: {external: true}}",
    );
    let task = &asked.services["web"]["TaskTemplate"];
    assert_eq!(
        task["Networks"],
        json!([
            {"Target": "g", "Aliases": ["web"]},
            {"Target": "host"},
            {"Target": "out", "Aliases": ["web"]},
            {"Target": "shop_own", "Aliases": ["x", "web"]},
        ])
    );
    assert_eq!(asked.external_networks.keys().collect::<Vec<_>>(), ["host", "out"]);
    assert_eq!(asked.networks.iter().map(|n| &*n.name).collect::<Vec<_>>(), ["g", "shop_own"]);
    let container = &task["ContainerSpec"];
    assert_eq!(container["Secrets"][0]["SecretName"], "outside");
    let file = json!({"Name": "s", "UID": "0", "GID": "0", "Mode": 0o444});
    assert_eq!(container["Secrets"][1], json!({"File": file, "SecretName": "shop_s"}));
    assert_eq!(container["Configs"][0]["ConfigName"], "named");
    let own = json!({"Labels": {"k": "l", "com.docker.stack.namespace": "shop"}});
    assert_eq!(
        container["Mounts"],
        json!([
            {"Type": "volume", "Source": "shop_vv", "Target": "/v", "VolumeOptions": own},
            {"Type": "volume", "Source": "w", "Target": "/w", "VolumeOptions": {"Labels": {"com.docker.stack.namespace": "shop"}}},
            {"Type": "volume", "Source": "ee", "Target": "/e", "VolumeOptions": {}},
        ])
    );
    assert_eq!(asked.secrets.len(), 1);
    assert_eq!(asked.secrets[0].name, "shop_s");
    assert_eq!(asked.configs[0].data, b"content of /srv/b");
    assert!(!format!("{asked:?}").contains("content of"), "{asked:?}");
}

#[test]
fn restart_is_what_counts_where_deploy_says_nothing() {
    let policy = |fields: &str| web(fields)["TaskTemplate"]["RestartPolicy"].take();
    assert_eq!(policy("restart: always"), json!({"Condition": "any"}));
    assert_eq!(policy("restart: unless-stopped"), json!({"Condition": "any"}));
    assert_eq!(
        policy("restart: \"on-failure:3\""),
        json!({"Condition": "on-failure", "MaxAttempts": 3})
    );
    assert_eq!(policy("restart: \"no\""), Value::Null);
    assert_eq!(
        policy("restart: always, deploy: {restart_policy: {condition: none, window: 1s}}"),
        json!({"Condition": "none", "Window": 1_000_000_000})
    );
}

#[test]
fn the_four_modes_and_a_roll_out() {
    let mode = |deploy: &str| web(&format!("deploy: {{{deploy}}}"))["Mode"].take();
    assert_eq!(mode("replicas: 0"), json!({"Replicated": {"Replicas": 0}}));
    assert_eq!(mode("mode: global"), json!({"Global": {}}));
    assert_eq!(mode("mode: global-job"), json!({"GlobalJob": {}}));
    let job = json!({"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 2}});
    assert_eq!(mode("mode: replicated-job, replicas: 2"), job);
    let update = |fields: &str| {
        web(&format!("deploy: {{update_config: {{{fields}}}}}"))["UpdateConfig"].take()
    };
    assert_eq!(update("order: start-first"), json!({"Parallelism": 1, "Order": "start-first"}));
    assert_eq!(
        update("parallelism: 0, max_failure_ratio: 0.3, delay: 1s"),
        json!({"Parallelism": 0, "MaxFailureRatio": 0.3, "Delay": 1_000_000_000})
    );
}

#[test]
fn a_credential_spec_from_a_config_brings_the_config_along() {
    let asked = asked(
        "services: {web: {image: \"a:1\", credential_spec: {config: c}}}\nconfigs: {c: {file: f}}",
    );
    let container = &asked.services["web"]["TaskTemplate"]["ContainerSpec"];
    assert_eq!(container["Configs"], json!([{"ConfigName": "shop_c", "Runtime": {}}]));
    assert_eq!(container["Privileges"], json!({"CredentialSpec": {"Config": "shop_c"}}));
}

#[test]
fn the_container_is_in_the_engine_s_words() {
    let spec = container(
        "command: [a], entrypoint: b c, environment: {B: , A: \"1\"}, extra_hosts: {db: 10.0.0.5}, \
         healthcheck: {disable: true}, ulimits: {nofile: 5}, init: false, dns: 10.0.0.1",
    );
    let expected = json!({
        "Image": "a:1",
        "Labels": {"com.docker.stack.namespace": "shop"},
        "Args": ["a"],
        "Command": ["b", "c"],
        "Env": ["A=1", "B"],
        "Hosts": ["10.0.0.5 db"],
        "Healthcheck": {"Test": ["NONE"]},
        "Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 5}],
        "Init": false,
        "DNSConfig": {"Nameservers": ["10.0.0.1"]},
        "Privileges": {},
    });
    assert_eq!(spec, expected);
}

#[test]
fn words_are_spelled_as_docker_spells_them() {
    let image = |image: &str| {
        let text = format!("services: {{web: {{image: \"{image}\"}}}}");
        let spec = asked(&text).services.remove("web").unwrap();
        let label = spec["Labels"]["com.docker.stack.image"].clone();
        assert_eq!(label, image, "as it was written");
        spec["TaskTemplate"]["ContainerSpec"]["Image"].clone()
    };
    assert_eq!(image("nginx"), "nginx:latest");
    assert_eq!(image("docker.io/library/nginx:1"), "nginx:1");
    assert_eq!(image("localhost:5000/x/y"), "localhost:5000/x/y:latest");
    let spec = container("cap_add: [chown, CAP_CHOWN, kill], cap_drop: [KILL, net_raw]");
    assert_eq!(spec["CapabilityAdd"], json!(["CAP_CHOWN", "CAP_KILL"]));
    assert_eq!(spec["CapabilityDrop"], json!(["CAP_NET_RAW"]));
}

#[test]
fn names_that_become_too_long_are_refused_with_their_place() {
    let text = format!("services:\n  {}: {{image: \"a:1\"}}", "x".repeat(60));
    let problems = stack(&Name::parse("shop").unwrap(), &loaded(&text)).expect_err("65 characters");
    assert_eq!(
        problems.iter().map(|p| p.location.to_string()).collect::<Vec<_>>(),
        ["web.yml:2:3"]
    );
    stack(&Name::parse("sh").unwrap(), &loaded(&text)).expect("63 characters");
}

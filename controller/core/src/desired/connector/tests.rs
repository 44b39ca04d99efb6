use skep_crds::registry::{Registry, RegistryFile};

use super::*;

fn first(yaml: &str) -> Service {
    let file = RegistryFile { name: "registry.yml", bytes: yaml.as_bytes() };
    let registry = Registry::read(&[file], None).unwrap_or_else(|problems| panic!("{problems}"));
    registry.services.into_iter().next().unwrap()
}

fn converted(yaml: &str) -> (DesiredService, SecretValues) {
    let mut secrets = SecretValues::default();
    let resolve = |value: &EnvValue| match value {
        EnvValue::FromEnv(name) if name == "SET" => {
            Ok(ResolvedReference { value: "the-secret".to_owned(), fingerprint: "abcd".to_owned() })
        }
        _ => Err("not set".to_owned()),
    };
    let service = connector(&first(yaml), &resolve, &mut secrets);
    (service, secrets)
}

const HEAD: &str = "version: 1\ndefaults:\n  image_registry: docker.io/example\nservices:\n";

#[test]
fn the_existing_format_becomes_a_published_service() {
    let (service, _) = converted(&format!(
        "{HEAD}  - name: github-mcp\n    package: github-agent\n    container_port: 8000\n    \
         host_port: 8216\n    profiles: [enterprise]\n"
    ));
    assert_eq!(
        service.spec,
        json!({
            "Name": "github-mcp",
            "Labels": {},
            "TaskTemplate": {"ContainerSpec": {
                "Image": "example/github-agent:latest",
                "Env": ["HOST=0.0.0.0", "PORT=8000", "TRANSPORT=streamable-http"],
            }},
            "Mode": {"Replicated": {"Replicas": 1}},
            "EndpointSpec": {"Ports": [{
                "Protocol": "tcp", "TargetPort": 8000, "PublishedPort": 8216,
                "PublishMode": "ingress",
            }]},
        })
    );
    assert_eq!(service.provenance.line, 5);
}

#[test]
fn every_optional_block_arrives_in_the_engines_words() {
    let (service, _) = converted(&format!(
        "{HEAD}  - name: a
    image: nginx:1.2
    stack: web
    domain: edge
    replicas: 0
    env: {{LOG: debug, PORT: \"9\"}}
    command: [serve, --fast]
    networks: {{front: {{aliases: [b]}}}}
    mounts: [\"data:/data:ro\", {{type: tmpfs, target: /tmp}}]
    constraints: [node.role==worker]
    resources: {{limits: {{cpus: \"0.5\", memory: 64M, pids: 9}}, reservations: {{memory: 32M}}}}
    health: {{path: /health, interval: 5s, retries: 2}}
    labels: {{team: x}}
    update: {{delay: 3s, order: start-first, failure_action: rollback}}
    rollback: {{parallelism: 0}}
    restart: {{condition: on-failure, max_attempts: 4}}
"
    ));
    let spec = &service.spec.value();
    assert_eq!(service.name.as_str(), "web_a");
    assert_eq!(service.domain, "edge");
    assert_eq!(spec["Labels"], json!({"team": "x", "com.docker.stack.namespace": "web"}));
    assert_eq!(spec["Mode"]["Replicated"]["Replicas"], 0);
    let task = &spec["TaskTemplate"];
    let container = &task["ContainerSpec"];
    assert_eq!(container["Image"], "nginx:1.2");
    assert_eq!(
        container["Env"],
        json!(["HOST=0.0.0.0", "LOG=debug", "PORT=9", "TRANSPORT=streamable-http"])
    );
    assert_eq!(container["Args"], json!(["serve", "--fast"]));
    assert_eq!(
        container["Mounts"],
        json!([
            {"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": true},
            {"Type": "tmpfs", "Target": "/tmp"},
        ])
    );
    assert_eq!(container["Healthcheck"]["Interval"], 5_000_000_000_i64);
    assert!(container["Healthcheck"]["Test"][1].as_str().unwrap().contains(":8000/health"));
    assert_eq!(task["Networks"], json!([{"Target": "front", "Aliases": ["b"]}]));
    assert_eq!(task["Placement"], json!({"Constraints": ["node.role==worker"]}));
    assert_eq!(
        task["Resources"],
        json!({
            "Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 67_108_864, "Pids": 9},
            "Reservations": {"MemoryBytes": 33_554_432},
        })
    );
    assert_eq!(task["RestartPolicy"], json!({"Condition": "on-failure", "MaxAttempts": 4}));
    assert_eq!(
        spec["UpdateConfig"],
        json!({
            "Parallelism": 1, "Delay": 3_000_000_000_i64, "Order": "start-first",
            "FailureAction": "rollback",
        })
    );
    assert_eq!(spec["RollbackConfig"], json!({"Parallelism": 0}));
    assert!(spec.get("EndpointSpec").is_none());
}

#[test]
fn stopped_wants_no_replicas_and_is_not_scaled() {
    let (service, _) = converted(&format!(
        "{HEAD}  - name: a
    image: x
    replicas: 3
    desired: stopped
    scaling: {{max: 5, signal: cpu, target: 60}}
"
    ));
    assert_eq!(service.spec.value()["Mode"]["Replicated"]["Replicas"], 0);
    assert!(!service.running);
    assert_eq!(service.autoscaled, None);
}

#[test]
fn a_scaled_connector_carries_its_bounds_and_starts_within_them() {
    for (replicas, starts_with) in [(0, 2), (1, 2), (3, 3), (9, 5)] {
        let (service, _) = converted(&format!(
            "{HEAD}  - name: a
    image: x
    replicas: {replicas}
    scaling: {{min: 2, max: 5, signal: cpu, target: 60}}
"
        ));
        assert_eq!(service.spec.value()["Mode"]["Replicated"]["Replicas"], starts_with);
        assert_eq!(service.autoscaled, Some(ScalingBounds { min: 2, max: 5 }));
    }
}

#[test]
fn a_failure_ratio_is_written_as_the_engine_gives_it_back() {
    let (service, _) = converted(&format!(
        "{HEAD}  - name: a
    image: x
    update: {{max_failure_ratio: 1}}
    rollback: {{max_failure_ratio: 0.25}}
"
    ));
    assert_eq!(service.spec.value()["UpdateConfig"]["MaxFailureRatio"].to_string(), "1");
    assert_eq!(service.spec.value()["RollbackConfig"]["MaxFailureRatio"].to_string(), "0.25");
}

#[test]
fn references_stay_out_of_the_spec() {
    let (service, secrets) =
        converted(&format!("{HEAD}  - name: a\n    image: x\n    env: {{TOKEN: env:SET}}\n"));
    let text = service.spec.as_json();
    assert!(!text.contains("the-secret") && text.contains("env:SET#abcd"), "{text}");
    let spec = service.spec.value();
    let line = spec["TaskTemplate"]["ContainerSpec"]["Env"][2].as_str().unwrap();
    let placeholder = line.strip_prefix("TOKEN=").unwrap();
    assert_eq!(secrets.resolve(placeholder), Some("the-secret"));
    let shown = format!("{secrets:?} {service:?}");
    assert!(!shown.contains("the-secret") && !shown.contains("HOST="), "{shown}");
}

#[test]
fn an_unset_reference_blocks_the_service_and_names_the_variable() {
    let (service, _) =
        converted(&format!("{HEAD}  - name: a\n    image: x\n    env: {{TOKEN: env:UNSET}}\n"));
    let blocked = service.blocked.unwrap();
    assert_eq!(blocked.code, "SECRET_UNRESOLVED");
    assert!(blocked.message.contains("TOKEN"));
    assert_eq!(service.unresolved, ["TOKEN"]);
}

#[test]
fn a_connector_is_asked_at_its_port_unless_something_speaks_against_it() {
    let asked = |fields: &str| {
        let (service, _) = converted(&format!("{HEAD}  - {{name: a, package: a{fields}}}\n"));
        service.mcp
    };
    let at = |path: &str| McpEndpoint::Published { port: 8200, path: path.to_owned() };
    assert_eq!(asked(", host_port: 8200"), at("/mcp"));
    assert_eq!(asked(", host_port: 8200, mcp: {path: /v1/mcp}"), at("/v1/mcp"));
    for (fields, word) in [
        ("", "no port"),
        (", host_port: 8200, transport: stdio", "transport"),
        (", host_port: 8200, transport: sse", "transport"),
        (", host_port: 8200, mcp: {initialize: false}", "registry"),
    ] {
        let McpEndpoint::Unasked { reason } = asked(fields) else { panic!("{fields}") };
        assert!(reason.contains(word), "{fields}: {reason}");
    }
}

//! The words for everything around the container, from a canonical spec. They are proposals:
//! whoever gets them checks that the reader takes them and that they mean the same.

use serde_json::{Map, Value, json};
use skep_crds::registry::Entry;
use skep_crds::value::{Bytes, Duration, NanoCpus};

use crate::labels as own_labels;

/// Words with values, in the order in which a file says them.
#[derive(Debug, Default)]
pub(super) struct Words(pub(super) Entry);

impl Words {
    pub(super) fn put(&mut self, word: &str, value: Option<Value>) {
        let empty = |value: &Value| match value {
            Value::Object(map) => map.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if let Some(value) = value.filter(|value| !empty(value)) {
            self.0.push((word.to_owned(), value));
        }
    }
}

pub(super) fn duration(nanos: &Value) -> Option<Value> {
    Some(json!(Duration::from_nanos(nanos.as_i64()?).to_string()))
}

/// The entries of a list that the canonical form keeps as a map.
pub(super) fn entries(map: &Value) -> impl Iterator<Item = &Value> {
    map.as_object().into_iter().flat_map(|map| map.values())
}

/// Labels that people write: docker's own come from `stack`.
pub(super) fn labels(map: &Value) -> Option<Value> {
    let own = map.as_object()?.iter();
    let own = own.filter(|(key, _)| !key.starts_with(own_labels::STACK_PREFIX));
    Some(own.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>().into())
}

/// Mode and number.
pub(super) fn mode(out: &mut Words, spec: &Value) {
    let number = |pointer: &str| spec.pointer(pointer).and_then(Value::as_u64);
    let kind = spec.pointer("/Mode").and_then(Value::as_object).and_then(|mode| mode.keys().next());
    match kind.map(String::as_str) {
        Some("Global") => out.put("mode", Some(json!("global"))),
        Some("GlobalJob") => out.put("mode", Some(json!("global-job"))),
        Some("ReplicatedJob") => {
            let total = number("/Mode/ReplicatedJob/TotalCompletions").unwrap_or(1);
            let most = number("/Mode/ReplicatedJob/MaxConcurrent").unwrap_or(total);
            out.put("mode", Some(json!("replicated-job")));
            out.put("replicas", (total != 1).then(|| json!(total)));
            out.put("max_concurrent", (most != total).then(|| json!(most)));
        }
        _ => {
            let replicas = number("/Mode/Replicated/Replicas").filter(|replicas| *replicas != 1);
            out.put("replicas", replicas.map(|replicas| json!(replicas)));
        }
    }
}

/// Networks, placement, resources, logging, labels, rollouts.
pub(super) fn around(out: &mut Words, spec: &Value) {
    let get = |pointer: &str| spec.pointer(pointer);
    out.put("networks", get("/TaskTemplate/Networks").and_then(networks));
    out.put("constraints", get("/TaskTemplate/Placement/Constraints").cloned());
    out.put("placement", get("/TaskTemplate/Placement").map(placement));
    out.put("resources", get("/TaskTemplate/Resources").map(resources));
    out.put("labels", get("/Labels").and_then(labels));
    out.put("update", get("/UpdateConfig").map(rollout));
    out.put("rollback", get("/RollbackConfig").map(rollout));
    out.put("restart", get("/TaskTemplate/RestartPolicy").map(restart));
    out.put("logging", get("/TaskTemplate/LogDriver").map(logging));
    let mode = get("/EndpointSpec/Mode").filter(|mode| **mode != json!("vip"));
    out.put("endpoint_mode", mode.cloned());
}

fn networks(map: &Value) -> Option<Value> {
    let map = map.as_object()?;
    let options = |entry: &Value| {
        let mut out = Map::new();
        for (word, key) in [("aliases", "Aliases"), ("driver_opts", "DriverOpts")] {
            out.extend(entry.get(key).map(|value| (word.to_owned(), value.clone())));
        }
        out
    };
    if map.values().all(|entry| options(entry).is_empty()) {
        return Some(map.keys().cloned().collect());
    }
    let with_options = |(name, entry): (&String, &Value)| {
        let options = options(entry);
        let value = if options.is_empty() { Value::Null } else { Value::Object(options) };
        (name.clone(), value)
    };
    Some(map.iter().map(with_options).collect::<Map<_, _>>().into())
}

fn placement(block: &Value) -> Value {
    let mut out = Map::new();
    let preferences = block.get("Preferences").and_then(Value::as_array).and_then(|list| {
        let spread =
            |one: &Value| Some(json!({"spread": one.pointer("/Spread/SpreadDescriptor")?}));
        list.iter().map(spread).collect::<Option<Value>>()
    });
    out.extend(preferences.map(|list| ("preferences".to_owned(), list)));
    let most = block.get("MaxReplicas").cloned();
    out.extend(most.map(|most| ("max_replicas_per_node".to_owned(), most)));
    Value::Object(out)
}

fn resources(block: &Value) -> Value {
    let mut out = Map::new();
    for (word, key) in [("limits", "Limits"), ("reservations", "Reservations")] {
        let own = block.get(key);
        let of = |key: &str| own.and_then(|own| own.get(key)).and_then(Value::as_i64);
        let mut part = Map::new();
        part.extend(
            of("NanoCPUs").map(|n| ("cpus".to_owned(), json!(NanoCpus::new(n).to_string()))),
        );
        part.extend(
            of("MemoryBytes").map(|n| ("memory".to_owned(), json!(Bytes::new(n).to_string()))),
        );
        part.extend(of("Pids").map(|n| ("pids".to_owned(), json!(n))));
        if !part.is_empty() {
            out.insert(word.to_owned(), Value::Object(part));
        }
    }
    Value::Object(out)
}

/// A word, the engine's key, and the default that need not be said.
type Key = (&'static str, &'static str, Option<Value>);

fn block(from: &Value, keys: &[Key]) -> Value {
    let mut out = Map::new();
    for (word, key, default) in keys {
        let Some(value) = from.get(*key).filter(|value| Some(*value) != default.as_ref()) else {
            continue;
        };
        let is_time = matches!(*key, "Delay" | "Monitor" | "Window");
        let value = if is_time { duration(value) } else { Some(value.clone()) };
        out.extend(value.map(|value| ((*word).to_owned(), value)));
    }
    Value::Object(out)
}

const FIVE_SECONDS: i64 = 5_000_000_000;

fn rollout(from: &Value) -> Value {
    block(
        from,
        &[
            ("parallelism", "Parallelism", Some(json!(1))),
            ("delay", "Delay", Some(json!(0))),
            ("order", "Order", Some(json!("stop-first"))),
            ("failure_action", "FailureAction", Some(json!("pause"))),
            ("monitor", "Monitor", Some(json!(FIVE_SECONDS))),
            ("max_failure_ratio", "MaxFailureRatio", None),
        ],
    )
}

fn restart(from: &Value) -> Value {
    block(
        from,
        &[
            ("condition", "Condition", Some(json!("any"))),
            ("delay", "Delay", Some(json!(FIVE_SECONDS))),
            ("max_attempts", "MaxAttempts", None),
            ("window", "Window", None),
        ],
    )
}

fn logging(from: &Value) -> Value {
    block(from, &[("driver", "Name", None), ("options", "Options", None)])
}

/// Published ports; the first that is a connector's own becomes `host_port`.
pub(super) fn ports(out: &mut Words, spec: &Value, container_port: Option<u64>) {
    let Some(ports) = spec.pointer("/EndpointSpec/Ports") else { return };
    let mut others = Vec::new();
    let mut own: Option<Value> = None;
    for port in entries(ports) {
        let number = |key: &str| port.get(key).and_then(Value::as_u64);
        let text = |key: &str| port.get(key).and_then(Value::as_str);
        let (target, published) = (number("TargetPort").unwrap_or(0), number("PublishedPort"));
        let (protocol, name) = (text("Protocol").unwrap_or("tcp"), text("Name"));
        let simple = text("PublishMode") == Some("ingress") && name.is_none();
        let is_own = simple && protocol == "tcp" && container_port == Some(target);
        if let (true, Some(published), None) = (is_own, published, &own) {
            own = Some(json!(published));
            continue;
        }
        let suffix = if protocol == "tcp" { String::new() } else { format!("/{protocol}") };
        others.push(match published {
            Some(published) if simple => json!(format!("{published}:{target}{suffix}")),
            None if simple => json!(format!("{target}{suffix}")),
            published => {
                let mut long = Map::new();
                long.insert("target".into(), json!(target));
                long.extend(published.map(|port| ("published".to_owned(), json!(port))));
                if protocol != "tcp" {
                    long.insert("protocol".into(), json!(protocol));
                }
                if let Some(mode) = text("PublishMode").filter(|mode| *mode != "ingress") {
                    long.insert("mode".into(), json!(mode));
                }
                long.extend(name.map(|name| ("name".to_owned(), json!(name))));
                Value::Object(long)
            }
        });
    }
    out.put("host_port", own);
    out.put("ports", Some(Value::Array(others)));
}

//! From a connector of the registry to the Swarm service it becomes. Infallible: everything that
//! could be wrong was refused when the registry was read.

mod container;
mod placement;

use serde_json::{Map, Value, json};
use skep_crds::registry::{
    DesiredState, FailureAction, Restart, RestartCondition, Rollout, RolloutOrder, Service,
};
use skep_crds::value::EnvValue;

use super::{DesiredService, McpEndpoint, Provenance, ScalingBounds, SecretValues};
use crate::action::Source;
use crate::identity::ServiceName;
use crate::labels;
use crate::plan::{Blocked, float32};

/// A value behind a reference, with the keyed fingerprint that stands for it in digests.
#[derive(Clone, PartialEq, Eq)]
pub struct ResolvedReference {
    /// The value.
    pub value: String,
    /// A keyed fingerprint of it.
    pub fingerprint: String,
}

impl std::fmt::Debug for ResolvedReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ResolvedReference({})", self.fingerprint)
    }
}

/// The service that a connector becomes.
///
/// `resolve` gives the value behind `env:NAME` or `file:/path`, or why there is none; values go
/// into `secrets`, and the spec holds placeholders.
pub fn connector(
    connector: &Service,
    resolve: &dyn Fn(&EnvValue) -> Result<ResolvedReference, String>,
    secrets: &mut SecretValues,
) -> DesiredService {
    let mut unresolved = Vec::new();
    let env = environment(connector, resolve, secrets, &mut unresolved);
    let running = connector.desired == DesiredState::Running;
    let scaling = connector.scaling.as_ref().filter(|_| running);
    let autoscaled = scaling.map(|scaling| ScalingBounds { min: scaling.min, max: scaling.max });
    let declared = u64::from(if running { connector.replicas } else { 0 });
    // Where scaling starts from; a number outside of the bounds would be corrected at once.
    let replicas = autoscaled.map_or(declared, |bounds| bounds.nearest(declared));

    let mut task = Map::new();
    task.insert("ContainerSpec".into(), Value::Object(container::container(connector, env)));
    put(&mut task, "Resources", resources(connector));
    put(&mut task, "RestartPolicy", connector.restart.as_ref().map(restart));
    put(&mut task, "Placement", placement::placement(connector));
    put(&mut task, "LogDriver", connector.logging.as_ref().map(placement::log_driver));
    put(&mut task, "Networks", list(&connector.networks, placement::network));

    let mut spec = Map::new();
    spec.insert("Name".into(), json!(connector.swarm_name.as_str()));
    spec.insert("Labels".into(), Value::Object(own_labels(connector)));
    spec.insert("TaskTemplate".into(), Value::Object(task));
    spec.insert("Mode".into(), placement::mode(connector, replicas));
    put(&mut spec, "UpdateConfig", connector.update.as_ref().map(rollout));
    put(&mut spec, "RollbackConfig", connector.rollback.as_ref().map(rollout));
    put(&mut spec, "EndpointSpec", placement::endpoint(connector));
    let mut spec = Value::Object(spec);
    if let Some(patch) = &connector.spec {
        patch.apply(&mut spec);
    }

    DesiredService {
        name: ServiceName::new(connector.swarm_name.as_str()),
        declared_name: connector.name.as_str().to_owned(),
        domain: connector.domain.as_str().to_owned(),
        provenance: Provenance {
            source: Source::Registry,
            file: connector.location.file.to_string(),
            line: connector.location.line,
            column: connector.location.column,
            commit: None,
            author: None,
        },
        spec: spec.into(),
        running,
        autoscaled,
        mcp: mcp_endpoint(connector),
        // Names of connectors here; the caller, who knows them all, turns them into Swarm names.
        depends_on: connector.depends_on.iter().map(|n| ServiceName::new(n.as_str())).collect(),
        ignore: connector.ignore.iter().map(|pointer| pointer.as_str().to_owned()).collect(),
        blocked: blocked_by(&unresolved),
        unresolved: unresolved.into_iter().map(|(key, _)| key).collect(),
    }
}

/// The transport that can be asked; `sse` is the deprecated one and `stdio` has no port.
const STREAMABLE_HTTP: &str = "streamable-http";

fn mcp_endpoint(connector: &Service) -> McpEndpoint {
    if !connector.mcp.initialize {
        return McpEndpoint::Unasked { reason: "the registry says that it is not asked" };
    }
    if connector.transport != STREAMABLE_HTTP {
        return McpEndpoint::Unasked { reason: "its transport is not streamable-http" };
    }
    match connector.host_port {
        Some(port) => McpEndpoint::Published { port, path: connector.mcp.path.clone() },
        None => McpEndpoint::Unasked { reason: "not reachable from here: it publishes no port" },
    }
}

/// What every connector image understands, then what the owner says; the owner wins.
fn environment(
    connector: &Service,
    resolve: &dyn Fn(&EnvValue) -> Result<ResolvedReference, String>,
    secrets: &mut SecretValues,
    unresolved: &mut Vec<(String, String)>,
) -> Vec<Value> {
    let standard = [
        ("HOST", connector.host.clone()),
        ("PORT", connector.container_port.to_string()),
        ("TRANSPORT", connector.transport.clone()),
    ];
    let mut lines: Vec<String> = standard
        .into_iter()
        .filter(|(key, _)| connector.env.get(key).is_none())
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    for (key, value) in connector.env.iter() {
        let text = match value {
            EnvValue::Unset => continue,
            EnvValue::Literal(text) => text.clone(),
            EnvValue::FromEnv(_) | EnvValue::FromFile(_) => match resolve(value) {
                Ok(resolved) => {
                    let reference = reference_text(value);
                    let placeholder = SecretValues::placeholder(&reference, &resolved.fingerprint);
                    secrets.insert(placeholder.clone(), resolved.value);
                    placeholder
                }
                Err(why) => {
                    unresolved.push((key.to_owned(), why));
                    continue;
                }
            },
        };
        lines.push(format!("{key}={text}"));
    }
    lines.sort();
    lines.into_iter().map(Value::from).collect()
}

fn reference_text(value: &EnvValue) -> String {
    match value {
        EnvValue::FromEnv(name) => format!("env:{name}"),
        EnvValue::FromFile(path) => format!("file:{path}"),
        EnvValue::Literal(_) | EnvValue::Unset => String::new(),
    }
}

fn blocked_by(unresolved: &[(String, String)]) -> Option<Blocked> {
    let lines: Vec<String> = unresolved.iter().map(|(key, why)| format!("{key}: {why}")).collect();
    (!lines.is_empty()).then(|| Blocked {
        code: "SECRET_UNRESOLVED".to_owned(),
        message: format!("a referenced value is not available: {}", lines.join("; ")),
        hint: "set it in the environment of Skep, or make the file readable for it".to_owned(),
    })
}

fn own_labels(connector: &Service) -> Map<String, Value> {
    let mut own: Map<String, Value> =
        connector.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    if let Some(stack) = &connector.stack {
        // So that `docker stack ls`, `ps` and `rm` find it.
        own.insert(labels::STACK_NAMESPACE.into(), json!(stack.as_str()));
    }
    own
}

fn resources(connector: &Service) -> Option<Value> {
    let (limits, reservations) = (&connector.resources.limits, &connector.resources.reservations);
    let mut limit = Map::new();
    put(&mut limit, "NanoCPUs", limits.cpus.map(|cpus| json!(cpus.get())));
    put(&mut limit, "MemoryBytes", limits.memory.map(|bytes| json!(bytes.get())));
    put(&mut limit, "Pids", limits.pids.map(|pids| json!(pids)));
    let mut reserved = Map::new();
    put(&mut reserved, "NanoCPUs", reservations.cpus.map(|cpus| json!(cpus.get())));
    put(&mut reserved, "MemoryBytes", reservations.memory.map(|bytes| json!(bytes.get())));
    let mut block = Map::new();
    put(&mut block, "Limits", (!limit.is_empty()).then_some(Value::Object(limit)));
    put(&mut block, "Reservations", (!reserved.is_empty()).then_some(Value::Object(reserved)));
    (!block.is_empty()).then_some(Value::Object(block))
}

fn restart(restart: &Restart) -> Value {
    let mut block = Map::new();
    let condition = restart.condition.map(|condition| match condition {
        RestartCondition::None => "none",
        RestartCondition::OnFailure => "on-failure",
        RestartCondition::Any => "any",
    });
    put(&mut block, "Condition", condition.map(Value::from));
    put(&mut block, "Delay", restart.delay.map(|d| json!(d.as_nanos())));
    put(&mut block, "MaxAttempts", restart.max_attempts.map(|n| json!(n)));
    put(&mut block, "Window", restart.window.map(|d| json!(d.as_nanos())));
    Value::Object(block)
}

fn rollout(rollout: &Rollout) -> Value {
    let mut block = Map::new();
    // A block without the number means all tasks at once to the engine; not said means one.
    block.insert("Parallelism".into(), json!(rollout.parallelism.unwrap_or(1)));
    put(&mut block, "Delay", rollout.delay.map(|d| json!(d.as_nanos())));
    let order = rollout.order.map(|order| match order {
        RolloutOrder::StopFirst => "stop-first",
        RolloutOrder::StartFirst => "start-first",
    });
    put(&mut block, "Order", order.map(Value::from));
    let action = rollout.failure_action.map(|action| match action {
        FailureAction::Pause => "pause",
        FailureAction::Continue => "continue",
        FailureAction::Rollback => "rollback",
    });
    put(&mut block, "FailureAction", action.map(Value::from));
    put(&mut block, "Monitor", rollout.monitor.map(|d| json!(d.as_nanos())));
    let ratio = rollout.max_failure_ratio.map(|ratio| float32(&json!(ratio)));
    put(&mut block, "MaxFailureRatio", ratio);
    Value::Object(block)
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value);
    }
}

fn set(value: &mut Value, key: &str, item: Value) {
    if let Value::Object(map) = value {
        map.insert(key.to_owned(), item);
    }
}

fn list<T>(items: &[T], entry: impl Fn(&T) -> Value) -> Option<Value> {
    (!items.is_empty()).then(|| Value::Array(items.iter().map(entry).collect()))
}

#[cfg(test)]
mod tests;

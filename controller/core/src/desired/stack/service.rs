//! The spec of a service of a stack, around its container.

use serde_json::{Value, json};
use skep_crds::stack::{Deploy, Port, RestartPolicy, Rollout, Service, Time};

use super::{DEFAULT_NETWORK, Scope, container, list, number, object, pairs, text, texts};
use crate::labels;
use crate::plan::float32;

/// The engine's spec of a service, spelled as docker spells it. The engine keeps an empty block and
/// none apart, so another spelling would have `docker stack deploy` restart the tasks.
pub(super) fn service(scope: &Scope<'_>, name: &str, service: &Service) -> Value {
    let deploy = &service.deploy;
    let mut own = scope.labels(&deploy.labels.0);
    own.insert(labels::STACK_IMAGE.to_owned(), json!(service.image));
    let task = object([
        ("ContainerSpec", Some(container::container(scope, service))),
        ("Resources", Some(resources(deploy))),
        ("RestartPolicy", restart(service)),
        ("Placement", Some(placement(deploy))),
        (
            "LogDriver",
            service.logging.as_ref().map(|logging| {
                object([("Name", text(&logging.driver)), ("Options", pairs(&logging.options.0))])
            }),
        ),
        ("Networks", list(networks(scope, name, service))),
    ]);
    object([
        ("Name", Some(json!(format!("{}_{name}", scope.name)))),
        ("Labels", Some(Value::Object(own))),
        ("TaskTemplate", Some(task)),
        ("Mode", Some(mode(deploy))),
        ("UpdateConfig", deploy.update_config.as_ref().map(rollout)),
        ("RollbackConfig", deploy.rollback_config.as_ref().map(rollout)),
        ("EndpointSpec", Some(endpoint(service))),
    ])
}

fn mode(deploy: &Deploy) -> Value {
    let replicas = deploy.replicas.map(|count| json!(count.0));
    match &*deploy.mode {
        "global" => json!({"Global": {}}),
        "global-job" => json!({"GlobalJob": {}}),
        "replicated-job" => json!({"ReplicatedJob": object([
            ("MaxConcurrent", replicas.clone()),
            ("TotalCompletions", replicas),
        ])}),
        _ => json!({"Replicated": object([("Replicas", replicas)])}),
    }
}

fn nanos(time: Option<Time>) -> Option<Value> {
    time.map(|time| json!(time.0.as_nanos()))
}

/// What `deploy` says; else what `restart` says.
fn restart(service: &Service) -> Option<Value> {
    match &service.deploy.restart_policy {
        Some(RestartPolicy { condition, delay, max_attempts, window }) => Some(object([
            ("Condition", text(condition)),
            ("Delay", nanos(*delay)),
            ("MaxAttempts", max_attempts.map(|count| json!(count.0))),
            ("Window", nanos(*window)),
        ])),
        None => {
            let (word, count) = service.restart.split_once(':').unwrap_or((&service.restart, ""));
            match word {
                "always" | "unless-stopped" => Some(json!({"Condition": "any"})),
                "on-failure" => Some(json!({
                    "Condition": "on-failure",
                    "MaxAttempts": count.parse::<u64>().unwrap_or(0),
                })),
                _ => None,
            }
        }
    }
}

fn rollout(rollout: &Rollout) -> Value {
    object([
        ("Parallelism", Some(json!(rollout.parallelism.map_or(1, |count| count.0)))),
        ("Delay", number(rollout.delay.0.as_nanos())),
        ("FailureAction", text(&rollout.failure_action)),
        ("Monitor", number(rollout.monitor.0.as_nanos())),
        (
            "MaxFailureRatio",
            (rollout.max_failure_ratio.0 != 0.0)
                .then(|| float32(&json!(rollout.max_failure_ratio.0))),
        ),
        ("Order", text(&rollout.order.0)),
    ])
}

fn resources(deploy: &Deploy) -> Value {
    let limits = deploy.resources.limits.as_ref().map(|limits| {
        object([
            ("NanoCPUs", number(limits.cpus.nanos())),
            ("MemoryBytes", number(limits.memory.0.get())),
            ("Pids", number(limits.pids.0)),
        ])
    });
    let reservations = deploy.resources.reservations.as_ref().map(|reserved| {
        let generic = reserved.generic_resources.iter().map(|generic| {
            generic.discrete_resource_spec.as_ref().map_or_else(
                || json!({}),
                |spec| json!({"DiscreteResourceSpec": {"Kind": spec.kind, "Value": spec.value.0}}),
            )
        });
        object([
            ("NanoCPUs", number(reserved.cpus.nanos())),
            ("MemoryBytes", number(reserved.memory.0.get())),
            ("GenericResources", list(generic.collect())),
        ])
    });
    object([("Limits", limits), ("Reservations", reservations)])
}

fn placement(deploy: &Deploy) -> Value {
    let preferences = deploy.placement.preferences.iter();
    let preferences = preferences.map(|one| json!({"Spread": {"SpreadDescriptor": one.spread}}));
    object([
        ("Constraints", texts(&deploy.placement.constraints)),
        ("Preferences", list(preferences.collect())),
        ("MaxReplicas", number(deploy.placement.max_replicas_per_node.0)),
    ])
}

/// The networks by name, each with the aliases of the service there and its own name.
fn networks(scope: &Scope<'_>, name: &str, service: &Service) -> Vec<Value> {
    let declared = &service.networks.0;
    let default = (declared.is_empty()).then_some((DEFAULT_NETWORK, None));
    let named = declared.iter().map(|(key, attachment)| (key.as_str(), attachment.as_ref()));
    let mut out: Vec<(String, Value)> = default
        .into_iter()
        .chain(named)
        .map(|(key, attachment)| {
            let network = scope.stack.networks.get(key);
            let target = scope.named(key, network.map(|network| &network.name));
            let mut aliases = attachment.map_or_else(Vec::new, |a| a.aliases.0.clone());
            if takes_aliases(&target) {
                aliases.push(name.to_owned());
            }
            let entry = object([
                ("Target", text(&target)),
                ("Aliases", texts(&aliases)),
                ("DriverOpts", attachment.and_then(|a| pairs(&a.driver_opts.0))),
            ]);
            (target, entry)
        })
        .collect();
    out.sort_by(|one, other| one.0.cmp(&other.0));
    out.into_iter().map(|(_, entry)| entry).collect()
}

/// The engine's own networks know no aliases.
pub(super) fn takes_aliases(network: &str) -> bool {
    !matches!(network, "default" | "bridge" | "host" | "none") && !network.starts_with("container:")
}

fn endpoint(service: &Service) -> Value {
    let mut ports: Vec<&Port> = service.ports.0.iter().collect();
    ports.sort_by_key(|port| port.published);
    let ports = ports.into_iter().map(|port| {
        object([
            ("Protocol", text(&port.protocol)),
            ("TargetPort", number(port.target.0.into())),
            ("PublishedPort", number(port.published.0.into())),
            ("PublishMode", text(&port.mode)),
        ])
    });
    object([
        ("Mode", text(&service.deploy.endpoint_mode.to_lowercase())),
        ("Ports", list(ports.collect())),
    ])
}

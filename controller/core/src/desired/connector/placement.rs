//! Where the tasks of a connector run, how many, and how they are reached, in the engine's words.

use serde_json::{Map, Value, json};
use skep_crds::registry::{
    EndpointMode, Logging, NetworkAttachment, Protocol, PublishMode, PublishedPort, Service,
    ServiceMode,
};

use super::{put, set};

/// `Mode`. As docker's own client: the replicas of a job are how many tasks must end well, and
/// all of them run at once unless another number is given.
pub(super) fn mode(connector: &Service, replicas: u64) -> Value {
    match connector.mode {
        ServiceMode::Replicated => json!({"Replicated": {"Replicas": replicas}}),
        ServiceMode::Global => json!({"Global": {}}),
        ServiceMode::ReplicatedJob => {
            let concurrent = connector.max_concurrent.map_or(replicas, u64::from);
            json!({"ReplicatedJob": {"MaxConcurrent": concurrent, "TotalCompletions": replicas}})
        }
        ServiceMode::GlobalJob => json!({"GlobalJob": {}}),
    }
}

pub(super) fn placement(connector: &Service) -> Option<Value> {
    let own = &connector.placement;
    let mut block = Map::new();
    let constraints = &connector.constraints;
    put(&mut block, "Constraints", (!constraints.is_empty()).then(|| json!(constraints)));
    let preferences: Vec<Value> = own
        .preferences
        .iter()
        .map(|spread| json!({"Spread": {"SpreadDescriptor": spread}}))
        .collect();
    put(&mut block, "Preferences", (!preferences.is_empty()).then_some(Value::Array(preferences)));
    let most = own.max_replicas_per_node;
    put(&mut block, "MaxReplicas", (most > 0).then(|| json!(most)));
    (!block.is_empty()).then_some(Value::Object(block))
}

pub(super) fn log_driver(logging: &Logging) -> Value {
    let mut block = Map::new();
    put(&mut block, "Name", logging.driver.as_ref().map(|driver| json!(driver)));
    let options = &logging.options;
    put(&mut block, "Options", (!options.is_empty()).then(|| json!(options)));
    Value::Object(block)
}

pub(super) fn network(network: &NetworkAttachment) -> Value {
    let mut entry = json!({"Target": network.name.as_str()});
    if !network.aliases.is_empty() {
        set(&mut entry, "Aliases", json!(network.aliases));
    }
    if !network.driver_opts.is_empty() {
        set(&mut entry, "DriverOpts", json!(network.driver_opts));
    }
    entry
}

pub(super) fn endpoint(connector: &Service) -> Option<Value> {
    let own = connector.host_port.map(|published| PublishedPort {
        target: connector.container_port,
        published: Some(published),
        protocol: Protocol::Tcp,
        mode: PublishMode::Ingress,
        name: None,
    });
    let ports: Vec<Value> = own.iter().chain(&connector.ports).map(port).collect();
    let mut block = Map::new();
    let mode = connector.endpoint_mode.map(|mode| match mode {
        EndpointMode::Vip => json!("vip"),
        EndpointMode::Dnsrr => json!("dnsrr"),
    });
    put(&mut block, "Mode", mode);
    put(&mut block, "Ports", (!ports.is_empty()).then_some(Value::Array(ports)));
    (!block.is_empty()).then_some(Value::Object(block))
}

fn port(port: &PublishedPort) -> Value {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    };
    let mode = match port.mode {
        PublishMode::Ingress => "ingress",
        PublishMode::Host => "host",
    };
    let mut entry = json!({"Protocol": protocol, "TargetPort": port.target, "PublishMode": mode});
    if let Some(published) = port.published {
        set(&mut entry, "PublishedPort", json!(published));
    }
    if let Some(name) = &port.name {
        set(&mut entry, "Name", json!(name));
    }
    entry
}

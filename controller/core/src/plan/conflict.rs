//! What stands in the way of a step: ports that somebody else publishes, and networks, secrets
//! and configs that are not there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Blocked, PlanIndex, PlanInput};
use crate::desired::DesiredService;
use crate::identity::{ObjectKind, SwarmId};

/// A step's obstacle.
pub(super) struct PortConflict {
    pub(super) blocked: Blocked,
    /// True when the holder is not on record as ours.
    pub(super) foreign: bool,
}

/// The first published port of the service that another service holds.
pub(super) fn published_port(
    input: &PlanInput<'_>,
    index: &PlanIndex,
    service: &DesiredService,
) -> Option<PortConflict> {
    let (port, holder) = service.spec.ports().iter().find_map(|port| {
        // Only ingress ports have one owner in the whole swarm.
        let mut holders = index.holders(input.observed, port).iter();
        let holder = holders.find(|other| **other != service.name)?;
        let holder = input.observed.services.get(holder)?;
        Some((port, holder))
    })?;
    let foreign = input.owned.get(&holder.name) != Some(&holder.id);
    let (whose, hint) = if foreign {
        (
            "which is not on record as ours",
            format!(
                "adopt it by declaring this connector with swarm_name: {}, or give one of the two \
                 another port",
                holder.name
            ),
        )
    } else {
        ("which is ours", "give one of the two another port".to_owned())
    };
    Some(PortConflict {
        blocked: Blocked {
            code: "PORT_TAKEN".to_owned(),
            message: format!(
                "port {}/{} is published by service {:?}, {whose}",
                port.published,
                port.protocol,
                holder.name.as_str()
            ),
            hint,
        },
        foreign,
    })
}

/// The first network of the service that does not exist.
pub(super) fn missing_network(
    input: &PlanInput<'_>,
    index: &PlanIndex,
    service: &DesiredService,
) -> Option<Blocked> {
    let spec = service.spec.value();
    let networks = spec.pointer("/TaskTemplate/Networks").and_then(Value::as_array)?;
    let missing = networks
        .iter()
        .filter_map(|network| network.get("Target").and_then(Value::as_str))
        .find(|name| {
            input.observed.network_id(name).is_none()
                && !index.objects.is_coming(ObjectKind::Network, name)
        })?;
    Some(Blocked {
        code: "NETWORK_MISSING".to_owned(),
        message: format!("network {missing:?} does not exist on this swarm"),
        hint: format!("create it: docker network create --driver overlay {missing}"),
    })
}

/// The first secret or config of the service that does not exist.
pub(super) fn missing_file(
    input: &PlanInput<'_>,
    index: &PlanIndex,
    spec: &Value,
) -> Option<Blocked> {
    let container = spec.pointer("/TaskTemplate/ContainerSpec")?;
    let missing = |list: &str, name: &str, known: &BTreeMap<String, SwarmId>, kind: ObjectKind| {
        let entries = container.get(list).and_then(Value::as_array)?;
        let mut names = entries.iter().filter_map(|entry| entry.get(name)?.as_str());
        names
            .find(|name| !known.contains_key(*name) && !index.objects.is_coming(kind, name))
            .map(str::to_owned)
    };
    let credential_spec = || {
        let config = container.pointer("/Privileges/CredentialSpec/Config")?.as_str()?;
        let is_missing = !config.is_empty()
            && !input.observed.configs.contains_key(config)
            && !index.objects.is_coming(ObjectKind::Config, config);
        is_missing.then(|| config.to_owned())
    };
    let observed = input.observed;
    let of_kind = |code: &str, kind: &str, name: String| Blocked {
        code: code.to_owned(),
        message: format!("{kind} {name:?} does not exist on this swarm"),
        hint: format!("create it: docker {kind} create {name} FILE"),
    };
    missing("Secrets", "SecretName", &observed.secrets, ObjectKind::Secret)
        .map(|name| of_kind("SECRET_MISSING", "secret", name))
        .or_else(|| {
            missing("Configs", "ConfigName", &observed.configs, ObjectKind::Config)
                .or_else(credential_spec)
                .map(|name| of_kind("CONFIG_MISSING", "config", name))
        })
}

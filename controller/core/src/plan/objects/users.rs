//! Which networks, secrets and configs a service spec names, and which services use one.

use serde_json::Value;

use crate::identity::{ObjectKind, ServiceName};
use crate::observed::{ObservedObject, Snapshot};

/// Where a spec names what, in which key, and in which key the id stands.
const PLACES: [(&str, &str, &str, ObjectKind); 4] = [
    ("/TaskTemplate/Networks", "Target", "Target", ObjectKind::Network),
    ("/Networks", "Target", "Target", ObjectKind::Network),
    ("/TaskTemplate/ContainerSpec/Secrets", "SecretName", "SecretID", ObjectKind::Secret),
    ("/TaskTemplate/ContainerSpec/Configs", "ConfigName", "ConfigID", ObjectKind::Config),
];

/// What a declared spec names.
pub(super) fn names_used(spec: &Value) -> impl Iterator<Item = ServiceName> + '_ {
    PLACES.iter().flat_map(move |(list, key, _, kind)| {
        let entries = spec.pointer(list).and_then(Value::as_array).into_iter().flatten();
        entries.filter_map(move |entry| {
            entry.get(*key)?.as_str().map(|name| ServiceName::object(*kind, name))
        })
    })
}

/// The ids of networks, configs and secrets that a live spec names.
pub fn ids_used(spec: &Value) -> impl Iterator<Item = &str> {
    PLACES.iter().flat_map(move |(list, _, id, _)| {
        let entries = spec.pointer(list).and_then(Value::as_array).into_iter().flatten();
        entries.filter_map(move |entry| entry.get(*id)?.as_str())
    })
}

/// True when Swarm may still take a service back to what names it.
pub(in crate::plan) fn is_way_back(observed: &Snapshot, object: &ObservedObject) -> bool {
    let names_it = |id: &String| *id == object.id.as_str();
    observed.services.values().any(|service| service.returns_to.iter().any(names_it))
}

/// What a declared spec names and the swarm does not have.
pub fn missing_references<'a>(
    observed: &'a Snapshot,
    spec: &'a Value,
) -> impl Iterator<Item = ServiceName> + 'a {
    names_used(spec).filter(|target| match target.kind() {
        ObjectKind::Network => observed.network_id(target.bare()).is_none(),
        ObjectKind::Secret => !observed.secrets.contains_key(target.bare()),
        ObjectKind::Config => !observed.configs.contains_key(target.bare()),
        ObjectKind::Service | ObjectKind::Stack => false,
    })
}

/// The services that use it now, by their live specs.
pub(in crate::plan) fn services_using<'a>(
    observed: &'a Snapshot,
    object: &'a ObservedObject,
) -> impl Iterator<Item = &'a ServiceName> + 'a {
    let uses = move |spec: &Value| {
        let places = PLACES.iter().filter(|(_, _, _, kind)| *kind == object.kind);
        places.into_iter().any(|(list, _, id, _)| {
            let entries = spec.pointer(list).and_then(Value::as_array).into_iter().flatten();
            entries.into_iter().any(|entry| {
                let named = entry.get(*id).and_then(Value::as_str);
                named == Some(object.id.as_str()) || named == Some(&*object.name)
            })
        })
    };
    let services = observed.services.values();
    services.filter(move |service| uses(&service.spec.value())).map(|service| &service.name)
}

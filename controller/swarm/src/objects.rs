//! Networks, secrets and configs as the engine reports them, and where its API has them.

use jiff::Timestamp;
use serde_json::{Map, Value};
use skep_core::identity::{ObjectKind, SwarmId};
use skep_core::observed::{ObservedNetwork, ObservedObject};

use crate::error::Error;

/// The paths of one kind.
pub(crate) struct Paths {
    pub(crate) list: &'static str,
    pub(crate) create: &'static str,
    pub(crate) one: &'static str,
    pub(crate) update: &'static str,
}

/// Where the API has a kind.
pub(crate) fn paths(kind: ObjectKind) -> Paths {
    let (list, create, one, update) = match kind {
        ObjectKind::Service => {
            ("/services", "/services/create", "/services/{id}", "/services/{id}/update")
        }
        // There is no such request: networks are made anew.
        ObjectKind::Network => {
            ("/networks", "/networks/create", "/networks/{id}", "/networks/{id}/update")
        }
        ObjectKind::Config => {
            ("/configs", "/configs/create", "/configs/{id}", "/configs/{id}/update")
        }
        ObjectKind::Secret => {
            ("/secrets", "/secrets/create", "/secrets/{id}", "/secrets/{id}/update")
        }
        // The engine knows no stacks, and answers that there is no such page.
        ObjectKind::Stack => ("/stacks", "/stacks/create", "/stacks/{id}", "/stacks/{id}/update"),
    };
    Paths { list, create, one, update }
}

/// The id and name of a network, local ones included.
///
/// # Errors
/// [`Error::Undecodable`] when it has none.
pub fn network(reported: &Value) -> Result<ObservedNetwork, Error> {
    let text = |key: &str| reported.get(key).and_then(Value::as_str);
    let (Some(id), Some(name)) = (text("Id"), text("Name")) else {
        return Err(undecodable(ObjectKind::Network, text("Name"), "it has no Id or no Name"));
    };
    Ok(ObservedNetwork {
        id: SwarmId::new(id),
        name: name.to_owned(),
        scope: text("Scope").unwrap_or_default().to_owned(),
    })
}

/// What a network says that somebody can have asked for.
const NETWORK_SPEC: &[&str] =
    &["Name", "Driver", "Options", "IPAM", "Internal", "Attachable", "Ingress", "Labels", "Scope"];

/// Reads one object as the engine reports it.
///
/// # Errors
/// [`Error::Undecodable`] with its name and what is missing.
pub fn object(kind: ObjectKind, mut reported: Value) -> Result<ObservedObject, Error> {
    let time = |reported: &Value, key: &str| {
        reported.get(key).and_then(Value::as_str).and_then(|at| at.parse::<Timestamp>().ok())
    };
    if kind == ObjectKind::Network {
        let read = network(&reported)?;
        let created_at = time(&reported, "Created").unwrap_or_default();
        let spec = NETWORK_SPEC
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), reported.get_mut(*key)?.take())));
        return Ok(ObservedObject {
            kind,
            id: read.id,
            name: read.name,
            version: 0,
            spec: Value::Object(spec.collect::<Map<_, _>>()),
            created_at,
            updated_at: created_at,
        });
    }
    let text = |pointer: &str| reported.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let (id, name) = (text("/ID"), text("/Spec/Name"));
    let (Some(id), Some(name)) = (id, name.clone()) else {
        return Err(undecodable(kind, name.as_deref(), "it has no ID or no Spec.Name"));
    };
    let wrong = |why: &str| undecodable(kind, Some(&name), why);
    let version = reported
        .pointer("/Version/Index")
        .and_then(Value::as_u64)
        .ok_or_else(|| wrong("Version.Index is not a number"))?;
    let created_at =
        time(&reported, "CreatedAt").ok_or_else(|| wrong("CreatedAt is not a time"))?;
    let updated_at = time(&reported, "UpdatedAt").unwrap_or(created_at);
    let spec = reported.get_mut("Spec").map(Value::take).unwrap_or_default();
    Ok(ObservedObject { kind, id: SwarmId::new(id), name, version, spec, created_at, updated_at })
}

fn undecodable(kind: ObjectKind, name: Option<&str>, why: &str) -> Error {
    let called = name.unwrap_or("without a name");
    Error::Undecodable { object: format!("{} {called}", kind.as_str()), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_network_keeps_what_can_be_asked_for() {
        let reported = json!({"Id": "n1", "Name": "web", "Scope": "swarm", "Driver": "overlay",
            "Created": "2026-11-20T22:00:17.5Z", "Labels": {"a": "b"}, "Containers": {"x": {}}});
        let read = object(ObjectKind::Network, reported).unwrap();
        assert_eq!((read.id.as_str(), read.name.as_str(), read.version), ("n1", "web", 0));
        assert_eq!(read.spec["Labels"]["a"], "b");
        assert_eq!(read.spec.get("Containers"), None);
        let error = object(ObjectKind::Network, json!({"Name": "web"})).unwrap_err().to_string();
        assert!(error.contains("network web"), "{error}");
    }

    #[test]
    fn a_config_keeps_its_spec_and_is_never_printed() {
        let reported = json!({"ID": "c1", "Version": {"Index": 7},
            "CreatedAt": "2026-11-20T22:00:17.5Z", "UpdatedAt": "2026-11-20T22:00:18.5Z",
            "Spec": {"Name": "web_app", "Data": "aHVudGVyMg==", "Unknown": [1]}});
        let read = object(ObjectKind::Config, reported.clone()).unwrap();
        assert_eq!((read.version, &read.spec), (7, &reported["Spec"]));
        assert!(!format!("{read:?}").contains("aHV"), "{read:?}");
        for key in ["ID", "Version", "CreatedAt"] {
            let mut broken = reported.clone();
            broken[key] = json!(null);
            let error = object(ObjectKind::Config, broken).unwrap_err().to_string();
            assert!(error.contains("config web_app"), "{key}: {error}");
        }
    }
}

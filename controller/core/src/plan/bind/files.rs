//! Secrets and configs: names become the ids that the engine wants beside them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::BindError;
use crate::identity::SwarmId;
use crate::observed::Snapshot;
use crate::plan::normalise::ListSection;

/// Fills in the ids; an entry that has one comes from the live spec and keeps it.
pub(super) fn resolve(spec: &mut Value, snapshot: &Snapshot) -> Result<(), BindError> {
    let secrets = ("SecretID", "SecretName", &snapshot.secrets);
    fill(spec, ListSection::Secrets, secrets, BindError::SecretMissing)?;
    let configs = ("ConfigID", "ConfigName", &snapshot.configs);
    fill(spec, ListSection::Configs, configs, BindError::ConfigMissing)?;
    credential_spec(spec, snapshot)
}

fn fill(
    spec: &mut Value,
    section: ListSection,
    (id, name, known): (&str, &str, &BTreeMap<String, SwarmId>),
    missing: fn(String) -> BindError,
) -> Result<(), BindError> {
    let Some(Value::Array(entries)) = spec.pointer_mut(section.pointer()) else { return Ok(()) };
    for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
        let has_id = entry.get(id).and_then(Value::as_str).is_some_and(|id| !id.is_empty());
        if has_id {
            continue;
        }
        let called = entry.get(name).and_then(Value::as_str).unwrap_or_default();
        let found = known.get(called).ok_or_else(|| missing(called.to_owned()))?;
        entry.insert(id.to_owned(), json!(found.as_str()));
    }
    Ok(())
}

/// The config of a credential spec is named by its id; the engine wants the same one in the list
/// of configs.
fn credential_spec(spec: &mut Value, snapshot: &Snapshot) -> Result<(), BindError> {
    let listed = spec.pointer(ListSection::Configs.pointer()).and_then(Value::as_array);
    let is_listed = |id: &str| {
        let is_it = |entry: &Value| entry.get("ConfigID").and_then(Value::as_str) == Some(id);
        listed.is_some_and(|list| list.iter().any(is_it))
    };
    let at = "/TaskTemplate/ContainerSpec/Privileges/CredentialSpec/Config";
    let Some(config) = spec.pointer(at).and_then(Value::as_str) else { return Ok(()) };
    if config.is_empty() || is_listed(config) {
        return Ok(());
    }
    let found = snapshot
        .configs
        .get(config)
        .ok_or_else(|| BindError::ConfigMissing(config.to_owned()))?
        .as_str()
        .to_owned();
    if let Some(slot) = spec.pointer_mut(at) {
        *slot = Value::String(found);
    }
    Ok(())
}

//! Binding: a symbolic step, the live object and late facts (Version, ids, the action's id)
//! become the exact bytes of one request.
//!
//! The live spec is patched in its own form, so every field that Skep knows nothing about goes
//! back to the engine as it came.

mod containment;
mod files;
mod object;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

pub use self::containment::bind_containment;
use super::diff::IMAGE;
use super::image::PLATFORMS;
use super::normalise::{ListSection, NetworkNames, section_of};
use super::pointer::{self, is_within};
use super::replacement::Replacement;
use super::{Edit, Operation, Step};
use crate::canonical::canonical_json;
use crate::desired::{SecretValues, is_placeholder};
use crate::identity::{ActionId, FleetName, ObjectKind, SwarmId};
use crate::labels;
use crate::observed::{ObservedObject, ObservedService, Snapshot};

/// One request, ready to be stored and sent.
#[derive(Clone, PartialEq, Eq)]
pub struct BoundRequest {
    /// The object and its Version for an update or a replacement; `None` for a create.
    pub update: Option<(SwarmId, u64)>,
    /// The exact body; for a replacement a [`Replacement`].
    pub body: Vec<u8>,
}

impl std::fmt::Debug for BoundRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundRequest")
            .field("update", &self.update)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// Why a step cannot be bound now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// The object of the step is not there, or another one is.
    #[error("what the step was planned for is no longer there")]
    ObjectMoved,
    /// A network is not there.
    #[error("network {0:?} does not exist on this swarm")]
    NetworkMissing(String),
    /// A secret is not there.
    #[error("secret {0:?} does not exist on this swarm")]
    SecretMissing(String),
    /// A config is not there.
    #[error("config {0:?} does not exist on this swarm")]
    ConfigMissing(String),
    /// A reference has no value now.
    #[error("the value behind the reference of {0:?} is not available")]
    ReferenceUnresolved(String),
    /// The step changes only Skep's records.
    #[error("the step writes nothing to the engine")]
    NothingToSend,
}

/// What is known only at execution.
#[derive(Debug, Clone, Copy)]
pub struct Late<'a> {
    /// The newest snapshot: ids of networks, secrets and configs.
    pub snapshot: &'a Snapshot,
    /// The service as it is now.
    pub live: Option<&'a ObservedService>,
    /// The network, config or secret as it is now.
    pub object: Option<&'a ObservedObject>,
    /// Values behind references.
    pub secrets: &'a SecretValues,
    /// The action that the write belongs to.
    pub action: &'a ActionId,
    /// The fleet.
    pub fleet: &'a FleetName,
}

/// The exact request of a step.
///
/// # Errors
/// See [`BindError`]; nothing was sent.
pub fn bind(step: &Step, late: Late<'_>) -> Result<BoundRequest, BindError> {
    if step.target.kind() != ObjectKind::Service || step.operation == Operation::Remove {
        return object::bind(step, late);
    }
    let live = match (&step.object, late.live) {
        (None, None) => None,
        (Some(id), Some(live)) if *id == live.id => Some(live),
        _ => return Err(BindError::ObjectMoved),
    };
    let mut spec = match (&step.operation, live) {
        (Operation::Create { spec }, None) => spec.clone(),
        (Operation::Update { edits } | Operation::Replace { edits }, Some(live)) => {
            let mut spec = live.spec.value();
            if edits.iter().any(|edit| is_within(&edit.pointer, IMAGE)) {
                // They say where the image before it runs. Those of the new one, where they are
                // known, are an edit of their own.
                pointer::remove(&mut spec, PLATFORMS);
            }
            apply(&mut spec, edits, &NetworkNames::of(late.snapshot));
            keep_blocks(&mut spec, live);
            spec
        }
        (Operation::Restart, Some(live)) => {
            let mut spec = live.spec.value();
            let next = live.spec.restarts().wrapping_add(1);
            pointer::set(&mut spec, "/TaskTemplate/ForceUpdate", json!(next));
            spec
        }
        (Operation::RefreshCredentials, Some(live)) => {
            // Not even a label of ours: any difference would be a change of its own.
            let update = Some((live.id.clone(), live.version));
            return Ok(BoundRequest { update, body: canonical_json(&live.spec.value()) });
        }
        (Operation::Adopt | Operation::Release | Operation::ReturnStack { .. }, _) => {
            return Err(BindError::NothingToSend);
        }
        (
            Operation::CreateObject { .. } | Operation::UpdateLabels { .. } | Operation::Remove,
            _,
        ) => return Err(BindError::ObjectMoved),
        (
            Operation::Create { .. }
            | Operation::Update { .. }
            | Operation::Replace { .. }
            | Operation::Restart
            | Operation::RefreshCredentials,
            _,
        ) => return Err(BindError::ObjectMoved),
    };
    let before = live.map(|live| live.spec.value());
    resolve_networks(&mut spec, before.as_ref(), late.snapshot)?;
    files::resolve(&mut spec, late.snapshot)?;
    resolve_references(&mut spec, late.secrets)?;
    label(&mut spec, step, late);
    let body = match (&step.operation, live) {
        (Operation::Replace { .. }, Some(live)) => {
            let mut former = live.spec.value();
            // Proof that it was put back by this action.
            pointer::set(&mut former, ACTION_LABEL, json!(late.action.as_str()));
            Replacement::new(spec, former).to_bytes()
        }
        _ => canonical_json(&spec),
    };
    let update = live.map(|live| (live.id.clone(), live.version));
    Ok(BoundRequest { update, body })
}

/// Blocks that docker always writes, and that are there empty when they say nothing.
const BLOCKS: [&str; 4] = [
    "/TaskTemplate/Resources",
    "/TaskTemplate/Placement",
    "/TaskTemplate/ContainerSpec/Privileges",
    "/EndpointSpec",
];

/// A block that was there stays when its last field goes: to the engine an empty one is not the
/// same as none, and the tasks would be restarted once more by `docker stack deploy`.
fn keep_blocks(spec: &mut Value, live: &ObservedService) {
    let before = live.spec.value();
    for block in BLOCKS {
        if before.pointer(block).is_some_and(Value::is_object) && spec.pointer(block).is_none() {
            pointer::set(spec, block, json!({}));
        }
    }
}

const ACTION_LABEL: &str = "/Labels/dev.skep.action";

/// Applies edits to a spec in the engine's form.
pub(super) fn apply(spec: &mut Value, edits: &[Edit], networks: &NetworkNames) {
    // From the back, so that the entries before the removed one keep their keys.
    for edit in edits.iter().rev().filter(|edit| edit.value.is_none()) {
        match section_of(&edit.pointer) {
            Some((section, key)) => edit_list(spec, section, &key, None, networks),
            None => pointer::remove(spec, &edit.pointer),
        }
    }
    for edit in edits {
        match (section_of(&edit.pointer), &edit.value) {
            (_, None) => {}
            (Some((section, key)), value) => {
                edit_list(spec, section, &key, value.as_ref(), networks);
            }
            (None, Some(value)) => pointer::set(spec, &edit.pointer, value.clone()),
        }
    }
}

fn edit_list(
    spec: &mut Value,
    section: ListSection,
    key: &str,
    value: Option<&Value>,
    networks: &NetworkNames,
) {
    if section == ListSection::Networks {
        migrate_networks(spec);
    }
    let at = section.pointer();
    if !spec.pointer(at).is_some_and(Value::is_array) {
        if value.is_none() {
            return;
        }
        pointer::set(spec, at, Value::Array(Vec::new()));
    }
    let Some(Value::Array(entries)) = spec.pointer_mut(at) else { return };
    let keys = section.keys(entries, networks);
    let mut keys = keys.iter().map(|found| found.as_deref() == Some(key));
    let mut entry = value.map(|value| section.engine_entry(key, value));
    // The engine takes the last of several entries with one key: only one may stay.
    entries.retain_mut(|slot| {
        if !keys.next().unwrap_or(false) {
            return true;
        }
        let Some(entry) = entry.take() else { return false };
        *slot = section.with_id_of(slot, entry);
        true
    });
    if let Some(entry) = entry {
        entries.insert(section.place(entries, &entry, networks), entry);
    }
}

/// Old clients wrote networks at the top, where the engine refuses every change; it accepts their
/// move to where they belong.
fn migrate_networks(spec: &mut Value) {
    let Some(top) = spec.as_object_mut().and_then(|spec| spec.remove("Networks")) else { return };
    let at = ListSection::Networks.pointer();
    let in_place = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    if top.is_array() && !spec.pointer(at).is_some_and(in_place) {
        pointer::set(spec, at, top);
    }
}

const NETWORKS: [&str; 2] = ["/TaskTemplate/Networks", "/Networks"];

/// Names become ids. What stands in the live spec is an id, also of a network that the snapshot
/// does not have: it may be new, and a write that is about something else must not fail for it.
fn resolve_networks(
    spec: &mut Value,
    live: Option<&Value>,
    snapshot: &Snapshot,
) -> Result<(), BindError> {
    let live: BTreeSet<&str> = NETWORKS
        .iter()
        .filter_map(|at| live?.pointer(at)?.as_array())
        .flatten()
        .filter_map(|entry| entry.get("Target")?.as_str())
        .collect();
    for at in NETWORKS {
        let Some(Value::Array(entries)) = spec.pointer_mut(at) else { continue };
        for entry in entries {
            let Some(Value::String(target)) = entry.get_mut("Target") else { continue };
            let is_id = live.contains(target.as_str())
                || snapshot.networks.contains_key(&SwarmId::new(target.as_str()));
            if is_id {
                continue;
            }
            let id = snapshot
                .network_id(target)
                .ok_or_else(|| BindError::NetworkMissing(target.clone()))?;
            *target = id.as_str().to_owned();
        }
    }
    Ok(())
}

fn resolve_references(spec: &mut Value, secrets: &SecretValues) -> Result<(), BindError> {
    let Some(Value::Array(entries)) = spec.pointer_mut(ListSection::Env.pointer()) else {
        return Ok(());
    };
    for entry in entries {
        let Value::String(line) = entry else { continue };
        let Some((key, value)) = line.split_once('=') else { continue };
        if is_placeholder(value) {
            let real = secrets
                .resolve(value)
                .ok_or_else(|| BindError::ReferenceUnresolved(key.to_owned()))?;
            *line = format!("{key}={real}");
        }
    }
    Ok(())
}

fn label(spec: &mut Value, step: &Step, late: Late<'_>) {
    if !spec.get("Labels").is_some_and(Value::is_object) {
        pointer::set(spec, "/Labels", Value::Object(Map::new()));
    }
    let Some(Value::Object(own)) = spec.get_mut("Labels") else { return };
    ours(own, step, late);
}

/// Our own labels.
fn ours(own: &mut Map<String, Value>, step: &Step, late: Late<'_>) {
    own.insert(labels::FLEET.into(), json!(late.fleet.as_str()));
    // Who declared it, not who noticed the difference.
    let source = step.provenance.as_ref().map_or(step.source, |place| place.source);
    own.insert(labels::SOURCE.into(), json!(source.as_str()));
    own.insert(labels::ACTION.into(), json!(late.action.as_str()));
}

#[cfg(test)]
mod tests;

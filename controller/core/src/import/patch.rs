//! What the words leave over, as a merge patch in the engine's names.

use serde_json::{Map, Value};

use crate::identity::SwarmId;
use crate::observed::Snapshot;
use crate::plan::pointer::{self, is_within};

/// What is compared by entry in the canonical form is one list to the engine.
fn list_above<'a>(spec: &Value, at: &'a str) -> Option<&'a str> {
    let ends = at.match_indices('/').map(|(index, _)| index).skip(1).chain([at.len()]);
    ends.filter_map(|end| at.get(..end))
        .find(|above| spec.pointer(above).is_some_and(Value::is_array))
}

/// The part of the patch that makes the field at a canonical pointer what it is on the swarm.
pub(super) fn part(
    at: &str,
    live: &Value,
    canonical: &Value,
    desired: &Value,
    snapshot: &Snapshot,
) -> (String, Value) {
    let above = list_above(live, at).or_else(|| list_above(desired, at));
    let (at, value) = match above {
        Some(list) => (list, live.pointer(list).cloned().filter(|list| !list.is_null())),
        None => (at, canonical.pointer(at).cloned()),
    };
    let mut value = value.unwrap_or(Value::Null);
    if is_within(at, "/TaskTemplate/Networks") {
        by_name(&mut value, snapshot);
    }
    without_ids(&mut value);
    (at.to_owned(), value)
}

/// Puts a part into the patch.
pub(super) fn add(patch: &mut Value, at: &str, value: &Value) {
    if !patch.is_object() {
        *patch = Value::Object(Map::new());
    }
    pointer::set(patch, at, value.clone());
}

fn by_name(networks: &mut Value, snapshot: &Snapshot) {
    for entry in networks.as_array_mut().into_iter().flatten() {
        if let Some(Value::String(target)) = entry.get_mut("Target")
            && let Some(network) = snapshot.networks.get(&SwarmId::new(target.as_str()))
        {
            target.clone_from(&network.name);
        }
    }
}

/// Secrets and configs are named; their ids are looked up when something is written.
fn without_ids(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !matches!(key.as_str(), "SecretID" | "ConfigID"));
            map.values_mut().for_each(without_ids);
        }
        Value::Array(items) => items.iter_mut().for_each(without_ids),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

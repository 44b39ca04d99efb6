//! One canonical form for a service spec, whoever wrote it: lists that are really maps become
//! maps, defaults are filled in, and what is empty, volatile or late-bound is left out.
//!
//! The canonical form is only for comparing and for naming fields. Writes patch the live spec in
//! its own form (see [`super::bind`]), so nothing that this form leaves out is ever lost.
//! Defaults are those of swarmkit (`api/defaults/service.go`) and of the daemon's conversion.

mod defaults;
mod lists;
mod ratio;
mod words;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub(super) use self::lists::{ListSection, section_of};
pub(crate) use self::ratio::float32;
pub(crate) use self::words::capabilities;
use crate::image::ImageReference;
use crate::labels;
use crate::observed::{ApiVersion, Snapshot};
use crate::plan::mask;

/// Names of networks by id; the engine's specs hold ids, ours hold names.
#[derive(Debug, Clone, Default)]
pub struct NetworkNames(BTreeMap<String, String>);

impl NetworkNames {
    /// The names known to a snapshot.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        Self(
            snapshot
                .networks
                .iter()
                .map(|(id, network)| (id.as_str().to_owned(), network.name.clone()))
                .collect(),
        )
    }

    /// The name behind an id; text that is no known id is taken for a name.
    pub(crate) fn name<'a>(&'a self, id_or_name: &'a str) -> &'a str {
        self.0.get(id_or_name).map_or(id_or_name, String::as_str)
    }
}

/// The canonical form of a spec, with defaults filled in.
#[must_use]
pub fn normalise(spec: &Value, networks: &NetworkNames) -> Value {
    let mut canonical = reshaped(spec, networks);
    defaults::fill(&mut canonical);
    prune(&mut canonical, "");
    canonical
}

/// The canonical form without what an engine of this API version does not have.
pub(super) fn normalise_for(spec: &Value, networks: &NetworkNames, api: ApiVersion) -> Value {
    let mut canonical = reshaped(spec, networks);
    mask::strip(&mut canonical, api);
    defaults::fill(&mut canonical);
    prune(&mut canonical, "");
    canonical
}

/// Puts the lists whose order says nothing in order, in the engine's form, so that the same
/// declaration is the same step however it was written down. Of several lines for one variable
/// the last one counts, and they keep their order.
pub(super) fn ordered(spec: &mut Value, networks: &NetworkNames) {
    for section in ListSection::ALL {
        if let Some(Value::Array(entries)) = spec.pointer_mut(section.pointer()) {
            section.sort(entries, networks);
        }
    }
    let container = "/TaskTemplate/ContainerSpec";
    for list in ["CapabilityAdd", "CapabilityDrop"] {
        if let Some(Value::Array(words)) = spec.pointer_mut(&format!("{container}/{list}")) {
            words.sort_by_key(ToString::to_string);
        }
    }
    if let Some(Value::Array(all)) = spec.pointer_mut("/TaskTemplate/Placement/Constraints") {
        all.sort_by_key(ToString::to_string);
    }
}

/// Fills in what a new service's references to secrets and configs leave out. The engine would
/// take zero for the mode, which makes a file that nobody may read.
pub(super) fn complete_references(spec: &mut Value, networks: &NetworkNames) {
    for section in [ListSection::Secrets, ListSection::Configs] {
        if let Some(Value::Array(entries)) = spec.pointer_mut(section.pointer()) {
            for entry in entries {
                *entry = section.entry(entry, networks);
            }
        }
    }
}

/// The canonical form of only what the spec says itself: for showing what a new service gets.
pub(super) fn declared(spec: &Value, networks: &NetworkNames) -> Value {
    let mut canonical = reshaped(spec, networks);
    prune(&mut canonical, "");
    canonical
}

fn reshaped(spec: &Value, networks: &NetworkNames) -> Value {
    let mut canonical = spec.clone();
    let Value::Object(top) = &mut canonical else { return Value::Object(Map::new()) };
    // The name is the identity, not a field.
    top.remove("Name");
    // Old clients put networks at the top.
    let legacy_networks = top.remove("Networks");
    if let Some(Value::Object(own)) = top.get_mut("Labels") {
        own.retain(|key, _| !labels::is_ours(key));
    }
    for block in ["UpdateConfig", "RollbackConfig"] {
        if let Some(ratio) = top.get_mut(block).and_then(|block| block.get_mut("MaxFailureRatio")) {
            *ratio = float32(ratio);
        }
    }
    if let Some(Value::Object(task)) = top.get_mut("TaskTemplate") {
        // Restart counters belong to whoever restarted last.
        task.remove("ForceUpdate");
        if task.get("Runtime").and_then(Value::as_str) == Some("container") {
            task.remove("Runtime");
        }
        // The engine takes the old list only while the new one is empty.
        let has_networks = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
        if !task.get("Networks").is_some_and(has_networks)
            && let Some(networks) = legacy_networks
        {
            task.insert("Networks".into(), networks);
        }
        if let Some(Value::Object(placement)) = task.get_mut("Placement") {
            // Written by image resolution, not by the owner.
            placement.remove("Platforms");
            words::placement(placement);
        }
        if let Some(Value::Object(container)) = task.get_mut("ContainerSpec") {
            container_spec(container);
        }
    }
    for section in ListSection::ALL {
        section.into_map(&mut canonical, networks);
    }
    canonical
}

fn container_spec(container: &mut Map<String, Value>) {
    if let Some(Value::String(image)) = container.get_mut("Image") {
        *image = ImageReference::parse(image).familiar();
    }
    words::container(container);
}

/// Numbers for which zero says something other than "not set".
const ZERO_MATTERS: &[&str] = &[
    "Replicas",
    "Parallelism",
    "Delay",
    "MaxConcurrent",
    "TotalCompletions",
    "Soft",
    "Hard",
    "StopGracePeriod",
    "SwapBytes",
    "MemorySwappiness",
];

/// Leaves out what says nothing: null, empty text, lists and maps, `false`, and zero where zero
/// means "not set".
fn prune(value: &mut Value, key: &str) {
    let Value::Object(map) = value else { return };
    let free_text = matches!(key, "Env" | "Labels" | "Options" | "DriverOpts" | "Sysctls");
    // Below these, the next key is a name that people chose, which may be any word.
    let named = matches!(
        key,
        "Mounts" | "Secrets" | "Configs" | "Ulimits" | "Networks" | "Ports" | "GenericResources"
    );
    for (child_key, child) in map.iter_mut() {
        prune(child, if named { "" } else { child_key });
    }
    map.retain(|child_key, child| match child {
        Value::Null => false,
        // Values of maps that people write: an empty value is still an entry.
        Value::String(text) => free_text || !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        // `Mode: {Global: {}}` and `Runtime: {}` say everything by their key.
        Value::Object(children) => !children.is_empty() || key == "Mode" || child_key == "Runtime",
        // The engine has a default of its own for `Init`, so `false` says something.
        Value::Bool(set) => *set || (key == "ContainerSpec" && child_key == "Init"),
        Value::Number(number) => {
            number.as_f64() != Some(0.0)
                || ZERO_MATTERS.contains(&child_key.as_str())
                // A file that nobody may read; for a tmpfs it means "not set".
                || (key == "File" && child_key == "Mode")
        }
    });
}

#[cfg(test)]
mod tests;

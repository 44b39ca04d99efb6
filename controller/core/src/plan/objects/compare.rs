//! What differs between a declared network, config or secret and the one that is there.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::desired::DesiredObject;
use crate::labels;
use crate::observed::ObservedObject;
use crate::plan::pointer::escape;
use crate::plan::{Change, Masking};
use crate::secrecy::{holds_secret, looks_secret};

/// True when a field says something else; `null` says the same as nothing.
pub(super) fn differs(live: &Value, desired: &Value, key: &str) -> bool {
    let said = |value: &Value| value.get(key).filter(|value| !value.is_null()).cloned();
    said(live) != said(desired)
}

/// Labels that differ, ours apart, with values masked that look like secrets.
pub(super) fn labels(
    live: &ObservedObject,
    desired: &DesiredObject,
    masking: &Masking,
) -> Vec<Change> {
    let (live, desired) = (labels_of(&live.spec), labels_of(&desired.request));
    let keys: BTreeSet<&String> = live.keys().chain(desired.keys()).collect();
    let differing = keys.into_iter().filter(|key| !labels::is_ours(key));
    differing
        .filter(|key| live.get(*key) != desired.get(*key))
        .map(|key| Change {
            path: format!("/Labels/{}", escape(key)),
            before: masked(key, live.get(key), masking),
            after: masked(key, desired.get(key), masking),
        })
        .collect()
}

/// The labels of a spec; none where the engine says `null`.
pub(super) fn labels_of(spec: &Value) -> Map<String, Value> {
    spec.get("Labels").and_then(Value::as_object).cloned().unwrap_or_default()
}

fn masked(key: &str, value: Option<&Value>, masking: &Masking) -> Value {
    match value {
        Some(Value::String(text)) if looks_secret(key) || holds_secret(text) => {
            json!(format!("(masked {})", masking.fingerprint(text)))
        }
        value => value.cloned().unwrap_or_default(),
    }
}

/// What the engine adds to the options of every overlay network.
const CHOSEN_BY_THE_ENGINE: &str = "com.docker.network.driver.overlay.vxlanid_list";

/// What differs of a network and cannot be changed in place. Labels are no part of it.
pub(super) fn network(live: &ObservedObject, desired: &DesiredObject) -> Vec<Change> {
    let (live, desired) = (&live.spec, &desired.request);
    let mut changes = Vec::new();
    let mut note = |path: String, before: Value, after: Value| {
        if before != after {
            changes.push(Change { path, before, after });
        }
    };
    for key in ["Attachable", "Internal"] {
        let is_set = |value: &Value| value.get(key) == Some(&Value::Bool(true));
        note(format!("/{key}"), json!(is_set(live)), json!(is_set(desired)));
    }
    let word = |value: &Value, pointer: &str, default: &str| {
        let text = value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if text.is_empty() { default.to_owned() } else { text.to_owned() }
    };
    // Until the engine has found an address range it says nothing of drivers and ranges.
    if word(live, "/Driver", "").is_empty() {
        return changes;
    }
    let driver = |value: &Value| json!(word(value, "/Driver", "overlay"));
    note("/Driver".to_owned(), driver(live), driver(desired));
    let ipam = |value: &Value| json!(word(value, "/IPAM/Driver", "default"));
    note("/IPAM/Driver".to_owned(), ipam(live), ipam(desired));
    let options = |value: &Value| -> Map<String, Value> {
        let all = value.get("Options").and_then(Value::as_object).cloned().unwrap_or_default();
        all.into_iter().filter(|(key, _)| key != CHOSEN_BY_THE_ENGINE).collect()
    };
    let (live_options, desired_options) = (options(live), options(desired));
    let keys: BTreeSet<&String> = live_options.keys().chain(desired_options.keys()).collect();
    for key in keys {
        let value = |options: &Map<String, Value>| options.get(key).cloned().unwrap_or_default();
        let path = format!("/Options/{}", escape(key));
        note(path, value(&live_options), value(&desired_options));
    }
    let subnets = |value: &Value| -> BTreeSet<String> {
        let ranges = value.pointer("/IPAM/Config").and_then(Value::as_array);
        let all = ranges.into_iter().flatten();
        all.filter_map(|range| range.get("Subnet")?.as_str().map(str::to_owned)).collect()
    };
    let wanted = subnets(desired);
    // Nobody asked for one: the engine has chosen.
    if !wanted.is_empty() {
        note("/IPAM/Config".to_owned(), json!(subnets(live)), json!(wanted));
    }
    changes
}

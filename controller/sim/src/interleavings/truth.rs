//! What is true outside of the store, moment by moment, and what a spec says of it.

use serde_json::{Value, json};
use skep_core::labels;

/// The services.
pub(super) const NAMES: [&str; 2] = ["a", "b"];

const HEAD: &str = "version: 1\ndefaults:\n  rate_limit: {max: 1000000, window_s: 1}\n  \
    blast_radius: {max_targets: 1000000, window_s: 1}\nrules:\n";
const RULES: [&str; 4] = [
    "  - {kind: \"*\", tier: approval_required}\n",
    "  - {kind: \"*\", tier: approval_required, rate_limit: {max: 999999, window_s: 1}}\n",
    "  - {kind: \"*\", tier: auto}\n",
    "  - {kind: \"*\", tier: forbidden}\n",
];
/// The rule that allows everything.
pub(super) const AUTO: usize = 2;
/// The rule that allows nothing.
pub(super) const FORBIDDEN: usize = 3;

/// The policy of this rule.
pub(super) fn policy(rule: usize) -> String {
    format!("{HEAD}{}", RULES[rule])
}

/// What is declared, which rule there is, and whether everything is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Truth {
    pub(super) declared: [u64; 2],
    pub(super) rule: usize,
    pub(super) frozen: bool,
}

impl Truth {
    /// The registry that says so.
    pub(super) fn registry(&self) -> String {
        let line = |(name, version): (&&str, u64)| {
            format!("  - {{name: {name}, image: \"example/{name}:{version}\"}}\n")
        };
        NAMES.iter().zip(self.declared).map(line).collect()
    }

    /// The image that is declared for a service.
    pub(super) fn image(&self, name: &str) -> Option<String> {
        let number = NAMES.iter().position(|one| *one == name)?;
        Some(format!("example/{name}:{}", self.declared[number]))
    }
}

pub(super) const IMAGE: &str = "/TaskTemplate/ContainerSpec/Image";
pub(super) const TEAM: &str = "/Labels/team";
pub(super) const REPLICAS: &str = "/Mode/Replicated/Replicas";
const RESTARTS: &str = "/TaskTemplate/ForceUpdate";
/// The fields that anybody changes here.
pub(super) const FIELDS: [&str; 3] = [IMAGE, TEAM, REPLICAS];

pub(super) fn at(spec: &Value, pointer: &str) -> Value {
    spec.pointer(pointer).cloned().unwrap_or_default()
}

/// How often its tasks were replaced by hand.
pub(super) fn restarts(spec: &Value) -> u64 {
    spec.pointer(RESTARTS).and_then(Value::as_u64).unwrap_or_default()
}

/// Everything that nobody changes here, without what Skep writes for itself.
pub(super) fn the_rest(spec: &Value) -> Value {
    let mut rest = spec.clone();
    for pointer in [IMAGE, REPLICAS, RESTARTS] {
        let (parent, field) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(Value::Object(fields)) = rest.pointer_mut(parent) {
            fields.remove(field);
        }
    }
    let foreign = |name: &str| name != "team" && !labels::is_ours(name);
    let kept: serde_json::Map<String, Value> = rest
        .get("Labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(name, _)| foreign(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    rest["Labels"] = json!(kept);
    rest
}

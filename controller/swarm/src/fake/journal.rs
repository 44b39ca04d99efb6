//! Which writes took effect, for tests that count them.

use serde_json::Value;
use skep_core::labels;

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectKind {
    /// An object came to be.
    Create,
    /// A spec was replaced.
    Update,
    /// An object is gone.
    Remove,
}

/// One write by the API that took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// What it did.
    pub kind: EffectKind,
    /// The object's id.
    pub id: String,
    /// Its name; of anything but a service with the kind before it.
    pub name: String,
    /// The action that the written spec names.
    pub action: Option<String>,
}

/// The action that a spec names.
pub(super) fn action_of(spec: &Value) -> Option<String> {
    let labels = spec.get("Labels")?;
    labels.get(labels::ACTION)?.as_str().map(str::to_owned)
}

//! Networks, secrets and configs as the engine reports them.

use jiff::Timestamp;
use serde_json::Value;

use crate::identity::{ObjectKind, ServiceName, SwarmId};
use crate::labels;

/// One of them.
#[derive(Clone, PartialEq)]
pub struct ObservedObject {
    /// Which kind; never a service.
    pub kind: ObjectKind,
    /// The engine's id.
    pub id: SwarmId,
    /// Its name.
    pub name: String,
    /// `Version.Index`: the compare-and-set token of every update. Networks cannot be updated and
    /// have none.
    pub version: u64,
    /// The spec exactly as the engine gave it, the data of a config included; of a network what
    /// somebody can have asked for.
    pub spec: Value,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the engine last changed it.
    pub updated_at: Timestamp,
}

impl ObservedObject {
    /// Its name as the target of a step.
    #[must_use]
    pub fn target(&self) -> ServiceName {
        ServiceName::object(self.kind, &self.name)
    }

    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.spec.get("Labels")?.get(key)?.as_str()
    }

    /// The stack that it says to belong to.
    #[must_use]
    pub fn stack(&self) -> Option<&str> {
        self.label(labels::STACK_NAMESPACE)
    }

    /// The scope of a network; empty for the others.
    #[must_use]
    pub fn scope(&self) -> &str {
        self.spec.get("Scope").and_then(Value::as_str).unwrap_or_default()
    }
}

// The spec of a config holds its data.
impl std::fmt::Debug for ObservedObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObservedObject")
            .field("target", &self.target())
            .field("id", &self.id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

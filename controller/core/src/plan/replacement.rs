//! A replacement in one body: what is created after the removal, and what is put back should the
//! engine refuse that.
//!
//! Both are fixed before anything is removed and stored with the intent, so that whoever goes on
//! after a crash sends exactly these bytes, and the former service is never lost with the process
//! that removed it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::canonical_json;
use crate::spec::Spec;

/// The two specs of a replacement, in the engine's form, ids and secret values included.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Replacement {
    create: Value,
    restore: Value,
}

// Specs hold values of the environment; a stray `{:?}` must not print them.
impl std::fmt::Debug for Replacement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Replacement")
    }
}

/// The bytes are no replacement: another version wrote them, or they are damaged.
#[derive(Debug, thiserror::Error)]
#[error("the stored specs of a replacement cannot be read")]
pub struct UnreadableReplacement(#[source] serde_json::Error);

impl Replacement {
    pub(super) fn new(create: Value, restore: Value) -> Self {
        Self { create, restore }
    }

    /// As it is stored with an intent.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        canonical_json(&serde_json::json!({ "create": self.create, "restore": self.restore }))
    }

    /// What was stored with an intent.
    ///
    /// # Errors
    /// When it is no replacement.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, UnreadableReplacement> {
        serde_json::from_slice(bytes).map_err(UnreadableReplacement)
    }

    /// The body of the create.
    #[must_use]
    pub fn create(&self) -> Vec<u8> {
        canonical_json(&self.create)
    }

    /// The body of the create that brings the former service back.
    #[must_use]
    pub fn restore(&self) -> Vec<u8> {
        canonical_json(&self.restore)
    }

    /// True when a live spec is the new service rather than the former one. They differ in their
    /// mode, which is why one had to replace the other.
    #[must_use]
    pub fn is_done_by(&self, live: &Spec) -> bool {
        live.mode().word() == Spec::from(self.create.clone()).mode().word()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_reads_back_and_tells_the_two_apart() {
        let create = json!({"Name": "a", "Mode": {"Global": {}}});
        let restore = json!({"Name": "a"});
        let replacement = Replacement::new(create.clone(), restore.clone());
        let again = Replacement::from_bytes(&replacement.to_bytes()).unwrap();
        assert_eq!(again, replacement);
        assert_eq!(again.create(), canonical_json(&create));
        assert_eq!(again.restore(), canonical_json(&restore));
        assert!(again.is_done_by(&create.into()) && !again.is_done_by(&restore.into()));
        assert!(Replacement::from_bytes(b"{}").is_err());
    }
}

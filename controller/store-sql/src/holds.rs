//! Rows of `holds`.

use skep_core::canonical::Digest;
use skep_core::hold::{Hold, HoldKind};
use skep_store::Result;

use crate::columns::{instant_or_none, key, word};
use crate::instant::from_column;

/// A row of `holds`.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct HoldRow {
    pub tenant: String,
    pub cluster: String,
    pub object_kind: String,
    pub object_name: String,
    pub kind: String,
    pub difference: Option<String>,
    pub until: Option<i64>,
    pub actor: String,
    pub reason: String,
    pub placed_at: i64,
}

impl HoldRow {
    /// The hold.
    ///
    /// # Errors
    /// [`skep_store::Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<Hold> {
        const WHAT: &str = "hold";
        Ok(Hold {
            key: key(self.tenant, self.cluster, &self.object_kind, self.object_name, WHAT)?,
            kind: word(&self.kind, HoldKind::from_word, WHAT)?,
            difference: self.difference.map(Digest::from_stored),
            until: instant_or_none(self.until, WHAT)?,
            actor: self.actor,
            reason: self.reason,
            placed_at: from_column(self.placed_at, WHAT)?,
        })
    }
}

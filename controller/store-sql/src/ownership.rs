//! Rows of `ownership`.

use skep_core::action::Source;
use skep_core::identity::SwarmId;
use skep_store::{OwnedObject, Result};

use crate::columns::{key, word};
use crate::instant::from_column;

/// A row of `ownership`.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct OwnedRow {
    pub tenant: String,
    pub cluster: String,
    pub object_kind: String,
    pub object_name: String,
    pub object_id: String,
    pub source: String,
    pub stack: Option<String>,
    pub since: i64,
}

impl OwnedRow {
    /// The record.
    ///
    /// # Errors
    /// [`skep_store::Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<OwnedObject> {
        const WHAT: &str = "ownership record";
        Ok(OwnedObject {
            key: key(self.tenant, self.cluster, &self.object_kind, self.object_name, WHAT)?,
            id: SwarmId::new(self.object_id),
            source: word(&self.source, Source::from_word, WHAT)?,
            stack: self.stack,
            since: from_column(self.since, WHAT)?,
        })
    }
}

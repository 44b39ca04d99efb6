//! Rows of `audit`.

use skep_core::audit::{AuditData, AuditEvent, AuditKind};
use skep_core::identity::ActionId;
use skep_store::{Error, Result};

use crate::columns::{json_error, key, word};
use crate::instant::from_column;

/// A row of `audit`.
#[derive(sqlx::FromRow)]
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct AuditRow {
    pub seq: i64,
    pub at: i64,
    pub kind: String,
    pub actor: String,
    pub tenant: Option<String>,
    pub cluster: Option<String>,
    pub object_kind: Option<String>,
    pub object_name: Option<String>,
    pub action_id: Option<String>,
    pub detail: String,
    pub data: Option<String>,
}

impl AuditRow {
    /// The number of the row and what it says.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<(i64, AuditEvent)> {
        const WHAT: &str = "audit row";
        let key = match (self.tenant, self.cluster, self.object_kind, self.object_name) {
            (Some(tenant), Some(cluster), Some(kind), Some(name)) => {
                Some(key(tenant, cluster, &kind, name, WHAT)?)
            }
            (None, None, None, None) => None,
            _ => {
                let source = "half of an object's key".into();
                return Err(Error::Corrupt { what: WHAT, source });
            }
        };
        let data = self.data.map(|json| serde_json::from_str::<AuditData>(&json)).transpose();
        let event = AuditEvent {
            at: from_column(self.at, WHAT)?,
            kind: word(&self.kind, AuditKind::from_word, WHAT)?,
            actor: self.actor,
            key,
            action: self.action_id.map(ActionId::new),
            detail: self.detail,
            data: data.map_err(|error| json_error(&error, WHAT))?,
        };
        Ok((self.seq, event))
    }
}

//! Reading the audit trail. It is written only together with what it records.

use async_trait::async_trait;
use skep_core::audit::AuditEvent;
use skep_core::identity::{ActionId, ObjectKey};

use crate::Result;

/// Which rows to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only rows about this action.
    pub action: Option<ActionId>,
    /// Only rows about this object.
    pub key: Option<ObjectKey>,
    /// At most this many; zero means no limit.
    pub limit: u32,
}

/// The audit trail of one database.
#[async_trait]
pub trait Audit {
    /// Rows with their sequence numbers, newest first.
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEvent)>>;
}

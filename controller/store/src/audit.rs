//! Reading the audit trail. It is written only together with what it records.

use std::ops::ControlFlow;

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::audit::{AuditEvent, AuditKind, AuditRecord, TrailSeals};
use skep_core::identity::{ActionId, ObjectKey};

use crate::Result;

/// Which rows to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only rows about this action.
    pub action: Option<ActionId>,
    /// Only rows about this object.
    pub key: Option<ObjectKey>,
    /// Only rows about objects of this name, whatever their cluster.
    pub name: Option<String>,
    /// Only these kinds; empty means all.
    pub kinds: Vec<AuditKind>,
    /// Only rows of this actor.
    pub actor: Option<String>,
    /// Only rows from this moment on.
    pub since: Option<Timestamp>,
    /// Only rows from before this moment.
    pub until: Option<Timestamp>,
    /// Only rows with a higher number than this.
    pub after: Option<i64>,
    /// At most this many; zero means no limit.
    pub limit: u32,
}

/// Takes a trail row by row, so that no trail has to fit into memory.
pub trait TrailReader: Send {
    /// What is sealed beside the rows; comes first.
    fn seals(&mut self, seals: TrailSeals);

    /// The next row, in the order of their numbers; `Break` ends the reading.
    fn row(&mut self, record: AuditRecord) -> ControlFlow<()>;
}

/// The audit trail of one database.
#[async_trait]
pub trait Audit {
    /// Rows with their sequence numbers, newest first.
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEvent)>>;

    /// Reads the trail as it stands at one moment, with every column as it is stored: all rows,
    /// or those from a number on. A row whose words are not known is no error here.
    async fn read_trail(&self, from: Option<i64>, reader: &mut dyn TrailReader) -> Result<()>;

    /// The number of the first row from a moment on; `None` when there is none.
    async fn first_since(&self, since: Timestamp) -> Result<Option<i64>>;
}

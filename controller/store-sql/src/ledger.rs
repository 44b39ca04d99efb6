//! Rows of `decisions`.

use skep_core::action::{ActionKind, Source};
use skep_core::identity::{ActionId, ServiceName};
use skep_store::{DecisionRow, Result};

use crate::columns::word;
use crate::instant::from_column;

/// A row of `decisions`.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct LedgerRow {
    pub action_id: String,
    pub kind: String,
    pub target: String,
    pub source: String,
    pub decision: String,
    pub tier: String,
    pub rule: String,
    pub reason: String,
    pub decided_at: i64,
}

impl LedgerRow {
    /// The decision.
    ///
    /// # Errors
    /// [`skep_store::Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<DecisionRow> {
        const WHAT: &str = "decision";
        Ok(DecisionRow {
            action: ActionId::new(self.action_id),
            kind: word(&self.kind, ActionKind::from_word, WHAT)?,
            target: ServiceName::new(self.target),
            source: word(&self.source, Source::from_word, WHAT)?,
            decision: self.decision,
            tier: self.tier,
            rule: self.rule,
            reason: self.reason,
            decided_at: from_column(self.decided_at, WHAT)?,
        })
    }
}

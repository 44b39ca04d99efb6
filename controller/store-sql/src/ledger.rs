//! Rows of `decisions`.

use jiff::Timestamp;
use skep_core::action::{ActionKind, Source};
use skep_core::audit::{AuditData, AuditEvent, AuditKind};
use skep_core::identity::{ActionId, ServiceName};
use skep_store::{DecisionRow, Error, Refusal, Result};

use crate::columns::{json, json_error, word};
use crate::instant::from_column;

const WHAT: &str = "decision";

/// A row of `decisions`.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct LedgerRow {
    pub action_id: Option<String>,
    pub kind: String,
    pub target: String,
    pub source: String,
    pub decision: String,
    pub tier: String,
    pub rule: String,
    pub cause: String,
    pub reason: String,
    pub facts: Option<String>,
    pub decided_at: i64,
}

impl LedgerRow {
    /// The decision.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<DecisionRow> {
        let facts = self.facts.map(|text| serde_json::from_str(&text)).transpose();
        Ok(DecisionRow {
            action: self.action_id.map(ActionId::new),
            kind: word(&self.kind, ActionKind::from_word, WHAT)?,
            target: ServiceName::new(self.target),
            source: word(&self.source, Source::from_word, WHAT)?,
            decision: self.decision,
            tier: self.tier,
            rule: self.rule,
            cause: self.cause,
            reason: self.reason,
            facts: facts.map_err(|error| json_error(&error, WHAT))?,
            decided_at: from_column(self.decided_at, WHAT)?,
        })
    }
}

/// What a decision was made from, for its column.
///
/// # Errors
/// [`Error::Corrupt`] when it has no form in JSON.
pub fn facts(decision: &DecisionRow) -> Result<Option<String>> {
    let facts = decision.facts.as_ref().map(serde_json::to_string);
    facts.map(|text| json(text, WHAT)).transpose()
}

/// The row of the audit trail for a refusal.
///
/// # Errors
/// [`Error::Refused`] when it has an action or does not deny.
pub fn refused(refusal: &Refusal, now: Timestamp) -> Result<AuditEvent> {
    let Refusal { key, actor, decision } = refusal;
    if decision.action.is_some() || decision.decision != "deny" {
        let why = "a refusal denies, and no action comes of it";
        return Err(Error::Refused { what: WHAT, id: key.to_string(), why });
    }
    Ok(AuditEvent {
        at: now,
        kind: AuditKind::Refused,
        actor: actor.clone(),
        key: Some(key.clone()),
        action: None,
        detail: format!("{}: rule {}: {}", decision.kind, decision.rule, decision.reason),
        data: Some(AuditData::Refusal {
            operation: decision.kind,
            source: decision.source,
            rule: decision.rule.clone(),
        }),
    })
}

//! The ledger of decisions.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::{ActionKind, Source};
use skep_core::audit::{AuditData, AuditEvent, AuditKind};
use skep_core::identity::{ActionId, ServiceName};
use skep_store::{DecisionRow, Error, Fence, Ledger, LedgerFilter, Refusal, Result};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, audit, clock, row};

const WHAT: &str = "decision";

/// Adds one decision, in the transaction of what came of it.
pub(crate) async fn append(
    tx: &mut Tx,
    decision: &DecisionRow,
    operation: &'static str,
) -> Result<()> {
    let action = decision.action.as_ref().map(ActionId::as_str);
    let facts = decision.facts.as_ref().map(serde_json::to_string).transpose();
    let facts = facts.map_err(|error| row::json_error(&error, WHAT))?;
    let kind = decision.kind.as_str();
    let target = decision.target.as_str();
    let source = decision.source.as_str();
    let decided_at = clock::to_column(decision.decided_at);
    sqlx::query!(
        "INSERT INTO decisions (action_id, kind, target, source, decision, tier, rule, cause, \
         reason, facts, decided_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        action,
        kind,
        target,
        source,
        decision.decision,
        decision.tier,
        decision.rule,
        decision.cause,
        decision.reason,
        facts,
        decided_at
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

#[async_trait]
impl Ledger for SqliteStore {
    async fn record_refusals(
        &self,
        fence: &Fence,
        refusals: &[Refusal],
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "record refusals";
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        for Refusal { key, actor, decision } in refusals {
            if decision.action.is_some() || decision.decision != "deny" {
                let why = "a refusal denies, and no action comes of it";
                return Err(Error::Refused { what: WHAT, id: key.to_string(), why });
            }
            append(&mut tx, decision, OPERATION).await?;
            let event = AuditEvent {
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
            };
            audit::append(&mut tx, &event).await?;
        }
        tx.commit().await.during(OPERATION)
    }

    async fn decisions(&self, filter: &LedgerFilter) -> Result<Vec<DecisionRow>> {
        let since = clock::to_column(filter.since);
        let rows = sqlx::query!(
            "SELECT action_id, kind, target, source, decision, tier, rule, cause, reason, facts, \
             decided_at FROM decisions \
             WHERE decided_at >= ?1 AND (NOT ?2 OR decision IN ('allow', 'allow_notify')) \
             ORDER BY decided_at, seq",
            since,
            filter.allowed_only
        )
        .fetch_all(&self.readers)
        .await
        .during("read the ledger")?;
        rows.into_iter()
            .map(|found| {
                let row = found;
                Ok(DecisionRow {
                    action: row.action_id.map(ActionId::new),
                    kind: row::word(&row.kind, ActionKind::from_word, WHAT)?,
                    target: ServiceName::new(row.target),
                    source: row::word(&row.source, Source::from_word, WHAT)?,
                    decision: row.decision,
                    tier: row.tier,
                    rule: row.rule,
                    cause: row.cause,
                    reason: row.reason,
                    facts: row
                        .facts
                        .map(|text| serde_json::from_str(&text))
                        .transpose()
                        .map_err(|error| row::json_error(&error, WHAT))?,
                    decided_at: clock::from_column(row.decided_at, WHAT)?,
                })
            })
            .collect()
    }
}

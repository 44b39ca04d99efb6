//! The ledger of decisions.

use async_trait::async_trait;
use skep_core::action::{ActionKind, Source};
use skep_core::identity::{ActionId, ServiceName};
use skep_store::{DecisionRow, Ledger, LedgerFilter, Result};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, clock, row};

/// Adds one decision, in the transaction of the action that it is about.
pub(crate) async fn append(
    tx: &mut Tx,
    decision: &DecisionRow,
    operation: &'static str,
) -> Result<()> {
    let action = decision.action.as_str();
    let kind = decision.kind.as_str();
    let target = decision.target.as_str();
    let source = decision.source.as_str();
    let decided_at = clock::to_column(decision.decided_at);
    sqlx::query!(
        "INSERT INTO decisions (action_id, kind, target, source, decision, tier, rule, reason, \
         decided_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        action,
        kind,
        target,
        source,
        decision.decision,
        decision.tier,
        decision.rule,
        decision.reason,
        decided_at
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

#[async_trait]
impl Ledger for SqliteStore {
    async fn decisions(&self, filter: &LedgerFilter) -> Result<Vec<DecisionRow>> {
        const WHAT: &str = "decision";
        let since = clock::to_column(filter.since);
        let rows = sqlx::query!(
            "SELECT action_id, kind, target, source, decision, tier, rule, reason, decided_at \
             FROM decisions \
             WHERE decided_at >= ?1 AND (NOT ?2 OR decision IN ('allow', 'allow_notify')) \
             ORDER BY decided_at, seq",
            since,
            filter.allowed_only
        )
        .fetch_all(&self.readers)
        .await
        .during("read the ledger")?;
        rows.into_iter()
            .map(|row| {
                Ok(DecisionRow {
                    action: ActionId::new(row.action_id),
                    kind: row::word(&row.kind, ActionKind::from_word, WHAT)?,
                    target: ServiceName::new(row.target),
                    source: row::word(&row.source, Source::from_word, WHAT)?,
                    decision: row.decision,
                    tier: row.tier,
                    rule: row.rule,
                    reason: row.reason,
                    decided_at: clock::from_column(row.decided_at, WHAT)?,
                })
            })
            .collect()
    }
}

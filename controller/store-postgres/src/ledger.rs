//! The ledger of decisions.

use async_trait::async_trait;
use skep_store::{DecisionRow, Ledger, LedgerFilter, Result};
use skep_store_sql::LedgerRow;
use skep_store_sql::instant::to_column;
use sqlx::PgConnection;

use crate::PostgresStore;
use crate::error::IntoStoreError as _;

/// Adds one decision, in the transaction of the action that it is about.
pub(crate) async fn append(
    tx: &mut PgConnection,
    decision: &DecisionRow,
    operation: &'static str,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO decisions (action_id, kind, target, source, decision, tier, rule, reason, \
         decided_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        decision.action.as_str(),
        decision.kind.as_str(),
        decision.target.as_str(),
        decision.source.as_str(),
        decision.decision,
        decision.tier,
        decision.rule,
        decision.reason,
        to_column(decision.decided_at)
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(())
}

#[async_trait]
impl Ledger for PostgresStore {
    async fn decisions(&self, filter: &LedgerFilter) -> Result<Vec<DecisionRow>> {
        const OPERATION: &str = "read the ledger";
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query_as!(
            LedgerRow,
            "SELECT action_id, kind, target, source, decision, tier, rule, reason, decided_at \
             FROM decisions \
             WHERE decided_at >= $1 AND (NOT $2 OR decision IN ('allow', 'allow_notify')) \
             ORDER BY decided_at, seq",
            to_column(filter.since),
            filter.allowed_only
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        rows.into_iter().map(LedgerRow::read).collect()
    }
}

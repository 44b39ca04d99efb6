//! The ledger of decisions.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::identity::ActionId;
use skep_store::{DecisionRow, Fence, Ledger, LedgerFilter, Refusal, Result};
use skep_store_sql::instant::to_column;
use skep_store_sql::{LedgerRow, facts, refused};

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::{PostgresStore, audit};

/// Adds one decision, in the transaction of what came of it.
pub(crate) async fn append(
    tx: &mut Session<'_>,
    decision: &DecisionRow,
    operation: &'static str,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO decisions (action_id, kind, target, source, decision, tier, rule, cause, \
         reason, facts, decided_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        decision.action.as_ref().map(ActionId::as_str),
        decision.kind.as_str(),
        decision.target.as_str(),
        decision.source.as_str(),
        decision.decision,
        decision.tier,
        decision.rule,
        decision.cause,
        decision.reason,
        facts(decision)?,
        to_column(decision.decided_at)
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(())
}

#[async_trait]
impl Ledger for PostgresStore {
    async fn record_refusals(
        &self,
        fence: &Fence,
        refusals: &[Refusal],
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "record refusals";
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        for refusal in refusals {
            let event = refused(refusal, now)?;
            append(&mut tx, &refusal.decision, OPERATION).await?;
            audit::append(&mut tx, &event).await?;
        }
        tx.commit().await
    }

    async fn decisions(&self, filter: &LedgerFilter) -> Result<Vec<DecisionRow>> {
        const OPERATION: &str = "read the ledger";
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query_as!(
            LedgerRow,
            "SELECT action_id, kind, target, source, decision, tier, rule, cause, reason, facts, \
             decided_at FROM decisions \
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

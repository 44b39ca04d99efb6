//! Holds: one row per object.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::canonical::Digest;
use skep_core::hold::Hold;
use skep_core::identity::{ClusterId, ObjectKey};
use skep_store::{Holds, Result};
use skep_store_sql::instant::to_column;
use skep_store_sql::{HoldRow, events};

use crate::error::IntoStoreError as _;
use crate::write::Write;
use crate::{PostgresStore, audit};

/// Places a hold, with its row of the audit trail.
pub(crate) async fn place(tx: &mut Write, hold: &Hold, operation: &'static str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO holds (tenant, cluster, object_kind, object_name, kind, difference, until, \
         actor, reason, placed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (cluster, object_kind, object_name, tenant) DO UPDATE \
         SET kind = excluded.kind, difference = excluded.difference, \
         until = excluded.until, actor = excluded.actor, reason = excluded.reason, \
         placed_at = excluded.placed_at",
        hold.key.tenant.as_str(),
        hold.key.cluster.as_str(),
        hold.key.kind.as_str(),
        hold.key.name,
        hold.kind.as_str(),
        hold.difference.as_ref().map(Digest::as_str),
        hold.until.map(to_column),
        hold.actor,
        hold.reason,
        to_column(hold.placed_at)
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    audit::append(tx, &events::held(hold)).await
}

#[async_trait]
impl Holds for PostgresStore {
    async fn place_hold(&self, hold: &Hold) -> Result<()> {
        const OPERATION: &str = "place a hold";
        let mut tx = self.write(OPERATION).await?;
        place(&mut tx, hold, OPERATION).await?;
        tx.commit().await
    }

    async fn lift_hold(&self, key: &ObjectKey, actor: &str, now: Timestamp) -> Result<bool> {
        const OPERATION: &str = "lift a hold";
        let mut tx = self.write(OPERATION).await?;
        let lifted = sqlx::query_scalar!(
            "DELETE FROM holds \
             WHERE tenant = $1 AND cluster = $2 AND object_kind = $3 AND object_name = $4 \
             RETURNING kind",
            key.tenant.as_str(),
            key.cluster.as_str(),
            key.kind.as_str(),
            key.name
        )
        .fetch_optional(&mut *tx)
        .await
        .during(OPERATION)?;
        let Some(kind) = lifted else { return Ok(false) };
        audit::append(&mut tx, &events::lifted(key, &kind, actor, now)).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn holds(&self, cluster: &ClusterId) -> Result<Vec<Hold>> {
        const OPERATION: &str = "read the holds";
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query_as!(
            HoldRow,
            "SELECT tenant, cluster, object_kind, object_name, kind, difference, until, actor, \
             reason, placed_at FROM holds WHERE cluster = $1 \
             ORDER BY object_name, object_kind, tenant",
            cluster.as_str()
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        rows.into_iter().map(HoldRow::read).collect()
    }
}

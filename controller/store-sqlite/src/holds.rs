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
use crate::{SqliteStore, Tx, audit};

/// Places a hold, with its row of the audit trail.
pub(crate) async fn place(tx: &mut Tx, hold: &Hold, operation: &'static str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO holds (tenant, cluster, object_kind, object_name, kind, difference, until, \
         actor, reason, placed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT DO UPDATE SET kind = excluded.kind, difference = excluded.difference, \
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
impl Holds for SqliteStore {
    async fn place_hold(&self, hold: &Hold) -> Result<()> {
        const OPERATION: &str = "place a hold";
        let mut tx = self.write(OPERATION).await?;
        place(&mut tx, hold, OPERATION).await?;
        tx.commit().await.during(OPERATION)
    }

    async fn lift_hold(&self, key: &ObjectKey, actor: &str, now: Timestamp) -> Result<bool> {
        const OPERATION: &str = "lift a hold";
        let mut tx = self.write(OPERATION).await?;
        let lifted = sqlx::query_scalar!(
            "DELETE FROM holds \
             WHERE tenant = ? AND cluster = ? AND object_kind = ? AND object_name = ? \
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
        tx.commit().await.during(OPERATION)?;
        Ok(true)
    }

    async fn holds(&self, cluster: &ClusterId) -> Result<Vec<Hold>> {
        const OPERATION: &str = "read the holds";
        let rows = sqlx::query_as!(
            HoldRow,
            "SELECT tenant, cluster, object_kind, object_name, kind, difference, until, actor, \
             reason, placed_at FROM holds WHERE cluster = ? \
             ORDER BY object_name, object_kind, tenant",
            cluster.as_str()
        )
        .fetch_all(&self.readers)
        .await
        .during(OPERATION)?;
        rows.into_iter().map(HoldRow::read).collect()
    }
}

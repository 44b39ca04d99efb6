//! What is on record as ours.

use async_trait::async_trait;
use skep_core::identity::{ClusterId, ObjectKey};
use skep_store::{OwnedObject, Ownership, OwnershipChange, Result};
use skep_store_sql::instant::to_column;
use skep_store_sql::{OwnedRow, keys_json};

use crate::PostgresStore;
use crate::error::IntoStoreError as _;
use crate::session::Session;

/// Changes the record, in the transaction of the outcome that it follows from.
pub(crate) async fn apply(
    tx: &mut Session<'_>,
    change: &OwnershipChange,
    operation: &'static str,
) -> Result<()> {
    match change {
        OwnershipChange::Record(object) => {
            sqlx::query!(
                "INSERT INTO ownership (tenant, cluster, object_kind, object_name, object_id, \
                 source, stack, since) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                 ON CONFLICT (cluster, object_kind, object_name, tenant) DO UPDATE \
                 SET object_id = excluded.object_id, source = excluded.source, \
                 stack = excluded.stack, since = excluded.since",
                object.key.tenant.as_str(),
                object.key.cluster.as_str(),
                object.key.kind.as_str(),
                object.key.name,
                object.id.as_str(),
                object.source.as_str(),
                object.stack.as_deref(),
                to_column(object.since)
            )
            .execute(&mut *tx)
            .await
        }
        OwnershipChange::Forget(key) => {
            sqlx::query!(
                "DELETE FROM ownership \
                 WHERE tenant = $1 AND cluster = $2 AND object_kind = $3 AND object_name = $4",
                key.tenant.as_str(),
                key.cluster.as_str(),
                key.kind.as_str(),
                key.name
            )
            .execute(&mut *tx)
            .await
        }
    }
    .during(operation)?;
    Ok(())
}

const READ: &str = "read the ownership records";

#[async_trait]
impl Ownership for PostgresStore {
    async fn owned(&self, cluster: &ClusterId) -> Result<Vec<OwnedObject>> {
        let mut tx = self.read(READ).await?;
        let rows = sqlx::query_as!(
            OwnedRow,
            "SELECT tenant, cluster, object_kind, object_name, object_id, source, stack, since \
             FROM ownership WHERE cluster = $1 ORDER BY object_name, object_kind, tenant",
            cluster.as_str()
        )
        .fetch_all(&mut *tx)
        .await
        .during(READ)?;
        rows.into_iter().map(OwnedRow::read).collect()
    }

    async fn owned_of(&self, keys: &[ObjectKey]) -> Result<Vec<OwnedObject>> {
        let mut tx = self.read(READ).await?;
        let rows = sqlx::query_as!(
            OwnedRow,
            "SELECT tenant, cluster, object_kind, object_name, object_id, source, stack, since \
             FROM ownership WHERE (tenant, cluster, object_kind, object_name) IN \
             (SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 \
             FROM json_array_elements($1::text::json)) \
             ORDER BY object_name, object_kind, tenant, cluster",
            keys_json(keys)
        )
        .fetch_all(&mut *tx)
        .await
        .during(READ)?;
        rows.into_iter().map(OwnedRow::read).collect()
    }

    async fn owned_clusters(&self) -> Result<Vec<ClusterId>> {
        let mut tx = self.read(READ).await?;
        let clusters =
            sqlx::query_scalar!("SELECT DISTINCT cluster FROM ownership ORDER BY cluster")
                .fetch_all(&mut *tx)
                .await
                .during(READ)?;
        Ok(clusters.into_iter().map(ClusterId::new).collect())
    }
}

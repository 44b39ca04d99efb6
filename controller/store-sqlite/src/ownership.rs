//! What is on record as ours.

use async_trait::async_trait;
use skep_core::identity::{ClusterId, ObjectKey};
use skep_store::{OwnedObject, Ownership, OwnershipChange, Result};
use skep_store_sql::instant::to_column;
use skep_store_sql::{OwnedRow, keys_json};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx};

/// Changes the record, in the transaction of the outcome that it follows from.
pub(crate) async fn apply(
    tx: &mut Tx,
    change: &OwnershipChange,
    operation: &'static str,
) -> Result<()> {
    match change {
        OwnershipChange::Record(object) => {
            sqlx::query!(
                "INSERT INTO ownership (tenant, cluster, object_kind, object_name, object_id, \
                 source, stack, since) VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
                 ON CONFLICT DO UPDATE SET object_id = excluded.object_id, \
                 source = excluded.source, stack = excluded.stack, since = excluded.since",
                object.key.tenant.as_str(),
                object.key.cluster.as_str(),
                object.key.kind.as_str(),
                object.key.name,
                object.id.as_str(),
                object.source.as_str(),
                object.stack.as_deref(),
                to_column(object.since)
            )
            .execute(&mut **tx)
            .await
        }
        OwnershipChange::Forget(key) => {
            sqlx::query!(
                "DELETE FROM ownership \
                 WHERE tenant = ? AND cluster = ? AND object_kind = ? AND object_name = ?",
                key.tenant.as_str(),
                key.cluster.as_str(),
                key.kind.as_str(),
                key.name
            )
            .execute(&mut **tx)
            .await
        }
    }
    .during(operation)?;
    Ok(())
}

const READ: &str = "read the ownership records";

#[async_trait]
impl Ownership for SqliteStore {
    async fn owned(&self, cluster: &ClusterId) -> Result<Vec<OwnedObject>> {
        let rows = sqlx::query_as!(
            OwnedRow,
            "SELECT tenant, cluster, object_kind, object_name, object_id, source, stack, since \
             FROM ownership WHERE cluster = ? ORDER BY object_name, object_kind, tenant",
            cluster.as_str()
        )
        .fetch_all(&self.readers)
        .await
        .during(READ)?;
        rows.into_iter().map(OwnedRow::read).collect()
    }

    async fn owned_of(&self, keys: &[ObjectKey]) -> Result<Vec<OwnedObject>> {
        let rows = sqlx::query_as!(
            OwnedRow,
            "SELECT tenant, cluster, object_kind, object_name, object_id, source, stack, since \
             FROM ownership WHERE (tenant, cluster, object_kind, object_name) IN \
             (SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)) \
             ORDER BY object_name, object_kind, tenant, cluster",
            keys_json(keys)
        )
        .fetch_all(&self.readers)
        .await
        .during(READ)?;
        rows.into_iter().map(OwnedRow::read).collect()
    }

    async fn owned_clusters(&self) -> Result<Vec<ClusterId>> {
        let clusters =
            sqlx::query_scalar!("SELECT DISTINCT cluster FROM ownership ORDER BY cluster")
                .fetch_all(&self.readers)
                .await
                .during(READ)?;
        Ok(clusters.into_iter().map(ClusterId::new).collect())
    }
}

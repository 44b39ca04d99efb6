//! What is on record as ours.

use async_trait::async_trait;
use skep_core::action::Source;
use skep_core::identity::{ClusterId, SwarmId};
use skep_store::{OwnedObject, Ownership, OwnershipChange, Result};
use sqlx::{Sqlite, Transaction};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, clock, row};

/// Changes the record, in the transaction of the outcome that it follows from.
pub(crate) async fn apply(
    tx: &mut Transaction<'_, Sqlite>,
    change: &OwnershipChange,
    operation: &'static str,
) -> Result<()> {
    match change {
        OwnershipChange::Record(object) => {
            let tenant = object.key.tenant.as_str();
            let cluster = object.key.cluster.as_str();
            let kind = object.key.kind.as_str();
            let id = object.id.as_str();
            let source = object.source.as_str();
            let since = clock::to_column(object.since);
            sqlx::query!(
                "INSERT INTO ownership (tenant, cluster, object_kind, object_name, object_id, \
                 source, since) VALUES (?, ?, ?, ?, ?, ?, ?) \
                 ON CONFLICT DO UPDATE SET object_id = excluded.object_id, \
                 source = excluded.source, since = excluded.since",
                tenant,
                cluster,
                kind,
                object.key.name,
                id,
                source,
                since
            )
            .execute(&mut **tx)
            .await
        }
        OwnershipChange::Forget(key) => {
            let tenant = key.tenant.as_str();
            let cluster = key.cluster.as_str();
            let kind = key.kind.as_str();
            sqlx::query!(
                "DELETE FROM ownership \
                 WHERE tenant = ? AND cluster = ? AND object_kind = ? AND object_name = ?",
                tenant,
                cluster,
                kind,
                key.name
            )
            .execute(&mut **tx)
            .await
        }
    }
    .during(operation)?;
    Ok(())
}

#[async_trait]
impl Ownership for SqliteStore {
    async fn owned(&self, cluster: &ClusterId) -> Result<Vec<OwnedObject>> {
        const WHAT: &str = "ownership record";
        let cluster = cluster.as_str();
        let rows = sqlx::query!(
            "SELECT tenant, cluster, object_kind, object_name, object_id, source, since \
             FROM ownership WHERE cluster = ? ORDER BY object_name, object_kind, tenant",
            cluster
        )
        .fetch_all(&self.readers)
        .await
        .during("read the ownership records")?;
        rows.into_iter()
            .map(|row| {
                let key =
                    row::key(row.tenant, row.cluster, &row.object_kind, row.object_name, WHAT)?;
                Ok(OwnedObject {
                    key,
                    id: SwarmId::new(row.object_id),
                    source: row::word(&row.source, Source::from_word, WHAT)?,
                    since: clock::from_column(row.since, WHAT)?,
                })
            })
            .collect()
    }

    async fn owned_clusters(&self) -> Result<Vec<ClusterId>> {
        let clusters =
            sqlx::query_scalar!("SELECT DISTINCT cluster FROM ownership ORDER BY cluster")
                .fetch_all(&self.readers)
                .await
                .during("read the ownership records")?;
        Ok(clusters.into_iter().map(ClusterId::new).collect())
    }
}

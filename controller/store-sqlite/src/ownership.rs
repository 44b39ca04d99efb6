//! What is on record as ours.

use async_trait::async_trait;
use skep_core::action::Source;
use skep_core::identity::{ClusterId, ObjectKey, SwarmId};
use skep_store::{OwnedObject, Ownership, OwnershipChange, Result};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, clock, row};

/// Changes the record, in the transaction of the outcome that it follows from.
pub(crate) async fn apply(
    tx: &mut Tx,
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

/// A row of `ownership`.
struct OwnedRow {
    tenant: String,
    cluster: String,
    object_kind: String,
    object_name: String,
    object_id: String,
    source: String,
    since: i64,
}

impl OwnedRow {
    fn read(self) -> Result<OwnedObject> {
        const WHAT: &str = "ownership record";
        Ok(OwnedObject {
            key: row::key(self.tenant, self.cluster, &self.object_kind, self.object_name, WHAT)?,
            id: SwarmId::new(self.object_id),
            source: row::word(&self.source, Source::from_word, WHAT)?,
            since: clock::from_column(self.since, WHAT)?,
        })
    }
}

const READ: &str = "read the ownership records";

#[async_trait]
impl Ownership for SqliteStore {
    async fn owned(&self, cluster: &ClusterId) -> Result<Vec<OwnedObject>> {
        let cluster = cluster.as_str();
        let rows = sqlx::query_as!(
            OwnedRow,
            "SELECT tenant, cluster, object_kind, object_name, object_id, source, since \
             FROM ownership WHERE cluster = ? ORDER BY object_name, object_kind, tenant",
            cluster
        )
        .fetch_all(&self.readers)
        .await
        .during(READ)?;
        rows.into_iter().map(OwnedRow::read).collect()
    }

    async fn owned_of(&self, keys: &[ObjectKey]) -> Result<Vec<OwnedObject>> {
        let keys = row::keys_json(keys);
        let rows = sqlx::query_as!(
            OwnedRow,
            "SELECT tenant, cluster, object_kind, object_name, object_id, source, since \
             FROM ownership WHERE (tenant, cluster, object_kind, object_name) IN \
             (SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)) \
             ORDER BY object_name, object_kind, tenant, cluster",
            keys
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

//! What removals are measured against.

use async_trait::async_trait;
use skep_core::identity::ClusterId;
use skep_core::plan::PruneMark;
use skep_store::{Fence, Prunes, Result};
use skep_store_sql::prunes::MarkRow;

use crate::PostgresStore;
use crate::error::IntoStoreError as _;

#[async_trait]
impl Prunes for PostgresStore {
    async fn prune_mark(&self, cluster: &ClusterId) -> Result<Option<PruneMark>> {
        const OPERATION: &str = "read the mark of removals";
        let mut tx = self.read(OPERATION).await?;
        let row = sqlx::query_as!(
            MarkRow,
            "SELECT most, left_at FROM prune_marks WHERE cluster = $1",
            cluster.as_str()
        )
        .fetch_optional(&mut *tx)
        .await
        .during(OPERATION)?;
        row.map(MarkRow::read).transpose()
    }

    async fn put_prune_mark(
        &self,
        fence: &Fence,
        cluster: &ClusterId,
        mark: &PruneMark,
    ) -> Result<()> {
        const OPERATION: &str = "store the mark of removals";
        let row = MarkRow::of(mark);
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        sqlx::query!(
            "INSERT INTO prune_marks (cluster, most, left_at) VALUES ($1, $2, $3) \
             ON CONFLICT (cluster, tenant) DO UPDATE SET most = excluded.most, \
             left_at = excluded.left_at",
            cluster.as_str(),
            row.most,
            row.left_at
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        tx.commit().await
    }
}

//! The newest plan of each proposal.

use async_trait::async_trait;
use skep_store::{Fence, KeptPreview, MOST_PREVIEWS, Previews, Result};
use skep_store_sql::inbox::PreviewRow;

use crate::PostgresStore;
use crate::error::IntoStoreError as _;

#[async_trait]
impl Previews for PostgresStore {
    async fn put_preview(&self, fence: &Fence, preview: &KeptPreview) -> Result<()> {
        const OPERATION: &str = "keep a preview";
        let row = PreviewRow::sealed(preview, &self.protection)?;
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        sqlx::query!(
            "INSERT INTO previews (repository, number, content, at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (repository, number) DO UPDATE SET content = excluded.content, \
             at = excluded.at",
            row.repository,
            row.number,
            row.content,
            row.at
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        sqlx::query!(
            "DELETE FROM previews WHERE (repository, number) NOT IN \
             (SELECT repository, number FROM previews \
             ORDER BY at DESC, repository, number LIMIT $1)",
            i64::from(MOST_PREVIEWS)
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        tx.commit().await
    }

    async fn previews(&self) -> Result<Vec<KeptPreview>> {
        const OPERATION: &str = "read the previews";
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query_as!(
            PreviewRow,
            "SELECT repository, number, content, at FROM previews \
             ORDER BY at DESC, repository, number"
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        rows.into_iter().map(|row| row.read(&self.protection)).collect()
    }
}

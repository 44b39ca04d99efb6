//! The last good content of every source.

use async_trait::async_trait;
use skep_store::{Fence, LastGoodContent, Result, Sources, content_context};
use skep_store_sql::instant::{from_column, to_column};

use crate::SqliteStore;
use crate::error::IntoStoreError as _;

const WHAT: &str = "source content";

#[async_trait]
impl Sources for SqliteStore {
    async fn put_last_good(&self, fence: &Fence, content: &LastGoodContent) -> Result<()> {
        const OPERATION: &str = "store the last good content of a source";
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        sqlx::query!(
            "INSERT INTO source_contents (source, digest, content, loaded_at) \
             VALUES (?, ?, ?, ?) \
             ON CONFLICT (source) DO UPDATE SET digest = excluded.digest, \
             content = excluded.content, loaded_at = excluded.loaded_at",
            content.source,
            content.digest,
            self.protection.seal(WHAT, &content_context(&content.source), &content.content)?,
            to_column(content.loaded_at)
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        tx.commit().await.during(OPERATION)
    }

    async fn last_good(&self, source: &str) -> Result<Option<LastGoodContent>> {
        const OPERATION: &str = "read the last good content of a source";
        let row = sqlx::query!(
            "SELECT source, digest, content, loaded_at FROM source_contents WHERE source = ?",
            source
        )
        .fetch_optional(&self.readers)
        .await
        .during(OPERATION)?;
        row.map(|row| {
            Ok(LastGoodContent {
                digest: row.digest,
                content: self.protection.open(WHAT, &content_context(&row.source), row.content)?,
                source: row.source,
                loaded_at: from_column(row.loaded_at, WHAT)?,
            })
        })
        .transpose()
    }
}

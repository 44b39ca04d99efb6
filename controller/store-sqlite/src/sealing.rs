//! Sealing what an earlier version left in the clear, once, and leaving no trace of it in the
//! file.

use async_trait::async_trait;
use skep_store::{Protection, Result};
use skep_store_sql::sealing::{self as shared, ClearBody, ClearRows};
use sqlx::{Connection as _, SqliteConnection};

use crate::connect::OPERATION;
use crate::error::IntoStoreError as _;

/// Seals the steps of actions, the contents of sources and the bodies of open intents, when the
/// migration that has them sealed was applied in this transaction. `unsealed_steps` is there from
/// then on until [`wipe`] is done.
pub(crate) async fn seal_clear_rows(
    connection: &mut SqliteConnection,
    protection: &Protection,
) -> Result<()> {
    if !is_unfinished(connection).await? {
        return Ok(());
    }
    let sealed = shared::seal_clear_rows(&mut Rows(&mut *connection), protection).await?;
    // Deleted rows are overwritten (`secure_delete`); a table that stays says that old pages may
    // still hold copies.
    let end = if sealed == 0 { "DROP TABLE unsealed_steps" } else { "DELETE FROM unsealed_steps" };
    sqlx::query(end).execute(&mut *connection).await.during(OPERATION)?;
    Ok(())
}

async fn is_unfinished(connection: &mut SqliteConnection) -> Result<bool> {
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'unsealed_steps'")
            .fetch_one(&mut *connection)
            .await
            .during(OPERATION)?;
    Ok(tables > 0)
}

struct Rows<'a>(&'a mut SqliteConnection);

#[async_trait]
impl ClearRows for Rows<'_> {
    async fn steps(&mut self) -> Result<Vec<(i64, String)>> {
        sqlx::query_as("SELECT seq, id FROM actions WHERE seq IN (SELECT seq FROM unsealed_steps)")
            .fetch_all(&mut *self.0)
            .await
            .during(OPERATION)
    }

    async fn step(&mut self, seq: i64) -> Result<String> {
        sqlx::query_scalar("SELECT step FROM unsealed_steps WHERE seq = ?")
            .bind(seq)
            .fetch_one(&mut *self.0)
            .await
            .during(OPERATION)
    }

    async fn put_step(&mut self, seq: i64, sealed: Vec<u8>) -> Result<()> {
        let put = sqlx::query("UPDATE actions SET step = ? WHERE seq = ?").bind(sealed);
        put.bind(seq).execute(&mut *self.0).await.during(OPERATION).map(drop)
    }

    async fn contents(&mut self) -> Result<Vec<(String, Vec<u8>)>> {
        sqlx::query_as("SELECT source, content FROM source_contents")
            .fetch_all(&mut *self.0)
            .await
            .during(OPERATION)
    }

    async fn put_content(&mut self, source: &str, sealed: Vec<u8>) -> Result<()> {
        let put = "UPDATE source_contents SET content = ? WHERE source = ?";
        let put = sqlx::query(put).bind(sealed).bind(source);
        put.execute(&mut *self.0).await.during(OPERATION).map(drop)
    }

    async fn bodies(&mut self) -> Result<Vec<ClearBody>> {
        // Sealed bodies begin with the version of their form, which is no brace.
        sqlx::query_as(
            "SELECT id, action_id, tenant, cluster, object_kind, object_name, body FROM intents \
             WHERE outcome = 'unknown' AND substr(body, 1, 1) = x'7b'",
        )
        .fetch_all(&mut *self.0)
        .await
        .during(OPERATION)
    }

    async fn put_body(&mut self, intent: &str, sealed: Vec<u8>) -> Result<()> {
        let put = sqlx::query("UPDATE intents SET body = ? WHERE id = ?").bind(sealed);
        put.bind(intent).execute(&mut *self.0).await.during(OPERATION).map(drop)
    }
}

/// Writes the file anew, without the pages that held what was sealed or keyed, and empties the
/// write-ahead log. Another process may be in the way: then the next opening tries again, and nothing else
/// waits for it.
pub(crate) async fn wipe(connection: &mut SqliteConnection) {
    let done = async {
        let left: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM sqlite_schema WHERE name IN ('unsealed_steps', 'unkeyed_digests')",
        )
        .fetch_one(&mut *connection)
        .await
        .during(OPERATION)?;
        if left == 0 {
            return Ok(());
        }
        sqlx::query("VACUUM").execute(&mut *connection).await.during(OPERATION)?;
        let busy: i64 = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut *connection)
            .await
            .during(OPERATION)?;
        if busy == 0 {
            let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.during(OPERATION)?;
            for table in
                ["DROP TABLE IF EXISTS unsealed_steps", "DROP TABLE IF EXISTS unkeyed_digests"]
            {
                sqlx::query(table).execute(&mut *tx).await.during(OPERATION)?;
            }
            tx.commit().await.during(OPERATION)?;
        }
        Ok::<_, skep_store::Error>(())
    };
    if let Err(error) = done.await {
        tracing::warn!(error = %error, "store.old_pages_not_wiped");
    }
}

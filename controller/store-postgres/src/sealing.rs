//! Sealing what an earlier version left in the clear, once, and leaving no trace of it in the
//! tables.

use async_trait::async_trait;
use skep_store::{Protection, Result};
use skep_store_sql::sealing::{self as shared, ClearBody, ClearRows};
use sqlx::{PgConnection, Row as _};

use crate::connect::OPERATION;
use crate::error::IntoStoreError as _;
use crate::session::Session;

/// Seals the steps of actions, the contents of sources and the bodies of open intents, when the
/// migration that has them sealed was applied in this transaction. `unsealed_steps` is there from
/// then on until [`wipe`] is done.
pub(crate) async fn seal_clear_rows(
    connection: &mut Session<'_>,
    protection: &Protection,
) -> Result<()> {
    if !is_unfinished(&mut *connection).await? {
        return Ok(());
    }
    let sealed = shared::seal_clear_rows(&mut Rows(&mut *connection), protection).await?;
    // A table that stays says that the dead rows still hold what was sealed.
    let end = if sealed == 0 { "DROP TABLE unsealed_steps" } else { "TRUNCATE unsealed_steps" };
    sqlx::query(end).execute(&mut *connection).await.during(OPERATION)?;
    Ok(())
}

async fn is_unfinished(connection: &mut Session<'_>) -> Result<bool> {
    let tables: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_class WHERE oid = to_regclass('unsealed_steps')",
    )
    .fetch_one(&mut *connection)
    .await
    .during(OPERATION)?;
    Ok(tables > 0)
}

struct Rows<'a, 'c>(&'a mut Session<'c>);

#[async_trait]
impl ClearRows for Rows<'_, '_> {
    async fn steps(&mut self) -> Result<Vec<(i64, String)>> {
        sqlx::query_as("SELECT seq, id FROM actions WHERE seq IN (SELECT seq FROM unsealed_steps)")
            .fetch_all(&mut *self.0)
            .await
            .during(OPERATION)
    }

    async fn step(&mut self, seq: i64) -> Result<String> {
        sqlx::query_scalar("SELECT step FROM unsealed_steps WHERE seq = $1")
            .bind(seq)
            .fetch_one(&mut *self.0)
            .await
            .during(OPERATION)
    }

    async fn put_step(&mut self, seq: i64, sealed: Vec<u8>) -> Result<()> {
        let put = sqlx::query("UPDATE actions SET step = $1 WHERE seq = $2").bind(sealed);
        put.bind(seq).execute(&mut *self.0).await.during(OPERATION).map(drop)
    }

    async fn contents(&mut self) -> Result<Vec<(String, Vec<u8>)>> {
        sqlx::query_as("SELECT source, content FROM source_contents")
            .fetch_all(&mut *self.0)
            .await
            .during(OPERATION)
    }

    async fn put_content(&mut self, source: &str, sealed: Vec<u8>) -> Result<()> {
        let put = "UPDATE source_contents SET content = $1 WHERE source = $2";
        let put = sqlx::query(put).bind(sealed).bind(source);
        put.execute(&mut *self.0).await.during(OPERATION).map(drop)
    }

    async fn bodies(&mut self) -> Result<Vec<ClearBody>> {
        // Sealed bodies begin with the version of their form, which is no brace.
        sqlx::query_as(
            "SELECT id, action_id, tenant, cluster, object_kind, object_name, body FROM intents \
             WHERE outcome = 'unknown' AND substr(body, 1, 1) = '\\x7b'::bytea",
        )
        .fetch_all(&mut *self.0)
        .await
        .during(OPERATION)
    }

    async fn put_body(&mut self, intent: &str, sealed: Vec<u8>) -> Result<()> {
        let put = sqlx::query("UPDATE intents SET body = $1 WHERE id = $2").bind(sealed);
        put.bind(intent).execute(&mut *self.0).await.during(OPERATION).map(drop)
    }
}

/// Writes the tables anew, without the dead rows that held what was sealed or keyed. Another process may be
/// in the way: then the next opening tries again, and nothing else waits for it. What the server
/// has archived (its log, backups) is out of reach.
pub(crate) async fn wipe(connection: &mut PgConnection) {
    let done = async {
        // Outside of a transaction a pooler may lose a prepared statement.
        let left = "SELECT count(*) FROM pg_class \
                    WHERE oid IN (to_regclass('unsealed_steps'), to_regclass('unkeyed_digests'))";
        let row = sqlx::raw_sql(left).fetch_one(&mut *connection).await;
        let left: i64 = row.and_then(|row| row.try_get(0)).during(OPERATION)?;
        if left == 0 {
            return Ok(());
        }
        for statement in [
            "VACUUM FULL actions",
            "VACUUM FULL source_contents",
            "VACUUM FULL intents",
            "VACUUM FULL approvals",
            "VACUUM FULL holds",
            "VACUUM FULL outbox",
            "DROP TABLE IF EXISTS unsealed_steps, unkeyed_digests",
        ] {
            sqlx::raw_sql(statement).execute(&mut *connection).await.during(OPERATION)?;
        }
        Ok::<_, skep_store::Error>(())
    };
    if let Err(error) = done.await {
        tracing::warn!(error = %error, "store.old_rows_not_wiped");
    }
}

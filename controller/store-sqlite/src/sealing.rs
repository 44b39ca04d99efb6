//! Sealing what an earlier version left in the clear, once, and leaving no trace of it in the
//! file.

use skep_core::identity::{ActionId, IntentId};
use skep_store::{Intent, Protection, Result, content_context, step_context};
use sqlx::{Connection as _, SqliteConnection};

use crate::connect::OPERATION;
use crate::error::IntoStoreError as _;
use crate::row;

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
    let sealed = seal_steps(connection, protection).await?
        + seal_contents(connection, protection).await?
        + seal_bodies(connection, protection).await?;
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

/// Steps are read one by one: a fleet's history does not have to fit into memory.
async fn seal_steps(connection: &mut SqliteConnection, protection: &Protection) -> Result<usize> {
    let rows: Vec<(i64, String)> =
        sqlx::query_as("SELECT seq, id FROM actions WHERE seq IN (SELECT seq FROM unsealed_steps)")
            .fetch_all(&mut *connection)
            .await
            .during(OPERATION)?;
    for (seq, id) in &rows {
        let clear: String = sqlx::query_scalar("SELECT step FROM unsealed_steps WHERE seq = ?")
            .bind(seq)
            .fetch_one(&mut *connection)
            .await
            .during(OPERATION)?;
        let context = step_context(id);
        let sealed = protection.seal("action", &context, clear.as_bytes())?;
        sqlx::query("UPDATE actions SET step = ? WHERE seq = ?")
            .bind(sealed)
            .bind(seq)
            .execute(&mut *connection)
            .await
            .during(OPERATION)?;
    }
    Ok(rows.len())
}

async fn seal_contents(
    connection: &mut SqliteConnection,
    protection: &Protection,
) -> Result<usize> {
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT source, content FROM source_contents")
            .fetch_all(&mut *connection)
            .await
            .during(OPERATION)?;
    for (source, clear) in &rows {
        let context = content_context(source);
        let sealed = protection.seal("source content", &context, clear)?;
        sqlx::query("UPDATE source_contents SET content = ? WHERE source = ?")
            .bind(sealed)
            .bind(source)
            .execute(&mut *connection)
            .await
            .during(OPERATION)?;
    }
    Ok(rows.len())
}

/// The first schema kept the bodies of requests in the clear; one that was open during the upgrade
/// is settled like any other.
async fn seal_bodies(connection: &mut SqliteConnection, protection: &Protection) -> Result<usize> {
    const WHAT: &str = "intent";
    #[derive(sqlx::FromRow)]
    struct Clear {
        id: String,
        action_id: String,
        tenant: String,
        cluster: String,
        object_kind: String,
        object_name: String,
        body: Vec<u8>,
    }
    // Sealed bodies begin with the version of their form, which is no brace.
    let rows: Vec<Clear> = sqlx::query_as(
        "SELECT id, action_id, tenant, cluster, object_kind, object_name, body FROM intents \
         WHERE outcome = 'unknown' AND substr(body, 1, 1) = x'7b'",
    )
    .fetch_all(&mut *connection)
    .await
    .during(OPERATION)?;
    let count = rows.len();
    for clear in rows {
        let key =
            row::key(clear.tenant, clear.cluster, &clear.object_kind, clear.object_name, WHAT)?;
        let (intent, action) = (IntentId::new(clear.id), ActionId::new(clear.action_id));
        let context = Intent::body_context(&intent, &action, &key);
        let sealed = protection.seal(WHAT, &context, &clear.body)?;
        sqlx::query("UPDATE intents SET body = ? WHERE id = ?")
            .bind(sealed)
            .bind(intent.as_str())
            .execute(&mut *connection)
            .await
            .during(OPERATION)?;
    }
    Ok(count)
}

/// Writes the file anew, without the pages that held what was sealed or keyed, and empties the write-ahead
/// log. Another process may be in the way: then the next opening tries again, and nothing else
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

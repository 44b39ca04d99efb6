//! Giving a key to the digests that an earlier version left without one, once.

use skep_store::{Protection, Result};
use skep_store_sql::rekeying::{KeyedColumns, keyed_difference};

use crate::connect::OPERATION;
use crate::error::IntoStoreError as _;
use crate::session::Session;

/// Gives a key to the digests of actions, requests and holds, when the migration that has them
/// keyed was applied in this transaction. `unkeyed_digests` is there from then on until the old
/// rows are wiped.
pub(crate) async fn key_digests(
    connection: &mut Session<'_>,
    protection: &Protection,
) -> Result<()> {
    let there: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_class WHERE oid = to_regclass('unkeyed_digests')",
    )
    .fetch_one(&mut *connection)
    .await
    .during(OPERATION)?;
    if there == 0 {
        return Ok(());
    }
    let due: i64 = sqlx::query_scalar("SELECT count(*) FROM unkeyed_digests")
        .fetch_one(&mut *connection)
        .await
        .during(OPERATION)?;
    if due == 0 {
        return Ok(());
    }
    let contents: i64 = sqlx::query_scalar("SELECT count(*) FROM source_contents")
        .fetch_one(&mut *connection)
        .await
        .during(OPERATION)?;
    let keyed = key_actions(connection, protection).await?
        + key_holds(connection, protection).await?
        + usize::try_from(contents).unwrap_or(1);
    let end = if keyed == 0 { "DROP TABLE unkeyed_digests" } else { "TRUNCATE unkeyed_digests" };
    sqlx::query(end).execute(&mut *connection).await.during(OPERATION)?;
    Ok(())
}

/// Actions are read one by one: a fleet's history does not have to fit into memory.
async fn key_actions(connection: &mut Session<'_>, protection: &Protection) -> Result<usize> {
    let rows: Vec<i64> = sqlx::query_scalar("SELECT seq FROM actions")
        .fetch_all(&mut *connection)
        .await
        .during(OPERATION)?;
    for seq in &rows {
        let plain: KeyedColumns = sqlx::query_as(
            "SELECT seq, id, state, mode, rule, plan_id, binding, step, moved FROM actions \
             WHERE seq = $1",
        )
        .bind(seq)
        .fetch_one(&mut *connection)
        .await
        .during(OPERATION)?;
        let keyed = plain.keyed(protection)?;
        sqlx::query(
            "UPDATE actions SET plan_id = $1, binding = $2, step = $3, moved = $4 WHERE seq = $5",
        )
        .bind(&keyed.plan_id)
        .bind(&keyed.binding)
        .bind(keyed.step)
        .bind(keyed.moved)
        .bind(seq)
        .execute(&mut *connection)
        .await
        .during(OPERATION)?;
        sqlx::query("UPDATE approvals SET plan_id = $1, binding = $2 WHERE action_id = $3")
            .bind(keyed.plan_id)
            .bind(keyed.binding)
            .bind(keyed.id)
            .execute(&mut *connection)
            .await
            .during(OPERATION)?;
    }
    Ok(rows.len())
}

async fn key_holds(connection: &mut Session<'_>, protection: &Protection) -> Result<usize> {
    let plain: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT difference FROM holds WHERE difference IS NOT NULL")
            .fetch_all(&mut *connection)
            .await
            .during(OPERATION)?;
    for plain in &plain {
        sqlx::query("UPDATE holds SET difference = $1 WHERE difference = $2")
            .bind(keyed_difference(protection.digester(), plain))
            .bind(plain)
            .execute(&mut *connection)
            .await
            .during(OPERATION)?;
    }
    Ok(plain.len())
}

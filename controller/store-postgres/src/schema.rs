//! The schema: embedded, forward-only migrations, and which versions may work together.
//!
//! A release must run on the schema of the next one, so that an upgrade can be undone. Whether
//! that holds is known only to the newer migration; it says so in `schema_versions`.

use skep_store::{Error, Protection, Result};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection as _, PgConnection};

use crate::connect::OPERATION;
use crate::error::{Cause, IntoStoreError as _, from_sqlx};
use crate::session::Session;
use crate::{audit, rekeying, sealing};

/// The oldest version of the server that still gets fixes.
const OLDEST_SERVER: i32 = 14;

/// Serialises processes that start at once. Any number will do, as long as it stays.
const LOCK: i64 = 0x736b_6570_0001;

/// Checks the database, brings its schema up to date, and returns the installation's id and
/// whether the database can only be read.
///
/// Nothing is written when nothing is left to do: a database that is read-only can be read.
///
/// All in one transaction that holds a lock of its own: processes that start at once wait for each
/// other, and a half-done upgrade leaves nothing. The migrator's own lock belongs to the session,
/// which a pooler may change.
pub(crate) async fn prepare(
    connection: &mut PgConnection,
    is_pooled: bool,
    protection: &Protection,
) -> Result<(String, bool)> {
    let tx = connection.begin().await.during(OPERATION)?;
    let mut tx = Session::new(tx, is_pooled);
    check_server(&mut tx).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK)
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    let mut migrator = sqlx::migrate!("./migrations");
    // Which unknown migrations are acceptable is decided here, not by the migrator.
    migrator.set_ignore_missing(true).set_locking(false);
    check(&mut tx, &migrator).await?;
    let read_only: String = sqlx::query_scalar("SELECT current_setting('transaction_read_only')")
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?;
    let is_read_only = read_only == "on";
    let is_complete = is_complete(&mut tx, &migrator).await?;
    if !is_complete {
        if tx.is_pooled() {
            // The migrator gives its statements names; those of an earlier one may be there.
            sqlx::raw_sql("DEALLOCATE ALL").execute(&mut *tx).await.during(OPERATION)?;
        }
        migrator.run_direct(None, tx.connection(), false).await.map_err(from_migrate)?;
    }
    if !audit::fits(&mut tx, protection).await? {
        return Err(Cause::WrongKey).during(OPERATION);
    }
    if !is_read_only {
        audit::ensure_roots(&mut tx, protection).await?;
        sealing::seal_clear_rows(&mut tx, protection).await?;
        rekeying::key_digests(&mut tx, protection).await?;
    }
    let id = sqlx::query_scalar!("SELECT id FROM installation")
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?;
    tx.commit().await.during(OPERATION)?;
    if !is_read_only {
        sealing::wipe(connection).await;
    }
    Ok((id, is_read_only))
}

/// Whether every migration of this binary has been applied, as it is.
async fn is_complete(connection: &mut Session<'_>, migrator: &Migrator) -> Result<bool> {
    if is_new(connection).await? {
        return Ok(false);
    }
    let applied: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success")
            .fetch_all(&mut *connection)
            .await
            .during(OPERATION)?;
    for migration in migrator.iter() {
        match applied.iter().find(|(version, _)| *version == migration.version) {
            None => return Ok(false),
            Some((version, checksum)) if *checksum != *migration.checksum => {
                return Err(from_migrate(MigrateError::VersionMismatch(*version)));
            }
            Some(_) => {}
        }
    }
    Ok(true)
}

/// All tables of the schema, and how many of the two that are always ours. What an extension
/// brought along is nobody's.
async fn tables(connection: &mut Session<'_>) -> Result<(i64, i64)> {
    sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE relname IN ('_sqlx_migrations', \
             'schema_versions')) \
         FROM pg_class WHERE relnamespace = current_schema()::regnamespace \
         AND relkind IN ('r', 'p') \
         AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')",
    )
    .fetch_one(&mut *connection)
    .await
    .during(OPERATION)
}

/// Whether nothing is in the database yet.
pub(crate) async fn is_new(connection: &mut Session<'_>) -> Result<bool> {
    Ok(tables(connection).await?.0 == 0)
}

async fn check_server(connection: &mut Session<'_>) -> Result<()> {
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::integer")
        .fetch_one(&mut *connection)
        .await
        .during(OPERATION)?;
    let found = version / 10_000;
    if found < OLDEST_SERVER {
        return Err(Cause::TooOld { found, needed: OLDEST_SERVER }).during(OPERATION);
    }
    Ok(())
}

/// The newest migration that this binary knows.
fn known(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Refuses what must not be touched: another program's tables, a schema from the future.
async fn check(connection: &mut Session<'_>, migrator: &Migrator) -> Result<()> {
    let (tables, ours) = tables(connection).await?;
    if tables == 0 {
        return Ok(());
    }
    if ours != 2 {
        return Err(Cause::Foreign).during(OPERATION);
    }
    let known = known(migrator);
    let newest: Option<i64> = sqlx::query_scalar(
        "SELECT max(m.version) FROM _sqlx_migrations AS m \
         LEFT JOIN schema_versions AS v USING (version) \
         WHERE m.version > $1 AND coalesce(v.runs_with, m.version) > $1",
    )
    .bind(known)
    .fetch_one(&mut *connection)
    .await
    .during(OPERATION)?;
    match newest {
        Some(found) => Err(Cause::Newer { found, known }).during(OPERATION),
        None => Ok(()),
    }
}

fn from_migrate(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            from_sqlx(error, OPERATION)
        }
        other => Error::Unavailable { operation: OPERATION, source: Cause::Schema(other).into() },
    }
}

//! The schema: embedded, forward-only migrations, and which versions may work together.
//!
//! A release must run on the schema of the next one, so that an upgrade can be undone. Whether
//! that holds is known only to the newer migration; it says so in `schema_versions`.

use skep_store::{Error, Protection, Result};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection as _, SqliteConnection, SqlitePool};

use crate::connect::{self, OPERATION};
use crate::error::{Cause, IntoStoreError as _, from_sqlx};
use crate::{audit, rekeying, sealing};

/// Checks the database, brings its schema up to date, and returns the installation's id.
///
/// What an earlier version left in the clear is sealed, digests without a key get theirs, and the
/// audit trail gets its checkpoint.
///
/// All in one transaction that holds the write lock: processes that start at once wait for each
/// other, a half-done upgrade leaves nothing, and a read-only database is found out here and not
/// at the first intent.
pub(crate) async fn prepare(writer: &SqlitePool, protection: &Protection) -> Result<String> {
    let mut connection = connect::acquire(writer).await?;
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.during(OPERATION)?;
    let mut migrator = sqlx::migrate!("./migrations");
    // Which unknown migrations are acceptable is decided here, not by the migrator.
    migrator.set_ignore_missing(true);
    check(&mut tx, &migrator).await?;
    migrator.run_direct(None, &mut *tx, false).await.map_err(from_migrate)?;
    probe(&mut tx).await?;
    if !audit::fits(&mut tx, protection).await? {
        return Err(Cause::WrongKey).during(OPERATION);
    }
    audit::ensure_roots(&mut tx, protection).await?;
    sealing::seal_clear_rows(&mut tx, protection).await?;
    rekeying::key_digests(&mut tx, protection).await?;
    let id = sqlx::query_scalar!("SELECT id FROM installation")
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?;
    tx.commit().await.during(OPERATION)?;
    sealing::wipe(&mut connection).await;
    Ok(id)
}

/// Tries a write and takes it back: on a read-only file SQLite silently makes a reading
/// transaction of `BEGIN IMMEDIATE`.
async fn probe(connection: &mut SqliteConnection) -> Result<()> {
    let mut tx = connection.begin().await.during(OPERATION)?;
    sqlx::query!("UPDATE installation SET id = id").execute(&mut *tx).await.during(OPERATION)?;
    tx.rollback().await.during(OPERATION)
}

/// The same for a database that cannot be written: nothing may be left to do.
pub(crate) async fn verify(readers: &SqlitePool, protection: &Protection) -> Result<String> {
    let mut tx = readers.begin().await.during(OPERATION)?;
    let migrator = sqlx::migrate!("./migrations");
    check(&mut tx, &migrator).await?;
    let applied: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version",
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    for migration in migrator.iter() {
        match applied.iter().find(|(version, _)| *version == migration.version) {
            None => return Err(Cause::Outdated).during(OPERATION),
            Some((version, checksum)) if *checksum != *migration.checksum => {
                return Err(from_migrate(MigrateError::VersionMismatch(*version)));
            }
            Some(_) => {}
        }
    }
    if !audit::fits(&mut tx, protection).await? {
        return Err(Cause::WrongKey).during(OPERATION);
    }
    sqlx::query_scalar!("SELECT id FROM installation").fetch_one(&mut *tx).await.during(OPERATION)
}

/// The newest migration that this binary knows.
fn known(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Refuses what must not be touched: another program's tables, a schema from the future.
async fn check(connection: &mut SqliteConnection, migrator: &Migrator) -> Result<()> {
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *connection)
        .await
        .during(OPERATION)?;
    if tables == 0 {
        return Ok(());
    }
    let ours: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('_sqlx_migrations', 'schema_versions')",
    )
    .fetch_one(&mut *connection)
    .await
    .during(OPERATION)?;
    if ours != 2 {
        return Err(Cause::Foreign).during(OPERATION);
    }
    let known = known(migrator);
    let newest: Option<i64> = sqlx::query_scalar(
        "SELECT max(m.version) FROM _sqlx_migrations AS m \
         LEFT JOIN schema_versions AS v USING (version) \
         WHERE m.version > ?1 AND coalesce(v.runs_with, m.version) > ?1",
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

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn every_migration_says_which_versions_it_runs_with() {
        let store = crate::tests::in_memory().await;
        let declared: Vec<i64> =
            sqlx::query_scalar("SELECT version FROM schema_versions ORDER BY version")
                .fetch_all(&store.writer)
                .await
                .unwrap();
        let embedded: Vec<i64> =
            sqlx::migrate!("./migrations").iter().map(|migration| migration.version).collect();
        assert_eq!(declared, embedded);
    }

    /// `.sqlx/` was written from some state of the schema; this is what notices a migration that
    /// was changed or added without writing it again.
    #[tokio::test]
    async fn every_cached_statement_fits_the_schema() {
        use sqlx::{Executor as _, SqlSafeStr as _};

        let store = crate::tests::in_memory().await;
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let cached: serde_json::Value = serde_json::from_str(&text).unwrap();
            let query = cached["query"].as_str().unwrap().to_owned();
            let prepared = (&store.writer).prepare(sqlx::AssertSqlSafe(query).into_sql_str()).await;
            let prepared = match prepared {
                Ok(prepared) => prepared,
                Err(error) => panic!("{}: {error}", path.display()),
            };
            let columns = sqlx::Statement::columns(&prepared).len();
            assert_eq!(
                columns,
                cached["describe"]["columns"].as_array().unwrap().len(),
                "{}",
                path.display()
            );
            seen += 1;
        }
        assert!(seen > 20, "only {seen} cached statements");
    }
}

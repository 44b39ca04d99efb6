//! A consistent copy of all records in a SQLite file.

use std::path::Path;

use serde::Serialize;
use skep_store::Protection;
use skep_store_sql::transfer::{self, Contents};
use skep_store_sqlite::{Location, SqliteStore};

use super::{TableView, about_the_key, in_force, progress, rows, views};
use crate::codes;
use crate::database::{Access, Database, Named, absolute, file_options};
use crate::error::{Failure, Result, exit};
use crate::verbs::Session;
use crate::wiring;

#[derive(Debug, Serialize)]
struct BackupView {
    store: String,
    file: String,
    bytes: u64,
    rows: u64,
    tables: Vec<TableView>,
    /// Where the key is, which is not in the backup.
    key: Option<String>,
}

pub(super) async fn run(session: &Session, file: &Path) -> Result<u8> {
    let (named, place) = in_force(session)?;
    if named.file().is_some_and(|own| !own.exists()) {
        return Err(Failure::new(
            codes::STORE_UNAVAILABLE,
            format!("there is no store at {named}"),
        )
        .next("see which store is used: skep config show --origin"));
    }
    let key = named.keyed(place.as_ref(), &session.environment).await?;
    let protection = wiring::protection(&key)?;
    let database = named.open(Access::Any, &protection).await?;
    let contents = match &database {
        Database::Sqlite(store) => {
            store.back_up(file).await?;
            check(session, file, &protection).await?
        }
        Database::Postgres(_) => carry(session, &database, file, &protection).await?,
    };
    let view = BackupView {
        store: named.to_string(),
        file: absolute(file).display().to_string(),
        bytes: std::fs::metadata(file).map_or(0, |file| file.len()),
        rows: rows(&contents),
        tables: views(&contents),
        key: place.as_ref().map(ToString::to_string),
    };
    session.printer.data(&view, |view, _| {
        format!("{}: {} rows, {} bytes, checked\n", view.file, view.rows, view.bytes)
    })?;
    session.printer.note(&about_the_key(place.as_ref()));
    Ok(exit::OK)
}

/// Reads the whole backup as whoever restores it would.
async fn check(session: &Session, file: &Path, protection: &Protection) -> Result<Contents> {
    let store = SqliteStore::open_backup(file, file_options(protection)).await?;
    let problems = store.check().await?;
    let contents =
        transfer::contents(store.archive().await?, progress(session, "checking")).await?;
    store.close().await;
    match problems.first() {
        None => Ok(contents),
        Some(problem) => Err(Failure::new(
            codes::STORE_CORRUPT,
            format!("the backup {} is damaged, as its store is: {problem}", file.display()),
        )
        .next("skep store check")),
    }
}

/// The records of another kind of database, in a new SQLite file.
async fn carry(
    session: &Session,
    database: &Database,
    file: &Path,
    protection: &Protection,
) -> Result<Contents> {
    if file.exists() {
        return Err(Failure::new(
            codes::STORE_NOT_EMPTY,
            format!("{} exists already, and nothing was overwritten", file.display()),
        )
        .next("name a file that does not exist"));
    }
    let written: Result<Contents> = async {
        let new = Named::Sqlite(Location::File(file.to_owned()));
        let new = new.open(Access::Write, protection).await?;
        let source = database.archive().await?;
        let target = new.archive_to_write().await?;
        let carried = transfer::carry(source, target, progress(session, "writing")).await?;
        // Without its side files, so that one file is all there is.
        new.close().await;
        Ok(carried)
    }
    .await;
    if written.is_err() {
        // It holds half of the records.
        let _stays_if_it_must = std::fs::remove_file(file);
    }
    let (carried, there) = (written?, check(session, file, protection).await?);
    super::copy::compare(&carried, &there)?;
    Ok(there)
}

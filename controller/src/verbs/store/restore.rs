//! Putting a backup in the place of the store's records.
//!
//! The installation stays the same, as its id in the backup says: it is the same one at an earlier
//! time. What it does on the swarm from now on is safe all the same, because every write compares
//! with what is live.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use skep_store::Protection;
use skep_store_sql::transfer::{self, Contents};
use skep_store_sqlite::SqliteStore;

use super::{TableView, in_force, is_empty, nobody_leads, not_empty, progress, rows, views};
use crate::args::RestoreArgs;
use crate::codes;
use crate::database::{Access, Database, Named, absolute, file_options};
use crate::error::{Failure, Result, exit};
use crate::verbs::Session;
use crate::wiring;

#[derive(Debug, Serialize)]
struct RestoreView {
    backup: String,
    store: String,
    rows: u64,
    tables: Vec<TableView>,
    /// Where what was there before is kept.
    replaced: Option<String>,
}

pub(super) async fn run(session: &Session, args: &RestoreArgs) -> Result<u8> {
    let (named, place) = in_force(session)?;
    let Some(place) = place else {
        return Err(Failure::usage("a store in memory ends with this command"));
    };
    let Some(key) = place.read(&session.environment)? else {
        return Err(place.missing().next("put the key there that belongs to the backup"));
    };
    let protection = wiring::protection(&key)?;
    let backup = SqliteStore::open_backup(&args.file, file_options(&protection)).await?;
    if let Some(problem) = backup.check().await?.first() {
        return Err(Failure::new(
            codes::STORE_CORRUPT,
            format!("the backup {} is damaged: {problem}", args.file.display()),
        )
        .next("use another backup"));
    }
    let (contents, replaced) = match &named {
        Named::Sqlite(_) => {
            let path = named.file().map(Path::to_owned).unwrap_or_default();
            let contents =
                transfer::contents(backup.archive().await?, progress(session, "reading")).await?;
            backup.close().await;
            (contents, replace_file(&named, &path, args, &protection).await?)
        }
        Named::Postgres(_) => {
            (replace_rows(session, &named, &backup, args, &protection).await?, None)
        }
    };
    let view = RestoreView {
        backup: absolute(&args.file).display().to_string(),
        store: named.to_string(),
        rows: rows(&contents),
        tables: views(&contents),
        replaced: replaced.map(|path| path.display().to_string()),
    };
    session.printer.data(&view, |view, _| {
        let mut text = format!("{}: {} rows of {}\n", view.store, view.rows, view.backup);
        if let Some(replaced) = &view.replaced {
            text.push_str(&format!("what was there before is kept: {replaced}\n"));
        }
        text
    })?;
    Ok(exit::OK)
}

/// Replaces the file of a SQLite store; gives where the old one is kept.
async fn replace_file(
    named: &Named,
    path: &Path,
    args: &RestoreArgs,
    protection: &Protection,
) -> Result<Option<PathBuf>> {
    if absolute(path) == absolute(&args.file) {
        return Err(Failure::usage("the backup is the store itself"));
    }
    let is_there = fs::metadata(path).is_ok_and(|file| file.len() > 0);
    if is_there {
        match named.open(Access::Any, protection).await {
            Ok(database) => {
                nobody_leads(named, &database).await?;
                database.close().await;
            }
            // A store that is too damaged to be opened is what a backup is for.
            Err(failure) if !args.force => return Err(failure.next("add --force to replace it")),
            Err(_) => {}
        }
        if !args.force {
            return Err(not_empty(named, "add --force to replace it; the old file is kept"));
        }
    }
    let failed = |error: std::io::Error| {
        let message = format!("{} cannot be replaced", path.display());
        let mut failure = Failure::new(codes::STORE_UNAVAILABLE, message)
            .next("nothing was changed; make its folder writable for this user");
        failure.push_cause(error.to_string());
        failure
    };
    let aside = beside(path, ".restoring");
    copy(&args.file, &aside).map_err(failed)?;
    let kept = is_there.then(|| beside(path, &format!(".before-{}", stamp())));
    if let Some(kept) = &kept {
        fs::rename(path, kept).map_err(failed)?;
        for side in ["-wal", "-shm"] {
            // Absent after a clean end; otherwise they belong to the old file.
            let _absent = fs::rename(beside(path, side), beside(kept, side));
        }
    }
    fs::rename(&aside, path).map_err(failed)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    // Brought up to date here, and not when somebody waits for it.
    named.open(Access::Write, protection).await?.close().await;
    Ok(kept)
}

async fn replace_rows(
    session: &Session,
    named: &Named,
    backup: &SqliteStore,
    args: &RestoreArgs,
    protection: &Protection,
) -> Result<Contents> {
    let target: Database = named.open(Access::Write, protection).await?;
    nobody_leads(named, &target).await?;
    let there = transfer::contents(target.archive().await?, |_, _| {}).await?;
    if !is_empty(&there) && !args.force {
        return Err(not_empty(named, "add --force to replace them, after a backup of their own"));
    }
    let archives = (backup.archive().await?, target.archive_to_write().await?);
    let carried = transfer::carry(archives.0, archives.1, progress(session, "restoring")).await?;
    let there = transfer::contents(target.archive().await?, progress(session, "comparing")).await?;
    super::copy::compare(&carried, &there)?;
    target.close().await;
    Ok(carried)
}

/// For this user only, and on disk when it returns.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let _left_by_one_that_was_killed = fs::remove_file(to);
    let mut source = File::open(from)?;
    let mut target = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    std::io::copy(&mut source, &mut target)?;
    target.sync_all()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(ending);
    PathBuf::from(name)
}

fn stamp() -> String {
    Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}

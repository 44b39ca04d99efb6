//! Opening a file that cannot be written.

use std::path::Path;

use skep_store::{Error, Result};

use crate::connect::{self, OPERATION};
use crate::error::{Cause, IntoStoreError as _};
use crate::{ClockShift, OpenOptions, SqliteStore, length, schema};

/// Only to read; a few are enough, as beside a writer.
const READERS: u32 = 4;

fn check(path: &Path) -> Result<()> {
    if !path.exists() {
        return Err(Cause::Missing { path: path.to_owned() }).during(OPERATION);
    }
    length::check(path).during(OPERATION)
}

/// A file that was copied together with its log is complete only with it.
pub(crate) async fn open_backup(path: &Path, options: OpenOptions) -> Result<SqliteStore> {
    check(path)?;
    store(path, !length::has_log(path), options).await
}

pub(crate) async fn open(path: &Path, options: OpenOptions) -> Result<SqliteStore> {
    check(path)?;
    let plain = store(path, false, options.clone()).await;
    // Without its side files, and a folder in which they could be made, SQLite opens such a file
    // only when it is told that nobody changes it. With them, somebody else may be at work.
    if matches!(plain, Err(Error::Unavailable { .. })) && !length::has_log(path) {
        return store(path, true, options).await;
    }
    plain
}

async fn store(path: &Path, immutable: bool, options: OpenOptions) -> Result<SqliteStore> {
    let connect = connect::connect_options().filename(path).read_only(true).immutable(immutable);
    let readers = connect::pool(READERS).connect_lazy_with(connect);
    let installation_id = schema::verify(&readers, &options.protection).await?;
    let trail = options.trail();
    Ok(SqliteStore {
        writer: readers.clone(),
        readers,
        clock: ClockShift::default(),
        installation_id,
        is_read_only: true,
        protection: options.protection,
        trail,
    })
}

//! Opening: the file, its connections, its schema.

use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use skep_store::{Error, Protection, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqlitePool};

use crate::error::{Cause, IntoStoreError as _};
use crate::transaction::{Lengths, Writer};
use crate::{ClockShift, SqliteStore, length, schema};

/// What every failure here is a failure of.
pub(crate) const OPERATION: &str = "open the database";

/// How to open a database.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Create the file, and the folders above it, when they are missing.
    pub create: bool,
    /// The keys that belong to the database.
    pub protection: Protection,
    /// Who writes, for whoever reads the audit trail: host and process id.
    pub writer: String,
}

impl OpenOptions {
    /// Opens what is there, with these keys, as this process.
    #[must_use]
    pub fn new(protection: Protection) -> Self {
        Self { create: false, protection, writer: format!("pid {}", std::process::id()) }
    }

    /// Creates what is missing.
    #[must_use]
    pub fn creating(self) -> Self {
        Self { create: true, ..self }
    }

    /// A chain of the audit trail for everything that this opening writes without leading.
    pub(crate) fn trail(&self) -> Writer {
        Writer {
            chain: format!("process:{}", self.protection.random().hex128()),
            process: self.writer.clone(),
            lengths: Lengths::default(),
        }
    }
}

/// How long a write waits for the writer of another process. Our transactions take milliseconds;
/// who holds the lock for longer has been stopped, or is a person with a shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call waits for a connection of its own process: longer than [`BUSY_TIMEOUT`], so
/// that the call before it has given up by then.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);

/// Readers never wait for the writer; a few are enough for short queries on one file.
const READERS: u32 = 4;

pub(crate) async fn file(
    path: &Path,
    options: OpenOptions,
    clock: ClockShift,
) -> Result<SqliteStore> {
    ensure_file(path, &options).during(OPERATION)?;
    length::check(path).during(OPERATION)?;
    let writing = connect_options()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // What is blanked must not stay readable in free pages.
        .pragma("secure_delete", "ON");
    let writer = pool(1).connect_lazy_with(writing.clone());
    let installation_id = schema::prepare(&writer, &options.protection).await?;
    // No write can slip past the write lock by taking the wrong pool.
    let readers = pool(READERS).connect_lazy_with(writing.pragma("query_only", "ON"));
    let trail = options.trail();
    let (protection, is_read_only) = (options.protection, false);
    Ok(SqliteStore { writer, readers, clock, installation_id, is_read_only, protection, trail })
}

pub(crate) async fn memory(options: OpenOptions, clock: ClockShift) -> Result<SqliteStore> {
    // The database lives as long as its only connection.
    let only = pool(1).connect_lazy_with(connect_options().in_memory(true).filename(":memory:"));
    let installation_id = schema::prepare(&only, &options.protection).await?;
    let (readers, trail) = (only.clone(), options.trail());
    let (protection, is_read_only) = (options.protection, false);
    let writer = only;
    Ok(SqliteStore { writer, readers, clock, installation_id, is_read_only, protection, trail })
}

pub(crate) fn connect_options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
}

pub(crate) fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        // After some failures (disk full, I/O) SQLite has rolled back by itself, and the driver,
        // which does not see that, would refuse every further transaction on the connection. The
        // driver's ping comes first, so what the last user left has been worked off here.
        .test_before_acquire(true)
        .before_acquire(|connection, _| {
            Box::pin(async move { Ok(!connection.is_in_transaction()) })
        })
}

/// Makes the folders and the file, for this user only: specs and environment values are in it.
/// SQLite gives its side files (`-wal`, `-shm`) the mode of the main file.
fn ensure_file(path: &Path, options: &OpenOptions) -> std::result::Result<(), Cause> {
    if path.exists() {
        return Ok(());
    }
    if !options.create {
        return Err(Cause::Missing { path: path.to_owned() });
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| Cause::Create { path: folder.to_owned(), source })?;
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        // Another process was faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Cause::Create { path: path.to_owned(), source }),
    }
}

/// Retries while another process holds the file: switching to the write-ahead log is the one
/// step for which SQLite does not wait by itself.
pub(crate) async fn acquire(pool: &SqlitePool) -> Result<sqlx::pool::PoolConnection<sqlx::Sqlite>> {
    let mut attempts = 0;
    loop {
        match pool.acquire().await.during(OPERATION) {
            Err(Error::Busy(_)) if attempts < OPEN_ATTEMPTS => attempts += 1,
            result => return result,
        }
        tokio::time::sleep(OPEN_PAUSE).await;
    }
}

/// Together about as long as [`BUSY_TIMEOUT`].
const OPEN_ATTEMPTS: u32 = 100;
const OPEN_PAUSE: Duration = Duration::from_millis(50);

//! The embedded store: one SQLite file, for one controller and the commands beside it.
//!
//! # Guarantees
//! - A write is on disk when its call returns (`synchronous = FULL`), so no action runs without a
//!   stored intent.
//! - Every write takes the database's only write lock at its start (`BEGIN IMMEDIATE`), so a
//!   check and the write that depends on it see the same state, in this process and in others.
//! - The lease runs on the database's clock.
//!
//! # Caveats
//! - Several *processes* on one machine may share the file; several machines may not (network
//!   file systems do not lock reliably). That is what the Postgres store is for.
//! - Instants are kept in microseconds: a finer fraction that a caller passes is cut off.

mod actions;
mod approvals;
mod archive;
mod attempts;
mod audit;
mod batches;
mod clock;
mod connect;
mod containments;
mod error;
mod fence;
mod holds;
mod inbox;
mod intents;
mod leases;
mod ledger;
mod length;
mod letters;
mod location;
mod outbox;
mod overrides;
mod ownership;
mod previews;
mod prunes;
mod query;
mod read_only;
mod rekeying;
mod requests;
mod revisions;
mod schema;
mod sealing;
mod sources;
#[cfg(test)]
mod tests;
mod transaction;
mod transition;
mod waits;

use std::path::Path;

use async_trait::async_trait;
use skep_store::{Protection, Result, Store};
use sqlx::SqlitePool;

pub use self::clock::ClockShift;
pub use self::connect::OpenOptions;
pub use self::error::Cause;
pub use self::location::{InvalidLocation, Location};
use crate::error::IntoStoreError as _;
use crate::transaction::{Tx, Writer};

/// A store in one SQLite database. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    /// One connection: this process never waits for itself inside SQLite, where waiting is
    /// polling, but in the pool's fair queue.
    writer: SqlitePool,
    /// Connections that refuse to write.
    readers: SqlitePool,
    clock: ClockShift,
    installation_id: String,
    is_read_only: bool,
    protection: Protection,
    trail: Writer,
}

impl SqliteStore {
    /// Opens a database file and brings its schema up to date.
    ///
    /// # Errors
    /// [`skep_store::Error::Unavailable`] with a [`Cause`] that says what to do when the file is
    /// missing (and `create` is off), read-only, another program's, or written by a version that
    /// this one cannot work with; [`skep_store::Error::Corrupt`] when it is damaged.
    pub async fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self> {
        connect::file(path.as_ref(), options, ClockShift::default()).await
    }

    /// Opens a database file that this user cannot write, such as one on a medium that is mounted
    /// read-only. Reading works; every write fails with [`Cause::ReadOnly`].
    ///
    /// # Errors
    /// As [`SqliteStore::open`], and when its schema is not up to date, which would have to be
    /// written.
    pub async fn open_read_only(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self> {
        read_only::open(path.as_ref(), options).await
    }

    /// Whether a file is a SQLite database at all, as far as its first bytes say.
    ///
    /// # Errors
    /// [`skep_store::Error::Corrupt`] when it is something else, or has been cut off.
    pub fn recognise(path: impl AsRef<Path>) -> Result<()> {
        length::recognise(path.as_ref())
    }

    /// Opens a backup: a file that nobody changes. Leaves nothing beside it.
    ///
    /// # Errors
    /// As [`SqliteStore::open_read_only`].
    pub async fn open_backup(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self> {
        read_only::open_backup(path.as_ref(), options).await
    }

    /// Opens an empty database that ends with the last clone of the returned store.
    ///
    /// # Errors
    /// When SQLite refuses to work at all.
    pub async fn open_in_memory(protection: Protection) -> Result<Self> {
        connect::memory(OpenOptions::new(protection), ClockShift::default()).await
    }

    /// Opens what a `--store` argument names.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn open_location(location: &Location, options: OpenOptions) -> Result<Self> {
        match location {
            Location::File(path) => Self::open(path, options).await,
            Location::Memory => connect::memory(options, ClockShift::default()).await,
        }
    }

    /// For tests: a store whose database clock can be moved.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn open_with_clock(
        location: &Location,
        options: OpenOptions,
        clock: ClockShift,
    ) -> Result<Self> {
        match location {
            Location::File(path) => connect::file(path, options, clock).await,
            Location::Memory => connect::memory(options, clock).await,
        }
    }

    /// Closes all connections and folds the write-ahead log into the file. Calls that are under
    /// way finish first; later ones fail.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Begins a writing transaction; the write lock is held from here on.
    async fn write(&self, operation: &'static str) -> Result<Tx> {
        let inner = self.writer.begin_with("BEGIN IMMEDIATE").await.during(operation)?;
        Ok(Tx::new(inner, self.protection.clone(), self.trail.clone()))
    }

    /// Begins a transaction that sees one state of the database and writes nothing.
    async fn read(&self, operation: &'static str) -> Result<Tx> {
        let inner = self.readers.begin().await.during(operation)?;
        Ok(Tx::new(inner, self.protection.clone(), self.trail.clone()))
    }
}

#[async_trait]
impl Store for SqliteStore {
    // The numbers of the newest audit row and of the newest announcement: every write that decides
    // something appends the one, whoever wants the loop to look the other. `PRAGMA data_version`
    // would move with every renewal and wake the loop each time.
    async fn change_counter(&self) -> Result<i64> {
        sqlx::query_scalar!(
            r#"SELECT coalesce(max(seq), 0) + coalesce((SELECT seq FROM sqlite_sequence
               WHERE name = 'announcements'), 0) AS "seq!: i64" FROM audit"#
        )
        .fetch_one(&self.readers)
        .await
        .during("read the change counter")
    }

    async fn ping(&self) -> Result<()> {
        sqlx::query_scalar!(r#"SELECT one AS "one!: i64" FROM installation"#)
            .fetch_one(&self.readers)
            .await
            .during("answer")?;
        Ok(())
    }

    fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    fn installation_id(&self) -> &str {
        &self.installation_id
    }
}

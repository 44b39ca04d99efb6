//! From the driver's errors to the store's: what went wrong, and what a person can do about it.

use std::path::PathBuf;

use skep_store::{Error, Result};

/// Why the database does not work, with the next step. It is the `source` of
/// [`skep_store::Error::Unavailable`] and of [`skep_store::Error::Corrupt`].
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Nothing at the path.
    #[error(
        "there is no database at {}: check the path, or let `skep serve` create it",
        path.display()
    )]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The folder or the file cannot be created.
    #[error(
        "{} cannot be created: make its folder writable for this user, or choose another --store",
        path.display()
    )]
    Create {
        /// What was to be created.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The tables of something else.
    #[error("the database belongs to another program: choose another --store")]
    Foreign,
    /// Migrations that this binary does not know and that did not say it may go on.
    #[error(
        "the database has schema version {found} and this version of skep knows {known}: \
         run the newer skep, or restore the backup made before the upgrade"
    )]
    Newer {
        /// The newest migration in the database.
        found: i64,
        /// The newest that this binary knows.
        known: i64,
    },
    /// Sealed by another installation.
    #[error(
        "the database was made with another key: put the right key back beside it, \
         or choose another --store; nothing was changed"
    )]
    WrongKey,
    /// A migration was changed after it was released.
    #[error("the schema of the database is not the one that this version of skep made")]
    Schema(#[source] sqlx::migrate::MigrateError),
    /// A schema of an earlier version, in a database that cannot be written.
    #[error(
        "the database is read-only and of an earlier version of skep: make it writable once, so \
         that this version can bring its schema up to date"
    )]
    Outdated,
    /// Not writable.
    #[error("the database is read-only: make the file and its folder writable for this user")]
    ReadOnly(#[source] sqlx::Error),
    /// No space.
    #[error("the disk is full: free some space, nothing was written")]
    Full(#[source] sqlx::Error),
    /// The operating system refuses to open it.
    #[error("the file cannot be opened: check that it is a file and that this user may use it")]
    CannotOpen(#[source] sqlx::Error),
    /// Not a database, or pages that do not fit together.
    #[error(
        "the file is damaged or not a SQLite database: move it away and restore a backup, \
         or start with an empty one (`sqlite3 FILE .recover` may save the rest)"
    )]
    Damaged(#[source] sqlx::Error),
    /// The operating system refuses to read it.
    #[error("{} cannot be read: let this user read and write it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Shorter than its own first page says.
    #[error(
        "the file has been cut off: it has {found} bytes and should have {expected}; \
         move it away and restore a backup, or start with an empty one"
    )]
    CutOff {
        /// Its length in bytes.
        found: u64,
        /// The length that its pages need.
        expected: u64,
    },
    /// [`crate::SqliteStore::close`] was called.
    #[error("the store has been closed")]
    Closed,
    /// Anything else.
    #[error("the database reported an error")]
    Database(#[source] sqlx::Error),
}

/// Turns the driver's result into the store's.
pub(crate) trait IntoStoreError<T> {
    /// Names what was tried, for the message.
    fn during(self, operation: &'static str) -> Result<T>;
}

impl<T> IntoStoreError<T> for std::result::Result<T, sqlx::Error> {
    fn during(self, operation: &'static str) -> Result<T> {
        self.map_err(|error| from_sqlx(error, operation))
    }
}

impl<T> IntoStoreError<T> for std::result::Result<T, Cause> {
    fn during(self, operation: &'static str) -> Result<T> {
        self.map_err(|cause| match cause {
            Cause::CutOff { .. } => Error::Corrupt { what: "database", source: cause.into() },
            cause => Error::Unavailable { operation, source: cause.into() },
        })
    }
}

/// SQLite's primary result codes (<https://sqlite.org/rescode.html>); the driver gives the
/// extended ones, whose lowest byte is the primary.
mod code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const NOTADB: i32 = 26;
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?.parse::<i32>().ok()?;
    Some(code & 0xff)
}

pub(crate) fn from_sqlx(error: sqlx::Error, operation: &'static str) -> Error {
    let unavailable = |cause: Cause| Error::Unavailable { operation, source: cause.into() };
    match primary_code(&error) {
        Some(code::BUSY | code::LOCKED) => return Error::Busy(error.into()),
        Some(code::READONLY) => return unavailable(Cause::ReadOnly(error)),
        Some(code::FULL) => return unavailable(Cause::Full(error)),
        Some(code::CANTOPEN) => return unavailable(Cause::CannotOpen(error)),
        Some(code::CORRUPT | code::NOTADB) => {
            return Error::Corrupt { what: "database", source: Cause::Damaged(error).into() };
        }
        _ => {}
    }
    if matches!(error, sqlx::Error::PoolTimedOut) {
        Error::Busy(error.into())
    } else if matches!(error, sqlx::Error::PoolClosed) {
        unavailable(Cause::Closed)
    } else {
        unavailable(Cause::Database(error))
    }
}

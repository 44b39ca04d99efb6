//! From the driver's errors to the store's: what went wrong, and what a person can do about it.

use skep_store::{Error, Result};

/// Why the database does not work, with the next step. It is the `source` of
/// [`skep_store::Error::Unavailable`].
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Sealed by another installation.
    #[error(
        "the database was made with another key: use the right one, or choose another --store; \
         nothing was changed"
    )]
    WrongKey,
    /// Nobody answers.
    #[error(
        "no Postgres server answers at {address}: check that it runs, and the host and port of \
         --store"
    )]
    Unreachable {
        /// The address, without the password.
        address: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The name or the password is wrong.
    #[error("the server does not let the user of --store in: check its name and password")]
    Login(#[source] sqlx::Error),
    /// The database is not there.
    #[error("the server has no such database: create it (`createdb`), or choose another --store")]
    NoDatabase(#[source] sqlx::Error),
    /// The server has no connection left.
    #[error(
        "the server has no connection left: end some, raise its max_connections, or put a pooler \
         between"
    )]
    TooManyConnections(#[source] sqlx::Error),
    /// The connection cannot be encrypted, or the server's certificate is not trusted.
    #[error(
        "no encrypted connection can be made: check sslmode and sslrootcert in --store against \
         the server's certificate"
    )]
    Encryption(#[source] sqlx::Error),
    /// The user lacks a right.
    #[error(
        "the database user lacks a right: make it the owner of the database, or grant it CREATE \
         and USAGE on its schema"
    )]
    Denied(#[source] sqlx::Error),
    /// The tables of something else.
    #[error("the database belongs to another program: give Skep a database of its own")]
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
    /// A server without what the statements need.
    #[error("the server is Postgres {found}: Skep needs {needed} or newer")]
    TooOld {
        /// Its major version.
        found: i32,
        /// The oldest one that works.
        needed: i32,
    },
    /// A migration was changed after it was released.
    #[error("the schema of the database is not the one that this version of skep made")]
    Schema(#[source] sqlx::migrate::MigrateError),
    /// The server does not write.
    #[error(
        "the database is read-only: it is a standby, or default_transaction_read_only is set; \
         name the primary in --store"
    )]
    ReadOnly(#[source] sqlx::Error),
    /// No space.
    #[error("the server's disk is full: free some space there, nothing was written")]
    Full(#[source] sqlx::Error),
    /// The connection broke before anything was committed.
    #[error("the connection to the database was lost: check that the server runs")]
    Lost(#[source] sqlx::Error),
    /// [`crate::PostgresStore::close`] was called.
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
        self.map_err(|cause| Error::Unavailable { operation, source: cause.into() })
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
mod code {
    /// A deadlock, a serialization failure, a lock or a statement that took too long, a pooler or
    /// an administrator who cancelled it: the transaction is rolled back.
    pub(super) const BUSY: [&str; 5] = ["40001", "40P01", "55P03", "57014", "25P03"];
    pub(super) const LOST: [&str; 5] = ["57P01", "57P02", "57P03", "57P05", "25P04"];
    pub(super) const LOGIN: [&str; 2] = ["28P01", "28000"];
    pub(super) const NO_DATABASE: &str = "3D000";
    pub(super) const TOO_MANY_CONNECTIONS: &str = "53300";
    pub(super) const DENIED: &str = "42501";
    pub(super) const READ_ONLY: &str = "25006";
    pub(super) const FULL: &str = "53100";
    /// A character with the code zero, which no text of Postgres may hold.
    pub(super) const NUL: [&str; 2] = ["22021", "22P05"];
    pub(super) const CORRUPT: [&str; 2] = ["XX001", "XX002"];
}

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Whether the server has not answered.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    if matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) {
        return true;
    }
    sqlstate(error)
        .is_some_and(|code| code::LOST.contains(&code.as_str()) || code.starts_with("08"))
}

pub(crate) fn from_sqlx(error: sqlx::Error, operation: &'static str) -> Error {
    let unavailable = |cause: Cause| Error::Unavailable { operation, source: cause.into() };
    let code = sqlstate(&error).unwrap_or_default();
    match code.as_str() {
        code if code::BUSY.contains(&code) => return Error::Busy(error.into()),
        code if code::NUL.contains(&code) => {
            let why = "it contains the character with the code zero, which Postgres cannot keep";
            return Error::Refused { what: "text", id: String::new(), why };
        }
        code if code::CORRUPT.contains(&code) => {
            return Error::Corrupt { what: "database", source: Cause::Database(error).into() };
        }
        code if code::LOGIN.contains(&code) => return unavailable(Cause::Login(error)),
        code::NO_DATABASE => return unavailable(Cause::NoDatabase(error)),
        code::TOO_MANY_CONNECTIONS => return unavailable(Cause::TooManyConnections(error)),
        code::DENIED => return unavailable(Cause::Denied(error)),
        code::READ_ONLY => return unavailable(Cause::ReadOnly(error)),
        code::FULL => return unavailable(Cause::Full(error)),
        _ => {}
    }
    if is_lost(&error) {
        return unavailable(Cause::Lost(error));
    }
    match error {
        sqlx::Error::PoolTimedOut => Error::Busy(error.into()),
        sqlx::Error::PoolClosed => unavailable(Cause::Closed),
        sqlx::Error::Tls(_) => unavailable(Cause::Encryption(error)),
        error => unavailable(Cause::Database(error)),
    }
}

//! The store in Postgres, for several controllers.
//!
//! # Guarantees
//! - A write is on the server's disk when its call returns (`synchronous_commit` is at least `on`),
//!   so no action runs without a stored intent.
//! - Transactions are READ COMMITTED, and what a write depends on is locked before it is read:
//!   the epoch of the lease with a share lock, rows that change with an update lock. Locks are
//!   taken in one order (lease, request, intent, action, approval, then the rest), so that two
//!   writes do not wait for each other.
//! - The lease runs on the database's clock.
//! - When the connection is lost during a COMMIT, the database is asked what became of it; only
//!   when that fails too, the caller gets [`skep_store::Error::OutcomeUnknown`].
//! - Nothing is kept in a session: no listener, no session lock, no temporary table. A pooler may
//!   give each transaction another server connection; one that does so is noticed at the opening,
//!   and then no statement is prepared under a name.
//! - No error and no `Debug` shows the URL's password.
//!
//! # Caveats
//! - After a failover to a replica that is behind, commits are lost. The term of the lease, a
//!   random name, keeps an old leader from writing under an epoch that is given again.
//! - Instants are kept in microseconds: a finer fraction that a caller passes is cut off.

mod actions;
mod address;
mod approvals;
mod archive;
mod attempts;
mod audit;
mod batches;
mod clock;
mod connect;
mod containments;
mod error;
mod holds;
mod inbox;
mod intents;
mod lanes;
mod leases;
mod ledger;
mod letters;
mod outbox;
mod overrides;
mod ownership;
mod pooler;
mod previews;
mod prunes;
mod query;
mod rekeying;
mod requests;
mod revisions;
mod schema;
mod sealing;
mod session;
mod sources;
#[cfg(test)]
mod tests;
mod transition;
mod waits;
mod write;

use async_trait::async_trait;
use skep_store::{Protection, Result, Store};
use sqlx::PgPool;

pub use self::address::{Address, InvalidAddress};
pub use self::clock::ClockShift;
pub use self::connect::OpenOptions;
pub use self::error::Cause;
use crate::error::IntoStoreError as _;
use crate::lanes::Trail;
use crate::session::Session;

/// A store in one Postgres database. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
    clock: ClockShift,
    installation_id: String,
    is_read_only: bool,
    /// Whether a pooler gives each transaction another session of the server.
    is_pooled: bool,
    protection: Protection,
    trail: Trail,
}

impl PostgresStore {
    /// Connects to a database and brings its schema up to date.
    ///
    /// # Errors
    /// [`skep_store::Error::Unavailable`] with a [`Cause`] that says what to do when the server
    /// cannot be reached or refuses, when the tables are another program's, or when a version that
    /// this one cannot work with made them.
    pub async fn open(address: &Address, options: OpenOptions) -> Result<Self> {
        connect::open(address, options, ClockShift::default()).await
    }

    /// Whether nothing is in the database yet.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub async fn is_new(address: &Address) -> Result<bool> {
        connect::is_new(address).await
    }

    /// For tests: a store whose database clock can be moved.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub async fn open_with_clock(
        address: &Address,
        options: OpenOptions,
        clock: ClockShift,
    ) -> Result<Self> {
        connect::open(address, options, clock).await
    }

    /// Closes all connections. Calls that are under way finish first; later ones fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Begins a reading transaction: all its statements go to one server connection, whatever
    /// pooler stands between.
    async fn read(&self, operation: &'static str) -> Result<Box<Session<'static>>> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; \
                             SET LOCAL statement_timeout = '30s'";
        connect::begin(self, BEGIN.to_owned(), operation).await
    }

    /// The same for several statements that must see one state: of what is committed meanwhile
    /// none sees anything.
    async fn read_snapshot(&self, operation: &'static str) -> Result<Box<Session<'static>>> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                             SET LOCAL statement_timeout = '30s'";
        connect::begin(self, BEGIN.to_owned(), operation).await
    }
}

#[async_trait]
impl Store for PostgresStore {
    // See the migration for why this is not the number of the newest audit row.
    async fn change_counter(&self) -> Result<i64> {
        const OPERATION: &str = "read the change counter";
        let mut tx = self.read(OPERATION).await?;
        sqlx::query_scalar!(r#"SELECT sum(counter)::bigint AS "counter!" FROM changes"#)
            .fetch_one(&mut *tx)
            .await
            .during(OPERATION)
    }

    async fn ping(&self) -> Result<()> {
        const OPERATION: &str = "answer";
        let mut tx = self.read(OPERATION).await?;
        sqlx::query_scalar!("SELECT one FROM installation")
            .fetch_one(&mut *tx)
            .await
            .during(OPERATION)?;
        Ok(())
    }

    fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    fn installation_id(&self) -> &str {
        &self.installation_id
    }
}

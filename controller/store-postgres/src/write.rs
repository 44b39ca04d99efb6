//! Writing transactions: how they begin, the fence, and a COMMIT without an answer.

use std::ops::{Deref, DerefMut};

use skep_store::{Error, Fence, Protection, Result};

use crate::error::{self, Cause, IntoStoreError as _};
use crate::lanes::Lane;
use crate::session::Session;
use crate::{PostgresStore, audit, connect};

/// A transaction that writes.
pub(crate) struct Write {
    store: PostgresStore,
    tx: Box<Session<'static>>,
    mark: Mark,
    operation: &'static str,
    /// The chain of the audit trail that this transaction writes, for itself alone.
    lane: Lane,
    /// The length of that chain after this transaction.
    appended: Option<i64>,
}

/// The random name of a transaction: the rows of the audit trail carry it, and the transaction
/// holds a lock on it until its end.
#[derive(Clone, Copy)]
struct Mark(u128);

impl Mark {
    fn new() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|source| Error::Unavailable {
            operation: "name a transaction",
            source: source.to_string().into(),
        })?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }

    fn uuid(self) -> String {
        format!("{:032x}", self.0)
    }

    /// Half of it: the key of the lock.
    fn lock(self) -> i64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0.to_be_bytes();
        i64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl PostgresStore {
    /// Begins a writing transaction. Its settings end with it, as nothing may stay with the
    /// session.
    pub(crate) async fn write(&self, operation: &'static str) -> Result<Write> {
        self.write_in(None, operation).await
    }

    async fn write_in(&self, term: Option<&str>, operation: &'static str) -> Result<Write> {
        let Some(lane) = self.trail.lane(term).await else {
            return Err(Error::Busy(sqlx::Error::PoolTimedOut.into()));
        };
        // In a transaction of its own, and only for a chain that is not known to be there: the
        // list of chains is locked meanwhile, and must not be for as long as this transaction is.
        audit::ensure_chain(self, &lane).await?;
        let mark = Mark::new()?;
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; \
             SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '10s'; \
             SET LOCAL idle_in_transaction_session_timeout = '10s'; \
             SELECT set_config('synchronous_commit', 'on', true) \
                 WHERE current_setting('synchronous_commit') IN ('off', 'local'); \
             SET LOCAL skep.write = '{}'; SELECT pg_advisory_xact_lock({})",
            mark.uuid(),
            mark.lock()
        );
        let tx = connect::begin(self, begin, operation).await?;
        Ok(Write { store: self.clone(), tx, mark, operation, lane, appended: None })
    }

    /// Begins a transaction of the leader. A takeover changes the row that is locked here, so it
    /// comes before this transaction (and is seen) or after it, never in between.
    ///
    /// Epoch *and* term must be those on record: a database that lost commits can give the same
    /// epoch twice. The expiry is not looked at: while nobody has taken over, the holder is still
    /// alone. Also returns the holder's name, for the audit trail.
    pub(crate) async fn write_fenced(
        &self,
        fence: &Fence,
        operation: &'static str,
    ) -> Result<(Write, String)> {
        let mut tx = self.write_in(Some(fence.term.as_str()), operation).await?;
        let holder = sqlx::query_scalar!(
            "SELECT holder FROM lease_epoch WHERE epoch = $1 AND term = $2 FOR SHARE",
            fence.epoch,
            fence.term.as_str()
        )
        .fetch_optional(&mut *tx)
        .await
        .during(operation)?;
        match holder {
            Some(holder) => Ok((tx, holder)),
            None => Err(Error::Fenced { epoch: fence.epoch }),
        }
    }

    /// What became of a transaction whose COMMIT was not answered.
    ///
    /// Its lock is waited for first: while the old server process is still at work on it, nothing
    /// can be said.
    async fn was_committed(&self, mark: Mark) -> Result<bool> {
        const OPERATION: &str = "find out what became of a write";
        let begin = "BEGIN; SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '15s'";
        let mut tx = connect::begin(self, begin.to_owned(), OPERATION).await?;
        sqlx::query!("SELECT pg_advisory_xact_lock($1)", mark.lock())
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
        // A statement of its own: it sees what was committed while the lock was waited for.
        let there = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM audit WHERE written_in = $1::text::uuid) AS "there!""#,
            mark.uuid()
        )
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?;
        Ok(there)
    }
}

impl Write {
    /// The keys of the database.
    pub(crate) fn protection(&self) -> &Protection {
        &self.store.protection
    }

    /// The chain that this transaction writes.
    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// The chain has this length once the transaction is committed.
    pub(crate) fn has_appended(&mut self, length: i64) {
        self.appended = Some(length);
    }

    /// Commits. When the connection is lost meanwhile, the database is asked what became of it.
    pub(crate) async fn commit(self) -> Result<()> {
        let Self { store, tx, mark, operation, lane, appended } = self;
        let committed = match tx.commit().await {
            Err(lost) if error::is_lost(&lost) => match store.was_committed(mark).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(Error::Busy(Cause::Lost(lost).into())),
                Err(_) => Err(Error::OutcomeUnknown { operation, source: lost.into() }),
            },
            answered => answered.during(operation),
        };
        if let (Ok(()), Some(length)) = (&committed, appended) {
            lane.keep(length);
        }
        committed
    }
}

impl Deref for Write {
    type Target = Session<'static>;

    fn deref(&self) -> &Self::Target {
        &self.tx
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.tx
    }
}

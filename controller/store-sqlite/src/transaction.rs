//! A transaction that knows whose chain of the audit trail it writes, and with which keys.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use skep_store::Protection;
use sqlx::{Sqlite, SqliteConnection, Transaction};

/// How long each chain was when this process last wrote to it. A database that goes back under
/// its writer is noticed by the next row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lengths(Arc<Mutex<HashMap<String, i64>>>);

impl Lengths {
    /// The length that a chain has at least.
    pub(crate) fn at_least(&self, chain: &str) -> i64 {
        let lengths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lengths.get(chain).copied().unwrap_or(0)
    }

    fn keep(&self, chain: String, length: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(chain, length);
    }
}

/// Whose rows a transaction appends to the trail.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    /// The name of the chain.
    pub(crate) chain: String,
    /// The process: host and process id.
    pub(crate) process: String,
    /// What was written before.
    pub(crate) lengths: Lengths,
}

/// A transaction. Dropping it takes everything back.
pub(crate) struct Tx {
    inner: Transaction<'static, Sqlite>,
    pub(crate) protection: Protection,
    pub(crate) writer: Writer,
    /// The length of the writer's chain after this transaction.
    pub(crate) appended: Option<i64>,
}

impl Tx {
    pub(crate) fn new(
        inner: Transaction<'static, Sqlite>,
        protection: Protection,
        writer: Writer,
    ) -> Self {
        Self { inner, protection, writer, appended: None }
    }

    /// Writes the trail of a leader's term from here on.
    pub(crate) fn write_as_term(&mut self, term: &str) {
        self.writer.chain = format!("term:{term}");
    }

    pub(crate) async fn commit(self) -> std::result::Result<(), sqlx::Error> {
        self.inner.commit().await?;
        if let Some(length) = self.appended {
            self.writer.lengths.keep(self.writer.chain, length);
        }
        Ok(())
    }
}

impl Deref for Tx {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }
}

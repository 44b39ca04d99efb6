//! Time in the database: its own clock, and the form of instants in columns.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use skep_store::Result;
use skep_store_sql::instant::{from_column, micros};

use crate::Tx;
use crate::error::IntoStoreError as _;

/// Moves the database's clock for a test of the lease. In production it is never moved: the only
/// way to hand one in is [`crate::SqliteStore::open_with_clock`].
///
/// It lives in the process, not in the file, so that no stored row can stretch a lease. Stores
/// that a test opens on the same file get clones of the same shift.
#[derive(Debug, Clone, Default)]
pub struct ClockShift(Arc<AtomicI64>);

impl ClockShift {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(micros(by), Ordering::SeqCst);
    }
}

/// The database's clock inside a transaction.
///
/// SQLite evaluates `now` once per statement, so a time read after `BEGIN IMMEDIATE` is one at
/// which the write lock was held. Its resolution is a millisecond.
pub(crate) async fn now(tx: &mut Tx, shift: &ClockShift) -> Result<Timestamp> {
    let shift = shift.0.load(Ordering::SeqCst);
    let now = sqlx::query_scalar!(
        r#"SELECT CAST(round(unixepoch('subsec') * 1000.0) AS INTEGER) * 1000 + ? AS "now!: i64""#,
        shift
    )
    .fetch_one(&mut **tx)
    .await
    .during("read the database's clock")?;
    from_column(now, "clock")
}

//! The database's own clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use skep_store::Result;
use skep_store_sql::instant::{from_column, micros};

use crate::error::IntoStoreError as _;
use crate::session::Session;

/// Moves the database's clock for a test of the lease. In production it is never moved: the only
/// way to hand one in is [`crate::PostgresStore::open_with_clock`].
///
/// It lives in the process, not in the database, so that no stored row can stretch a lease. Stores
/// that a test opens on the same database get clones of the same shift.
#[derive(Debug, Clone, Default)]
pub struct ClockShift(Arc<AtomicI64>);

impl ClockShift {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(micros(by), Ordering::SeqCst);
    }
}

/// The database's clock, now: `now()` would be that of the transaction's beginning, before it
/// waited for its locks.
pub(crate) async fn now(tx: &mut Session<'_>, shift: &ClockShift) -> Result<Timestamp> {
    let shift = shift.0.load(Ordering::SeqCst);
    let now = sqlx::query_scalar!(
        r#"SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $1 AS "now!""#,
        shift
    )
    .fetch_one(&mut *tx)
    .await
    .during("read the database's clock")?;
    from_column(now, "clock")
}

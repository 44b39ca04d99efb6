//! The check that opens every write of the leader.

use skep_store::{Error, Fence, Result};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx};

impl SqliteStore {
    /// Begins a transaction of the leader: a takeover needs the same write lock, so it comes
    /// before (and is seen here) or after this transaction, never in between. Its rows of the audit
    /// trail go into the term's own chain. Also returns the holder's name, for the trail.
    pub(crate) async fn write_fenced(
        &self,
        fence: &Fence,
        operation: &'static str,
    ) -> Result<(Tx, String)> {
        let mut tx = self.write(operation).await?;
        let holder = check(&mut tx, fence, operation).await?;
        tx.write_as_term(fence.term.as_str());
        Ok((tx, holder))
    }
}

/// Refuses unless epoch *and* term are those on record: a database that lost commits can give
/// the same epoch twice.
///
/// The expiry is not looked at: while nobody has taken over, the holder is still alone.
/// Returns the holder's name.
pub(crate) async fn check(tx: &mut Tx, fence: &Fence, operation: &'static str) -> Result<String> {
    let term = fence.term.as_str();
    let holder = sqlx::query_scalar!(
        "SELECT holder FROM lease_epoch WHERE epoch = ? AND term = ?",
        fence.epoch,
        term
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?;
    holder.ok_or(Error::Fenced { epoch: fence.epoch })
}

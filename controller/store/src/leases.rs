//! The lease: who may write as the leader.
//!
//! All times are the database's. Epoch and expiry stand in separate rows, so that a transaction
//! that checks the epoch does not block the holder's own renewal.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::identity::TermId;

use crate::Result;

/// What a state-changing transaction of the leader checks before it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Grows by one with every takeover.
    pub epoch: i64,
    /// Random, because a database that lost commits could give the same epoch twice.
    pub term: TermId,
}

/// A lease that is held.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Proof for the leader's writes.
    pub fence: Fence,
    /// How long it is valid from the moment the request was *sent*.
    pub ttl: Duration,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// The term that would begin.
    pub term: TermId,
    /// A name that people recognise: host, process id, command.
    pub holder: String,
    /// How long the lease is valid without renewal.
    pub ttl: Duration,
}

/// Who holds the lease now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseHolder {
    /// The name that it gave.
    pub holder: String,
    /// Its epoch.
    pub epoch: i64,
    /// When it began, on the database's clock.
    pub since: Timestamp,
    /// When it ends unless renewed, on the database's clock.
    pub expires_at: Timestamp,
}

/// The lease of one database.
#[async_trait]
pub trait Leases {
    /// Takes the lease if nobody holds it or the holder's time is up (compare-and-set on the
    /// database's clock). `Err(holder)` inside `Ok` says who has it. The term that already holds
    /// it gets the same epoch again, so a request whose answer was lost can be repeated.
    async fn acquire_lease(
        &self,
        request: &LeaseRequest,
    ) -> Result<std::result::Result<Lease, LeaseHolder>>;

    /// Extends the lease, also one that has run out if nobody has taken it meanwhile.
    /// [`crate::Error::Fenced`] when it is no longer ours.
    async fn renew_lease(&self, lease: &Lease) -> Result<()>;

    /// Gives the lease back, so that a successor need not wait; its fence fails from then on. No
    /// error when it has moved on.
    async fn release_lease(&self, lease: &Lease) -> Result<()>;

    /// Who holds it; `None` when nobody does.
    async fn lease_holder(&self) -> Result<Option<LeaseHolder>>;
}

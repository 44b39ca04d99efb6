//! The row of the lease.

use jiff::Timestamp;
use skep_core::identity::TermId;
use skep_store::{LeaseHolder, LeaseRequest, Result};

use crate::instant::{from_column, micros, to_column};

/// `lease_epoch` and `lease_expiry` together.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct LeaseRow {
    pub epoch: i64,
    pub term: Option<String>,
    pub holder: String,
    pub since: i64,
    pub expires_at: i64,
}

/// What is on record about the lease.
pub struct Held {
    /// The term that holds it; `None` when it was given back.
    pub term: Option<TermId>,
    /// Who.
    pub holder: LeaseHolder,
}

impl LeaseRow {
    /// What it says.
    ///
    /// # Errors
    /// [`skep_store::Error::Corrupt`] for an impossible instant.
    pub fn read(self) -> Result<Held> {
        const WHAT: &str = "lease";
        Ok(Held {
            term: self.term.map(TermId::new),
            holder: LeaseHolder {
                holder: self.holder,
                epoch: self.epoch,
                since: from_column(self.since, WHAT)?,
                expires_at: from_column(self.expires_at, WHAT)?,
            },
        })
    }
}

impl Held {
    /// Whether the same term asks again: it did not see the answer to its first request.
    #[must_use]
    pub fn is_of(&self, request: &LeaseRequest) -> bool {
        self.term.as_ref() == Some(&request.term)
    }

    /// Whether somebody else has it, on the database's clock.
    #[must_use]
    pub fn is_taken(&self, request: &LeaseRequest, now: Timestamp) -> bool {
        self.term.is_some() && now < self.holder.expires_at && !self.is_of(request)
    }

    /// Who holds it now.
    #[must_use]
    pub fn current(self, now: Timestamp) -> Option<LeaseHolder> {
        self.term.is_some().then_some(self.holder).filter(|holder| now < holder.expires_at)
    }
}

/// The end of a lease that begins now, for its column.
#[must_use]
pub fn until(now: Timestamp, ttl: std::time::Duration) -> i64 {
    to_column(now).saturating_add(micros(ttl))
}

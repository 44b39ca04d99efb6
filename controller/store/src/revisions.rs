//! The history of every service.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::identity::{ClusterId, ObjectKey};
use skep_core::revision::{NewRevision, Revision, RevisionHead};

use crate::{Fence, Result};

/// How many revisions of an object are kept. Enough to see what happened in the weeks before;
/// a sealed spec is a few kilobytes, so a thousand services stay well below a gigabyte.
///
/// The newest that was adopted always stays: it is the way back to before Skep.
pub const REVISIONS_KEPT: u32 = 50;

/// The histories of one database. Skep's own changes arrive with their outcome
/// ([`crate::Effects::revision`]).
#[async_trait]
pub trait Revisions {
    /// Records a change that somebody else made and returns its number. Fenced, audited.
    async fn record_revision(
        &self,
        fence: &Fence,
        revision: &NewRevision,
        now: Timestamp,
    ) -> Result<u32>;

    /// The revisions of an object, newest first, at most `limit` (zero means all).
    async fn revisions(&self, key: &ObjectKey, limit: u32) -> Result<Vec<Revision>>;

    /// One revision. [`crate::Error::NotFound`] when there is none of that number any more, or
    /// never was.
    async fn revision(&self, key: &ObjectKey, number: u32) -> Result<Revision>;

    /// The newest revision of every object of a cluster, by name, without the specs.
    async fn revision_heads(&self, cluster: &ClusterId) -> Result<Vec<RevisionHead>>;
}

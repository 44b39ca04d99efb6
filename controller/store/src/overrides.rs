//! Stored overrides of the policy: what people put in front of its file, such as a freeze.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::gate::Override;

use crate::Result;

/// Which overrides to list; oldest first.
#[derive(Debug, Clone, Copy, Default)]
pub struct OverrideFilter {
    /// Only those that had not ended at this moment; `None` lists every one that there ever was.
    pub not_ended_by: Option<Timestamp>,
}

/// The overrides of one database. People's writes: nobody needs to lead.
#[async_trait]
pub trait Overrides {
    /// Puts an override in force from [`Override::created_at`] on. Audited under its actor.
    /// [`crate::Error::Refused`] when [`skep_core::gate::MAX_OVERRIDES`] are in force by then, or
    /// when it ends before it begins.
    async fn place_override(&self, new: &Override) -> Result<()>;

    /// Takes an override away before its time. Audited. The id may be an unambiguous start of it.
    /// [`crate::Error::NotFound`] when none in force has it, [`crate::Error::Ambiguous`] when
    /// several have.
    async fn lift_override(&self, id: &str, actor: &str, now: Timestamp) -> Result<Override>;

    /// Overrides, oldest first. What has expired or was lifted stays on record.
    async fn overrides(&self, filter: &OverrideFilter) -> Result<Vec<Override>>;

    /// A number that moves with every override that any process places or lifts, and with nothing
    /// else: a decision looks whether it has moved instead of reading them all. Time moves nothing:
    /// whether an override has expired is for the reader to see.
    async fn overrides_counter(&self) -> Result<i64>;
}

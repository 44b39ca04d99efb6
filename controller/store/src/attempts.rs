//! Attempts that failed while their action goes on: the count outlives the process that made
//! them, so that a restart or another leader does not begin again at the first.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::identity::{ActionId, IntentId};
use skep_core::retry::Failure;

use crate::{Fence, Result};

/// The failed attempts of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempts {
    /// The action.
    pub action: ActionId,
    /// How many have failed; at least 1.
    pub failed: u32,
    /// How the last one did.
    pub failure: Failure,
    /// What was said about it, in one sentence.
    pub detail: String,
    /// When the first one failed.
    pub first_at: Timestamp,
    /// When the last one did.
    pub last_at: Timestamp,
    /// The next one is not made before this.
    pub not_before: Timestamp,
}

/// One more attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// How.
    pub failure: Failure,
    /// The next one is not made before this.
    pub not_before: Timestamp,
}

/// The failed attempts of one database. One that ends its intent comes with the outcome
/// ([`crate::IntentOutcome::Retry`]).
#[async_trait]
pub trait Retries {
    /// Counts an attempt whose intent stays open: the engine answered with an error of its own,
    /// and the same bytes are sent again. Fenced, audited. [`crate::Error::Conflict`] when the
    /// intent has been settled.
    async fn note_attempt(
        &self,
        fence: &Fence,
        intent: &IntentId,
        attempt: &FailedAttempt,
        detail: &str,
        now: Timestamp,
    ) -> Result<Attempts>;

    /// The failed attempts of an action; `None` when none has failed.
    async fn attempts(&self, action: &ActionId) -> Result<Option<Attempts>>;

    /// The failed attempts of every action that is granted or executing.
    async fn open_attempts(&self) -> Result<Vec<Attempts>>;
}

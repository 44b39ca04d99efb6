//! Dead letters: each action that fails leaves one, in the same transaction; people have them
//! proposed again or put them away.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::hold::Hold;
use skep_core::identity::LetterId;
use skep_core::letter::{DeadLetter, LetterKind, LetterReason, LetterState};
use skep_core::request::NewRequest;

use crate::{Closing, Fence, Result};

/// How an action failed: what its letter says beside what is known of the action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Why.
    pub reason: LetterReason,
    /// How many attempts were made, this one included; at least 1.
    pub attempts: u32,
    /// The machine on which it failed.
    pub host: String,
}

/// An event from outside that could not be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The event.
    pub id: LetterId,
    /// Who sent it, for example `alertmanager`.
    pub source: String,
    /// Its type.
    pub event: String,
    /// The machine that received it.
    pub host: String,
    /// Why.
    pub reason: LetterReason,
    /// Why, in one sentence, without anything that the event holds.
    pub detail: String,
    /// Where the event itself is kept.
    pub payload: String,
}

/// Which letters to list; those that failed last come first.
#[derive(Debug, Clone, Default)]
pub struct LetterFilter {
    /// Only this kind.
    pub kind: Option<LetterKind>,
    /// Only these states; empty means all.
    pub states: Vec<LetterState>,
    /// Only these reasons; empty means all.
    pub reasons: Vec<LetterReason>,
    /// Only letters of at least so many attempts.
    pub min_attempts: u32,
    /// Only what failed last at this moment or later.
    pub since: Option<Timestamp>,
    /// Only letters about these names; empty means all.
    pub names: Vec<String>,
    /// At most this many; zero means no limit.
    pub limit: u32,
}

/// How many letters nobody has looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenLetters {
    /// About events.
    pub ingress: u64,
    /// About actions.
    pub dispatch: u64,
}

/// Who does something to a letter, for the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The authenticated or claimed name.
    pub actor: String,
    /// The label that they act under, for example `vm:operator`: a claim, never a permission.
    pub source: String,
    /// The program that they use, for example `skep dlq`.
    pub initiator: String,
    /// The machine on which they use it.
    pub host: String,
}

/// Have a letter proposed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requeue {
    /// The letter, by its whole id.
    pub letter: LetterId,
    /// Who.
    pub by: Operator,
    /// Why, in their own words; may be empty.
    pub why: String,
    /// How.
    pub with: RequeueWith,
}

/// What has a letter proposed again. Either way a new action passes the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequeueWith {
    /// What the plan says: the failure is forgotten.
    Retry(Box<Hold>),
    /// What a person had asked for by hand: it is asked for again.
    Request(Box<NewRequest>),
    /// Nothing differs any more: there is nothing to propose.
    Nothing,
}

/// Put a letter away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropLetter {
    /// The letter, by its whole id.
    pub letter: LetterId,
    /// Who.
    pub by: Operator,
    /// Why, in their own words.
    pub why: String,
}

/// What became of a wish about a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetterAnswer {
    /// It was open, and is as wished now.
    Changed(DeadLetter),
    /// Somebody had looked at it already; nothing was written. Its state says what they did.
    Already(DeadLetter),
}

/// The dead letters of one database.
#[async_trait]
pub trait DeadLetters {
    /// Ends a rollout as failed and leaves its letter. Fenced. [`crate::Error::Conflict`] when its
    /// revision has moved, [`crate::Error::Transition`] when the event is not `Fail` or not
    /// possible any more. (An attempt that fails before that comes with the outcome of its intent:
    /// [`crate::IntentOutcome::Refused`].)
    async fn fail_action(
        &self,
        fence: &Fence,
        closing: &Closing,
        failed: &Failed,
        now: Timestamp,
    ) -> Result<()>;

    /// Keeps an event that could not be taken in; without a fence. Rejecting the same event again
    /// counts one more attempt, and opens its letter again. [`crate::Error::Refused`] for a reason
    /// that is about actions, and for the id of a letter about one.
    async fn reject_event(&self, rejection: &Rejection, now: Timestamp) -> Result<DeadLetter>;

    /// Letters, those that failed last first.
    async fn letters(&self, filter: &LetterFilter) -> Result<Vec<DeadLetter>>;

    /// One letter, by its id or an unambiguous start of it.
    async fn letter(&self, id_or_prefix: &str) -> Result<DeadLetter>;

    /// How many letters are open.
    async fn open_letters(&self) -> Result<OpenLetters>;

    /// Has an open letter proposed again, all in one transaction, without a fence; audited.
    /// Moves the change counter, so that the loop wakes. [`crate::Error::Refused`] when what is
    /// to be proposed is about another object than the letter, or the letter about none.
    async fn requeue_letter(&self, requeue: &Requeue, now: Timestamp) -> Result<LetterAnswer>;

    /// Puts an open letter away, without a fence; audited. [`crate::Error::Refused`] without a
    /// reason.
    async fn drop_letter(&self, wish: &DropLetter, now: Timestamp) -> Result<LetterAnswer>;
}

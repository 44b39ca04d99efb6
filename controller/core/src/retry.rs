//! Which failed attempts are made again by themselves: one table over what an action does and how
//! an attempt of it ended.
//!
//! A *retry* is another attempt after the engine said no in a way that may pass. It is not
//! *settlement*: finding out what became of a request whose outcome nobody knows, which has no
//! limit, because an unknown outcome is never taken for a failure.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::action::{ActionKind, words};
use crate::letter::LetterReason;
use crate::plan::{Operation, Step};

/// How often a failed attempt is made again: three attempts, then somebody has to look.
pub const RETRIES: u32 = 2;

words! {
    /// How an attempt ended that did not succeed.
    Failure {
        /// No request left this process.
        NotSent = "not_sent",
        /// The object moved between reading and writing: nothing was written.
        Moved = "moved",
        /// The engine answered with an error of its own, and nothing came of the request.
        EngineError = "engine_error",
        /// There was no answer, and nothing came of the request.
        NoReply = "no_reply",
        /// The engine refused the request: asked again, it would refuse again.
        Refused = "refused",
        /// Somebody else's object has the name.
        ForeignName = "foreign_name",
        /// Half of a replacement was done and taken back.
        PutBack = "put_back",
        /// Swarm paused or took back the rollout.
        RolloutFailed = "rollout_failed",
        /// It had not ended when its time was over.
        Timeout = "timeout",
    }
}

/// What follows from a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The grant holds and the attempt does not count: nothing had been tried.
    Again,
    /// The grant holds; the next attempt is not made before so much time has passed.
    Retry {
        /// How long to wait.
        after: SignedDuration,
    },
    /// What was decided no longer fits: the plan asks again.
    AskAgain,
    /// It has failed, and a dead letter says so.
    Fail(LetterReason),
}

/// How long to wait before an attempt is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Before the second attempt; three times as long before each further one.
    pub first: SignedDuration,
}

impl Default for Pace {
    /// Ten seconds, then thirty: longer than the engine's own limit of 20 s for a write, so that
    /// the last attempt does not meet the first.
    fn default() -> Self {
        Self { first: SignedDuration::from_secs(10) }
    }
}

impl Pace {
    fn after(self, failed: u32) -> SignedDuration {
        let factor = 3_i32.saturating_pow(failed.saturating_sub(1));
        self.first.checked_mul(factor).unwrap_or(SignedDuration::MAX)
    }
}

/// True for what takes something away that a second attempt could take away twice, or from
/// somebody else: it is tried once.
#[must_use]
pub fn is_destructive(step: &Step) -> bool {
    match step.action {
        ActionKind::StopService => true,
        kind if kind.is_removal() => true,
        ActionKind::DeployService => matches!(step.operation, Operation::Replace { .. }),
        // To zero is a stop by another name.
        ActionKind::ScaleService => step.changes.iter().any(|change| change.after == 0),
        _ => false,
    }
}

/// How many attempts are made of a step in all.
#[must_use]
pub fn attempts_allowed(step: &Step) -> u32 {
    if is_destructive(step) { 1 } else { RETRIES + 1 }
}

/// What follows when the attempt number `failed` of a step has failed (the first is 1). `overdue`
/// when the time that the action may take is over.
#[must_use]
pub fn after(step: &Step, failure: Failure, failed: u32, overdue: bool, pace: Pace) -> Next {
    let may_retry = failed < attempts_allowed(step);
    match failure {
        Failure::NotSent => Next::Again,
        Failure::Moved if is_destructive(step) => Next::AskAgain,
        Failure::Moved => Next::Again,
        Failure::EngineError | Failure::NoReply if overdue => Next::Fail(LetterReason::Timeout),
        Failure::EngineError if may_retry => Next::Retry { after: pace.after(failed) },
        // The engine is not overburdened: it has not seen the request.
        Failure::NoReply if may_retry => Next::Retry { after: SignedDuration::ZERO },
        Failure::EngineError => Next::Fail(LetterReason::EngineError),
        Failure::NoReply => Next::Fail(LetterReason::NoReply),
        Failure::Refused => Next::Fail(LetterReason::Refused),
        Failure::ForeignName => Next::Fail(LetterReason::ForeignName),
        Failure::PutBack => Next::Fail(LetterReason::PutBack),
        Failure::RolloutFailed => Next::Fail(LetterReason::RolloutFailed),
        Failure::Timeout => Next::Fail(LetterReason::Timeout),
    }
}

#[cfg(test)]
mod tests;

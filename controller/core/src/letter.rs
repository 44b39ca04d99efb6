//! Dead letters: what could not be done and is not tried again by itself, kept until a person has
//! looked at it. A letter refers to what it is about; it holds no spec and no value.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::action::words;
use crate::identity::{LetterId, ObjectKey};

words! {
    /// What a letter is about.
    LetterKind {
        /// An event from outside that could not be taken in.
        Ingress = "ingress",
        /// An action that failed.
        Dispatch = "dispatch",
    }
}

words! {
    /// Why it came to nothing: a stable word for filters and alerts. The sentence beside it says
    /// more.
    LetterReason {
        /// The engine refused the request and would refuse it again.
        Refused = "refused",
        /// The engine answered every attempt with an error of its own.
        EngineError = "engine_error",
        /// No attempt arrived at the engine.
        NoReply = "no_reply",
        /// A service of that name, which is not ours, stands in the way.
        ForeignName = "foreign_name",
        /// The engine refused the new service of a replacement; the former one is back.
        PutBack = "put_back",
        /// Swarm paused the rollout, took it back, or the service went away during it.
        RolloutFailed = "rollout_failed",
        /// It had not ended when its time was over.
        Timeout = "timeout",
        /// The event does not have the form that its source promises.
        Malformed = "malformed",
        /// The event was taken in and could not be worked on.
        TriageFailed = "triage_failed",
    }
}

impl LetterReason {
    /// The kind of letters that can have this reason.
    #[must_use]
    pub fn kind(self) -> LetterKind {
        match self {
            Self::Refused
            | Self::EngineError
            | Self::NoReply
            | Self::ForeignName
            | Self::PutBack
            | Self::RolloutFailed
            | Self::Timeout => LetterKind::Dispatch,
            Self::Malformed | Self::TriageFailed => LetterKind::Ingress,
        }
    }
}

words! {
    /// Whether somebody has looked at a letter.
    LetterState {
        /// Nobody has yet.
        Open = "open",
        /// A person had it proposed again.
        Requeued = "requeued",
        /// A person put it away.
        Dropped = "dropped",
    }
}

/// One dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The id of what it is about: of the action, or of the event.
    pub id: LetterId,
    /// What it is about.
    pub kind: LetterKind,
    /// Where that came from: the source of the action, or of the event.
    pub source: String,
    /// The kind of the action, or the type of the event.
    pub event: String,
    /// The machine on which it failed.
    pub host: String,
    /// The object, when it is about one.
    pub key: Option<ObjectKey>,
    /// Why, as a stable word.
    pub reason: LetterReason,
    /// Why, in one sentence.
    pub detail: String,
    /// How many attempts were made; at least 1.
    pub attempts: u32,
    /// Where the whole of it is kept, for example `action:<id>`.
    pub payload: String,
    /// When the first attempt failed.
    pub first_seen: Timestamp,
    /// When the last one did.
    pub last_seen: Timestamp,
    /// Whether somebody has looked at it.
    pub state: LetterState,
    /// Who did, and what they said; `None` while it is open.
    pub handled: Option<Handled>,
}

/// What a person did with a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handled {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why, in their own words; may be empty for a requeue.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for reason in LetterReason::ALL.iter().copied() {
            assert_eq!(LetterReason::from_word(reason.as_str()), Some(reason));
        }
        for kind in LetterKind::ALL.iter().copied() {
            let reasons = LetterReason::ALL.iter().filter(|reason| reason.kind() == kind);
            assert!(reasons.count() > 0, "{kind}");
        }
    }
}

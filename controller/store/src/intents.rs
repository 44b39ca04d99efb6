//! Intents: *unknown* is written before each remote write, and the outcome after it.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::{ActionEvent, IntentPhase};
use skep_core::hold::Hold;
use skep_core::identity::{ActionId, IntentId, ObjectKey, SwarmId};
use skep_core::revision::NewRevision;

use crate::{Failed, FailedAttempt, Fence, OwnedObject, Result};

/// The exact write that is about to be sent. A later leader can send it again, byte for byte.
///
/// A replacement is two requests under one intent: it begins in [`IntentPhase::Remove`] and is
/// moved on to [`IntentPhase::Create`] by [`Intents::advance`]. Its body is a
/// [`skep_core::plan::Replacement`].
#[derive(Clone, PartialEq, Eq)]
pub struct Intent {
    /// Its id.
    pub id: IntentId,
    /// The action that it carries out.
    pub action: ActionId,
    /// The object.
    pub key: ObjectKey,
    /// The object's id; `None` for a create.
    pub object: Option<SwarmId>,
    /// The Version to compare-and-set; `None` for a create.
    pub version: Option<u64>,
    /// Which of its requests comes next.
    pub phase: IntentPhase,
    /// The request body.
    pub body: Vec<u8>,
    /// When it was stored.
    pub created_at: Timestamp,
}

impl Intent {
    /// What the body of an intent is sealed for: it opens only as the body of this very intent.
    #[must_use]
    pub fn body_context(id: &IntentId, action: &ActionId, key: &ObjectKey) -> Vec<u8> {
        serde_json::json!(["intent body", id, action, key]).to_string().into_bytes()
    }
}

// The body holds values of the environment.
impl std::fmt::Debug for Intent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intent")
            .field("id", &self.id)
            .field("action", &self.action)
            .field("key", &self.key)
            .field("object", &self.object)
            .field("version", &self.version)
            .field("phase", &self.phase)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// How an intent was settled.
#[derive(Debug, Clone, PartialEq)]
pub enum IntentOutcome {
    /// The engine has done it: the action succeeded.
    Done {
        /// What happened, in one sentence.
        detail: String,
        /// What changes on record.
        effects: Effects,
    },
    /// The engine has accepted it and Swarm now rolls it out: nothing is unknown any more, and
    /// the action is `rolling_out` until [`crate::Actions::close_action`] ends it.
    Accepted {
        /// What happened, in one sentence.
        detail: String,
        /// What changes on record.
        effects: Effects,
    },
    /// The engine refused it, or no attempt had an effect: the action failed.
    Refused {
        /// Why, in the engine's words.
        detail: String,
        /// What its dead letter says; `None` for containment, which goes on by itself.
        failed: Option<Failed>,
    },
    /// Half of it was done and could be taken back, under a new id: the action failed.
    PutBack {
        /// What happened, in one sentence.
        detail: String,
        /// What changes on record.
        effects: Effects,
        /// What its dead letter says; `None` for containment, which goes on by itself.
        failed: Option<Failed>,
    },
    /// It provably had no effect and the object has moved: the action is superseded.
    NoEffect {
        /// What moved.
        detail: String,
    },
    /// It provably had no effect and may be tried again, with a new intent: the action is
    /// `granted` again, its grant and deadline unchanged ([`ActionEvent::Retry`]).
    Retry {
        /// Why it had no effect.
        detail: String,
        /// The attempt, when it counts: when it was made, and failed.
        attempt: Option<FailedAttempt>,
    },
}

impl IntentOutcome {
    /// What the outcome does to the action.
    #[must_use]
    pub fn event(&self) -> ActionEvent {
        match self {
            Self::Done { .. } => ActionEvent::Succeed,
            Self::Accepted { .. } => ActionEvent::Accept,
            Self::Refused { .. } | Self::PutBack { .. } => ActionEvent::Fail,
            Self::NoEffect { .. } => ActionEvent::Supersede,
            Self::Retry { .. } => ActionEvent::Retry,
        }
    }

    /// What happened, in one sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Done { detail, .. }
            | Self::Accepted { detail, .. }
            | Self::Refused { detail, .. }
            | Self::PutBack { detail, .. }
            | Self::NoEffect { detail }
            | Self::Retry { detail, .. } => detail,
        }
    }

    /// What the dead letter of the action says; `None` when it leaves none.
    #[must_use]
    pub fn failed(&self) -> Option<&Failed> {
        match self {
            Self::Refused { failed, .. } | Self::PutBack { failed, .. } => failed.as_ref(),
            Self::Done { .. }
            | Self::Accepted { .. }
            | Self::NoEffect { .. }
            | Self::Retry { .. } => None,
        }
    }

    /// What changes on record; `None` when the engine did nothing.
    #[must_use]
    pub fn effects(&self) -> Option<&Effects> {
        match self {
            Self::Done { effects, .. }
            | Self::Accepted { effects, .. }
            | Self::PutBack { effects, .. } => Some(effects),
            Self::Refused { .. } | Self::NoEffect { .. } | Self::Retry { .. } => None,
        }
    }
}

/// What is stored in the transaction of an outcome. All of it is about the action's own object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effects {
    /// What is on record as ours.
    pub ownership: Option<OwnershipChange>,
    /// One more revision in the history of the service.
    pub revision: Option<NewRevision>,
    /// A hold that follows from what was done, for example after a change by hand.
    pub hold: Option<Hold>,
}

/// A change of what is on record as ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnershipChange {
    /// Put on record, replacing an earlier id under the same name.
    Record(OwnedObject),
    /// Take off record.
    Forget(ObjectKey),
}

/// The intents of one database.
#[async_trait]
pub trait Intents {
    /// Moves the action from `granted` to `executing` and stores the intent as *unknown*, in one
    /// fenced transaction. [`crate::Error::Conflict`] when the action's revision has moved:
    /// somebody else has started it, denied it or superseded it. [`crate::Error::Refused`] for an
    /// action that was proposed as a dry run, that writes nothing to the engine, or whose key is
    /// not the intent's, and for an intent that would begin in the middle of a replacement.
    async fn begin(
        &self,
        fence: &Fence,
        revision: i64,
        intent: &Intent,
        now: Timestamp,
    ) -> Result<()>;

    /// Moves a replacement on to its next request: compare-and-set on the phase, fenced, audited.
    /// [`crate::Error::Conflict`] when the intent is not in `from` or has been settled,
    /// [`crate::Error::Refused`] for any other step than from `remove` to `create`.
    async fn advance(
        &self,
        fence: &Fence,
        intent: &IntentId,
        from: IntentPhase,
        to: IntentPhase,
        now: Timestamp,
    ) -> Result<()>;

    /// Stores the outcome: intent settled, action moved on, effects stored, audit appended, in
    /// one fenced transaction. Settling twice is a [`crate::Error::Conflict`]; an effect on
    /// another object than the intent's is [`crate::Error::Refused`].
    async fn settle(
        &self,
        fence: &Fence,
        intent: &IntentId,
        outcome: &IntentOutcome,
        now: Timestamp,
    ) -> Result<()>;

    /// Carries out an action that only changes our own records (adopt, release): `granted` to
    /// `succeeded` with the effects, in one fenced transaction. [`crate::Error::Refused`] for any
    /// other kind of action, for a dry run, and for an outcome that waits for a rollout.
    async fn settle_without_write(
        &self,
        fence: &Fence,
        action: &ActionId,
        revision: i64,
        outcome: &IntentOutcome,
        now: Timestamp,
    ) -> Result<()>;

    /// Intents whose outcome is still unknown, oldest first. A new leader settles these first. One
    /// that cannot be opened or read is logged and left out, so that it keeps nobody else waiting.
    async fn open_intents(&self) -> Result<Vec<Intent>>;
}

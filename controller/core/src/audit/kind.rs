//! The words for what happened.

use serde::{Deserialize, Serialize};

use super::DataShape;
use crate::action::words;

words! {
    /// What happened.
    AuditKind {
        /// An action was proposed.
        Proposed = "proposed",
        /// A rule allowed it.
        Allowed = "allowed",
        /// A person approved it.
        Approved = "approved",
        /// A person or the policy denied it.
        Denied = "denied",
        /// What it was bound to moved.
        Superseded = "superseded",
        /// Time ran out.
        Expired = "expired",
        /// The intent was stored, right before the call.
        Started = "started",
        /// The engine accepted it; its rollout has begun.
        Accepted = "accepted",
        /// The first request of a replacement is done; the second one is next.
        Advanced = "advanced",
        /// It is done.
        Succeeded = "succeeded",
        /// It failed.
        Failed = "failed",
        /// It had no effect and may be tried again.
        Retried = "retried",
        /// The engine answered an attempt with an error; its intent stays open.
        AttemptFailed = "attempt_failed",
        /// A person had a dead letter proposed again.
        LetterRequeued = "letter_requeued",
        /// A person put a dead letter away.
        LetterDropped = "letter_dropped",
        /// An event from outside could not be taken in.
        EventRejected = "event_rejected",
        /// The dry run carried it out.
        Rehearsed = "rehearsed",
        /// A change that somebody else made was noted in the service's history.
        RevisionNoted = "revision_noted",
        /// A person asked for something by hand.
        Requested = "requested",
        /// What was asked for has become an action.
        RequestFiled = "request_filed",
        /// What was asked for cannot be done.
        RequestRefused = "request_refused",
        /// A person let a difference stand.
        DriftAccepted = "drift_accepted",
        /// A person keeps Skep from proposing anything for an object.
        Held = "held",
        /// A person asked for another try after a failure.
        RetriedByHand = "retried_by_hand",
        /// A hold ended before its time.
        HoldLifted = "hold_lifted",
        /// One decision was made about several requests.
        BatchDecided = "batch_decided",
        /// Such a decision was halted by the failure of one of its actions.
        BatchHalted = "batch_halted",
        /// A message to the operators was given up.
        NoticeGivenUp = "notice_given_up",
        /// A person had messages sent again.
        NoticeRetried = "notice_retried",
        /// A person put a rule in front of the policy file.
        OverridePlaced = "override_placed",
        /// A person froze matching actions.
        Frozen = "frozen",
        /// A person took an override away before its time.
        OverrideLifted = "override_lifted",
        /// A person lifted a freeze before its time.
        Unfrozen = "unfrozen",
        /// The policy refused to have an action proposed.
        Refused = "refused",
        /// A person froze a service or a domain.
        Paused = "paused",
        /// A person killed a service or a domain.
        Killed = "killed",
        /// A person took a pause or a kill back.
        Resumed = "resumed",
        /// A person was told what a kill would do, and has to order it once more.
        ConfirmationAsked = "confirmation_asked",
        /// An order that the dry run only writes down.
        ContainmentRehearsed = "containment_rehearsed",
        /// A kill, or the way back from one, was authorised; its write comes next.
        Contained = "contained",
        /// What a kill found was recorded; nothing had to be written.
        FormerStateRecorded = "former_state_recorded",
        /// What a kill changed is as it was, or is nobody's concern any more.
        Restored = "restored",
        /// A leadership began.
        LeaderStarted = "leader_started",
        /// A leadership ended by itself.
        LeaderReleased = "leader_released",
    }
}

impl AuditKind {
    /// Which facts belong to a row of this kind. There is no rest arm, so that a new kind cannot
    /// be recorded without somebody having said what belongs to it.
    #[must_use]
    pub const fn shape(self) -> Option<DataShape> {
        match self {
            Self::Proposed
            | Self::Allowed
            | Self::Approved
            | Self::Denied
            | Self::Superseded
            | Self::Expired
            | Self::Started
            | Self::Accepted
            | Self::Advanced
            | Self::Succeeded
            | Self::Failed
            | Self::Retried
            | Self::Rehearsed
            | Self::AttemptFailed
            | Self::Contained => Some(DataShape::Action),
            Self::Paused | Self::Killed | Self::Resumed | Self::ContainmentRehearsed => {
                Some(DataShape::Containment)
            }
            Self::OverridePlaced | Self::Frozen | Self::OverrideLifted | Self::Unfrozen => {
                Some(DataShape::Override)
            }
            Self::Refused => Some(DataShape::Refusal),
            Self::BatchDecided | Self::BatchHalted => Some(DataShape::Batch),
            Self::LetterRequeued | Self::LetterDropped => Some(DataShape::Letter),
            Self::EventRejected | Self::NoticeGivenUp | Self::NoticeRetried => None,
            Self::ConfirmationAsked | Self::FormerStateRecorded | Self::Restored => None,
            Self::RevisionNoted => Some(DataShape::Revision),
            Self::Requested | Self::RequestFiled | Self::RequestRefused => Some(DataShape::Request),
            Self::DriftAccepted | Self::Held | Self::RetriedByHand | Self::HoldLifted => {
                Some(DataShape::Hold)
            }
            Self::LeaderStarted | Self::LeaderReleased => Some(DataShape::Lease),
        }
    }
}

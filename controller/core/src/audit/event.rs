//! One event as the program writes and reads it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::AuditKind;
use crate::action::{ActionKind, ActionState, ActuatorMode, Source};
use crate::containment::ContainmentVerb;
use crate::hold::HoldKind;
use crate::identity::{ActionId, BatchId, ObjectKey, OverrideId, RequestId};
use crate::revision::RevisionOrigin;

/// One row of the trail. Holds no spec and no value of the environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// When, on the store's clock.
    pub at: Timestamp,
    /// What.
    pub kind: AuditKind,
    /// Who: a person, or the machine's source and host.
    pub actor: String,
    /// The object, when it is about one.
    pub key: Option<ObjectKey>,
    /// The action, when it is about one.
    pub action: Option<ActionId>,
    /// One sentence.
    pub detail: String,
    /// What a program needs to know of it, in the shape that [`AuditKind::shape`] names.
    pub data: Option<AuditData>,
}

/// The facts of an event, without a spec and without a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum AuditData {
    /// An action changed its state.
    Action(ActionFacts),
    /// A request by hand.
    Request {
        /// Which.
        request: RequestId,
        /// What is asked for, in words.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        asks: Option<String>,
        /// Why, in the words of who asked.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<String>,
    },
    /// A hold.
    Hold {
        /// What it does.
        hold: HoldKind,
        /// When it ends by itself.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        until: Option<Timestamp>,
        /// Why, in the words of who placed it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<String>,
    },
    /// The history of a service.
    Revision(RevisionFacts),
    /// An order to stop a service or a domain, or to take that back.
    Containment {
        /// What was ordered.
        order: ContainmentVerb,
        /// Whether it is about a service or a domain.
        scope: String,
        /// The name of that.
        name: String,
        /// Why, in the words of who ordered it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<String>,
    },
    /// A rule that a person put in front of the policy file.
    Override {
        /// Which.
        id: OverrideId,
        /// The kinds of action that it is about.
        kind: String,
        /// The services that it is about.
        target: String,
        /// When it ends by itself.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        until: Option<Timestamp>,
        /// Why, in the words of who placed it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<String>,
    },
    /// One decision about many requests.
    Batch {
        /// Which.
        batch: BatchId,
        /// What was decided.
        decision: String,
        /// Where the decision came from.
        from: String,
        /// How many requests it covers, or how many do not start after a halt.
        requests: u64,
        /// What its maker put on record.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        comment: Option<String>,
    },
    /// A dead letter was handled.
    Letter(LetterFacts),
    /// The policy refused to have an action proposed.
    Refusal {
        /// What the action would have done.
        operation: ActionKind,
        /// Which part of the system wanted it.
        source: Source,
        /// The rule that decided.
        rule: String,
    },
    /// The lease.
    Lease {
        /// The epoch that began or ended.
        epoch: i64,
    },
}

/// What is known of an action when its state changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionFacts {
    /// What the action does.
    pub operation: ActionKind,
    /// Which part of the system proposed it.
    pub source: Source,
    /// Who proposed it; the row's actor is who changed its state.
    pub initiator: String,
    /// The mode that it was proposed under.
    pub mode: ActuatorMode,
    /// Its state after this event.
    pub state: ActionState,
    /// How many times it had been started before.
    pub attempts_before: u32,
}

/// Who did what with a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterFacts {
    /// `requeue` or `drop`.
    pub op: String,
    /// The letter.
    pub id: String,
    /// The kind of letter.
    pub kind: String,
    /// The host that it is about.
    pub host: String,
    /// Where the order came from: a person, a script.
    pub initiator: String,
    /// Through which door.
    pub source: String,
    /// Why, in the words of who did it.
    pub reason: String,
    /// How many times it had been tried before.
    pub attempts_before_op: u32,
}

/// What is known of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionFacts {
    /// Its number.
    pub revision: u32,
    /// How it came about.
    pub origin: RevisionOrigin,
    /// Who made it, as far as that is known.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// The shapes of [`AuditData`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataShape {
    /// [`AuditData::Action`].
    Action,
    /// [`AuditData::Request`].
    Request,
    /// [`AuditData::Hold`].
    Hold,
    /// [`AuditData::Revision`].
    Revision,
    /// [`AuditData::Containment`].
    Containment,
    /// [`AuditData::Override`].
    Override,
    /// [`AuditData::Batch`].
    Batch,
    /// [`AuditData::Letter`].
    Letter,
    /// [`AuditData::Refusal`].
    Refusal,
    /// [`AuditData::Lease`].
    Lease,
}

impl AuditData {
    /// Which shape this is.
    #[must_use]
    pub const fn shape(&self) -> DataShape {
        match self {
            Self::Action(_) => DataShape::Action,
            Self::Request { .. } => DataShape::Request,
            Self::Hold { .. } => DataShape::Hold,
            Self::Revision(_) => DataShape::Revision,
            Self::Containment { .. } => DataShape::Containment,
            Self::Override { .. } => DataShape::Override,
            Self::Batch { .. } => DataShape::Batch,
            Self::Letter(_) => DataShape::Letter,
            Self::Refusal { .. } => DataShape::Refusal,
            Self::Lease { .. } => DataShape::Lease,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_stored_under_stable_names() {
        let data = AuditData::Action(ActionFacts {
            operation: ActionKind::DeployService,
            source: Source::Registry,
            initiator: "reconciler@host".to_owned(),
            mode: ActuatorMode::Swarm,
            state: ActionState::Executing,
            attempts_before: 2,
        });
        let json = serde_json::to_string(&data).unwrap();
        assert_eq!(
            json,
            r#"{"about":"action","operation":"deploy_service","source":"registry","initiator":"reconciler@host","mode":"swarm","state":"executing","attempts_before":2}"#
        );
        assert_eq!(serde_json::from_str::<AuditData>(&json).unwrap(), data);
    }
}

//! The plan: the smallest set of steps that makes the swarm equal to what is declared, each with
//! its reason, and a report of what is waiting and for what.

mod bind;
mod classify;
mod conflict;
mod diff;
#[cfg(test)]
pub(crate) mod fixtures;
mod held;
mod holdings;
mod identify;
mod image;
mod index;
mod kept;
mod manual;
mod mask;
mod memo;
mod normalise;
mod objects;
mod order;
pub(crate) mod pointer;
#[cfg(test)]
mod properties;
mod prune;
mod replacement;
mod report;
mod walk;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::bind::{BindError, BoundRequest, Late, bind, bind_containment};
pub use self::classify::{DOWN_GRACE, Finding, Fresh, PlanInput, plan, plan_key, plan_with};
pub(crate) use self::diff::{IMAGE, REPLICAS};
pub use self::diff::{Masking, diff_between};
pub use self::holdings::Holdings;
pub(crate) use self::image::PLATFORMS;
pub use self::image::{IMAGE_UNRESOLVED, declared_tag, needs_resolution};
pub use self::index::PlanIndex;
pub use self::manual::{Requested, plan_request};
pub(crate) use self::mask::said;
pub use self::mask::{MASKED, Masked};
pub use self::memo::Memo;
pub use self::normalise::{NetworkNames, normalise};
pub(crate) use self::normalise::{capabilities, float32};
pub use self::objects::{declaring_stack, ids_used, missing_references, needs_plugins, resolved};
pub use self::prune::{PruneMark, allowance, budget, harmless_rewrites, has_candidates};
pub use self::replacement::{Replacement, UnreadableReplacement};
pub use self::report::{Summary, Waiting};
use crate::action::{ActionKind, Source, words};
use crate::canonical::Digest;
use crate::desired::Provenance;
use crate::identity::{ClusterId, GroupKey, PlanId, ServiceName, StepId, SwarmId};
use crate::request::RequestVerb;
pub use crate::stack::{RolloutOf, StackMember};

/// Part of every digest. Raise it when the same inputs would give other steps, so that approvals
/// of the old planner's steps are superseded instead of being carried out differently.
pub const PLANNER_VERSION: u32 = 2;

words! {
    /// Why a step is in the plan.
    DriftClass {
        /// Declared, not there.
        Missing = "missing",
        /// Another image runs.
        Image = "image",
        /// Other fields of the spec differ.
        Spec = "spec",
        /// Only the number of replicas differs.
        Replicas = "replicas",
        /// It should run and no task does.
        Down = "down",
        /// It runs and should not.
        ShouldBeStopped = "should_be_stopped",
        /// Ours, no longer declared.
        Orphan = "orphan",
        /// An earlier version of what is declared.
        Outdated = "outdated",
        /// The name or the published port belongs to something that is not ours.
        Foreign = "foreign",
        /// A field differs that the engine cannot change in place.
        Immutable = "immutable",
        /// Nothing differs: a person asks for it.
        Requested = "requested",
    }
}

words! {
    /// How much can go wrong.
    Risk {
        /// No task is touched, or nothing runs yet.
        Low = "low",
        /// Tasks are replaced or their number changes.
        Medium = "medium",
        /// The service stops, or gains access to the host.
        High = "high",
    }
}

/// One step: everything that a person approves and that the actuator later binds to bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Eight characters of the digest, then the target.
    pub id: StepId,
    /// What it does.
    pub action: ActionKind,
    /// The Swarm service, or the other object, that it is about.
    pub target: ServiceName,
    /// The object's id; `None` when it is to be created.
    pub object: Option<SwarmId>,
    /// Why it is needed.
    pub class: DriftClass,
    /// Why, in one sentence.
    pub reason: String,
    /// Steps of one wave may run side by side; the next wave waits for them.
    pub wave: u32,
    /// How much can go wrong.
    pub risk: Risk,
    /// What differs, field by field, with secret values masked.
    pub changes: Vec<Change>,
    /// What to do, with names where the engine wants ids.
    pub operation: Operation,
    /// Set when the step cannot be carried out as things stand; such a step is never proposed.
    pub blocked: Option<Blocked>,
    /// What a person should know, and what changes no decision.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// Set when a person must confirm the step whatever the rules allow, with the reason.
    pub confirm: Option<String>,
    /// Who proposes it.
    pub source: Source,
    /// The domain of the service.
    pub domain: String,
    /// Where the desired state is declared.
    pub provenance: Option<Provenance>,
    /// When the engine last changed the service that the step was planned for; `None` when there
    /// is none. No part of the digest: it tells a newer incident from one that was already
    /// decided about, when both call for the same step.
    #[serde(default)]
    pub observed_at: Option<jiff::Timestamp>,
    /// What a person asked for, when the step does not come from a difference.
    #[serde(default)]
    pub request: Option<RequestVerb>,
    /// What is declared and what differs from it, whatever the step does about it: two steps with
    /// the same one are about the same drift. For what a person asked for: the drift that will be
    /// there when it is done, if any.
    #[serde(default)]
    pub difference: Option<Digest>,
    /// What an approval holds for. Keyed, see [`crate::digester`].
    pub digest: Digest,
    /// Steps with the same one do the same, each to its own service. Keyed as well, and no part of
    /// the digest.
    #[serde(default)]
    pub group: GroupKey,
    /// The rollout of a stack that it belongs to, noted when it is filed. No part of the digest.
    #[serde(default)]
    pub stack: Option<RolloutOf>,
}

/// Something worth knowing about a step. No part of its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// A stable word such as `image_unresolved`.
    pub code: String,
    /// What it is, in one sentence.
    pub message: String,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// A JSON pointer into the canonical service spec, for example
    /// `/TaskTemplate/ContainerSpec/Env/KEY`.
    pub path: String,
    /// What is there; `null` when nothing is.
    pub before: Value,
    /// What should be there; `null` when nothing should.
    pub after: Value,
}

/// What a step does to the engine, before names become ids.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Operation {
    /// Create a service with this spec.
    Create {
        /// The complete spec, symbolic.
        spec: Value,
    },
    /// Change exactly these fields of the live spec.
    Update {
        /// In canonical order.
        edits: Vec<Edit>,
    },
    /// Remove the service and create it again with its live spec and these fields changed: for
    /// what the engine cannot change in place. The live spec itself is no part of the step,
    /// because it holds values behind references.
    Replace {
        /// In canonical order.
        edits: Vec<Edit>,
    },
    /// Replace the tasks: raise `ForceUpdate` by one.
    Restart,
    /// Write the live spec as it is, with fresh credentials for the image's registry beside it.
    /// Swarm replaces no task for that, but the way back to the spec before is lost.
    RefreshCredentials,
    /// Put the object on record; nothing is sent.
    Adopt,
    /// Take the object off record; nothing is sent.
    Release,
    /// Make a network, config or secret.
    CreateObject {
        /// The engine's request without the data.
        request: Value,
        /// The placeholder of the data.
        data: Option<String>,
    },
    /// Give a config or secret exactly these labels beside ours.
    UpdateLabels {
        /// Label to value.
        labels: Value,
    },
    /// Remove the object, by its id.
    Remove,
    /// Return services of a stack to earlier revisions. Sends nothing itself: each member is
    /// carried out as an action of its own.
    ReturnStack {
        /// What the stack declared when it was planned; while it declares that, nothing of it is
        /// proposed again.
        declaration: Digest,
        /// What is done to each service, in the order of their names.
        members: Vec<StackMember>,
    },
}

// Specs hold values of the environment; a stray `{:?}` must not print them.
impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Create { .. } => f.write_str("Create"),
            Self::Update { edits } => write!(f, "Update({} edits)", edits.len()),
            Self::Replace { edits } => write!(f, "Replace({} edits)", edits.len()),
            Self::Restart => f.write_str("Restart"),
            Self::RefreshCredentials => f.write_str("RefreshCredentials"),
            Self::Adopt => f.write_str("Adopt"),
            Self::Release => f.write_str("Release"),
            Self::CreateObject { .. } => f.write_str("CreateObject"),
            Self::UpdateLabels { .. } => f.write_str("UpdateLabels"),
            Self::Remove => f.write_str("Remove"),
            Self::ReturnStack { members, .. } => {
                write!(f, "ReturnStack({} members)", members.len())
            }
        }
    }
}

/// One field to set or remove.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// The canonical pointer, as in [`Change::path`].
    pub pointer: String,
    /// The engine's form of the value; `None` removes the field.
    pub value: Option<Value>,
}

impl std::fmt::Debug for Edit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Edit({})", self.pointer)
    }
}

/// Why a step or a service cannot move, and what would help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// A stable code such as `PORT_TAKEN`.
    pub code: String,
    /// What is in the way, in one sentence.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

/// The whole plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Derived from the digest.
    pub plan_id: PlanId,
    /// Over the digests of all steps.
    pub digest: Digest,
    /// The swarm that it is for.
    pub cluster_id: ClusterId,
    /// Totals.
    pub summary: Summary,
    /// In the order in which they would run.
    pub steps: Vec<Step>,
    /// What is not in the steps, and why.
    pub waiting: Vec<Waiting>,
}

/// What is on record as ours: name to engine id.
pub type Owned = BTreeMap<ServiceName, SwarmId>;

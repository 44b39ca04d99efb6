//! Approvals: a person's decision, what it holds for, and how long.
//!
//! A rule's permission and a person's are kept alike, as a *granted* action, and both have to be
//! redeemed at execution against a fresh plan, a fresh verdict and the clock. Redeeming is the
//! only way to an [`crate::gate::Authorised`] step.

mod batch;
mod binding;
mod clocks;
mod decider;
mod group;
mod label;
mod member;
mod moved;
mod overdue;
mod propose;
mod redeem;
mod wait;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::batch::{Batch, Halt, halted_because};
pub use self::binding::{FROM_BEFORE_KEYS, binding, binding_by, is_keyless, keyless};
pub use self::clocks::{Clocks, deadline};
pub use self::decider::{Decider, Decision, MayNotDecide, UnknownDecision, may_decide};
pub(crate) use self::group::group_key;
pub use self::label::{InvalidLabel, is_reserved_source, source_label};
pub use self::member::{member, redeem_member};
pub use self::moved::{Moved, MovedField, PlannedNow, what_moved};
pub use self::overdue::{Overdue, overdue};
pub use self::propose::{NotProposable, Proposal, granted, request};
pub use self::redeem::{RedeemError, redeem};
pub use self::wait::Wait;
use crate::action::{ActionKind, words};
use crate::canonical::Digest;
use crate::identity::{ActionId, ApprovalId, BatchId, PlanId, ServiceName};

words! {
    /// Where a request stands.
    ApprovalStatus {
        /// Nobody has decided.
        Pending = "pending",
        /// A person said yes.
        Approved = "approved",
        /// A person said no.
        Denied = "denied",
        /// What it was bound to moved before it ran.
        Superseded = "superseded",
        /// Nobody decided, or it did not start, in time.
        Expired = "expired",
    }
}

/// A request for a person's decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// The action that it is about.
    pub action: ActionId,
    /// What the action does.
    pub kind: ActionKind,
    /// To what.
    pub target: ServiceName,
    /// The plan that the action came from.
    pub plan: PlanId,
    /// What the decision holds for.
    pub binding: Digest,
    /// Where it stands.
    pub status: ApprovalStatus,
    /// Increases with every change; clients send it back as `expected_revision`.
    pub revision: i64,
    /// When it was filed.
    pub created_at: Timestamp,
    /// When an undecided request lapses.
    pub expires_at: Timestamp,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// By whom.
    pub decided_by: Option<String>,
    /// From where, as claimed.
    #[serde(default)]
    pub decided_source: Option<String>,
    /// The decision that covered it, when that covered several.
    #[serde(default)]
    pub batch: Option<BatchId>,
    /// What the person added.
    pub comment: Option<String>,
}

#[cfg(test)]
mod tests;

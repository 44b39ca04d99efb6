//! Requests for a decision, and decisions.

use async_trait::async_trait;
use jiff::Timestamp;
pub use skep_core::approval::Decision;
use skep_core::approval::{Approval, ApprovalStatus, Batch};
use skep_core::canonical::Digest;
use skep_core::identity::{ApprovalId, BatchId, PlanId};

use crate::{Error, Fence, Result};

/// A decision to be recorded.
#[derive(Debug, Clone)]
pub struct DecisionRequest {
    /// Which request; the full id.
    pub approval: ApprovalId,
    /// Yes or no.
    pub decision: Decision,
    /// Who.
    pub actor: String,
    /// From where, as claimed: `<host>:operator`. A machine's own source is refused.
    pub source: String,
    /// What the person added.
    pub comment: Option<String>,
    /// The revision that the person saw; another one is a conflict.
    pub expected_revision: Option<i64>,
    /// What the person saw that the decision holds for; something else is a conflict.
    pub expected_binding: Option<Digest>,
    /// The action must start before this; `None` unless it approves.
    pub start_by: Option<Timestamp>,
}

/// One decision about many requests.
#[derive(Debug, Clone)]
pub struct BatchRequest {
    /// The id of the decision.
    pub id: BatchId,
    /// Yes or no.
    pub decision: Decision,
    /// How the requests were chosen, for people.
    pub chosen: String,
    /// Whether the first failure keeps the rest from starting.
    pub halts: bool,
    /// Who.
    pub actor: String,
    /// From where, as claimed.
    pub source: String,
    /// What the person added.
    pub comment: Option<String>,
    /// The requests, as they were seen.
    pub members: Vec<BatchMember>,
    /// The actions must start before this; `None` unless it approves.
    pub start_by: Option<Timestamp>,
}

/// One request as it was seen by whoever decides about many.
#[derive(Debug, Clone)]
pub struct BatchMember {
    /// The full id.
    pub approval: ApprovalId,
    /// Its revision.
    pub revision: i64,
    /// What the decision holds for.
    pub binding: Digest,
}

/// What became of a decision about many requests.
#[derive(Debug)]
pub struct BatchOutcome {
    /// The decision as it is on record; `None` when it fits none of the requests any more.
    pub batch: Option<Batch>,
    /// The requests that it covers, in the order in which they were given.
    pub decided: Vec<Approval>,
    /// Those that have moved meanwhile, and why; the decision does not cover them.
    pub refused: Vec<(ApprovalId, Error)>,
}

/// Which requests to list; oldest first.
#[derive(Debug, Clone, Default)]
pub struct ApprovalFilter {
    /// Only this status.
    pub status: Option<ApprovalStatus>,
    /// Only requests of this plan.
    pub plan: Option<PlanId>,
    /// Only those that this decision covers.
    pub batch: Option<BatchId>,
    /// At most this many; zero means no limit.
    pub limit: u32,
}

/// The approvals of one database.
#[async_trait]
pub trait Approvals {
    /// Decides a pending request: compare-and-set on its status and revision, together with the
    /// action's state and the audit row. [`crate::Error::Conflict`] when somebody was faster;
    /// a request past `expires_at` is a conflict that says so. [`crate::Error::Refused`] when an
    /// approval has no `start_by`, and when [`skep_core::approval::may_decide`] says no.
    ///
    /// [`Decision::Revoke`] takes an approval back whose action has not started; any other request
    /// is then a conflict.
    async fn decide(&self, request: &DecisionRequest, now: Timestamp) -> Result<Approval>;

    /// Decides about many requests as one decision, in one transaction. Those that have moved are
    /// left out and told; when none is left, nothing is recorded.
    ///
    /// When an action that such a decision allowed fails, at once or by a rollout that is undone,
    /// then in the transaction that records the failure the decision is halted: all its actions
    /// that have not started are superseded, those that return to `granted` later as well, and
    /// operators are told once. Not when it was made with `halts: false`.
    async fn decide_batch(&self, request: &BatchRequest, now: Timestamp) -> Result<BatchOutcome>;

    /// One decision about many, by its id or an unambiguous start of it.
    async fn batch(&self, id_or_prefix: &str) -> Result<Batch>;

    /// Decisions about many, newest first; zero means no limit.
    async fn batches(&self, limit: u32) -> Result<Vec<Batch>>;

    /// Tells operators, once each, of the pending requests that lapse before `before`. Fenced.
    /// Gives their number; writes nothing when there are none.
    async fn remind(&self, fence: &Fence, before: Timestamp, now: Timestamp) -> Result<u64>;

    /// One request, by its id, by its action's id, or by an unambiguous start of either (with or
    /// without the `action_approval:` prefix).
    async fn approval(&self, id_or_prefix: &str) -> Result<Approval>;

    /// Requests, oldest first.
    async fn approvals(&self, filter: &ApprovalFilter) -> Result<Vec<Approval>>;
}

//! Requests for a decision, and decisions.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::approval::{Approval, ApprovalStatus};
use skep_core::identity::{ApprovalId, PlanId};

use crate::Result;

/// What a person said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Yes: the action becomes `granted`.
    Approve,
    /// No: the action becomes `denied`.
    Deny,
}

/// A decision to be recorded.
#[derive(Debug, Clone)]
pub struct DecisionRequest {
    /// Which request; the full id.
    pub approval: ApprovalId,
    /// Yes or no.
    pub decision: Decision,
    /// Who.
    pub actor: String,
    /// What the person added.
    pub comment: Option<String>,
    /// The revision that the person saw; another one is a conflict.
    pub expected_revision: Option<i64>,
    /// The action must start before this; `None` for a denial.
    pub start_by: Option<Timestamp>,
}

/// Which requests to list; oldest first.
#[derive(Debug, Clone, Default)]
pub struct ApprovalFilter {
    /// Only this status.
    pub status: Option<ApprovalStatus>,
    /// Only requests of this plan.
    pub plan: Option<PlanId>,
    /// At most this many; zero means no limit.
    pub limit: u32,
}

/// The approvals of one database.
#[async_trait]
pub trait Approvals {
    /// Decides a pending request: compare-and-set on its status and revision, together with the
    /// action's state and the audit row. [`crate::Error::Conflict`] when somebody was faster;
    /// a request past `expires_at` is a conflict that says so. [`crate::Error::Refused`] when an
    /// approval has no `start_by`.
    async fn decide(&self, request: &DecisionRequest, now: Timestamp) -> Result<Approval>;

    /// One request, by its id, by its action's id, or by an unambiguous start of either (with or
    /// without the `action_approval:` prefix).
    async fn approval(&self, id_or_prefix: &str) -> Result<Approval>;

    /// Requests, oldest first.
    async fn approvals(&self, filter: &ApprovalFilter) -> Result<Vec<Approval>>;
}

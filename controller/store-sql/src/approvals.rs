//! Rows of `approvals`, and what a decision must be.

use jiff::Timestamp;
use skep_core::action::{ActionEvent, ActionKind};
use skep_core::approval::{Approval, ApprovalStatus};
use skep_core::canonical::Digest;
use skep_core::identity::{ActionId, ApprovalId, PlanId, ServiceName};
use skep_store::{Decision, DecisionRequest, Error, Result};

use crate::columns::{instant_or_none, word};
use crate::instant::{from_column, to_column};
use crate::transition::Change;

const WHAT: &str = "approval";

/// A row of `approvals`.
#[derive(sqlx::FromRow)]
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct ApprovalRow {
    pub id: String,
    pub action_id: String,
    pub kind: String,
    pub target: String,
    pub plan_id: String,
    pub binding: String,
    pub status: String,
    pub revision: i64,
    pub created_at: i64,
    pub expires_at: i64,
    pub decided_at: Option<i64>,
    pub decided_by: Option<String>,
    pub comment: Option<String>,
}

impl ApprovalRow {
    /// The request.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<Approval> {
        Ok(Approval {
            id: ApprovalId::new(self.id),
            action: ActionId::new(self.action_id),
            kind: word(&self.kind, ActionKind::from_word, WHAT)?,
            target: ServiceName::new(self.target),
            plan: PlanId::new(self.plan_id),
            binding: Digest::from_stored(self.binding),
            status: word(&self.status, ApprovalStatus::from_word, WHAT)?,
            revision: self.revision,
            created_at: from_column(self.created_at, WHAT)?,
            expires_at: from_column(self.expires_at, WHAT)?,
            decided_at: instant_or_none(self.decided_at, WHAT)?,
            decided_by: self.decided_by,
            comment: self.comment,
        })
    }
}

/// Whether the request can still be decided, by this person, now.
///
/// # Errors
/// [`Error::Conflict`] when somebody or the clock was faster, [`Error::Refused`] for a grant
/// without an end.
pub fn check_decision(
    approval: &Approval,
    request: &DecisionRequest,
    now: Timestamp,
) -> Result<()> {
    let conflict =
        |current: String| Err(Error::Conflict { what: WHAT, id: approval.id.to_string(), current });
    if approval.status != ApprovalStatus::Pending {
        return conflict(approval.status.to_string());
    }
    if to_column(now) >= to_column(approval.expires_at) {
        return conflict(ApprovalStatus::Expired.to_string());
    }
    if request.expected_revision.is_some_and(|expected| expected != approval.revision) {
        return conflict(format!("{} at revision {}", approval.status, approval.revision));
    }
    if request.decision == Decision::Approve && request.start_by.is_none() {
        let why = "a grant needs a time by which the action must start";
        return Err(Error::Refused { what: WHAT, id: approval.id.to_string(), why });
    }
    Ok(())
}

/// What a decision does.
pub struct Decided<'a> {
    /// To the request.
    pub status: ApprovalStatus,
    /// To the action.
    pub change: Change<'a>,
}

impl<'a> Decided<'a> {
    /// Reads the decision.
    #[must_use]
    pub fn new(request: &'a DecisionRequest) -> Self {
        let said = request.comment.as_deref().unwrap_or_default();
        let actor = request.actor.as_str();
        match request.decision {
            Decision::Approve => Self {
                status: ApprovalStatus::Approved,
                change: Change {
                    event: ActionEvent::Grant,
                    actor,
                    said,
                    detail: None,
                    start_by: request.start_by,
                },
            },
            Decision::Deny => Self {
                status: ApprovalStatus::Denied,
                change: Change {
                    event: ActionEvent::Deny,
                    actor,
                    said,
                    detail: Some(said),
                    start_by: None,
                },
            },
        }
    }
}

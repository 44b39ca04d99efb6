//! Rows of `approvals`, and what a decision must be.

use jiff::Timestamp;
use skep_core::action::{ActionEvent, ActionKind, ActionState};
use skep_core::approval::{Approval, ApprovalStatus, Decider, may_decide};
use skep_core::canonical::Digest;
use skep_core::identity::{ActionId, ApprovalId, BatchId, PlanId, ServiceName};
use skep_store::{Decision, DecisionRequest, Error, Result};

use crate::columns::{instant_or_none, word};
use crate::instant::{from_column, to_column};
use crate::transition::{Change, Head};

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
    pub decided_source: Option<String>,
    pub batch_id: Option<String>,
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
            decided_source: self.decided_source,
            batch: self.batch_id.map(BatchId::new),
            comment: self.comment,
        })
    }
}

/// Whether the request can still be decided, on what was seen, now.
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
    let (wanted, lapses) = match request.decision {
        Decision::Approve | Decision::Deny => (ApprovalStatus::Pending, true),
        // It was decided in time; whether it has started is the action's concern.
        Decision::Revoke => (ApprovalStatus::Approved, false),
    };
    if approval.status != wanted {
        return conflict(approval.status.to_string());
    }
    if lapses && to_column(now) >= to_column(approval.expires_at) {
        return conflict(ApprovalStatus::Expired.to_string());
    }
    if request.expected_revision.is_some_and(|expected| expected != approval.revision) {
        return conflict(format!("{} at revision {}", approval.status, approval.revision));
    }
    if request.expected_binding.as_ref().is_some_and(|seen| *seen != approval.binding) {
        return conflict(format!("{} for something else", approval.status));
    }
    if request.decision == Decision::Approve && request.start_by.is_none() {
        let why = "a grant needs a time by which the action must start";
        return Err(Error::Refused { what: WHAT, id: approval.id.to_string(), why });
    }
    Ok(())
}

/// Whether this person may decide about the action, as it stands.
///
/// # Errors
/// [`Error::Refused`] when [`may_decide`] says no, [`Error::Conflict`] when it is too late to take
/// an approval back.
pub fn check_decider(request: &DecisionRequest, head: &Head) -> Result<()> {
    let id = request.approval.to_string();
    let decider = Decider { actor: request.actor.clone(), source: request.source.clone() };
    if let Err(refusal) = may_decide(&decider, head.source, &head.actor) {
        return Err(Error::Refused { what: WHAT, id, why: refusal.why() });
    }
    if request.decision == Decision::Revoke && head.state != ActionState::Granted {
        return Err(Error::Conflict { what: WHAT, id, current: head.state.to_string() });
    }
    Ok(())
}

/// What a decision does.
pub struct Decided<'a> {
    request: &'a DecisionRequest,
    said: String,
    event: ActionEvent,
    /// To the request.
    pub status: ApprovalStatus,
}

impl<'a> Decided<'a> {
    /// Reads the decision, alone or as a part of one about many.
    #[must_use]
    pub fn new(request: &'a DecisionRequest, batch: Option<&BatchId>) -> Self {
        let (status, event) = match request.decision {
            Decision::Approve => (ApprovalStatus::Approved, ActionEvent::Grant),
            Decision::Deny | Decision::Revoke => (ApprovalStatus::Denied, ActionEvent::Deny),
        };
        let said = match (batch, request.comment.as_deref().unwrap_or_default()) {
            (None, comment) => comment.to_owned(),
            (Some(batch), "") => format!("decision {batch}"),
            (Some(batch), comment) => format!("decision {batch}: {comment}"),
        };
        Self { request, said, event, status }
    }

    /// To the action.
    #[must_use]
    pub fn change(&self) -> Change<'_> {
        let comment = self.request.comment.as_deref().unwrap_or_default();
        Change {
            event: self.event,
            actor: &self.request.actor,
            said: &self.said,
            detail: (self.event == ActionEvent::Deny).then_some(comment),
            start_by: self.request.start_by.filter(|_| self.event == ActionEvent::Grant),
            moved: None,
        }
    }
}

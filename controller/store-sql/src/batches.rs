//! Rows of `batches`, and what halts a decision about many requests.

use jiff::Timestamp;
use skep_core::action::ActionEvent;
use skep_core::approval::{Batch, Decision, Halt, halted_because};
use skep_core::audit::{AuditEvent, AuditKind};
use skep_core::identity::{ActionId, BatchId, ServiceName};
use skep_store::{BatchMember, BatchOutcome, BatchRequest, DecisionRequest, Error, Result};

use crate::columns::{instant_or_none, word};
use crate::instant::from_column;
use crate::transition::{Change, Head};

const WHAT: &str = "decision";

/// Who halts a decision, in the audit trail.
const ACTOR: &str = "skep";

/// A row of `batches`.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct BatchRow {
    pub id: String,
    pub decision: String,
    pub chosen: String,
    pub halts: i64,
    pub actor: String,
    pub source: String,
    pub comment: Option<String>,
    pub decided_at: i64,
    pub halted_at: Option<i64>,
    pub halted_by: Option<String>,
    pub halted_target: Option<String>,
    pub halted_reason: Option<String>,
}

impl BatchRow {
    /// The decision.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<Batch> {
        let halted = match (instant_or_none(self.halted_at, WHAT)?, self.halted_by) {
            (Some(at), Some(action)) => Some(Halt {
                at,
                action: ActionId::new(action),
                target: ServiceName::new(self.halted_target.unwrap_or_default()),
                reason: self.halted_reason.unwrap_or_default(),
            }),
            _ => None,
        };
        Ok(Batch {
            id: BatchId::new(self.id),
            decision: word(&self.decision, Decision::from_word, WHAT)?,
            chosen: self.chosen,
            halts: self.halts != 0,
            actor: self.actor,
            source: self.source,
            comment: self.comment,
            decided_at: from_column(self.decided_at, WHAT)?,
            halted,
        })
    }
}

/// A new decision about many, as it goes on record.
#[must_use]
pub fn new_batch(request: &BatchRequest, now: Timestamp) -> Batch {
    Batch {
        id: request.id.clone(),
        decision: request.decision,
        chosen: request.chosen.clone(),
        halts: request.halts && request.decision == Decision::Approve,
        actor: request.actor.clone(),
        source: request.source.clone(),
        comment: request.comment.clone(),
        decided_at: now,
        halted: None,
    }
}

/// The part of a decision about many that is about one request.
#[must_use]
pub fn part_of(request: &BatchRequest, member: &BatchMember) -> DecisionRequest {
    DecisionRequest {
        approval: member.approval.clone(),
        decision: request.decision,
        actor: request.actor.clone(),
        source: request.source.clone(),
        comment: request.comment.clone(),
        expected_revision: Some(member.revision),
        expected_binding: Some(member.binding.clone()),
        start_by: request.start_by,
    }
}

/// Whether the error is about one request only, which the decision then does not cover.
#[must_use]
pub fn leaves_out(error: &Error) -> bool {
    matches!(
        error,
        Error::Conflict { .. }
            | Error::Refused { .. }
            | Error::NotFound { .. }
            | Error::Transition(_)
    )
}

/// The row of the audit trail for a decision about many.
#[must_use]
pub fn batch_decided(
    batch: &Batch,
    outcome: &BatchOutcome,
    of: usize,
    now: Timestamp,
) -> AuditEvent {
    let covered = outcome.decided.len();
    AuditEvent {
        at: now,
        kind: AuditKind::BatchDecided,
        actor: batch.actor.clone(),
        key: None,
        action: None,
        detail: format!(
            "{} {} ({covered} of {of} requests, from {}): decision {}",
            batch.decision, batch.chosen, batch.source, batch.id
        ),
        data: Some(batch.facts(covered as u64)),
    }
}

/// Whether the end of an action can mean anything for those that were approved with it.
#[must_use]
pub fn may_halt(event: ActionEvent) -> bool {
    matches!(event, ActionEvent::Fail | ActionEvent::Retry)
}

/// What the end of an action means for those that were approved with it.
pub enum Follows {
    /// Nothing.
    Nothing,
    /// All that have not started are superseded.
    Halt(Halt),
    /// The action itself is superseded: it had begun when another one failed, had no effect, and
    /// would begin again.
    Supersede(Halt),
}

impl Follows {
    /// Reads it off the decision that covers the action. `head` is the action as it was before
    /// `event`.
    #[must_use]
    pub fn of(batch: &Batch, head: &Head, event: ActionEvent, detail: &str, at: Timestamp) -> Self {
        match (event, &batch.halted) {
            _ if !batch.halts => Self::Nothing,
            (ActionEvent::Fail, None) => Self::Halt(Halt {
                at,
                action: head.id.clone(),
                target: ServiceName::new(head.key.name.as_str()),
                reason: detail.to_owned(),
            }),
            (ActionEvent::Retry, Some(halt)) => Self::Supersede(halt.clone()),
            _ => Self::Nothing,
        }
    }
}

/// Why a member of a halted decision does not start.
#[must_use]
pub fn why_halted(batch: &Batch, halt: &Halt) -> String {
    halted_because(&batch.id, &halt.target, &halt.action)
}

/// The end of a member of a halted decision.
#[must_use]
pub fn halted_member(why: &str) -> Change<'_> {
    Change {
        event: ActionEvent::Supersede,
        actor: ACTOR,
        said: why,
        detail: Some(why),
        start_by: None,
        moved: None,
    }
}

/// The row of the audit trail for a decision that was halted.
#[must_use]
pub fn batch_halted(batch: &Batch, halt: &Halt, not_started: usize) -> AuditEvent {
    AuditEvent {
        at: halt.at,
        kind: AuditKind::BatchHalted,
        actor: ACTOR.to_owned(),
        key: None,
        action: Some(halt.action.clone()),
        detail: format!(
            "decision {}: {} failed, {not_started} that were approved with it do not start",
            batch.id, halt.target
        ),
        data: Some(batch.facts(not_started as u64)),
    }
}

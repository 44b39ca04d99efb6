//! Decisions about many requests, and what halts them.

use jiff::Timestamp;
use skep_core::action::{ActionEvent, ActionState};
use skep_core::approval::{ApprovalStatus, Batch, Decision, Halt, halted_because};
use skep_core::audit::{AuditEvent, AuditKind};
use skep_core::identity::{ActionId, BatchId, ServiceName};
use skep_core::notice::Notice;
use skep_store::{BatchOutcome, BatchRequest, DecisionRequest, Error, Result};

use crate::error::IntoStoreError as _;
use crate::transition::{Change, Head};
use crate::{SqliteStore, Tx, approvals, audit, clock, outbox, row};

const WHAT: &str = "decision";

/// A row of `batches`.
#[derive(sqlx::FromRow)]
struct BatchRow {
    id: String,
    decision: String,
    chosen: String,
    halts: i64,
    actor: String,
    source: String,
    comment: Option<String>,
    decided_at: i64,
    halted_at: Option<i64>,
    halted_by: Option<String>,
    halted_target: Option<String>,
    halted_reason: Option<String>,
}

impl BatchRow {
    fn read(self) -> Result<Batch> {
        let halted = match (row::instant(self.halted_at, WHAT)?, self.halted_by) {
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
            decision: row::word(&self.decision, Decision::from_word, WHAT)?,
            chosen: self.chosen,
            halts: self.halts != 0,
            actor: self.actor,
            source: self.source,
            comment: self.comment,
            decided_at: clock::from_column(self.decided_at, WHAT)?,
            halted,
        })
    }
}

/// What the trail says beside a decision about one of many.
pub(crate) fn said(batch: Option<&BatchId>, comment: Option<&str>) -> String {
    match (batch, comment.unwrap_or_default()) {
        (None, comment) => comment.to_owned(),
        (Some(batch), "") => format!("decision {batch}"),
        (Some(batch), comment) => format!("decision {batch}: {comment}"),
    }
}

/// Decides about many requests in one transaction.
pub(crate) async fn decide(
    store: &SqliteStore,
    request: &BatchRequest,
    now: Timestamp,
) -> Result<BatchOutcome> {
    const OPERATION: &str = "record a decision about many";
    let mut tx = store.write(OPERATION).await?;
    let batch = Batch {
        id: request.id.clone(),
        decision: request.decision,
        chosen: request.chosen.clone(),
        halts: request.halts && request.decision == Decision::Approve,
        actor: request.actor.clone(),
        source: request.source.clone(),
        comment: request.comment.clone(),
        decided_at: now,
        halted: None,
    };
    insert(&mut tx, &batch, OPERATION).await?;
    let mut outcome = BatchOutcome { batch: None, decided: Vec::new(), refused: Vec::new() };
    for member in &request.members {
        let one = DecisionRequest {
            approval: member.approval.clone(),
            decision: request.decision,
            actor: request.actor.clone(),
            source: request.source.clone(),
            comment: request.comment.clone(),
            expected_revision: Some(member.revision),
            expected_binding: Some(member.binding.clone()),
            start_by: request.start_by,
        };
        // Everything is checked before anything is written, so what is refused has left nothing.
        match approvals::decide(&mut tx, &one, Some(&batch.id), now, OPERATION).await {
            Ok(approval) => outcome.decided.push(approval),
            Err(
                error @ (Error::Conflict { .. }
                | Error::Refused { .. }
                | Error::NotFound { .. }
                | Error::Transition(_)),
            ) => outcome.refused.push((member.approval.clone(), error)),
            Err(error) => return Err(error),
        }
    }
    if outcome.decided.is_empty() {
        return Ok(outcome);
    }
    let (covered, of) = (outcome.decided.len(), request.members.len());
    let event = AuditEvent {
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
    };
    audit::append(&mut tx, &event).await?;
    let kept = load(&mut tx, &batch.id, OPERATION).await?;
    tx.commit().await.during(OPERATION)?;
    outcome.batch = Some(kept);
    Ok(outcome)
}

async fn insert(tx: &mut Tx, batch: &Batch, operation: &'static str) -> Result<()> {
    let id = batch.id.as_str();
    let decision = batch.decision.as_str();
    let decided_at = clock::to_column(batch.decided_at);
    let halts = i64::from(batch.halts);
    sqlx::query!(
        "INSERT INTO batches (id, decision, chosen, halts, actor, source, comment, decided_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        decision,
        batch.chosen,
        halts,
        batch.actor,
        batch.source,
        batch.comment,
        decided_at
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

async fn load(tx: &mut Tx, id: &BatchId, operation: &'static str) -> Result<Batch> {
    let id = id.as_str();
    sqlx::query_as!(
        BatchRow,
        "SELECT id, decision, chosen, halts, actor, source, comment, decided_at, halted_at, \
         halted_by, halted_target, halted_reason FROM batches WHERE id = ?",
        id
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?
    .ok_or_else(|| Error::NotFound { what: WHAT, id: id.to_owned() })?
    .read()
}

/// The decision about many that covers an action, if one does.
async fn of_action(
    tx: &mut Tx,
    action: &ActionId,
    operation: &'static str,
) -> Result<Option<Batch>> {
    let action = action.as_str();
    let id = sqlx::query_scalar!("SELECT batch_id FROM approvals WHERE action_id = ?", action)
        .fetch_optional(&mut **tx)
        .await
        .during(operation)?
        .flatten();
    match id {
        Some(id) => load(tx, &BatchId::new(id), operation).await.map(Some),
        None => Ok(None),
    }
}

/// What an action's end means for those that were approved with it, in the transaction of that
/// end. `head` is the action as it was before `event`.
pub(crate) async fn follow(
    tx: &mut Tx,
    head: &Head,
    event: ActionEvent,
    detail: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    if !matches!(event, ActionEvent::Fail | ActionEvent::Retry) {
        return Ok(());
    }
    let Some(batch) = of_action(tx, &head.id, operation).await?.filter(|batch| batch.halts) else {
        return Ok(());
    };
    match (event, &batch.halted) {
        (ActionEvent::Fail, None) => {
            let halt = Halt {
                at: now,
                action: head.id.clone(),
                target: ServiceName::new(head.key.name.as_str()),
                reason: detail.to_owned(),
            };
            halt_all(tx, &batch, &halt, operation).await
        }
        // It had begun when another one failed, had no effect, and would begin again.
        (ActionEvent::Retry, Some(halt)) => {
            supersede(tx, &batch, halt, &head.id, now, operation).await.map(|_| ())
        }
        _ => Ok(()),
    }
}

async fn halt_all(tx: &mut Tx, batch: &Batch, halt: &Halt, operation: &'static str) -> Result<()> {
    let id = batch.id.as_str();
    let (at, by) = (clock::to_column(halt.at), halt.action.as_str());
    let target = halt.target.as_str();
    sqlx::query!(
        "UPDATE batches SET halted_at = ?, halted_by = ?, halted_target = ?, halted_reason = ? \
         WHERE id = ?",
        at,
        by,
        target,
        halt.reason,
        id
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    let members = sqlx::query_scalar!(
        "SELECT action_id FROM approvals WHERE batch_id = ? AND status = 'approved' ORDER BY seq",
        id
    )
    .fetch_all(&mut **tx)
    .await
    .during(operation)?;
    let mut not_started = 0;
    for member in members {
        let member = ActionId::new(member);
        if supersede(tx, batch, halt, &member, halt.at, operation).await? {
            not_started += 1;
        }
    }
    let event = AuditEvent {
        at: halt.at,
        kind: AuditKind::BatchHalted,
        actor: "skep".to_owned(),
        key: None,
        action: Some(halt.action.clone()),
        detail: format!(
            "decision {}: {} failed, {not_started} that were approved with it do not start",
            batch.id, halt.target
        ),
        data: Some(batch.facts(not_started as u64)),
    };
    audit::append(tx, &event).await?;
    outbox::record(tx, &Notice::halted(batch, halt, not_started), operation).await
}

/// Ends a member of a halted decision; false when it has started or ended.
async fn supersede(
    tx: &mut Tx,
    batch: &Batch,
    halt: &Halt,
    member: &ActionId,
    now: Timestamp,
    operation: &'static str,
) -> Result<bool> {
    let head = Head::load(tx, member, operation).await?;
    if head.state != ActionState::Granted {
        return Ok(false);
    }
    let why = halted_because(&batch.id, &halt.target, &halt.action);
    let change = Change {
        event: ActionEvent::Supersede,
        actor: "skep",
        said: &why,
        detail: Some(&why),
        start_by: None,
        moved: None,
    };
    head.apply(tx, change, now, operation).await?;
    approvals::end(tx, member, ApprovalStatus::Superseded, None, now, operation).await
}

/// One decision, by its id or the start of it.
pub(crate) async fn find(store: &SqliteStore, id_or_prefix: &str) -> Result<Batch> {
    const OPERATION: &str = "read a decision";
    let not_found = || Error::NotFound { what: WHAT, id: id_or_prefix.to_owned() };
    if id_or_prefix.is_empty() {
        return Err(not_found());
    }
    let end = row::prefix_end(id_or_prefix);
    let mut tx = store.read(OPERATION).await?;
    let ids = sqlx::query_scalar!(
        "SELECT id FROM batches WHERE id >= ?1 AND id < ?2 ORDER BY id",
        id_or_prefix,
        end
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    match ids.as_slice() {
        [] => Err(not_found()),
        // A whole id wins over longer ones that start with it.
        [id, more @ ..] if more.is_empty() || id == id_or_prefix => {
            load(&mut tx, &BatchId::new(id.as_str()), OPERATION).await
        }
        several => Err(Error::Ambiguous {
            what: WHAT,
            prefix: id_or_prefix.to_owned(),
            count: several.len(),
        }),
    }
}

/// Decisions, newest first.
pub(crate) async fn list(store: &SqliteStore, limit: u32) -> Result<Vec<Batch>> {
    let limit = row::limit(limit);
    let rows = sqlx::query_as!(
        BatchRow,
        "SELECT id, decision, chosen, halts, actor, source, comment, decided_at, halted_at, \
         halted_by, halted_target, halted_reason FROM batches ORDER BY seq DESC LIMIT ?",
        limit
    )
    .fetch_all(&store.readers)
    .await
    .during("list decisions")?;
    rows.into_iter().map(BatchRow::read).collect()
}

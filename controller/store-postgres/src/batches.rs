//! Decisions about many requests, and what halts them.

use jiff::Timestamp;
use skep_core::action::{ActionEvent, ActionState};
use skep_core::approval::{ApprovalStatus, Batch, Halt};
use skep_core::identity::{ActionId, BatchId};
use skep_core::notice::Notice;
use skep_store::{BatchOutcome, BatchRequest, Error, Result};
use skep_store_sql::batches::{
    BatchRow, Follows, batch_decided, batch_halted, halted_member, leaves_out, may_halt, new_batch,
    part_of, why_halted,
};
use skep_store_sql::instant::to_column;
use skep_store_sql::{prefix_end, whole_or_only};

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::write::Write;
use crate::{PostgresStore, approvals, audit, outbox, query, transition};

const WHAT: &str = "decision";

/// Decides about many requests in one transaction.
pub(crate) async fn decide(
    store: &PostgresStore,
    request: &BatchRequest,
    now: Timestamp,
) -> Result<BatchOutcome> {
    const OPERATION: &str = "record a decision about many";
    let mut tx = store.write(OPERATION).await?;
    let batch = new_batch(request, now);
    insert(&mut tx, &batch, OPERATION).await?;
    lock_actions(&mut tx, request, OPERATION).await?;
    let mut outcome = BatchOutcome { batch: None, decided: Vec::new(), refused: Vec::new() };
    for member in &request.members {
        let one = part_of(request, member);
        // Everything is checked before anything is written, so what is refused has left nothing.
        match approvals::decide(&mut tx, &one, Some(&batch.id), now, OPERATION).await {
            Ok(approval) => outcome.decided.push(approval),
            Err(error) if leaves_out(&error) => {
                outcome.refused.push((member.approval.clone(), error));
            }
            Err(error) => return Err(error),
        }
    }
    if outcome.decided.is_empty() {
        return Ok(outcome);
    }
    let event = batch_decided(&batch, &outcome, request.members.len(), now);
    audit::append(&mut tx, &event).await?;
    let kept = load(&mut tx, &batch.id, OPERATION).await?;
    tx.commit().await?;
    outcome.batch = Some(kept);
    Ok(outcome)
}

/// Locks all actions that the decision is about, in one order: two people who decide about the
/// same ones would wait for each other.
async fn lock_actions(
    tx: &mut Session<'_>,
    request: &BatchRequest,
    operation: &'static str,
) -> Result<()> {
    let ids: Vec<String> =
        request.members.iter().map(|member| member.approval.as_str().to_owned()).collect();
    sqlx::query_scalar!(
        "SELECT id FROM actions \
         WHERE id IN (SELECT action_id FROM approvals WHERE id = ANY($1)) ORDER BY id FOR UPDATE",
        &ids
    )
    .fetch_all(&mut *tx)
    .await
    .during(operation)?;
    Ok(())
}

async fn insert(tx: &mut Session<'_>, batch: &Batch, operation: &'static str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO batches (id, decision, chosen, halts, actor, source, comment, decided_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        batch.id.as_str(),
        batch.decision.as_str(),
        batch.chosen,
        i64::from(batch.halts),
        batch.actor,
        batch.source,
        batch.comment,
        to_column(batch.decided_at)
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(())
}

async fn load(tx: &mut Session<'_>, id: &BatchId, operation: &'static str) -> Result<Batch> {
    sqlx::query_as!(
        BatchRow,
        "SELECT id, decision, chosen, halts, actor, source, comment, decided_at, halted_at, \
         halted_by, halted_target, halted_reason FROM batches WHERE id = $1",
        id.as_str()
    )
    .fetch_optional(&mut *tx)
    .await
    .during(operation)?
    .ok_or_else(|| Error::NotFound { what: WHAT, id: id.to_string() })?
    .read()
}

/// Locks the decision about many that covers an action which ends like this, if one does, before
/// the action is: of several that fail at once, one halts the others. With it, all actions that it
/// may halt, in the order in which whoever decides about many locks them.
pub(crate) async fn lock(
    tx: &mut Session<'_>,
    action: &ActionId,
    event: ActionEvent,
    operation: &'static str,
) -> Result<()> {
    if may_halt(event) {
        sqlx::query_scalar!(
            "SELECT id FROM batches \
             WHERE id = (SELECT batch_id FROM approvals WHERE action_id = $1) FOR UPDATE",
            action.as_str()
        )
        .fetch_optional(&mut *tx)
        .await
        .during(operation)?;
        sqlx::query_scalar!(
            "SELECT id FROM actions WHERE id IN (SELECT member.action_id \
             FROM approvals AS member JOIN approvals AS own USING (batch_id) \
             WHERE own.action_id = $1 AND member.status = 'approved') ORDER BY id FOR UPDATE",
            action.as_str()
        )
        .fetch_all(&mut *tx)
        .await
        .during(operation)?;
    }
    Ok(())
}

/// What an action's end means for those that were approved with it, in the transaction of that
/// end. `head` is the action as it was before `event`.
pub(crate) async fn follow(
    tx: &mut Write,
    head: &skep_store_sql::Head,
    event: ActionEvent,
    detail: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    if !may_halt(event) {
        return Ok(());
    }
    let id = sqlx::query_scalar!(
        "SELECT batch_id FROM approvals WHERE action_id = $1",
        head.id.as_str()
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?
    .flatten();
    let Some(id) = id else { return Ok(()) };
    let batch = load(tx, &BatchId::new(id), operation).await?;
    match Follows::of(&batch, head, event, detail, now) {
        Follows::Nothing => Ok(()),
        Follows::Halt(halt) => halt_all(tx, &batch, &halt, operation).await,
        Follows::Supersede(halt) => {
            supersede(tx, &batch, &halt, &head.id, now, operation).await.map(|_| ())
        }
    }
}

async fn halt_all(
    tx: &mut Write,
    batch: &Batch,
    halt: &Halt,
    operation: &'static str,
) -> Result<()> {
    sqlx::query!(
        "UPDATE batches SET halted_at = $1, halted_by = $2, halted_target = $3, \
         halted_reason = $4 WHERE id = $5",
        to_column(halt.at),
        halt.action.as_str(),
        halt.target.as_str(),
        halt.reason,
        batch.id.as_str()
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    let members = sqlx::query_scalar!(
        "SELECT action_id FROM approvals WHERE batch_id = $1 AND status = 'approved' \
         ORDER BY action_id",
        batch.id.as_str()
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
    audit::append(tx, &batch_halted(batch, halt, not_started)).await?;
    outbox::record(tx, &Notice::halted(batch, halt, not_started), operation).await
}

/// Ends a member of a halted decision; false when it has started or ended.
async fn supersede(
    tx: &mut Write,
    batch: &Batch,
    halt: &Halt,
    member: &ActionId,
    now: Timestamp,
    operation: &'static str,
) -> Result<bool> {
    let head = transition::load(tx, member, operation).await?;
    if head.state != ActionState::Granted {
        return Ok(false);
    }
    let why = why_halted(batch, halt);
    transition::apply(tx, &head, &halted_member(&why), now, operation).await?;
    approvals::end(tx, member, ApprovalStatus::Superseded, None, now, operation).await
}

/// One decision, by its id or the start of it.
pub(crate) async fn find(store: &PostgresStore, id_or_prefix: &str) -> Result<Batch> {
    const OPERATION: &str = "read a decision";
    if id_or_prefix.is_empty() {
        return Err(Error::NotFound { what: WHAT, id: id_or_prefix.to_owned() });
    }
    let mut tx = store.read(OPERATION).await?;
    let ids = sqlx::query_scalar!(
        "SELECT id FROM batches WHERE id >= $1 AND id < $2 ORDER BY id",
        id_or_prefix,
        prefix_end(id_or_prefix)
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    load(&mut tx, &BatchId::new(whole_or_only(&ids, id_or_prefix, WHAT)?), OPERATION).await
}

/// Decisions, newest first.
pub(crate) async fn list(store: &PostgresStore, limit: u32) -> Result<Vec<Batch>> {
    const OPERATION: &str = "list decisions";
    let mut tx = store.read(OPERATION).await?;
    let rows = sqlx::query_as!(
        BatchRow,
        "SELECT id, decision, chosen, halts, actor, source, comment, decided_at, halted_at, \
         halted_by, halted_target, halted_reason FROM batches ORDER BY seq DESC LIMIT $1",
        query::limit(limit)
    )
    .fetch_all(&mut *tx)
    .await
    .during(OPERATION)?;
    rows.into_iter().map(BatchRow::read).collect()
}

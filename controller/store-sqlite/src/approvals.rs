//! Requests for a decision, and decisions.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::{ActionEvent, ActionState};
use skep_core::approval::{Approval, ApprovalStatus, Batch, Decider, MayNotDecide, may_decide};
use skep_core::identity::{APPROVAL_PREFIX, ActionId, BatchId};
use skep_core::notice::Notice;
use skep_store::{
    ApprovalFilter, Approvals, BatchOutcome, BatchRequest, Decision, DecisionRequest, Error, Fence,
    Result,
};
use sqlx::{QueryBuilder, Sqlite};

use crate::error::IntoStoreError as _;
use crate::row::ApprovalRow;
use crate::transition::{Change, Head};
use crate::{SqliteStore, Tx, batches, clock, outbox, row};

const WHAT: &str = "approval";

/// Files a request, in the transaction of its action.
pub(crate) async fn insert(
    tx: &mut Tx,
    approval: &Approval,
    operation: &'static str,
) -> Result<()> {
    let id = approval.id.as_str();
    let action = approval.action.as_str();
    let kind = approval.kind.as_str();
    let target = approval.target.as_str();
    let plan = approval.plan.as_str();
    let binding = approval.binding.as_str();
    let status = approval.status.as_str();
    let created_at = clock::to_column(approval.created_at);
    let expires_at = clock::to_column(approval.expires_at);
    let decided_at = approval.decided_at.map(clock::to_column);
    sqlx::query!(
        "INSERT INTO approvals (id, action_id, kind, target, plan_id, binding, status, revision, \
         created_at, expires_at, decided_at, decided_by, comment) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        action,
        kind,
        target,
        plan,
        binding,
        status,
        approval.revision,
        created_at,
        expires_at,
        decided_at,
        approval.decided_by,
        approval.comment
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

/// Ends the request of an action that ends, if it has one and nothing has ended it before.
/// `denied` is who refused it and why; otherwise the record of the decision stays. True when there
/// was one.
pub(crate) async fn end(
    tx: &mut Tx,
    action: &ActionId,
    status: ApprovalStatus,
    denied: Option<(&str, &str)>,
    now: Timestamp,
    operation: &'static str,
) -> Result<bool> {
    let action = action.as_str();
    let status = status.as_str();
    let (decided_by, comment) = denied.unzip();
    let decided_at = denied.map(|_| clock::to_column(now));
    let ended = sqlx::query!(
        "UPDATE approvals SET status = ?, revision = revision + 1, \
         decided_at = coalesce(?, decided_at), decided_by = coalesce(?, decided_by), \
         comment = coalesce(?, comment) \
         WHERE action_id = ? AND status IN ('pending', 'approved')",
        status,
        decided_at,
        decided_by,
        comment,
        action
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(ended.rows_affected() > 0)
}

async fn load(tx: &mut Tx, id: &str, operation: &'static str) -> Result<Approval> {
    sqlx::query_as!(
        ApprovalRow,
        "SELECT id, action_id, kind, target, plan_id, binding, status, revision, created_at, \
         expires_at, decided_at, decided_by, decided_source, batch_id, comment FROM approvals \
         WHERE id = ?",
        id
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?
    .ok_or_else(|| Error::NotFound { what: WHAT, id: id.to_owned() })?
    .read()
}

/// Whether the request can still be decided, on what was seen, now.
fn check(approval: &Approval, request: &DecisionRequest, now: Timestamp) -> Result<()> {
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
    if lapses && clock::to_column(now) >= clock::to_column(approval.expires_at) {
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

/// Decides about one request, alone or as a part of a decision about many.
pub(crate) async fn decide(
    tx: &mut Tx,
    request: &DecisionRequest,
    batch: Option<&BatchId>,
    now: Timestamp,
    operation: &'static str,
) -> Result<Approval> {
    let id = request.approval.as_str();
    let approval = load(tx, id, operation).await?;
    check(&approval, request, now)?;
    let head = Head::load(tx, &approval.action, operation).await?;
    let decider = Decider { actor: request.actor.clone(), source: request.source.clone() };
    may_decide(&decider, head.source, &head.actor)
        .map_err(MayNotDecide::why)
        .map_err(|why| Error::Refused { what: WHAT, id: id.to_owned(), why })?;
    if request.decision == Decision::Revoke && head.state != ActionState::Granted {
        let current = head.state.to_string();
        return Err(Error::Conflict { what: WHAT, id: id.to_owned(), current });
    }
    let comment = request.comment.as_deref();
    let said = batches::said(batch, comment);
    let (status, event) = match request.decision {
        Decision::Approve => (ApprovalStatus::Approved, ActionEvent::Grant),
        Decision::Deny | Decision::Revoke => (ApprovalStatus::Denied, ActionEvent::Deny),
    };
    let change = Change {
        event,
        actor: &request.actor,
        said: &said,
        detail: (event == ActionEvent::Deny).then_some(comment.unwrap_or_default()),
        start_by: request.start_by.filter(|_| event == ActionEvent::Grant),
        moved: None,
    };
    head.apply(tx, change, now, operation).await?;
    let status = status.as_str();
    let decided_at = clock::to_column(now);
    let batch = batch.map(BatchId::as_str);
    sqlx::query!(
        "UPDATE approvals SET status = ?, revision = revision + 1, decided_at = ?, \
         decided_by = ?, decided_source = ?, batch_id = coalesce(?, batch_id), comment = ? \
         WHERE id = ?",
        status,
        decided_at,
        request.actor,
        request.source,
        batch,
        comment,
        id
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    load(tx, id, operation).await
}

#[async_trait]
impl Approvals for SqliteStore {
    async fn decide(&self, request: &DecisionRequest, now: Timestamp) -> Result<Approval> {
        const OPERATION: &str = "record a decision";
        let mut tx = self.write(OPERATION).await?;
        let decided = decide(&mut tx, request, None, now, OPERATION).await?;
        tx.commit().await.during(OPERATION)?;
        Ok(decided)
    }

    async fn decide_batch(&self, request: &BatchRequest, now: Timestamp) -> Result<BatchOutcome> {
        batches::decide(self, request, now).await
    }

    async fn batch(&self, id_or_prefix: &str) -> Result<Batch> {
        batches::find(self, id_or_prefix).await
    }

    async fn batches(&self, limit: u32) -> Result<Vec<Batch>> {
        batches::list(self, limit).await
    }

    async fn remind(&self, fence: &Fence, before: Timestamp, now: Timestamp) -> Result<u64> {
        const OPERATION: &str = "remind of requests";
        let before = clock::to_column(before);
        let due = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM approvals WHERE status = 'pending'
               AND expires_at < ? AND reminded_at IS NULL) AS "due!: bool""#,
            before
        )
        .fetch_one(&self.readers)
        .await
        .during(OPERATION)?;
        if !due {
            return Ok(0);
        }
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        let rows = sqlx::query_as!(
            ApprovalRow,
            "SELECT id, action_id, kind, target, plan_id, binding, status, revision, created_at, \
             expires_at, decided_at, decided_by, decided_source, batch_id, comment FROM approvals \
             WHERE status = 'pending' AND expires_at < ? AND reminded_at IS NULL",
            before
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        let (mut told, at) = (0, clock::to_column(now));
        for row in rows {
            let approval = row.read()?;
            outbox::record(&mut tx, &Notice::expiring(&approval, now), OPERATION).await?;
            let id = approval.id.as_str();
            sqlx::query!("UPDATE approvals SET reminded_at = ? WHERE id = ?", at, id)
                .execute(&mut *tx)
                .await
                .during(OPERATION)?;
            told += 1;
        }
        tx.commit().await.during(OPERATION)?;
        Ok(told)
    }

    async fn approval(&self, id_or_prefix: &str) -> Result<Approval> {
        const OPERATION: &str = "read an approval";
        let not_found = || Error::NotFound { what: WHAT, id: id_or_prefix.to_owned() };
        // The part of an id that tells two apart; the prefix alone names nothing.
        let part = id_or_prefix.strip_prefix(APPROVAL_PREFIX).unwrap_or(id_or_prefix);
        if part.is_empty() {
            return Err(not_found());
        }
        let full = format!("{APPROVAL_PREFIX}{part}");
        let (full_end, part_end) = (row::prefix_end(&full), row::prefix_end(part));
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query!(
            "SELECT id, action_id FROM approvals \
             WHERE (id >= ?1 AND id < ?2) OR (action_id >= ?3 AND action_id < ?4)",
            full,
            full_end,
            part,
            part_end
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        // A whole id wins over longer ones that start with it.
        let whole: BTreeSet<&str> = rows
            .iter()
            .filter(|row| row.id == full || row.action_id == id_or_prefix)
            .map(|row| row.id.as_str())
            .collect();
        let started: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let candidates = if whole.is_empty() { started } else { whole };
        let mut ids = candidates.iter();
        match (ids.next(), ids.next()) {
            (None, _) => Err(not_found()),
            (Some(id), None) => load(&mut tx, id, OPERATION).await,
            (Some(_), Some(_)) => Err(Error::Ambiguous {
                what: WHAT,
                prefix: id_or_prefix.to_owned(),
                count: candidates.len(),
            }),
        }
    }

    async fn approvals(&self, filter: &ApprovalFilter) -> Result<Vec<Approval>> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT id, action_id, kind, target, plan_id, binding, status, revision, created_at, \
             expires_at, decided_at, decided_by, decided_source, batch_id, comment \
             FROM approvals WHERE true",
        );
        if let Some(status) = filter.status {
            query.push(" AND status = ").push_bind(status.as_str());
        }
        if let Some(plan) = &filter.plan {
            query.push(" AND plan_id = ").push_bind(plan.as_str());
        }
        if let Some(batch) = &filter.batch {
            query.push(" AND batch_id = ").push_bind(batch.as_str());
        }
        query.push(" ORDER BY seq LIMIT ").push_bind(row::limit(filter.limit));
        let rows: Vec<ApprovalRow> =
            query.build_query_as().fetch_all(&self.readers).await.during("list approvals")?;
        rows.into_iter().map(ApprovalRow::read).collect()
    }
}

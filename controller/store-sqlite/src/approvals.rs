//! Requests for a decision, and decisions.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::ActionEvent;
use skep_core::approval::{Approval, ApprovalStatus};
use skep_core::identity::{APPROVAL_PREFIX, ActionId};
use skep_store::{ApprovalFilter, Approvals, Decision, DecisionRequest, Error, Result};
use sqlx::{QueryBuilder, Sqlite};

use crate::error::IntoStoreError as _;
use crate::row::ApprovalRow;
use crate::transition::{Change, Head};
use crate::{SqliteStore, Tx, clock, row};

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
/// `denied` is who refused it and why; otherwise the record of the decision stays.
pub(crate) async fn end(
    tx: &mut Tx,
    action: &ActionId,
    status: ApprovalStatus,
    denied: Option<(&str, &str)>,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    let action = action.as_str();
    let status = status.as_str();
    let (decided_by, comment) = denied.unzip();
    let decided_at = denied.map(|_| clock::to_column(now));
    sqlx::query!(
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
    Ok(())
}

async fn load(tx: &mut Tx, id: &str, operation: &'static str) -> Result<Approval> {
    sqlx::query_as!(
        ApprovalRow,
        "SELECT id, action_id, kind, target, plan_id, binding, status, revision, created_at, \
         expires_at, decided_at, decided_by, comment FROM approvals WHERE id = ?",
        id
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?
    .ok_or_else(|| Error::NotFound { what: WHAT, id: id.to_owned() })?
    .read()
}

/// Whether the request can still be decided, by this person, now.
fn check(approval: &Approval, request: &DecisionRequest, now: Timestamp) -> Result<()> {
    let conflict =
        |current: String| Err(Error::Conflict { what: WHAT, id: approval.id.to_string(), current });
    if approval.status != ApprovalStatus::Pending {
        return conflict(approval.status.to_string());
    }
    if clock::to_column(now) >= clock::to_column(approval.expires_at) {
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

#[async_trait]
impl Approvals for SqliteStore {
    async fn decide(&self, request: &DecisionRequest, now: Timestamp) -> Result<Approval> {
        const OPERATION: &str = "record a decision";
        let id = request.approval.as_str();
        let mut tx = self.write(OPERATION).await?;
        let approval = load(&mut tx, id, OPERATION).await?;
        check(&approval, request, now)?;
        let head = Head::load(&mut tx, &approval.action, OPERATION).await?;
        let comment = request.comment.as_deref();
        let (status, change) = match request.decision {
            Decision::Approve => (
                ApprovalStatus::Approved,
                Change {
                    event: ActionEvent::Grant,
                    actor: &request.actor,
                    said: comment.unwrap_or_default(),
                    detail: None,
                    start_by: request.start_by,
                },
            ),
            Decision::Deny => (
                ApprovalStatus::Denied,
                Change {
                    event: ActionEvent::Deny,
                    actor: &request.actor,
                    said: comment.unwrap_or_default(),
                    detail: Some(comment.unwrap_or_default()),
                    start_by: None,
                },
            ),
        };
        head.apply(&mut tx, change, now, OPERATION).await?;
        let status = status.as_str();
        let decided_at = clock::to_column(now);
        sqlx::query!(
            "UPDATE approvals SET status = ?, revision = revision + 1, decided_at = ?, \
             decided_by = ?, comment = ? WHERE id = ?",
            status,
            decided_at,
            request.actor,
            comment,
            id
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        let decided = load(&mut tx, id, OPERATION).await?;
        tx.commit().await.during(OPERATION)?;
        Ok(decided)
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
             expires_at, decided_at, decided_by, comment FROM approvals WHERE true",
        );
        if let Some(status) = filter.status {
            query.push(" AND status = ").push_bind(status.as_str());
        }
        if let Some(plan) = &filter.plan {
            query.push(" AND plan_id = ").push_bind(plan.as_str());
        }
        query.push(" ORDER BY seq LIMIT ").push_bind(row::limit(filter.limit));
        let rows: Vec<ApprovalRow> =
            query.build_query_as().fetch_all(&self.readers).await.during("list approvals")?;
        rows.into_iter().map(ApprovalRow::read).collect()
    }
}

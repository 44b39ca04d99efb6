//! Requests for a decision, and decisions.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::approval::{Approval, ApprovalStatus, Batch};
use skep_core::identity::{ActionId, BatchId};
use skep_core::notice::Notice;
use skep_store::{
    ApprovalFilter, Approvals, BatchOutcome, BatchRequest, DecisionRequest, Error, Fence, Result,
};
use skep_store_sql::instant::to_column;
use skep_store_sql::{ApprovalPrefix, ApprovalRow, Decided, check_decider, check_decision};
use sqlx::{Postgres, QueryBuilder};

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::write::Write;
use crate::{PostgresStore, batches, outbox, query, transition};

const WHAT: &str = "approval";

/// Files a request, in the transaction of its action.
pub(crate) async fn insert(
    tx: &mut Session<'_>,
    approval: &Approval,
    operation: &'static str,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO approvals (id, action_id, kind, target, plan_id, binding, status, revision, \
         created_at, expires_at, decided_at, decided_by, comment) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        approval.id.as_str(),
        approval.action.as_str(),
        approval.kind.as_str(),
        approval.target.as_str(),
        approval.plan.as_str(),
        approval.binding.as_str(),
        approval.status.as_str(),
        approval.revision,
        to_column(approval.created_at),
        to_column(approval.expires_at),
        approval.decided_at.map(to_column),
        approval.decided_by,
        approval.comment
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(())
}

/// Ends the request of an action that ends, if it has one and nothing has ended it before.
/// `denied` is who refused it and why; otherwise the record of the decision stays. True when there
/// was one.
pub(crate) async fn end(
    tx: &mut Session<'_>,
    action: &ActionId,
    status: ApprovalStatus,
    denied: Option<(&str, &str)>,
    now: Timestamp,
    operation: &'static str,
) -> Result<bool> {
    let (decided_by, comment) = denied.unzip();
    let ended = sqlx::query!(
        "UPDATE approvals SET status = $1, revision = revision + 1, \
         decided_at = coalesce($2, decided_at), decided_by = coalesce($3, decided_by), \
         comment = coalesce($4, comment) \
         WHERE action_id = $5 AND status IN ('pending', 'approved')",
        status.as_str(),
        denied.map(|_| to_column(now)),
        decided_by,
        comment,
        action.as_str()
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(ended.rows_affected() > 0)
}

async fn load(tx: &mut Session<'_>, id: &str, operation: &'static str) -> Result<Approval> {
    sqlx::query_as!(
        ApprovalRow,
        "SELECT id, action_id, kind, target, plan_id, binding, status, revision, created_at, \
         expires_at, decided_at, decided_by, decided_source, batch_id, comment FROM approvals \
         WHERE id = $1",
        id
    )
    .fetch_optional(&mut *tx)
    .await
    .during(operation)?
    .ok_or_else(|| Error::NotFound { what: WHAT, id: id.to_owned() })?
    .read()
}

/// Decides about one request, alone or as a part of a decision about many.
///
/// The action is locked before its request, as everywhere; whoever changes the request has locked
/// the action, so what is read after that stays.
pub(crate) async fn decide(
    tx: &mut Write,
    request: &DecisionRequest,
    batch: Option<&BatchId>,
    now: Timestamp,
    operation: &'static str,
) -> Result<Approval> {
    let id = request.approval.as_str();
    let seen = load(tx, id, operation).await?;
    let head = transition::load(tx, &seen.action, operation).await?;
    let approval = load(tx, id, operation).await?;
    check_decision(&approval, request, now)?;
    check_decider(request, &head)?;
    let decided = Decided::new(request, batch);
    transition::apply(tx, &head, &decided.change(), now, operation).await?;
    sqlx::query!(
        "UPDATE approvals SET status = $1, revision = revision + 1, decided_at = $2, \
         decided_by = $3, decided_source = $4, batch_id = coalesce($5, batch_id), comment = $6 \
         WHERE id = $7",
        decided.status.as_str(),
        to_column(now),
        request.actor,
        request.source,
        batch.map(BatchId::as_str),
        request.comment,
        id
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    load(tx, id, operation).await
}

#[async_trait]
impl Approvals for PostgresStore {
    async fn decide(&self, request: &DecisionRequest, now: Timestamp) -> Result<Approval> {
        const OPERATION: &str = "record a decision";
        let mut tx = self.write(OPERATION).await?;
        let decided = decide(&mut tx, request, None, now, OPERATION).await?;
        tx.commit().await?;
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
        let mut reading = self.read(OPERATION).await?;
        let due = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM approvals WHERE status = 'pending'
               AND expires_at < $1 AND reminded_at IS NULL) AS "due!""#,
            to_column(before)
        )
        .fetch_one(&mut *reading)
        .await
        .during(OPERATION)?;
        drop(reading);
        if !due {
            return Ok(0);
        }
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        // Marking them first locks them: each is told once. One that is locked is being decided
        // about, and whoever does that may wait for another one of these.
        let rows = sqlx::query_as!(
            ApprovalRow,
            "UPDATE approvals SET reminded_at = $2 WHERE id IN (SELECT id FROM approvals \
             WHERE status = 'pending' AND expires_at < $1 AND reminded_at IS NULL \
             FOR UPDATE SKIP LOCKED) \
             RETURNING id, action_id, kind, target, plan_id, binding, status, revision, \
             created_at, expires_at, decided_at, decided_by, decided_source, batch_id, comment",
            to_column(before),
            to_column(now)
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        let mut reminded = rows.into_iter().map(ApprovalRow::read).collect::<Result<Vec<_>>>()?;
        reminded.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        let mut told = 0;
        for approval in reminded {
            outbox::record(&mut tx, &Notice::expiring(&approval, now), OPERATION).await?;
            told += 1;
        }
        tx.commit().await?;
        Ok(told)
    }

    async fn approval(&self, id_or_prefix: &str) -> Result<Approval> {
        const OPERATION: &str = "read an approval";
        let meant = ApprovalPrefix::parse(id_or_prefix)?;
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query!(
            "SELECT id, action_id FROM approvals \
             WHERE (id >= $1 AND id < $2) OR (action_id >= $3 AND action_id < $4)",
            meant.full,
            meant.full_end,
            meant.part,
            meant.part_end
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        let found: Vec<_> = rows.into_iter().map(|row| (row.id, row.action_id)).collect();
        load(&mut tx, &meant.choose(&found)?, OPERATION).await
    }

    async fn approvals(&self, filter: &ApprovalFilter) -> Result<Vec<Approval>> {
        const OPERATION: &str = "list approvals";
        let mut query = QueryBuilder::<Postgres>::new(
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
        query.push(" ORDER BY seq LIMIT ").push_bind(query::limit(filter.limit));
        let mut tx = self.read(OPERATION).await?;
        let rows: Vec<ApprovalRow> =
            query.build_query_as().fetch_all(&mut *tx).await.during(OPERATION)?;
        rows.into_iter().map(ApprovalRow::read).collect()
    }
}

//! Requests for a decision, and decisions.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::approval::{Approval, ApprovalStatus};
use skep_core::identity::ActionId;
use skep_store::{ApprovalFilter, Approvals, DecisionRequest, Error, Result};
use skep_store_sql::instant::to_column;
use skep_store_sql::{ApprovalPrefix, ApprovalRow, Decided, check_decision};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use crate::error::IntoStoreError as _;
use crate::{PostgresStore, query, transition};

const WHAT: &str = "approval";

/// Files a request, in the transaction of its action.
pub(crate) async fn insert(
    tx: &mut PgConnection,
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
/// `denied` is who refused it and why; otherwise the record of the decision stays.
pub(crate) async fn end(
    tx: &mut PgConnection,
    action: &ActionId,
    status: ApprovalStatus,
    denied: Option<(&str, &str)>,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    let (decided_by, comment) = denied.unzip();
    sqlx::query!(
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
    Ok(())
}

async fn load(tx: &mut PgConnection, id: &str, operation: &'static str) -> Result<Approval> {
    sqlx::query_as!(
        ApprovalRow,
        "SELECT id, action_id, kind, target, plan_id, binding, status, revision, created_at, \
         expires_at, decided_at, decided_by, comment FROM approvals WHERE id = $1",
        id
    )
    .fetch_optional(&mut *tx)
    .await
    .during(operation)?
    .ok_or_else(|| Error::NotFound { what: WHAT, id: id.to_owned() })?
    .read()
}

#[async_trait]
impl Approvals for PostgresStore {
    async fn decide(&self, request: &DecisionRequest, now: Timestamp) -> Result<Approval> {
        const OPERATION: &str = "record a decision";
        let id = request.approval.as_str();
        let mut tx = self.write(OPERATION).await?;
        // The action is locked before its request, as everywhere; whoever changes the request
        // has locked the action, so what is read after that stays.
        let seen = load(&mut tx, id, OPERATION).await?;
        let head = transition::load(&mut tx, &seen.action, OPERATION).await?;
        let approval = load(&mut tx, id, OPERATION).await?;
        check_decision(&approval, request, now)?;
        let Decided { status, change } = Decided::new(request);
        transition::apply(&mut tx, &head, &change, now, OPERATION).await?;
        sqlx::query!(
            "UPDATE approvals SET status = $1, revision = revision + 1, decided_at = $2, \
             decided_by = $3, comment = $4 WHERE id = $5",
            status.as_str(),
            to_column(now),
            request.actor,
            request.comment,
            id
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        let decided = load(&mut tx, id, OPERATION).await?;
        tx.commit().await?;
        Ok(decided)
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
             expires_at, decided_at, decided_by, comment FROM approvals WHERE true",
        );
        if let Some(status) = filter.status {
            query.push(" AND status = ").push_bind(status.as_str());
        }
        if let Some(plan) = &filter.plan {
            query.push(" AND plan_id = ").push_bind(plan.as_str());
        }
        query.push(" ORDER BY seq LIMIT ").push_bind(query::limit(filter.limit));
        let mut tx = self.read(OPERATION).await?;
        let rows: Vec<ApprovalRow> =
            query.build_query_as().fetch_all(&mut *tx).await.during(OPERATION)?;
        rows.into_iter().map(ApprovalRow::read).collect()
    }
}

//! Requests by hand, and the leader's answers.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::identity::{ActionId, ObjectKey, RequestId};
use skep_core::request::{NewRequest, ServiceRequest};
use skep_store::{Error, Fence, RequestFilter, RequestOutcome, Requests, Result};
use skep_store_sql::instant::to_column;
use skep_store_sql::{Answer, AskedRow, RequestRow, events, filed, json};
use sqlx::{QueryBuilder, Sqlite};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, audit, query, transition};

const WHAT: &str = "request";

/// The open request for the same thing, if there is one.
async fn twin(
    tx: &mut Tx,
    key: &ObjectKey,
    verb: &str,
    operation: &'static str,
) -> Result<Option<ServiceRequest>> {
    sqlx::query_as!(
        RequestRow,
        "SELECT id, tenant, cluster, object_kind, object_name, verb, actor, reason, state, \
         action_id, detail, created_at, updated_at FROM requests \
         WHERE tenant = ? AND cluster = ? AND object_kind = ? AND object_name = ? AND verb = ? \
         AND state = 'open'",
        key.tenant.as_str(),
        key.cluster.as_str(),
        key.kind.as_str(),
        key.name,
        verb
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?
    .map(RequestRow::read)
    .transpose()
}

async fn insert(
    tx: &mut Tx,
    new: &NewRequest,
    verb: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO requests (id, tenant, cluster, object_kind, object_name, verb, actor, \
         reason, state, detail, created_at, updated_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'open', '', ?, ?)",
        new.id.as_str(),
        new.key.tenant.as_str(),
        new.key.cluster.as_str(),
        new.key.kind.as_str(),
        new.key.name,
        verb,
        new.actor,
        new.reason,
        to_column(now),
        to_column(now)
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

/// Files a request, unless the very same is open: then that one is the answer.
pub(crate) async fn file(
    tx: &mut Tx,
    new: &NewRequest,
    now: Timestamp,
    operation: &'static str,
) -> Result<ServiceRequest> {
    let verb = json(serde_json::to_string(&new.verb), WHAT)?;
    if let Some(first) = twin(tx, &new.key, &verb, operation).await? {
        return Ok(first);
    }
    insert(tx, new, &verb, now, operation).await?;
    audit::append(tx, &events::requested(new, now)).await?;
    filed(new, now)
}

/// Answers an open request, with its row of the audit trail.
pub(crate) async fn resolve(
    tx: &mut Tx,
    request: &RequestId,
    outcome: &RequestOutcome,
    actor: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    let row = sqlx::query_as!(
        AskedRow,
        "SELECT tenant, cluster, object_kind, object_name, state FROM requests WHERE id = ?",
        request.as_str()
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?
    .ok_or_else(|| Error::NotFound { what: WHAT, id: request.to_string() })?;
    let key = row.open(request)?;
    let answer = Answer::new(outcome);
    if let Some(action) = answer.action {
        Answer::fits(request, &key, &transition::object_of(tx, action, operation).await?)?;
    }
    sqlx::query!(
        "UPDATE requests SET state = ?, action_id = ?, detail = ?, updated_at = ? WHERE id = ?",
        answer.state.as_str(),
        answer.action.map(ActionId::as_str),
        answer.detail,
        to_column(now),
        request.as_str()
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    audit::append(tx, &answer.event(request, key, actor, now)).await
}

#[async_trait]
impl Requests for SqliteStore {
    async fn submit(&self, requests: &[NewRequest], now: Timestamp) -> Result<Vec<ServiceRequest>> {
        const OPERATION: &str = "file requests";
        let mut tx = self.write(OPERATION).await?;
        let mut filed = Vec::with_capacity(requests.len());
        for new in requests {
            filed.push(file(&mut tx, new, now, OPERATION).await?);
        }
        tx.commit().await.during(OPERATION)?;
        Ok(filed)
    }

    async fn requests(&self, filter: &RequestFilter) -> Result<Vec<ServiceRequest>> {
        const OPERATION: &str = "list requests";
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT id, tenant, cluster, object_kind, object_name, verb, actor, reason, state, \
             action_id, detail, created_at, updated_at FROM requests WHERE true",
        );
        if let Some(state) = filter.state {
            query.push(" AND state = ").push_bind(state.as_str());
        }
        query::push_words(&mut query, "id", filter.ids.iter().map(RequestId::as_str));
        query.push(" ORDER BY seq LIMIT ").push_bind(query::limit(filter.limit));
        let rows: Vec<RequestRow> =
            query.build_query_as().fetch_all(&self.readers).await.during(OPERATION)?;
        rows.into_iter().map(RequestRow::read).collect()
    }

    async fn resolve_request(
        &self,
        fence: &Fence,
        request: &RequestId,
        outcome: &RequestOutcome,
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "answer a request";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        resolve(&mut tx, request, outcome, &leader, now, OPERATION).await?;
        tx.commit().await.during(OPERATION)
    }
}

//! Requests by hand, and the leader's answers.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::identity::{ActionId, RequestId};
use skep_core::request::{NewRequest, ServiceRequest};
use skep_store::{Error, Fence, RequestFilter, RequestOutcome, Requests, Result};
use skep_store_sql::instant::to_column;
use skep_store_sql::{Answer, AskedRow, RequestRow, events, filed, json};
use sqlx::{Postgres, QueryBuilder};

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::write::Write;
use crate::{PostgresStore, audit, query, transition};

const WHAT: &str = "request";

/// The open request for the same thing, or the very request when it is filed already.
async fn twin(
    tx: &mut Session<'_>,
    new: &NewRequest,
    verb: &str,
    operation: &'static str,
) -> Result<Option<ServiceRequest>> {
    sqlx::query_as!(
        RequestRow,
        "SELECT id, tenant, cluster, object_kind, object_name, verb, actor, reason, state, \
         action_id, detail, created_at, updated_at FROM requests \
         WHERE id = $6 OR (tenant = $1 AND cluster = $2 AND object_kind = $3 \
         AND object_name = $4 AND verb = $5 AND state = 'open') \
         ORDER BY id = $6 DESC LIMIT 1",
        new.key.tenant.as_str(),
        new.key.cluster.as_str(),
        new.key.kind.as_str(),
        new.key.name,
        verb,
        new.id.as_str()
    )
    .fetch_optional(&mut *tx)
    .await
    .during(operation)?
    .map(RequestRow::read)
    .transpose()
}

/// Files a request; `false` when somebody else filed the same meanwhile.
async fn insert(
    tx: &mut Session<'_>,
    new: &NewRequest,
    verb: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<bool> {
    let inserted = sqlx::query!(
        "INSERT INTO requests (id, tenant, cluster, object_kind, object_name, verb, actor, \
         reason, state, detail, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'open', '', $9, $9) \
         ON CONFLICT (tenant, cluster, object_kind, object_name, verb) WHERE state = 'open' \
         DO NOTHING",
        new.id.as_str(),
        new.key.tenant.as_str(),
        new.key.cluster.as_str(),
        new.key.kind.as_str(),
        new.key.name,
        verb,
        new.actor,
        new.reason,
        to_column(now)
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(inserted.rows_affected() == 1)
}

async fn file(
    tx: &mut Write,
    new: &NewRequest,
    verb: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<ServiceRequest> {
    loop {
        if let Some(first) = twin(tx, new, verb, operation).await? {
            return Ok(first);
        }
        // What was in the way of the insert is committed, so the next look finds it.
        if insert(tx, new, verb, now, operation).await? {
            audit::append(tx, &events::requested(new, now)).await?;
            return filed(new, now);
        }
    }
}

/// Files one request, unless the very same is open: then that one is the answer.
pub(crate) async fn file_one(
    tx: &mut Write,
    new: &NewRequest,
    now: Timestamp,
    operation: &'static str,
) -> Result<ServiceRequest> {
    let verb = json(serde_json::to_string(&new.verb), WHAT)?;
    file(tx, new, &verb, now, operation).await
}

/// Answers an open request, with its row of the audit trail.
pub(crate) async fn resolve(
    tx: &mut Write,
    request: &RequestId,
    outcome: &RequestOutcome,
    actor: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    let row = sqlx::query_as!(
        AskedRow,
        "SELECT tenant, cluster, object_kind, object_name, state FROM requests WHERE id = $1 \
         FOR UPDATE",
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
        "UPDATE requests SET state = $1, action_id = $2, detail = $3, updated_at = $4 \
         WHERE id = $5",
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
impl Requests for PostgresStore {
    async fn submit(&self, requests: &[NewRequest], now: Timestamp) -> Result<Vec<ServiceRequest>> {
        const OPERATION: &str = "file requests";
        let verbs = requests.iter().map(|new| json(serde_json::to_string(&new.verb), WHAT));
        let verbs: Vec<String> = verbs.collect::<Result<_>>()?;
        // In one order, whatever order they were asked in: two people who ask for the same at
        // once would wait for each other.
        let mut ordered: Vec<_> = requests.iter().zip(&verbs).enumerate().collect();
        ordered.sort_by_key(|(_, (new, verb))| (&new.key, *verb));
        let mut tx = self.write(OPERATION).await?;
        let mut filed = Vec::with_capacity(requests.len());
        for (place, (new, verb)) in ordered {
            filed.push((place, file(&mut tx, new, verb, now, OPERATION).await?));
        }
        tx.commit().await?;
        filed.sort_by_key(|(place, _)| *place);
        Ok(filed.into_iter().map(|(_, request)| request).collect())
    }

    async fn requests(&self, filter: &RequestFilter) -> Result<Vec<ServiceRequest>> {
        const OPERATION: &str = "list requests";
        let mut query = QueryBuilder::<Postgres>::new(
            "SELECT id, tenant, cluster, object_kind, object_name, verb, actor, reason, state, \
             action_id, detail, created_at, updated_at FROM requests WHERE true",
        );
        if let Some(state) = filter.state {
            query.push(" AND state = ").push_bind(state.as_str());
        }
        if !filter.ids.is_empty() {
            let ids: Vec<&str> = filter.ids.iter().map(RequestId::as_str).collect();
            query.push(" AND id = ANY(").push_bind(ids).push(")");
        }
        query.push(" ORDER BY seq LIMIT ").push_bind(query::limit(filter.limit));
        let mut tx = self.read(OPERATION).await?;
        let rows: Vec<RequestRow> =
            query.build_query_as().fetch_all(&mut *tx).await.during(OPERATION)?;
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
        tx.commit().await
    }
}

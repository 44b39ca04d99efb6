//! Requests by hand, and the leader's answers.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::audit::{AuditData, AuditEvent, AuditKind};
use skep_core::identity::{ActionId, ObjectKey, RequestId};
use skep_core::request::{NewRequest, RequestState, ServiceRequest};
use skep_store::{Error, Fence, RequestFilter, RequestOutcome, Requests, Result};
use sqlx::{QueryBuilder, Sqlite};

use crate::error::IntoStoreError as _;
use crate::transition::Head;
use crate::{SqliteStore, Tx, audit, clock, row};

const WHAT: &str = "request";

/// A row of `requests`.
#[derive(sqlx::FromRow)]
struct RequestRow {
    id: String,
    tenant: String,
    cluster: String,
    object_kind: String,
    object_name: String,
    verb: String,
    actor: String,
    reason: Option<String>,
    state: String,
    action_id: Option<String>,
    detail: String,
    created_at: i64,
    updated_at: i64,
}

impl RequestRow {
    fn read(self) -> Result<ServiceRequest> {
        Ok(ServiceRequest {
            id: RequestId::new(self.id),
            key: row::key(self.tenant, self.cluster, &self.object_kind, self.object_name, WHAT)?,
            verb: serde_json::from_str(&self.verb)
                .map_err(|error| row::json_error(&error, WHAT))?,
            actor: self.actor,
            reason: self.reason,
            state: row::word(&self.state, RequestState::from_word, WHAT)?,
            action: self.action_id.map(ActionId::new),
            detail: self.detail,
            created_at: clock::from_column(self.created_at, WHAT)?,
            updated_at: clock::from_column(self.updated_at, WHAT)?,
        })
    }
}

/// The open request for the same thing, if there is one.
async fn open_twin(
    tx: &mut Tx,
    key: &ObjectKey,
    verb: &str,
    operation: &'static str,
) -> Result<Option<ServiceRequest>> {
    let tenant = key.tenant.as_str();
    let cluster = key.cluster.as_str();
    let kind = key.kind.as_str();
    sqlx::query_as!(
        RequestRow,
        "SELECT id, tenant, cluster, object_kind, object_name, verb, actor, reason, state, \
         action_id, detail, created_at, updated_at FROM requests \
         WHERE tenant = ? AND cluster = ? AND object_kind = ? AND object_name = ? AND verb = ? \
         AND state = 'open'",
        tenant,
        cluster,
        kind,
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
) -> Result<ServiceRequest> {
    let id = new.id.as_str();
    let tenant = new.key.tenant.as_str();
    let cluster = new.key.cluster.as_str();
    let kind = new.key.kind.as_str();
    let at = clock::to_column(now);
    sqlx::query!(
        "INSERT INTO requests (id, tenant, cluster, object_kind, object_name, verb, actor, \
         reason, state, detail, created_at, updated_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'open', '', ?, ?)",
        id,
        tenant,
        cluster,
        kind,
        new.key.name,
        verb,
        new.actor,
        new.reason,
        at,
        at
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    let said = new.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let event = AuditEvent {
        at: now,
        kind: AuditKind::Requested,
        actor: new.actor.clone(),
        key: Some(new.key.clone()),
        action: None,
        detail: format!("{} (request {id}){said}", new.verb),
        data: Some(AuditData::Request {
            request: new.id.clone(),
            asks: Some(new.verb.to_string()),
            reason: new.reason.clone(),
        }),
    };
    audit::append(tx, &event).await?;
    let at = clock::from_column(at, WHAT)?;
    Ok(ServiceRequest {
        id: new.id.clone(),
        key: new.key.clone(),
        verb: new.verb.clone(),
        actor: new.actor.clone(),
        reason: new.reason.clone(),
        state: RequestState::Open,
        action: None,
        detail: String::new(),
        created_at: at,
        updated_at: at,
    })
}

/// Files a request, unless the very same is open: then that one is the answer.
pub(crate) async fn file(
    tx: &mut Tx,
    new: &NewRequest,
    now: Timestamp,
    operation: &'static str,
) -> Result<ServiceRequest> {
    let verb = serde_json::to_string(&new.verb).map_err(|error| row::json_error(&error, WHAT))?;
    match open_twin(tx, &new.key, &verb, operation).await? {
        Some(first) => Ok(first),
        None => insert(tx, new, &verb, now, operation).await,
    }
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
    let id = request.as_str();
    let row = sqlx::query!(
        "SELECT tenant, cluster, object_kind, object_name, state FROM requests WHERE id = ?",
        id
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?
    .ok_or_else(|| Error::NotFound { what: WHAT, id: id.to_owned() })?;
    if row.state != RequestState::Open.as_str() {
        return Err(Error::Conflict { what: WHAT, id: id.to_owned(), current: row.state });
    }
    let key = row::key(row.tenant, row.cluster, &row.object_kind, row.object_name, WHAT)?;
    let (state, kind, action, detail) = match outcome {
        RequestOutcome::Filed(action) => {
            if Head::load(tx, action, operation).await?.key != key {
                let why = "the action that answers it is about another object";
                return Err(Error::Refused { what: WHAT, id: id.to_owned(), why });
            }
            (RequestState::Filed, AuditKind::RequestFiled, Some(action), "")
        }
        RequestOutcome::Refused(why) => {
            (RequestState::Refused, AuditKind::RequestRefused, None, why.as_str())
        }
    };
    let state = state.as_str();
    let action_id = action.map(ActionId::as_str);
    let updated_at = clock::to_column(now);
    sqlx::query!(
        "UPDATE requests SET state = ?, action_id = ?, detail = ?, updated_at = ? WHERE id = ?",
        state,
        action_id,
        detail,
        updated_at,
        id
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    let said = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    let event = AuditEvent {
        at: now,
        kind,
        actor: actor.to_owned(),
        key: Some(key),
        action: action.cloned(),
        detail: format!("request {id}{said}"),
        data: Some(AuditData::Request { request: request.clone(), asks: None, reason: None }),
    };
    audit::append(tx, &event).await
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
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT id, tenant, cluster, object_kind, object_name, verb, actor, reason, state, \
             action_id, detail, created_at, updated_at FROM requests WHERE true",
        );
        if let Some(state) = filter.state {
            query.push(" AND state = ").push_bind(state.as_str());
        }
        if !filter.ids.is_empty() {
            let ids: serde_json::Value = filter.ids.iter().map(RequestId::as_str).collect();
            query.push(" AND id IN (SELECT value FROM json_each(");
            query.push_bind(ids.to_string()).push("))");
        }
        query.push(" ORDER BY seq LIMIT ").push_bind(row::limit(filter.limit));
        let rows: Vec<RequestRow> =
            query.build_query_as().fetch_all(&self.readers).await.during("list requests")?;
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

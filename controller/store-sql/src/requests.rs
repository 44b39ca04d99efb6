//! Rows of `requests`, and the answers to them.

use jiff::Timestamp;
use skep_core::audit::{AuditData, AuditEvent, AuditKind};
use skep_core::identity::{ActionId, ObjectKey, RequestId};
use skep_core::request::{NewRequest, RequestState, ServiceRequest};
use skep_store::{Error, RequestOutcome, Result};

use crate::columns::{json_error, key, word};
use crate::instant::{from_column, to_column};

const WHAT: &str = "request";

/// A row of `requests`.
#[derive(sqlx::FromRow)]
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct RequestRow {
    pub id: String,
    pub tenant: String,
    pub cluster: String,
    pub object_kind: String,
    pub object_name: String,
    pub verb: String,
    pub actor: String,
    pub reason: Option<String>,
    pub state: String,
    pub action_id: Option<String>,
    pub detail: String,
    pub created_at: i64,
    pub updated_at: i64,
}

impl RequestRow {
    /// The request.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<ServiceRequest> {
        Ok(ServiceRequest {
            id: RequestId::new(self.id),
            key: key(self.tenant, self.cluster, &self.object_kind, self.object_name, WHAT)?,
            verb: serde_json::from_str(&self.verb).map_err(|error| json_error(&error, WHAT))?,
            actor: self.actor,
            reason: self.reason,
            state: word(&self.state, RequestState::from_word, WHAT)?,
            action: self.action_id.map(ActionId::new),
            detail: self.detail,
            created_at: from_column(self.created_at, WHAT)?,
            updated_at: from_column(self.updated_at, WHAT)?,
        })
    }
}

/// A new request as it is read back: its instants as fine as columns are.
///
/// # Errors
/// [`Error::Corrupt`] for an impossible instant.
pub fn filed(new: &NewRequest, now: Timestamp) -> Result<ServiceRequest> {
    let at = from_column(to_column(now), WHAT)?;
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

/// The part of a row of `requests` that an answer needs.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct AskedRow {
    pub tenant: String,
    pub cluster: String,
    pub object_kind: String,
    pub object_name: String,
    pub state: String,
}

impl AskedRow {
    /// The object of a request that has no answer yet.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it has one.
    pub fn open(self, id: &RequestId) -> Result<ObjectKey> {
        if self.state != RequestState::Open.as_str() {
            return Err(Error::Conflict { what: WHAT, id: id.to_string(), current: self.state });
        }
        key(self.tenant, self.cluster, &self.object_kind, self.object_name, WHAT)
    }
}

/// What an answer writes.
pub struct Answer<'a> {
    /// The request's new state.
    pub state: RequestState,
    /// The action that it has become.
    pub action: Option<&'a ActionId>,
    /// Why it was refused.
    pub detail: &'a str,
    kind: AuditKind,
}

impl<'a> Answer<'a> {
    /// Reads the leader's answer.
    #[must_use]
    pub fn new(outcome: &'a RequestOutcome) -> Self {
        match outcome {
            RequestOutcome::Filed(action) => Self {
                state: RequestState::Filed,
                action: Some(action),
                detail: "",
                kind: AuditKind::RequestFiled,
            },
            RequestOutcome::Refused(why) => Self {
                state: RequestState::Refused,
                action: None,
                detail: why,
                kind: AuditKind::RequestRefused,
            },
        }
    }

    /// Refuses an action about another object than the request's.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn fits(id: &RequestId, asked: &ObjectKey, answered: &ObjectKey) -> Result<()> {
        if asked == answered {
            return Ok(());
        }
        let why = "the action that answers it is about another object";
        Err(Error::Refused { what: WHAT, id: id.to_string(), why })
    }

    /// The row of the audit trail.
    #[must_use]
    pub fn event(&self, id: &RequestId, key: ObjectKey, actor: &str, now: Timestamp) -> AuditEvent {
        let said =
            if self.detail.is_empty() { String::new() } else { format!(": {}", self.detail) };
        AuditEvent {
            at: now,
            kind: self.kind,
            actor: actor.to_owned(),
            key: Some(key),
            action: self.action.cloned(),
            detail: format!("request {id}{said}"),
            data: Some(AuditData::Request { request: id.clone(), asks: None, reason: None }),
        }
    }
}

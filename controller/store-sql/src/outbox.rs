//! Rows of `outbox` and `outbox_deliveries`.

use jiff::Timestamp;
use skep_core::audit::{AuditEvent, AuditKind};
use skep_core::identity::NoticeId;
use skep_core::notice::{DeliveryState, Notice, NoticeKind};
use skep_store::{AttemptOutcome, Attempted, Delivery, Result};

use crate::columns::{json_error, word};
use crate::instant::{from_column, to_column};

const WHAT: &str = "message";

/// A row of `outbox`.
#[derive(sqlx::FromRow)]
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct NoticeRow {
    pub id: String,
    pub kind: String,
    pub body: String,
    pub at: i64,
}

impl NoticeRow {
    /// The message.
    ///
    /// # Errors
    /// [`skep_store::Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<Notice> {
        Ok(Notice {
            id: NoticeId::new(self.id),
            kind: word(&self.kind, NoticeKind::from_word, WHAT)?,
            body: serde_json::from_str(&self.body).map_err(|error| json_error(&error, WHAT))?,
            at: from_column(self.at, WHAT)?,
        })
    }
}

/// A row of `outbox_deliveries` with its message.
#[derive(sqlx::FromRow)]
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct DeliveryRow {
    pub id: String,
    pub kind: String,
    pub body: String,
    pub at: i64,
    pub endpoint: String,
    pub state: String,
    pub attempts: i64,
    pub next_at: i64,
    pub last_error: Option<String>,
    pub updated_at: i64,
}

impl DeliveryRow {
    /// The delivery.
    ///
    /// # Errors
    /// [`skep_store::Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<Delivery> {
        let notice = NoticeRow { id: self.id, kind: self.kind, body: self.body, at: self.at };
        Ok(Delivery {
            notice: notice.read()?,
            endpoint: self.endpoint,
            state: word(&self.state, DeliveryState::from_word, WHAT)?,
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            next_at: from_column(self.next_at, WHAT)?,
            last_error: self.last_error,
            updated_at: from_column(self.updated_at, WHAT)?,
        })
    }
}

/// What an attempt leaves in the row of its delivery.
pub struct AttemptColumns<'a> {
    /// Where it stands.
    pub state: DeliveryState,
    /// When it is tried next.
    pub next_at: i64,
    /// Why it failed.
    pub error: Option<&'a str>,
}

impl<'a> AttemptColumns<'a> {
    /// Reads what came of it.
    #[must_use]
    pub fn of(attempt: &'a Attempted, now: Timestamp) -> Self {
        let (state, next_at, error) = match &attempt.outcome {
            AttemptOutcome::Delivered => (DeliveryState::Delivered, now, None),
            AttemptOutcome::Again { at, error } => (DeliveryState::Waiting, *at, Some(error)),
            AttemptOutcome::GivenUp { error } => (DeliveryState::Dead, now, Some(error)),
        };
        Self { state, next_at: to_column(next_at), error: error.map(String::as_str) }
    }

    /// What the audit trail says when it is given up.
    #[must_use]
    pub fn given_up(&self, attempt: &Attempted) -> Option<String> {
        let error = self.error.filter(|_| self.state == DeliveryState::Dead)?;
        Some(format!("message {} to {}: {error}", attempt.notice, attempt.endpoint))
    }
}

/// A row of the audit trail about deliveries.
#[must_use]
pub fn about_deliveries(
    kind: AuditKind,
    actor: String,
    detail: String,
    at: Timestamp,
) -> AuditEvent {
    AuditEvent { at, kind, actor, key: None, action: None, detail, data: None }
}

//! Attempts that failed while their action goes on.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::audit::{AuditEvent, AuditKind};
use skep_core::identity::{ActionId, IntentId};
use skep_core::retry::Failure;
use skep_store::{Attempts, Error, FailedAttempt, Fence, Result, Retries};

use crate::error::IntoStoreError as _;
use crate::transition::Head;
use crate::{SqliteStore, Tx, audit, clock, intents, row};

const WHAT: &str = "attempt";

/// A row of `attempts`.
#[derive(sqlx::FromRow)]
struct AttemptRow {
    action_id: String,
    failed: i64,
    failure: String,
    detail: String,
    first_at: i64,
    last_at: i64,
    not_before: i64,
}

impl AttemptRow {
    fn read(self) -> Result<Attempts> {
        Ok(Attempts {
            action: ActionId::new(self.action_id),
            failed: row::count(self.failed, WHAT)?,
            failure: row::word(&self.failure, Failure::from_word, WHAT)?,
            detail: self.detail,
            first_at: clock::from_column(self.first_at, WHAT)?,
            last_at: clock::from_column(self.last_at, WHAT)?,
            not_before: clock::from_column(self.not_before, WHAT)?,
        })
    }
}

/// Counts one more failed attempt of an action.
pub(crate) async fn count(
    tx: &mut Tx,
    action: &ActionId,
    attempt: &FailedAttempt,
    detail: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<Attempts> {
    let id = action.as_str();
    let failure = attempt.failure.as_str();
    let at = clock::to_column(now);
    let not_before = clock::to_column(attempt.not_before);
    sqlx::query!(
        "INSERT INTO attempts (action_id, failed, failure, detail, first_at, last_at, not_before) \
         VALUES (?, 1, ?, ?, ?, ?, ?) \
         ON CONFLICT DO UPDATE SET failed = failed + 1, failure = excluded.failure, \
         detail = excluded.detail, last_at = excluded.last_at, not_before = excluded.not_before",
        id,
        failure,
        detail,
        at,
        at,
        not_before
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    let counted = load(tx, action, operation).await?;
    counted.ok_or_else(|| Error::NotFound { what: WHAT, id: id.to_owned() })
}

/// The failed attempts of an action, if there are any.
pub(crate) async fn load(
    tx: &mut Tx,
    action: &ActionId,
    operation: &'static str,
) -> Result<Option<Attempts>> {
    let id = action.as_str();
    sqlx::query_as!(
        AttemptRow,
        "SELECT action_id, failed, failure, detail, first_at, last_at, not_before FROM attempts \
         WHERE action_id = ?",
        id
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?
    .map(AttemptRow::read)
    .transpose()
}

#[async_trait]
impl Retries for SqliteStore {
    async fn note_attempt(
        &self,
        fence: &Fence,
        intent: &IntentId,
        attempt: &FailedAttempt,
        detail: &str,
        now: Timestamp,
    ) -> Result<Attempts> {
        const OPERATION: &str = "count a failed attempt";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        let open = intents::load_open(&mut tx, intent, OPERATION).await?;
        let head = Head::load(&mut tx, &open.action, OPERATION).await?;
        let counted = count(&mut tx, &head.id, attempt, detail, now, OPERATION).await?;
        let data = head.facts(&mut tx, head.state, OPERATION).await?;
        let event = AuditEvent {
            at: now,
            kind: AuditKind::AttemptFailed,
            actor: leader,
            key: Some(head.key),
            action: Some(head.id),
            detail: format!("attempt {} failed ({}): {detail}", counted.failed, attempt.failure),
            data: Some(data),
        };
        audit::append(&mut tx, &event).await?;
        tx.commit().await.during(OPERATION)?;
        Ok(counted)
    }

    async fn attempts(&self, action: &ActionId) -> Result<Option<Attempts>> {
        const OPERATION: &str = "read failed attempts";
        let id = action.as_str();
        sqlx::query_as!(
            AttemptRow,
            "SELECT action_id, failed, failure, detail, first_at, last_at, not_before \
             FROM attempts WHERE action_id = ?",
            id
        )
        .fetch_optional(&self.readers)
        .await
        .during(OPERATION)?
        .map(AttemptRow::read)
        .transpose()
    }

    async fn open_attempts(&self) -> Result<Vec<Attempts>> {
        let rows = sqlx::query_as!(
            AttemptRow,
            "SELECT t.action_id, t.failed, t.failure, t.detail, t.first_at, t.last_at, \
             t.not_before FROM attempts AS t JOIN actions AS a ON a.id = t.action_id \
             WHERE a.state IN ('granted', 'executing') ORDER BY a.seq"
        )
        .fetch_all(&self.readers)
        .await
        .during("read failed attempts")?;
        rows.into_iter().map(AttemptRow::read).collect()
    }
}

//! Attempts that failed while their action goes on.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::identity::{ActionId, IntentId};
use skep_store::{Attempts, FailedAttempt, Fence, Result, Retries};
use skep_store_sql::instant::to_column;
use skep_store_sql::letters::{AttemptRow, attempt_failed};

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::{PostgresStore, audit, intents, transition};

/// Counts one more failed attempt of an action.
pub(crate) async fn count(
    tx: &mut Session<'_>,
    action: &ActionId,
    attempt: &FailedAttempt,
    detail: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<Attempts> {
    sqlx::query_as!(
        AttemptRow,
        "INSERT INTO attempts (action_id, failed, failure, detail, first_at, last_at, not_before) \
         VALUES ($1, 1, $2, $3, $4, $4, $5) \
         ON CONFLICT (action_id) DO UPDATE SET failed = attempts.failed + 1, \
         failure = excluded.failure, detail = excluded.detail, last_at = excluded.last_at, \
         not_before = excluded.not_before \
         RETURNING action_id, failed, failure, detail, first_at, last_at, not_before",
        action.as_str(),
        attempt.failure.as_str(),
        detail,
        to_column(now),
        to_column(attempt.not_before)
    )
    .fetch_one(&mut *tx)
    .await
    .during(operation)?
    .read()
}

/// The failed attempts of an action, if there are any.
pub(crate) async fn load(
    tx: &mut Session<'_>,
    action: &ActionId,
    operation: &'static str,
) -> Result<Option<Attempts>> {
    sqlx::query_as!(
        AttemptRow,
        "SELECT action_id, failed, failure, detail, first_at, last_at, not_before FROM attempts \
         WHERE action_id = $1",
        action.as_str()
    )
    .fetch_optional(&mut *tx)
    .await
    .during(operation)?
    .map(AttemptRow::read)
    .transpose()
}

#[async_trait]
impl Retries for PostgresStore {
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
        let head = transition::load(&mut tx, &open.action, OPERATION).await?;
        let counted = count(&mut tx, &head.id, attempt, detail, now, OPERATION).await?;
        let started = audit::attempts(&mut tx, &head.id, OPERATION).await?;
        let event = attempt_failed(head, &counted, attempt, detail, started, leader, now);
        audit::append(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(counted)
    }

    async fn attempts(&self, action: &ActionId) -> Result<Option<Attempts>> {
        const OPERATION: &str = "read failed attempts";
        let mut tx = self.read(OPERATION).await?;
        load(&mut tx, action, OPERATION).await
    }

    async fn open_attempts(&self) -> Result<Vec<Attempts>> {
        const OPERATION: &str = "read failed attempts";
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query_as!(
            AttemptRow,
            "SELECT t.action_id, t.failed, t.failure, t.detail, t.first_at, t.last_at, \
             t.not_before FROM attempts AS t JOIN actions AS a ON a.id = t.action_id \
             WHERE a.state IN ('granted', 'executing') ORDER BY a.seq"
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        rows.into_iter().map(AttemptRow::read).collect()
    }
}

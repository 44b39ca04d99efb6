//! The outbox: messages in the transaction of what they tell, and their deliveries.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::audit::{AuditEvent, AuditKind};
use skep_core::identity::NoticeId;
use skep_core::notice::{DeliveryState, Notice, NoticeKind};
use skep_store::{
    AttemptOutcome, Attempted, Delivery, DeliveryFilter, Endpoint, Fence, Outbox, Result, Tidied,
};
use sqlx::{QueryBuilder, Sqlite};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, audit, clock, row};

const WHAT: &str = "message";

/// A row of `outbox`.
#[derive(sqlx::FromRow)]
struct NoticeRow {
    id: String,
    kind: String,
    body: String,
    at: i64,
}

impl NoticeRow {
    fn read(self) -> Result<Notice> {
        Ok(Notice {
            id: NoticeId::new(self.id),
            kind: row::word(&self.kind, NoticeKind::from_word, WHAT)?,
            body: serde_json::from_str(&self.body)
                .map_err(|error| row::json_error(&error, WHAT))?,
            at: clock::from_column(self.at, WHAT)?,
        })
    }
}

/// A row of `outbox_deliveries` with its message.
#[derive(sqlx::FromRow)]
struct DeliveryRow {
    id: String,
    kind: String,
    body: String,
    at: i64,
    endpoint: String,
    state: String,
    attempts: i64,
    next_at: i64,
    last_error: Option<String>,
    updated_at: i64,
}

impl DeliveryRow {
    fn read(self) -> Result<Delivery> {
        let notice = NoticeRow { id: self.id, kind: self.kind, body: self.body, at: self.at };
        Ok(Delivery {
            notice: notice.read()?,
            endpoint: self.endpoint,
            state: row::word(&self.state, DeliveryState::from_word, WHAT)?,
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            next_at: clock::from_column(self.next_at, WHAT)?,
            last_error: self.last_error,
            updated_at: clock::from_column(self.updated_at, WHAT)?,
        })
    }
}

/// Records a message in the transaction of what it tells.
pub(crate) async fn record(tx: &mut Tx, notice: &Notice, operation: &'static str) -> Result<()> {
    let id = notice.id.as_str();
    let kind = notice.kind.as_str();
    let body = notice.body.to_string();
    let at = clock::to_column(notice.at);
    sqlx::query!(
        "INSERT INTO outbox (id, kind, body, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        id,
        kind,
        body,
        at
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

/// Where an endpoint stands, put on record at its first sight with the newest message.
async fn seen(tx: &mut Tx, endpoint: &str, operation: &'static str) -> Result<i64> {
    sqlx::query!(
        "INSERT INTO outbox_endpoints (endpoint, seen) \
         SELECT ?, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0) \
         WHERE true ON CONFLICT DO NOTHING",
        endpoint
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    sqlx::query_scalar!("SELECT seen FROM outbox_endpoints WHERE endpoint = ?", endpoint)
        .fetch_one(&mut **tx)
        .await
        .during(operation)
}

/// The conditions of a filter, over `d` (deliveries).
fn push_filter(query: &mut QueryBuilder<Sqlite>, filter: &DeliveryFilter) {
    if let Some(state) = filter.state {
        query.push(" AND d.state = ").push_bind(state.as_str());
    }
    if let Some(endpoint) = &filter.endpoint {
        query.push(" AND d.endpoint = ").push_bind(endpoint.clone());
    }
    if let Some(notice) = &filter.notice {
        query.push(" AND d.notice_id >= ").push_bind(notice.clone());
        query.push(" AND d.notice_id < ").push_bind(row::prefix_end(notice));
    }
}

#[async_trait]
impl Outbox for SqliteStore {
    async fn enqueue(&self, notices: &[Notice]) -> Result<()> {
        const OPERATION: &str = "record messages";
        let mut tx = self.write(OPERATION).await?;
        for notice in notices {
            record(&mut tx, notice, OPERATION).await?;
        }
        tx.commit().await.during(OPERATION)
    }

    async fn notices(&self, limit: u32) -> Result<Vec<Notice>> {
        let limit = row::limit(limit);
        let rows = sqlx::query_as!(
            NoticeRow,
            "SELECT id, kind, body, at FROM outbox ORDER BY seq DESC LIMIT ?",
            limit
        )
        .fetch_all(&self.readers)
        .await
        .during("read messages")?;
        rows.into_iter().map(NoticeRow::read).collect()
    }

    async fn spread(&self, fence: &Fence, endpoints: &[Endpoint], now: Timestamp) -> Result<u64> {
        const OPERATION: &str = "spread messages";
        let newest = sqlx::query_scalar!(
            r#"SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0) AS "seq!: i64""#
        )
        .fetch_one(&self.readers)
        .await
        .during(OPERATION)?;
        let known = sqlx::query!("SELECT endpoint, seen FROM outbox_endpoints")
            .fetch_all(&self.readers)
            .await
            .during(OPERATION)?;
        let is_behind = |endpoint: &Endpoint| {
            known.iter().find(|row| row.endpoint == *endpoint).is_none_or(|row| row.seen < newest)
        };
        if !endpoints.iter().any(is_behind) {
            return Ok(0);
        }
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        let at = clock::to_column(now);
        let mut made = 0;
        for endpoint in endpoints {
            let seen = seen(&mut tx, endpoint, OPERATION).await?;
            let inserted = sqlx::query!(
                "INSERT INTO outbox_deliveries \
                 (notice_id, endpoint, state, attempts, next_at, updated_at) \
                 SELECT id, ?, 'waiting', 0, ?, ? FROM outbox WHERE seq > ? ORDER BY seq",
                endpoint,
                at,
                at,
                seen
            )
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
            made += inserted.rows_affected();
            sqlx::query!(
                "UPDATE outbox_endpoints \
                 SET seen = coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0) \
                 WHERE endpoint = ?",
                endpoint
            )
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
        }
        tx.commit().await.during(OPERATION)?;
        Ok(made)
    }

    async fn due(&self, endpoint: &str, now: Timestamp, limit: u32) -> Result<Vec<Delivery>> {
        let (now, limit) = (clock::to_column(now), row::limit(limit));
        let rows = sqlx::query_as!(
            DeliveryRow,
            "SELECT o.id, o.kind, o.body, o.at, d.endpoint, d.state, d.attempts, d.next_at, \
             d.last_error, d.updated_at \
             FROM outbox_deliveries AS d JOIN outbox AS o ON o.id = d.notice_id \
             WHERE d.state = 'waiting' AND d.endpoint = ? AND d.next_at <= ? \
             ORDER BY d.next_at, d.seq LIMIT ?",
            endpoint,
            now,
            limit
        )
        .fetch_all(&self.readers)
        .await
        .during("read due messages")?;
        rows.into_iter().map(DeliveryRow::read).collect()
    }

    async fn attempted(&self, fence: &Fence, attempt: &Attempted, now: Timestamp) -> Result<()> {
        const OPERATION: &str = "record an attempt to deliver";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        let (notice, at) = (attempt.notice.as_str(), clock::to_column(now));
        let (state, next_at, error) = match &attempt.outcome {
            AttemptOutcome::Delivered => (DeliveryState::Delivered, at, None),
            AttemptOutcome::Again { at, error } => {
                (DeliveryState::Waiting, clock::to_column(*at), Some(error.as_str()))
            }
            AttemptOutcome::GivenUp { error } => (DeliveryState::Dead, at, Some(error.as_str())),
        };
        let word = state.as_str();
        let changed = sqlx::query!(
            "UPDATE outbox_deliveries SET state = ?, attempts = attempts + 1, next_at = ?, \
             last_error = ?, updated_at = ? \
             WHERE notice_id = ? AND endpoint = ? AND state = 'waiting'",
            word,
            next_at,
            error,
            at,
            notice,
            attempt.endpoint
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        if let (DeliveryState::Dead, 1, Some(error)) = (state, changed.rows_affected(), error) {
            let detail = format!("message {notice} to {}: {error}", attempt.endpoint);
            given_up(&mut tx, leader, detail, now).await?;
        }
        tx.commit().await.during(OPERATION)
    }

    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<Delivery>> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT o.id, o.kind, o.body, o.at, d.endpoint, d.state, d.attempts, d.next_at, \
             d.last_error, d.updated_at \
             FROM outbox_deliveries AS d JOIN outbox AS o ON o.id = d.notice_id WHERE true",
        );
        push_filter(&mut query, filter);
        query.push(" ORDER BY d.seq DESC LIMIT ").push_bind(row::limit(filter.limit));
        let rows: Vec<DeliveryRow> =
            query.build_query_as().fetch_all(&self.readers).await.during("list deliveries")?;
        rows.into_iter().map(DeliveryRow::read).collect()
    }

    async fn retry_deliveries(
        &self,
        filter: &DeliveryFilter,
        actor: &str,
        now: Timestamp,
    ) -> Result<u64> {
        const OPERATION: &str = "retry deliveries";
        let mut tx = self.write(OPERATION).await?;
        let at = clock::to_column(now);
        let mut query = QueryBuilder::<Sqlite>::new("UPDATE outbox_deliveries AS d SET next_at = ");
        query.push_bind(at).push(", updated_at = ").push_bind(at);
        query.push(", state = 'waiting' WHERE d.state IN ('waiting', 'dead')");
        push_filter(&mut query, filter);
        let changed = query.build().execute(&mut *tx).await.during(OPERATION)?.rows_affected();
        if changed == 0 {
            return Ok(0);
        }
        let event = AuditEvent {
            at: now,
            kind: AuditKind::NoticeRetried,
            actor: actor.to_owned(),
            key: None,
            action: None,
            detail: format!("{changed} deliveries"),
            data: None,
        };
        audit::append(&mut tx, &event).await?;
        tx.commit().await.during(OPERATION)?;
        Ok(changed)
    }

    async fn tidy(
        &self,
        fence: &Fence,
        give_up: Timestamp,
        forget: Timestamp,
        now: Timestamp,
    ) -> Result<Tidied> {
        const OPERATION: &str = "tidy the outbox";
        let (give_up, forget) = (clock::to_column(give_up), clock::to_column(forget));
        let needed = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM outbox_deliveries
                              WHERE state = 'waiting' AND updated_at < ?1)
               OR EXISTS (SELECT 1 FROM outbox WHERE at < ?2) AS "needed!: bool""#,
            give_up,
            forget
        )
        .fetch_one(&self.readers)
        .await
        .during(OPERATION)?;
        if !needed {
            return Ok(Tidied::default());
        }
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        let at = clock::to_column(now);
        let dead = sqlx::query!(
            "UPDATE outbox_deliveries SET state = 'dead', updated_at = ? WHERE state = 'waiting' \
             AND updated_at < ?",
            at,
            give_up
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?
        .rows_affected();
        if dead > 0 {
            let detail = format!("{dead} messages that were not delivered in time");
            given_up(&mut tx, leader, detail, now).await?;
        }
        sqlx::query!(
            "DELETE FROM outbox_deliveries WHERE notice_id IN (SELECT id FROM outbox WHERE at < ?)",
            forget
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        let forgotten = sqlx::query!("DELETE FROM outbox WHERE at < ?", forget)
            .execute(&mut *tx)
            .await
            .during(OPERATION)?
            .rows_affected();
        tx.commit().await.during(OPERATION)?;
        Ok(Tidied { given_up: dead, forgotten })
    }
}

async fn given_up(tx: &mut Tx, actor: String, detail: String, now: Timestamp) -> Result<()> {
    let kind = AuditKind::NoticeGivenUp;
    let event = AuditEvent { at: now, kind, actor, key: None, action: None, detail, data: None };
    audit::append(tx, &event).await
}

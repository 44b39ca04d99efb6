//! The outbox: messages in the transaction of what they tell, and their deliveries.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::audit::AuditKind;
use skep_core::notice::Notice;
use skep_store::{Attempted, Delivery, DeliveryFilter, Endpoint, Fence, Outbox, Result, Tidied};
use skep_store_sql::instant::to_column;
use skep_store_sql::outbox::{AttemptColumns, DeliveryRow, NoticeRow, about_deliveries};
use skep_store_sql::query::push_delivery_filter;
use sqlx::{QueryBuilder, Sqlite};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, audit, query};

/// Records a message in the transaction of what it tells.
pub(crate) async fn record(tx: &mut Tx, notice: &Notice, operation: &'static str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO outbox (id, kind, body, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        notice.id.as_str(),
        notice.kind.as_str(),
        notice.body.to_string(),
        to_column(notice.at)
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
        let limit = query::limit(limit);
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
        let at = to_column(now);
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
        let (now, limit) = (to_column(now), query::limit(limit));
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
        let columns = AttemptColumns::of(attempt, now);
        let changed = sqlx::query!(
            "UPDATE outbox_deliveries SET state = ?, attempts = attempts + 1, next_at = ?, \
             last_error = ?, updated_at = ? \
             WHERE notice_id = ? AND endpoint = ? AND state = 'waiting'",
            columns.state.as_str(),
            columns.next_at,
            columns.error,
            to_column(now),
            attempt.notice.as_str(),
            attempt.endpoint
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        if let (1, Some(detail)) = (changed.rows_affected(), columns.given_up(attempt)) {
            let event = about_deliveries(AuditKind::NoticeGivenUp, leader, detail, now);
            audit::append(&mut tx, &event).await?;
        }
        tx.commit().await.during(OPERATION)
    }

    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<Delivery>> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT o.id, o.kind, o.body, o.at, d.endpoint, d.state, d.attempts, d.next_at, \
             d.last_error, d.updated_at \
             FROM outbox_deliveries AS d JOIN outbox AS o ON o.id = d.notice_id WHERE true",
        );
        push_delivery_filter(&mut query, filter);
        query.push(" ORDER BY d.seq DESC LIMIT ").push_bind(query::limit(filter.limit));
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
        let at = to_column(now);
        let mut query = QueryBuilder::<Sqlite>::new("UPDATE outbox_deliveries AS d SET next_at = ");
        query.push_bind(at).push(", updated_at = ").push_bind(at);
        query.push(", state = 'waiting' WHERE d.state IN ('waiting', 'dead')");
        push_delivery_filter(&mut query, filter);
        let changed = query.build().execute(&mut *tx).await.during(OPERATION)?.rows_affected();
        if changed == 0 {
            return Ok(0);
        }
        let (actor, detail) = (actor.to_owned(), format!("{changed} deliveries"));
        let event = about_deliveries(AuditKind::NoticeRetried, actor, detail, now);
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
        let (give_up, forget) = (to_column(give_up), to_column(forget));
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
        let at = to_column(now);
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
            let event = about_deliveries(AuditKind::NoticeGivenUp, leader, detail, now);
            audit::append(&mut tx, &event).await?;
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

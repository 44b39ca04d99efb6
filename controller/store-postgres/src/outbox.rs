//! The outbox: messages in the transaction of what they tell, and their deliveries.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::audit::AuditKind;
use skep_core::notice::Notice;
use skep_store::{Attempted, Delivery, DeliveryFilter, Endpoint, Fence, Outbox, Result, Tidied};
use skep_store_sql::instant::to_column;
use skep_store_sql::outbox::{AttemptColumns, DeliveryRow, NoticeRow, about_deliveries};
use skep_store_sql::query::push_delivery_filter;
use sqlx::{Postgres, QueryBuilder};

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::{PostgresStore, audit, query};

/// Records a message in the transaction of what it tells.
///
/// Messages get their number when they are written and are seen when they are committed, so the
/// newest number says nothing about the smaller ones. Writers therefore hold a shared lock, and
/// whoever hands messages out by their number does it while no writer is under way.
pub(crate) async fn record(
    tx: &mut Session<'_>,
    notice: &Notice,
    operation: &'static str,
) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock_shared(hashtextextended('outbox', 0))")
        .execute(&mut *tx)
        .await
        .during(operation)?;
    sqlx::query!(
        "INSERT INTO outbox (id, kind, body, at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (id) DO NOTHING",
        notice.id.as_str(),
        notice.kind.as_str(),
        notice.body.to_string(),
        to_column(notice.at)
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(())
}

/// Where an endpoint stands, put on record at its first sight with the newest message.
async fn seen(
    tx: &mut Session<'_>,
    endpoint: &str,
    newest: i64,
    operation: &'static str,
) -> Result<i64> {
    sqlx::query!(
        "INSERT INTO outbox_endpoints (endpoint, seen) VALUES ($1, $2) \
         ON CONFLICT (endpoint) DO NOTHING",
        endpoint,
        newest
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    sqlx::query_scalar!("SELECT seen FROM outbox_endpoints WHERE endpoint = $1", endpoint)
        .fetch_one(&mut *tx)
        .await
        .during(operation)
}

/// Those who change many deliveries at once wait here for each other: in which order their rows
/// are found is nobody's promise.
async fn lock_deliveries(tx: &mut Session<'_>, operation: &'static str) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('deliveries', 0))")
        .execute(&mut *tx)
        .await
        .during(operation)?;
    Ok(())
}

async fn newest(tx: &mut Session<'_>, operation: &'static str) -> Result<i64> {
    sqlx::query_scalar!(r#"SELECT coalesce(max(seq), 0) AS "seq!" FROM outbox"#)
        .fetch_one(&mut *tx)
        .await
        .during(operation)
}

#[async_trait]
impl Outbox for PostgresStore {
    async fn enqueue(&self, notices: &[Notice]) -> Result<()> {
        const OPERATION: &str = "record messages";
        let mut tx = self.write(OPERATION).await?;
        for notice in notices {
            record(&mut tx, notice, OPERATION).await?;
        }
        tx.commit().await
    }

    async fn notices(&self, limit: u32) -> Result<Vec<Notice>> {
        const OPERATION: &str = "read messages";
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query_as!(
            NoticeRow,
            "SELECT id, kind, body, at FROM outbox ORDER BY seq DESC LIMIT $1",
            query::limit(limit)
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        rows.into_iter().map(NoticeRow::read).collect()
    }

    async fn spread(&self, fence: &Fence, endpoints: &[Endpoint], now: Timestamp) -> Result<u64> {
        const OPERATION: &str = "spread messages";
        let mut reading = self.read(OPERATION).await?;
        let known = sqlx::query!("SELECT endpoint, seen FROM outbox_endpoints")
            .fetch_all(&mut *reading)
            .await
            .during(OPERATION)?;
        let last = newest(&mut reading, OPERATION).await?;
        drop(reading);
        let is_behind = |endpoint: &Endpoint| {
            known.iter().find(|row| row.endpoint == *endpoint).is_none_or(|row| row.seen < last)
        };
        if !endpoints.iter().any(is_behind) {
            return Ok(0);
        }
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        let alone = sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_xact_lock(hashtextextended('outbox', 0)) AS "alone!""#
        )
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?;
        if !alone {
            // Writers never wait for this; the next call is soon.
            return Ok(0);
        }
        let last = newest(&mut tx, OPERATION).await?;
        let mut made = 0;
        for endpoint in endpoints {
            let seen = seen(&mut tx, endpoint, last, OPERATION).await?;
            let inserted = sqlx::query!(
                "INSERT INTO outbox_deliveries \
                 (notice_id, endpoint, state, attempts, next_at, updated_at) \
                 SELECT id, $1, 'waiting', 0, $2, $2 FROM outbox WHERE seq > $3 ORDER BY seq",
                endpoint,
                to_column(now),
                seen
            )
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
            made += inserted.rows_affected();
            sqlx::query!(
                "UPDATE outbox_endpoints SET seen = greatest(seen, $1) WHERE endpoint = $2",
                last,
                endpoint
            )
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
        }
        tx.commit().await?;
        Ok(made)
    }

    async fn due(&self, endpoint: &str, now: Timestamp, limit: u32) -> Result<Vec<Delivery>> {
        const OPERATION: &str = "read due messages";
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query_as!(
            DeliveryRow,
            "SELECT o.id, o.kind, o.body, o.at, d.endpoint, d.state, d.attempts, d.next_at, \
             d.last_error, d.updated_at \
             FROM outbox_deliveries AS d JOIN outbox AS o ON o.id = d.notice_id \
             WHERE d.state = 'waiting' AND d.endpoint = $1 AND d.next_at <= $2 \
             ORDER BY d.next_at, d.seq LIMIT $3",
            endpoint,
            to_column(now),
            query::limit(limit)
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        rows.into_iter().map(DeliveryRow::read).collect()
    }

    async fn attempted(&self, fence: &Fence, attempt: &Attempted, now: Timestamp) -> Result<()> {
        const OPERATION: &str = "record an attempt to deliver";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        let columns = AttemptColumns::of(attempt, now);
        let changed = sqlx::query!(
            "UPDATE outbox_deliveries SET state = $1, attempts = attempts + 1, next_at = $2, \
             last_error = $3, updated_at = $4 \
             WHERE notice_id = $5 AND endpoint = $6 AND state = 'waiting'",
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
        tx.commit().await
    }

    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<Delivery>> {
        const OPERATION: &str = "list deliveries";
        let mut query = QueryBuilder::<Postgres>::new(
            "SELECT o.id, o.kind, o.body, o.at, d.endpoint, d.state, d.attempts, d.next_at, \
             d.last_error, d.updated_at \
             FROM outbox_deliveries AS d JOIN outbox AS o ON o.id = d.notice_id WHERE true",
        );
        push_delivery_filter(&mut query, filter);
        query.push(" ORDER BY d.seq DESC LIMIT ").push_bind(query::limit(filter.limit));
        let mut tx = self.read(OPERATION).await?;
        let rows: Vec<DeliveryRow> =
            query.build_query_as().fetch_all(&mut *tx).await.during(OPERATION)?;
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
        lock_deliveries(&mut tx, OPERATION).await?;
        let at = to_column(now);
        let mut query =
            QueryBuilder::<Postgres>::new("UPDATE outbox_deliveries AS d SET next_at = ");
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
        tx.commit().await?;
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
        let mut reading = self.read(OPERATION).await?;
        let needed = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM outbox_deliveries
                              WHERE state = 'waiting' AND updated_at < $1)
               OR EXISTS (SELECT 1 FROM outbox WHERE at < $2) AS "needed!""#,
            give_up,
            forget
        )
        .fetch_one(&mut *reading)
        .await
        .during(OPERATION)?;
        drop(reading);
        if !needed {
            return Ok(Tidied::default());
        }
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        lock_deliveries(&mut tx, OPERATION).await?;
        let dead = sqlx::query!(
            "UPDATE outbox_deliveries SET state = 'dead', updated_at = $1 \
             WHERE state = 'waiting' AND updated_at < $2",
            to_column(now),
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
            "DELETE FROM outbox_deliveries \
             WHERE notice_id IN (SELECT id FROM outbox WHERE at < $1)",
            forget
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        let forgotten = sqlx::query!("DELETE FROM outbox WHERE at < $1", forget)
            .execute(&mut *tx)
            .await
            .during(OPERATION)?
            .rows_affected();
        tx.commit().await?;
        Ok(Tidied { given_up: dead, forgotten })
    }
}

//! The audit trail. Triggers refuse to change or delete a row, whoever asks; the chain shows it
//! when somebody has gone around them.

mod chains;
mod trail;

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::audit::{AuditEvent, AuditRecord};
use skep_core::identity::ActionId;
use skep_store::{Audit, AuditFilter, Result, TrailReader};
use skep_store_sql::AuditRow;
use skep_store_sql::chains::PlaceColumns;
use skep_store_sql::instant::to_column;
use skep_store_sql::query::push_audit_filter;
use sqlx::{QueryBuilder, Sqlite};

pub(crate) use self::chains::{ensure_roots, fits};
use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, query};

/// What every failure here is a failure of.
const OPERATION: &str = "append to the audit trail";

/// Appends one row to the writer's chain, in the transaction of what it records. Every row of the
/// trail comes through here.
pub(crate) async fn append(tx: &mut Tx, event: &AuditEvent) -> Result<()> {
    let head = chains::current(tx).await?;
    let seq = next_number(tx).await?;
    let (head, record) = head.append(tx.protection.audit(), seq, event);
    insert(tx, &record).await?;
    chains::move_on(tx, &head).await?;
    tx.appended = Some(head.length);
    Ok(())
}

/// The number is part of what is hashed, so it is known before the row is written. The write lock
/// is held; no number is given twice, also not that of a row that is gone.
async fn next_number(tx: &mut Tx) -> Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'audit'), 0),
           coalesce((SELECT max(seq) FROM audit), 0)) + 1 AS "next!: i64""#
    )
    .fetch_one(&mut **tx)
    .await
    .during(OPERATION)
}

async fn insert(tx: &mut Tx, record: &AuditRecord) -> Result<()> {
    let place = PlaceColumns::of(record);
    sqlx::query!(
        "INSERT INTO audit (seq, at, kind, actor, tenant, cluster, object_kind, object_name, \
         action_id, detail, data, form, chain, position, follows, link, mac) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        record.seq,
        record.at,
        record.kind,
        record.actor,
        record.tenant,
        record.cluster,
        record.object_kind,
        record.object_name,
        record.action,
        record.detail,
        record.data,
        place.form,
        place.chain,
        place.position,
        place.follows,
        place.link,
        place.mac
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(())
}

/// How many times an action has been started so far.
pub(crate) async fn attempts(
    tx: &mut Tx,
    action: &ActionId,
    operation: &'static str,
) -> Result<u32> {
    let count = sqlx::query_scalar!(
        "SELECT count(*) FROM audit WHERE action_id = ? AND kind = 'started'",
        action.as_str()
    )
    .fetch_one(&mut **tx)
    .await
    .during(operation)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

#[async_trait]
impl Audit for SqliteStore {
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEvent)>> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT seq, at, kind, actor, tenant, cluster, object_kind, object_name, action_id, \
             detail, data FROM audit WHERE true",
        );
        push_audit_filter(&mut query, filter);
        query.push(" ORDER BY seq DESC LIMIT ").push_bind(query::limit(filter.limit));
        let rows: Vec<AuditRow> =
            query.build_query_as().fetch_all(&self.readers).await.during(trail::OPERATION)?;
        rows.into_iter().map(AuditRow::read).collect()
    }

    async fn read_trail(&self, from: Option<i64>, reader: &mut dyn TrailReader) -> Result<()> {
        let mut tx = self.read(trail::OPERATION).await?;
        trail::read(&mut tx, from, reader).await
    }

    async fn first_since(&self, since: Timestamp) -> Result<Option<i64>> {
        sqlx::query_scalar!(
            r#"SELECT min(seq) AS "first: i64" FROM audit WHERE at >= ?"#,
            to_column(since)
        )
        .fetch_one(&self.readers)
        .await
        .during(trail::OPERATION)
    }
}

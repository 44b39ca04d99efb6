//! The audit trail. Triggers refuse to change or delete a row, whoever asks; the chain shows it
//! when somebody has gone around them.

mod chains;
mod trail;

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::audit::{AuditData, AuditEvent, AuditKind, AuditRecord};
use skep_core::identity::ActionId;
use skep_store::{Audit, AuditFilter, Result, TrailReader};
use sqlx::{QueryBuilder, Sqlite};

pub(crate) use self::chains::{ensure_roots, fits};
use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, clock, row};

const WHAT: &str = "audit row";

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
    let chained = record.chained.as_ref();
    let form = chained.map(|chained| chained.form);
    let chain = chained.map(|chained| chained.chain.as_str());
    let position = chained.map(|chained| chained.position);
    let follows = chained.and_then(|chained| chained.follows);
    let link = chained.map(|chained| chained.link.as_bytes());
    let mac = chained.map(|chained| chained.mac.as_bytes());
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
        form,
        chain,
        position,
        follows,
        link,
        mac
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
    let id = action.as_str();
    let count = sqlx::query_scalar!(
        "SELECT count(*) FROM audit WHERE action_id = ? AND kind = 'started'",
        id
    )
    .fetch_one(&mut **tx)
    .await
    .during(operation)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

#[derive(sqlx::FromRow)]
struct AuditRow {
    seq: i64,
    at: i64,
    kind: String,
    actor: String,
    tenant: Option<String>,
    cluster: Option<String>,
    object_kind: Option<String>,
    object_name: Option<String>,
    action_id: Option<String>,
    detail: String,
    data: Option<String>,
}

impl AuditRow {
    fn read(self) -> Result<(i64, AuditEvent)> {
        let key = row::optional_key(
            (self.tenant, self.cluster),
            (self.object_kind, self.object_name),
            WHAT,
        )?;
        let data = self.data.map(|json| serde_json::from_str::<AuditData>(&json)).transpose();
        let event = AuditEvent {
            at: clock::from_column(self.at, WHAT)?,
            kind: row::word(&self.kind, AuditKind::from_word, WHAT)?,
            actor: self.actor,
            key,
            action: self.action_id.map(ActionId::new),
            detail: self.detail,
            data: data.map_err(|error| row::json_error(&error, WHAT))?,
        };
        Ok((self.seq, event))
    }
}

/// The conditions of a filter.
fn push_filter(query: &mut QueryBuilder<Sqlite>, filter: &AuditFilter) {
    if let Some(action) = &filter.action {
        query.push(" AND action_id = ").push_bind(action.as_str().to_owned());
    }
    if let Some(key) = &filter.key {
        row::push_key(query, key);
    }
    if let Some(name) = &filter.name {
        query.push(" AND object_name = ").push_bind(name.clone());
    }
    if let Some(actor) = &filter.actor {
        query.push(" AND actor = ").push_bind(actor.clone());
    }
    if !filter.kinds.is_empty() {
        query.push(" AND kind IN (");
        let mut kinds = query.separated(", ");
        for kind in &filter.kinds {
            kinds.push_bind(kind.as_str());
        }
        query.push(")");
    }
    if let Some(since) = filter.since {
        query.push(" AND at >= ").push_bind(clock::to_column(since));
    }
    if let Some(until) = filter.until {
        query.push(" AND at < ").push_bind(clock::to_column(until));
    }
    if let Some(after) = filter.after {
        query.push(" AND seq > ").push_bind(after);
    }
}

#[async_trait]
impl Audit for SqliteStore {
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEvent)>> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT seq, at, kind, actor, tenant, cluster, object_kind, object_name, action_id, \
             detail, data FROM audit WHERE true",
        );
        push_filter(&mut query, filter);
        query.push(" ORDER BY seq DESC LIMIT ").push_bind(row::limit(filter.limit));
        let rows: Vec<AuditRow> =
            query.build_query_as().fetch_all(&self.readers).await.during(trail::OPERATION)?;
        rows.into_iter().map(AuditRow::read).collect()
    }

    async fn read_trail(&self, from: Option<i64>, reader: &mut dyn TrailReader) -> Result<()> {
        let mut tx = self.read(trail::OPERATION).await?;
        trail::read(&mut tx, from, reader).await
    }

    async fn first_since(&self, since: Timestamp) -> Result<Option<i64>> {
        let since = clock::to_column(since);
        sqlx::query_scalar!(r#"SELECT min(seq) AS "first: i64" FROM audit WHERE at >= ?"#, since)
            .fetch_one(&self.readers)
            .await
            .during(trail::OPERATION)
    }
}

//! The audit trail. Triggers refuse to change or delete a row, whoever asks.

use async_trait::async_trait;
use skep_core::audit::{AuditEvent, AuditKind};
use skep_core::identity::ActionId;
use skep_store::{Audit, AuditFilter, Result};
use sqlx::{QueryBuilder, Sqlite, Transaction};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, clock, row};

/// Appends one row, in the transaction of what it records. Every row of the trail comes through
/// here, with the write lock held: this is where a row can be chained to the one before it.
pub(crate) async fn append(tx: &mut Transaction<'_, Sqlite>, event: &AuditEvent) -> Result<()> {
    let at = clock::to_column(event.at);
    let kind = event.kind.as_str();
    let key = event.key.as_ref();
    let tenant = key.map(|key| key.tenant.as_str());
    let cluster = key.map(|key| key.cluster.as_str());
    let object_kind = key.map(|key| key.kind.as_str());
    let object_name = key.map(|key| key.name.as_str());
    let action = event.action.as_ref().map(ActionId::as_str);
    sqlx::query!(
        "INSERT INTO audit (at, kind, actor, tenant, cluster, object_kind, object_name, \
         action_id, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        at,
        kind,
        event.actor,
        tenant,
        cluster,
        object_kind,
        object_name,
        action,
        event.detail
    )
    .execute(&mut **tx)
    .await
    .during("append to the audit trail")?;
    Ok(())
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
}

impl AuditRow {
    fn read(self) -> Result<(i64, AuditEvent)> {
        const WHAT: &str = "audit row";
        let key = row::optional_key(
            (self.tenant, self.cluster),
            (self.object_kind, self.object_name),
            WHAT,
        )?;
        let event = AuditEvent {
            at: clock::from_column(self.at, WHAT)?,
            kind: row::word(&self.kind, AuditKind::from_word, WHAT)?,
            actor: self.actor,
            key,
            action: self.action_id.map(ActionId::new),
            detail: self.detail,
        };
        Ok((self.seq, event))
    }
}

#[async_trait]
impl Audit for SqliteStore {
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEvent)>> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT seq, at, kind, actor, tenant, cluster, object_kind, object_name, action_id, \
             detail FROM audit WHERE true",
        );
        if let Some(action) = &filter.action {
            query.push(" AND action_id = ").push_bind(action.as_str());
        }
        if let Some(key) = &filter.key {
            row::push_key(&mut query, key);
        }
        query.push(" ORDER BY seq DESC LIMIT ").push_bind(row::limit(filter.limit));
        let rows: Vec<AuditRow> =
            query.build_query_as().fetch_all(&self.readers).await.during("read the audit trail")?;
        rows.into_iter().map(AuditRow::read).collect()
    }
}

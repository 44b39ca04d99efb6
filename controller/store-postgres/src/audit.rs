//! The audit trail. Triggers refuse to change or delete a row, whoever asks.

use async_trait::async_trait;
use skep_core::audit::AuditEvent;
use skep_core::identity::ActionId;
use skep_store::{Audit, AuditFilter, Result};
use skep_store_sql::AuditRow;
use skep_store_sql::instant::to_column;
use sqlx::{PgConnection, Postgres, QueryBuilder};

use crate::error::IntoStoreError as _;
use crate::{PostgresStore, query};

/// Appends one row, in the transaction of what it records. Every row of the trail comes through
/// here.
pub(crate) async fn append(tx: &mut PgConnection, event: &AuditEvent) -> Result<()> {
    let key = event.key.as_ref();
    sqlx::query!(
        "INSERT INTO audit (at, kind, actor, tenant, cluster, object_kind, object_name, \
         action_id, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        to_column(event.at),
        event.kind.as_str(),
        event.actor,
        key.map(|key| key.tenant.as_str()),
        key.map(|key| key.cluster.as_str()),
        key.map(|key| key.kind.as_str()),
        key.map(|key| key.name.as_str()),
        event.action.as_ref().map(ActionId::as_str),
        event.detail
    )
    .execute(&mut *tx)
    .await
    .during("append to the audit trail")?;
    Ok(())
}

#[async_trait]
impl Audit for PostgresStore {
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<(i64, AuditEvent)>> {
        const OPERATION: &str = "read the audit trail";
        let mut query = QueryBuilder::<Postgres>::new(
            "SELECT seq, at, kind, actor, tenant, cluster, object_kind, object_name, action_id, \
             detail FROM audit WHERE true",
        );
        if let Some(action) = &filter.action {
            query.push(" AND action_id = ").push_bind(action.as_str());
        }
        if let Some(key) = &filter.key {
            query::push_key(&mut query, key);
        }
        query.push(" ORDER BY seq DESC LIMIT ").push_bind(query::limit(filter.limit));
        let mut tx = self.read(OPERATION).await?;
        let rows: Vec<AuditRow> =
            query.build_query_as().fetch_all(&mut *tx).await.during(OPERATION)?;
        rows.into_iter().map(AuditRow::read).collect()
    }
}

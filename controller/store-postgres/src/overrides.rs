//! Stored overrides: rows that end but never go away, and the counter that says they changed.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::gate::Override;
use skep_store::{OverrideFilter, Overrides, Result};
use skep_store_sql::instant::to_column;
use skep_store_sql::{
    OverrideColumns, OverrideRow, check_override, check_room, choose_override, override_lifted,
    override_placed, prefix_end,
};

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::{PostgresStore, audit};

/// Moves the counter. First in each write: its row is locked from then on, so that the number of
/// overrides in force does not change while it is looked at.
async fn moved(tx: &mut Session<'_>, operation: &'static str) -> Result<()> {
    sqlx::query!("UPDATE overrides_counter SET counter = counter + 1")
        .execute(&mut *tx)
        .await
        .during(operation)?;
    Ok(())
}

async fn insert(tx: &mut Session<'_>, new: &Override, operation: &'static str) -> Result<()> {
    let (rule, columns) = (&new.rule, OverrideColumns::of(new));
    sqlx::query!(
        "INSERT INTO overrides (id, name, kind, target, domain, tier, rate_max, rate_window, \
         blast_max, blast_window, maintenance_window, priority, fields, reason, actor, \
         created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        new.id.as_str(),
        rule.name,
        rule.kind,
        rule.target,
        rule.domain,
        rule.tier.as_str(),
        columns.rate_max,
        columns.rate_window,
        columns.blast_max,
        columns.blast_window,
        columns.maintenance_window,
        rule.priority,
        columns.fields,
        new.reason,
        new.actor,
        to_column(new.created_at),
        new.expires_at.map(to_column)
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(())
}

#[async_trait]
impl Overrides for PostgresStore {
    async fn place_override(&self, new: &Override) -> Result<()> {
        const OPERATION: &str = "place an override";
        check_override(new)?;
        let mut tx = self.write(OPERATION).await?;
        moved(&mut tx, OPERATION).await?;
        let in_force = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM overrides
               WHERE lifted_at IS NULL AND (expires_at IS NULL OR expires_at > $1)"#,
            to_column(new.created_at)
        )
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?;
        check_room(new, in_force)?;
        insert(&mut tx, new, OPERATION).await?;
        audit::append(&mut tx, &override_placed(new)).await?;
        tx.commit().await
    }

    async fn lift_override(&self, id: &str, actor: &str, now: Timestamp) -> Result<Override> {
        const OPERATION: &str = "lift an override";
        let mut tx = self.write(OPERATION).await?;
        moved(&mut tx, OPERATION).await?;
        let found = sqlx::query_as!(
            OverrideRow,
            "SELECT id, name, kind, target, domain, tier, rate_max, rate_window, blast_max, \
             blast_window, maintenance_window, priority, fields, reason, actor, created_at, \
             expires_at, lifted_at, lifted_by FROM overrides \
             WHERE id >= $1 AND id < $2 AND lifted_at IS NULL \
             AND (expires_at IS NULL OR expires_at > $3) ORDER BY id",
            id,
            prefix_end(id),
            to_column(now)
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        let only = choose_override(found, id)?;
        sqlx::query!(
            "UPDATE overrides SET lifted_at = $1, lifted_by = $2 WHERE id = $3",
            to_column(now),
            actor,
            only.id
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        let (lifted, event) = override_lifted(only, actor, now)?;
        audit::append(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(lifted)
    }

    async fn overrides(&self, filter: &OverrideFilter) -> Result<Vec<Override>> {
        const OPERATION: &str = "read the overrides";
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query_as!(
            OverrideRow,
            "SELECT id, name, kind, target, domain, tier, rate_max, rate_window, blast_max, \
             blast_window, maintenance_window, priority, fields, reason, actor, created_at, \
             expires_at, lifted_at, lifted_by FROM overrides \
             WHERE $1::bigint IS NULL OR ((lifted_at IS NULL OR lifted_at > $1) \
             AND (expires_at IS NULL OR expires_at > $1)) ORDER BY seq",
            filter.not_ended_by.map(to_column)
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        rows.into_iter().map(OverrideRow::read).collect()
    }

    async fn overrides_counter(&self) -> Result<i64> {
        const OPERATION: &str = "read the counter of overrides";
        let mut tx = self.read(OPERATION).await?;
        sqlx::query_scalar!("SELECT counter FROM overrides_counter")
            .fetch_one(&mut *tx)
            .await
            .during(OPERATION)
    }
}

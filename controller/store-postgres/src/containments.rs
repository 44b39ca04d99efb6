//! Containment: one row per service or domain that people stopped, one per service that was
//! stopped.

mod write;

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::ActuatorMode;
use skep_core::containment::{Confirmation, Contained, Containment, Order, RecordedState, Scope};
use skep_core::identity::{ClusterId, ObjectKey, TenantId};
use skep_store::{ContainmentWrite, Containments, Fence, Ordered, Result};
use skep_store_sql::containments::{self as shared, ContainmentRow, FormerStateRow, ScopedRow};
use skep_store_sql::instant::to_column;
use skep_store_sql::word;

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::{PostgresStore, audit};

/// Orders are carried out one after the other: what is decided on is often that no row is there,
/// and a row that is not there cannot be locked.
async fn lock_orders(tx: &mut Session<'_>, operation: &'static str) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('containment', 0))")
        .execute(&mut *tx)
        .await
        .during(operation)?;
    Ok(())
}

async fn load(
    tx: &mut Session<'_>,
    cluster: &ClusterId,
    scope: &Scope,
    operation: &'static str,
) -> Result<Option<Containment>> {
    let tenant = TenantId::default();
    sqlx::query_as!(
        ContainmentRow,
        "SELECT state, actor, reason, since, revision FROM containments \
         WHERE tenant = $1 AND cluster = $2 AND scope = $3 AND name = $4",
        tenant.as_str(),
        cluster.as_str(),
        scope.word(),
        scope.name()
    )
    .fetch_optional(&mut *tx)
    .await
    .during(operation)?
    .map(|row| row.read(cluster, scope.clone()))
    .transpose()
}

async fn put(
    tx: &mut Session<'_>,
    containment: &Containment,
    operation: &'static str,
) -> Result<()> {
    let tenant = TenantId::default();
    sqlx::query!(
        "INSERT INTO containments (tenant, cluster, scope, name, state, actor, reason, since, \
         revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (cluster, scope, name, tenant) DO UPDATE \
         SET state = excluded.state, actor = excluded.actor, \
         reason = excluded.reason, since = excluded.since, revision = excluded.revision",
        tenant.as_str(),
        containment.cluster.as_str(),
        containment.scope.word(),
        containment.scope.name(),
        containment.state.as_str(),
        containment.actor,
        containment.reason,
        to_column(containment.since),
        containment.revision
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(())
}

async fn remove(
    tx: &mut Session<'_>,
    cluster: &ClusterId,
    scope: &Scope,
    operation: &'static str,
) -> Result<()> {
    let tenant = TenantId::default();
    sqlx::query!(
        "DELETE FROM containments \
         WHERE tenant = $1 AND cluster = $2 AND scope = $3 AND name = $4",
        tenant.as_str(),
        cluster.as_str(),
        scope.word(),
        scope.name()
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(())
}

#[async_trait]
impl Containments for PostgresStore {
    async fn order(
        &self,
        cluster: &ClusterId,
        orders: &[Order],
        now: Timestamp,
    ) -> Result<Vec<Ordered>> {
        const OPERATION: &str = "record orders";
        let mut tx = self.write(OPERATION).await?;
        lock_orders(&mut tx, OPERATION).await?;
        let mut answers = Vec::with_capacity(orders.len());
        for order in orders {
            let current = load(&mut tx, cluster, &order.scope, OPERATION).await?;
            let answer = Containment::ordered(current, cluster, order, now);
            match &answer {
                Ok(Some(containment)) => put(&mut tx, containment, OPERATION).await?,
                Ok(None) => remove(&mut tx, cluster, &order.scope, OPERATION).await?,
                Err(_) => {}
            }
            if answer.is_ok() {
                audit::append(&mut tx, &shared::ordered(cluster, order, now)).await?;
            }
            answers.push(answer);
        }
        tx.commit().await?;
        Ok(answers)
    }

    async fn rehearse_orders(
        &self,
        cluster: &ClusterId,
        orders: &[Order],
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "record rehearsed orders";
        let mut tx = self.write(OPERATION).await?;
        for order in orders {
            audit::append(&mut tx, &shared::rehearsed(cluster, order, now)).await?;
        }
        tx.commit().await
    }

    async fn confirm(&self, confirmation: &Confirmation, now: Timestamp) -> Result<bool> {
        const OPERATION: &str = "record a confirmation";
        let mut tx = self.write(OPERATION).await?;
        lock_orders(&mut tx, OPERATION).await?;
        let (actor, digest) = (confirmation.actor.as_str(), confirmation.digest.as_str());
        sqlx::query!("DELETE FROM containment_confirmations WHERE until < $1", to_column(now))
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
        let taken = sqlx::query!(
            "DELETE FROM containment_confirmations WHERE actor = $1 AND digest = $2",
            actor,
            digest
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        let is_second = taken.rows_affected() > 0;
        if !is_second {
            sqlx::query!(
                "INSERT INTO containment_confirmations (actor, digest, until) VALUES ($1, $2, $3)",
                actor,
                digest,
                to_column(confirmation.until)
            )
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
            audit::append(&mut tx, &shared::confirmation_asked(confirmation, now)).await?;
        }
        tx.commit().await?;
        Ok(is_second)
    }

    async fn contained(&self, cluster: &ClusterId) -> Result<Contained> {
        const OPERATION: &str = "read the containments";
        let mut tx = self.read_snapshot(OPERATION).await?;
        let rows = sqlx::query_as!(
            ScopedRow,
            "SELECT scope, name, state, actor, reason, since, revision FROM containments \
             WHERE cluster = $1 ORDER BY scope, name",
            cluster.as_str()
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        let states = sqlx::query_as!(
            FormerStateRow,
            "SELECT tenant, cluster, object_kind, object_name, object_id, domain, former, \
             last_verb, action_id FROM former_states WHERE cluster = $1 ORDER BY object_name",
            cluster.as_str()
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        let containments = rows.into_iter().map(|row| row.read(cluster)).collect::<Result<_>>()?;
        let recorded = states.into_iter().map(FormerStateRow::read).collect::<Result<_>>()?;
        Ok(Contained::new(containments, recorded))
    }

    async fn begin_containment(
        &self,
        fence: &Fence,
        write: &ContainmentWrite,
        now: Timestamp,
    ) -> Result<()> {
        self.begin_containment_write(fence, write, now).await
    }

    async fn record_former_state(
        &self,
        fence: &Fence,
        recorded: &RecordedState,
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "record a former state";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        write::put_former_state(&mut tx, recorded, now, OPERATION).await?;
        let event = shared::former_state_recorded(&recorded.key, leader, now);
        audit::append(&mut tx, &event).await?;
        tx.commit().await
    }

    async fn forget_former_state(
        &self,
        fence: &Fence,
        key: &ObjectKey,
        why: &str,
        now: Timestamp,
    ) -> Result<bool> {
        const OPERATION: &str = "forget a former state";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        let gone = sqlx::query!(
            "DELETE FROM former_states \
             WHERE tenant = $1 AND cluster = $2 AND object_kind = $3 AND object_name = $4",
            key.tenant.as_str(),
            key.cluster.as_str(),
            key.kind.as_str(),
            key.name
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        if gone.rows_affected() == 0 {
            return Ok(false);
        }
        let event = shared::former_state_forgotten(key, why, leader, now);
        audit::append(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn end_containment(
        &self,
        fence: &Fence,
        seen: &Containment,
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "end a containment";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        lock_orders(&mut tx, OPERATION).await?;
        let current = load(&mut tx, &seen.cluster, &seen.scope, OPERATION).await?;
        shared::check_end(seen, current.as_ref())?;
        remove(&mut tx, &seen.cluster, &seen.scope, OPERATION).await?;
        audit::append(&mut tx, &shared::ended(seen, leader, now)).await?;
        tx.commit().await
    }

    async fn declare_mode(&self, fence: &Fence, mode: ActuatorMode) -> Result<()> {
        const OPERATION: &str = "tell how the leader works";
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        sqlx::query!(
            "INSERT INTO leader_mode (one, epoch, mode) VALUES (1, $1, $2) \
             ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, mode = excluded.mode",
            fence.epoch,
            mode.as_str()
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        tx.commit().await
    }

    async fn leader_mode(&self) -> Result<Option<ActuatorMode>> {
        const OPERATION: &str = "read how the leader works";
        let mut tx = self.read(OPERATION).await?;
        let mode = sqlx::query_scalar!(
            "SELECT m.mode FROM leader_mode AS m JOIN lease_epoch AS e USING (epoch) \
             WHERE e.term IS NOT NULL"
        )
        .fetch_optional(&mut *tx)
        .await
        .during(OPERATION)?;
        mode.map(|mode| word(&mode, ActuatorMode::from_word, "mode")).transpose()
    }
}

//! Containment: one row per service or domain that people stopped, one per service that was
//! stopped.

mod write;

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::ActuatorMode;
use skep_core::audit::{AuditData, AuditEvent, AuditKind};
use skep_core::containment::{
    Confirmation, Contained, Containment, ContainmentEvent, ContainmentState, ContainmentVerb,
    Order, RecordedState, Scope,
};
use skep_core::identity::{ActionId, ClusterId, ObjectKey, SwarmId, TenantId};
use skep_store::{ContainmentWrite, Containments, Error, Fence, Ordered, Result};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, audit, clock, row};

const WHAT: &str = "containment";

fn key(cluster: &ClusterId, scope: &Scope) -> Option<ObjectKey> {
    match scope {
        Scope::Service(name) => Some(ObjectKey::service(cluster, name)),
        // A domain is no object of the swarm; the detail names it.
        Scope::Domain(_) => None,
    }
}

fn said(scope: &Scope, reason: &str) -> String {
    let scope = match scope {
        Scope::Service(_) => scope.word().to_owned(),
        Scope::Domain(_) => scope.to_string(),
    };
    if reason.is_empty() { scope } else { format!("{scope}: {reason}") }
}

fn event(cluster: &ClusterId, order: &Order, kind: AuditKind, at: Timestamp) -> AuditEvent {
    AuditEvent {
        at,
        kind,
        actor: order.actor.clone(),
        key: key(cluster, &order.scope),
        action: None,
        detail: match kind {
            AuditKind::ContainmentRehearsed => {
                format!("{} {}", order.verb, said(&order.scope, &order.reason))
            }
            _ => said(&order.scope, &order.reason),
        },
        data: Some(AuditData::Containment {
            order: order.verb,
            scope: order.scope.word().to_owned(),
            name: order.scope.name().to_owned(),
            reason: (!order.reason.is_empty()).then(|| order.reason.clone()),
        }),
    }
}

/// A row of `containments`, without what it is about.
struct Row {
    state: String,
    actor: String,
    reason: String,
    since: i64,
    revision: i64,
}

impl Row {
    fn read(self, cluster: &ClusterId, scope: Scope) -> Result<Containment> {
        Ok(Containment {
            cluster: cluster.clone(),
            scope,
            state: row::word(&self.state, ContainmentState::from_word, WHAT)?,
            actor: self.actor,
            reason: self.reason,
            since: clock::from_column(self.since, WHAT)?,
            revision: self.revision,
        })
    }
}

async fn load(
    tx: &mut Tx,
    cluster: &ClusterId,
    scope: &Scope,
    operation: &'static str,
) -> Result<Option<Containment>> {
    let tenant = TenantId::default();
    let (tenant, cluster_id) = (tenant.as_str(), cluster.as_str());
    let (word, name) = (scope.word(), scope.name());
    sqlx::query_as!(
        Row,
        "SELECT state, actor, reason, since, revision FROM containments \
         WHERE tenant = ? AND cluster = ? AND scope = ? AND name = ?",
        tenant,
        cluster_id,
        word,
        name
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?
    .map(|row| row.read(cluster, scope.clone()))
    .transpose()
}

async fn put(tx: &mut Tx, containment: &Containment, operation: &'static str) -> Result<()> {
    let tenant = TenantId::default();
    let (tenant, cluster) = (tenant.as_str(), containment.cluster.as_str());
    let (word, name) = (containment.scope.word(), containment.scope.name());
    let state = containment.state.as_str();
    let since = clock::to_column(containment.since);
    sqlx::query!(
        "INSERT INTO containments (tenant, cluster, scope, name, state, actor, reason, since, \
         revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT DO UPDATE SET state = excluded.state, actor = excluded.actor, \
         reason = excluded.reason, since = excluded.since, revision = excluded.revision",
        tenant,
        cluster,
        word,
        name,
        state,
        containment.actor,
        containment.reason,
        since,
        containment.revision
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

async fn remove(
    tx: &mut Tx,
    cluster: &ClusterId,
    scope: &Scope,
    operation: &'static str,
) -> Result<()> {
    let tenant = TenantId::default();
    let (tenant, cluster) = (tenant.as_str(), cluster.as_str());
    let (word, name) = (scope.word(), scope.name());
    sqlx::query!(
        "DELETE FROM containments WHERE tenant = ? AND cluster = ? AND scope = ? AND name = ?",
        tenant,
        cluster,
        word,
        name
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

#[async_trait]
impl Containments for SqliteStore {
    async fn order(
        &self,
        cluster: &ClusterId,
        orders: &[Order],
        now: Timestamp,
    ) -> Result<Vec<Ordered>> {
        const OPERATION: &str = "record orders";
        let mut tx = self.write(OPERATION).await?;
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
                let kind = match order.verb {
                    ContainmentVerb::Pause => AuditKind::Paused,
                    ContainmentVerb::Kill => AuditKind::Killed,
                    ContainmentVerb::Resume => AuditKind::Resumed,
                };
                audit::append(&mut tx, &event(cluster, order, kind, now)).await?;
            }
            answers.push(answer);
        }
        tx.commit().await.during(OPERATION)?;
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
            let event = event(cluster, order, AuditKind::ContainmentRehearsed, now);
            audit::append(&mut tx, &event).await?;
        }
        tx.commit().await.during(OPERATION)
    }

    async fn confirm(&self, confirmation: &Confirmation, now: Timestamp) -> Result<bool> {
        const OPERATION: &str = "record a confirmation";
        let mut tx = self.write(OPERATION).await?;
        let (actor, digest) = (confirmation.actor.as_str(), confirmation.digest.as_str());
        let (now_at, until) = (clock::to_column(now), clock::to_column(confirmation.until));
        sqlx::query!("DELETE FROM containment_confirmations WHERE until < ?", now_at)
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
        let taken = sqlx::query!(
            "DELETE FROM containment_confirmations WHERE actor = ? AND digest = ?",
            actor,
            digest
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        let is_second = taken.rows_affected() > 0;
        if !is_second {
            sqlx::query!(
                "INSERT INTO containment_confirmations (actor, digest, until) VALUES (?, ?, ?)",
                actor,
                digest,
                until
            )
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
            let event = AuditEvent {
                at: now,
                kind: AuditKind::ConfirmationAsked,
                actor: actor.to_owned(),
                key: None,
                action: None,
                detail: format!("until {}: {}", confirmation.until, confirmation.digest.short(16)),
                data: None,
            };
            audit::append(&mut tx, &event).await?;
        }
        tx.commit().await.during(OPERATION)?;
        Ok(is_second)
    }

    async fn contained(&self, cluster: &ClusterId) -> Result<Contained> {
        const OPERATION: &str = "read the containments";
        let cluster_id = cluster.as_str();
        // In one transaction: a kill without its record would record what the kill left.
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query!(
            "SELECT scope, name, state, actor, reason, since, revision FROM containments \
             WHERE cluster = ? ORDER BY scope, name",
            cluster_id
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        let states = sqlx::query!(
            "SELECT tenant, cluster, object_kind, object_name, object_id, domain, former, \
             last_verb, action_id FROM former_states WHERE cluster = ? ORDER BY object_name",
            cluster_id
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        let mut containments = Vec::with_capacity(rows.len());
        for found in rows {
            let scope = Scope::from_words(&found.scope, found.name).ok_or_else(|| {
                let source = format!("the scope {:?} is not known to this version", found.scope);
                Error::Corrupt { what: WHAT, source: source.into() }
            })?;
            let (state, actor, reason) = (found.state, found.actor, found.reason);
            let row = Row { state, actor, reason, since: found.since, revision: found.revision };
            containments.push(row.read(cluster, scope)?);
        }
        let mut recorded = Vec::with_capacity(states.len());
        for state in states {
            let verb = state.last_verb.as_deref();
            let verb = verb.map(|verb| row::word(verb, ContainmentVerb::from_word, WHAT));
            let former = serde_json::from_str(&state.former);
            recorded.push(RecordedState {
                key: row::key(
                    state.tenant,
                    state.cluster,
                    &state.object_kind,
                    state.object_name,
                    WHAT,
                )?,
                object: SwarmId::new(state.object_id),
                domain: state.domain,
                former: former.map_err(|error| row::json_error(&error, WHAT))?,
                last: verb.transpose()?.zip(state.action_id.map(ActionId::new)),
            });
        }
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
        let event = AuditEvent {
            at: now,
            kind: AuditKind::FormerStateRecorded,
            actor: leader,
            key: Some(recorded.key.clone()),
            action: None,
            detail: "it is at zero already; what was there is recorded".to_owned(),
            data: None,
        };
        audit::append(&mut tx, &event).await?;
        tx.commit().await.during(OPERATION)
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
        let (tenant, cluster) = (key.tenant.as_str(), key.cluster.as_str());
        let object_kind = key.kind.as_str();
        let gone = sqlx::query!(
            "DELETE FROM former_states \
             WHERE tenant = ? AND cluster = ? AND object_kind = ? AND object_name = ?",
            tenant,
            cluster,
            object_kind,
            key.name
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        if gone.rows_affected() == 0 {
            return Ok(false);
        }
        let event = AuditEvent {
            at: now,
            kind: AuditKind::Restored,
            actor: leader,
            key: Some(key.clone()),
            action: None,
            detail: why.to_owned(),
            data: None,
        };
        audit::append(&mut tx, &event).await?;
        tx.commit().await.during(OPERATION)?;
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
        let current = load(&mut tx, &seen.cluster, &seen.scope, OPERATION).await?;
        let state = current.as_ref().map(|current| current.state);
        let stands = current.is_some_and(|current| {
            (current.state, current.revision) == (seen.state, seen.revision)
        });
        if !stands || ContainmentState::after(state, ContainmentEvent::Restore).is_err() {
            let current = state.map_or("gone", ContainmentState::as_str).to_owned();
            return Err(Error::Conflict { what: WHAT, id: seen.scope.to_string(), current });
        }
        remove(&mut tx, &seen.cluster, &seen.scope, OPERATION).await?;
        let event = AuditEvent {
            at: now,
            kind: AuditKind::Restored,
            actor: leader,
            key: key(&seen.cluster, &seen.scope),
            action: None,
            detail: said(&seen.scope, "everything is as it was"),
            data: None,
        };
        audit::append(&mut tx, &event).await?;
        tx.commit().await.during(OPERATION)
    }

    async fn declare_mode(&self, fence: &Fence, mode: ActuatorMode) -> Result<()> {
        const OPERATION: &str = "tell how the leader works";
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        let mode = mode.as_str();
        sqlx::query!(
            "INSERT INTO leader_mode (one, epoch, mode) VALUES (1, ?, ?) \
             ON CONFLICT DO UPDATE SET epoch = excluded.epoch, mode = excluded.mode",
            fence.epoch,
            mode
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        tx.commit().await.during(OPERATION)
    }

    async fn leader_mode(&self) -> Result<Option<ActuatorMode>> {
        let mode = sqlx::query_scalar!(
            "SELECT m.mode FROM leader_mode AS m JOIN lease_epoch AS e USING (epoch) \
             WHERE e.term IS NOT NULL"
        )
        .fetch_optional(&self.readers)
        .await
        .during("read how the leader works")?;
        mode.map(|mode| row::word(&mode, ActuatorMode::from_word, "mode")).transpose()
    }
}

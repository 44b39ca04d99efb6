//! Holds: one row per object.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::audit::{AuditData, AuditEvent, AuditKind};
use skep_core::canonical::Digest;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{ClusterId, ObjectKey};
use skep_store::{Holds, Result};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, audit, clock, row};

const WHAT: &str = "hold";

/// Places a hold, with its row of the audit trail.
pub(crate) async fn place(tx: &mut Tx, hold: &Hold, operation: &'static str) -> Result<()> {
    let tenant = hold.key.tenant.as_str();
    let cluster = hold.key.cluster.as_str();
    let object_kind = hold.key.kind.as_str();
    let kind = hold.kind.as_str();
    let difference = hold.difference.as_ref().map(Digest::as_str);
    let until = hold.until.map(clock::to_column);
    let placed_at = clock::to_column(hold.placed_at);
    sqlx::query!(
        "INSERT INTO holds (tenant, cluster, object_kind, object_name, kind, difference, until, \
         actor, reason, placed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT DO UPDATE SET kind = excluded.kind, difference = excluded.difference, \
         until = excluded.until, actor = excluded.actor, reason = excluded.reason, \
         placed_at = excluded.placed_at",
        tenant,
        cluster,
        object_kind,
        hold.key.name,
        kind,
        difference,
        until,
        hold.actor,
        hold.reason,
        placed_at
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    let event = AuditEvent {
        at: hold.placed_at,
        kind: match hold.kind {
            HoldKind::Accepted => AuditKind::DriftAccepted,
            HoldKind::Manual => AuditKind::Held,
            HoldKind::Retry => AuditKind::RetriedByHand,
        },
        actor: hold.actor.clone(),
        key: Some(hold.key.clone()),
        action: None,
        detail: match hold.until {
            Some(until) => format!("until {until}: {}", hold.reason),
            None => hold.reason.clone(),
        },
        data: Some(AuditData::Hold {
            hold: hold.kind,
            until: hold.until,
            reason: Some(hold.reason.clone()),
        }),
    };
    audit::append(tx, &event).await
}

#[async_trait]
impl Holds for SqliteStore {
    async fn place_hold(&self, hold: &Hold) -> Result<()> {
        const OPERATION: &str = "place a hold";
        let mut tx = self.write(OPERATION).await?;
        place(&mut tx, hold, OPERATION).await?;
        tx.commit().await.during(OPERATION)
    }

    async fn lift_hold(&self, key: &ObjectKey, actor: &str, now: Timestamp) -> Result<bool> {
        const OPERATION: &str = "lift a hold";
        let mut tx = self.write(OPERATION).await?;
        let tenant = key.tenant.as_str();
        let cluster = key.cluster.as_str();
        let object_kind = key.kind.as_str();
        let lifted = sqlx::query_scalar!(
            "DELETE FROM holds \
             WHERE tenant = ? AND cluster = ? AND object_kind = ? AND object_name = ? \
             RETURNING kind",
            tenant,
            cluster,
            object_kind,
            key.name
        )
        .fetch_optional(&mut *tx)
        .await
        .during(OPERATION)?;
        let Some(kind) = lifted else { return Ok(false) };
        let kind = row::word(&kind, HoldKind::from_word, WHAT)?;
        let event = AuditEvent {
            at: now,
            kind: AuditKind::HoldLifted,
            actor: actor.to_owned(),
            key: Some(key.clone()),
            action: None,
            detail: format!("the hold was {kind}"),
            data: Some(AuditData::Hold { hold: kind, until: None, reason: None }),
        };
        audit::append(&mut tx, &event).await?;
        tx.commit().await.during(OPERATION)?;
        Ok(true)
    }

    async fn holds(&self, cluster: &ClusterId) -> Result<Vec<Hold>> {
        let cluster = cluster.as_str();
        let rows = sqlx::query!(
            "SELECT tenant, cluster, object_kind, object_name, kind, difference, until, actor, \
             reason, placed_at FROM holds WHERE cluster = ? \
             ORDER BY object_name, object_kind, tenant",
            cluster
        )
        .fetch_all(&self.readers)
        .await
        .during("read the holds")?;
        rows.into_iter()
            .map(|row| {
                let key =
                    row::key(row.tenant, row.cluster, &row.object_kind, row.object_name, WHAT)?;
                Ok(Hold {
                    key,
                    kind: row::word(&row.kind, HoldKind::from_word, WHAT)?,
                    difference: row.difference.map(Digest::from_stored),
                    until: row::instant(row.until, WHAT)?,
                    actor: row.actor,
                    reason: row.reason,
                    placed_at: clock::from_column(row.placed_at, WHAT)?,
                })
            })
            .collect()
    }
}

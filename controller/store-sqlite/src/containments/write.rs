//! The beginning of a write of containment: everything that it overtakes, its record, its action
//! and its intent, in one transaction.

use jiff::Timestamp;
use skep_core::action::{ActionEvent, ActionState, ActuatorMode, IntentPhase};
use skep_core::approval::ApprovalStatus;
use skep_core::audit::{AuditData, AuditEvent, AuditKind};
use skep_core::containment::{ContainmentVerb, RecordedState};
use skep_core::identity::ActionId;
use skep_store::{ContainmentWrite, Error, Fence, Result};

use super::WHAT;
use crate::error::IntoStoreError as _;
use crate::transition::{Change, Head};
use crate::{SqliteStore, Tx, actions, approvals, audit, batches, clock, intents, row};

const OPERATION: &str = "begin a write of containment";

impl SqliteStore {
    pub(super) async fn begin_containment_write(
        &self,
        fence: &Fence,
        write: &ContainmentWrite,
        now: Timestamp,
    ) -> Result<()> {
        let verb = check(write)?;
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        is_ordered(&mut tx, write, verb).await?;
        if let Some(open) = actions::open_action(&mut tx, &write.action.key, OPERATION).await? {
            overtake(&mut tx, &open, write, now).await?;
        }
        actions::insert(&mut tx, &write.action, OPERATION).await?;
        intents::insert(&mut tx, &write.intent, OPERATION).await?;
        put_former_state(&mut tx, &write.recorded, now, OPERATION).await?;
        let mut event = AuditEvent {
            at: now,
            kind: AuditKind::Contained,
            actor: write.action.actor.clone(),
            key: Some(write.action.key.clone()),
            action: Some(write.action.id.clone()),
            detail: write.action.reason.clone(),
            data: Some(AuditData::Action(actions::facts(&write.action))),
        };
        audit::append(&mut tx, &event).await?;
        event.kind = AuditKind::Started;
        event.actor = leader;
        event.detail = format!("intent {}", write.intent.id);
        audit::append(&mut tx, &event).await?;
        tx.commit().await.during(OPERATION)
    }
}

/// What has to be true of a write whatever is stored.
fn check(write: &ContainmentWrite) -> Result<ContainmentVerb> {
    let (action, intent) = (&write.action, &write.intent);
    let refuse = |why| Err(Error::Refused { what: WHAT, id: action.id.to_string(), why });
    if action.mode != ActuatorMode::Swarm {
        return refuse("a rehearsal sends nothing");
    }
    if !action.is_containment() || action.state != ActionState::Executing {
        return refuse("its action is not one of containment that is about to be sent");
    }
    if intent.object.is_none() || intent.version.is_none() || intent.phase != IntentPhase::Write {
        return refuse("containment only ever updates");
    }
    let same_object = intent.object.as_ref() == Some(&write.recorded.object);
    if intent.key != action.key || write.recorded.key != action.key || !same_object {
        return refuse("its parts are about different objects");
    }
    match &write.recorded.last {
        Some((verb, last)) if *last == action.id && intent.action == action.id => Ok(*verb),
        _ => refuse("its record names another action"),
    }
}

/// A kill needs an order that is in force, the way back needs that none is.
async fn is_ordered(tx: &mut Tx, write: &ContainmentWrite, verb: ContainmentVerb) -> Result<()> {
    let key = &write.action.key;
    let (tenant, cluster) = (key.tenant.as_str(), key.cluster.as_str());
    let killed = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!: i64" FROM containments
           WHERE tenant = ?1 AND cluster = ?2 AND state = 'killed'
           AND ((scope = 'service' AND name = ?3) OR (scope = 'domain' AND name = ?4))"#,
        tenant,
        cluster,
        key.name,
        write.recorded.domain
    )
    .fetch_one(&mut **tx)
    .await
    .during(OPERATION)?;
    let current = match (verb, killed) {
        (ContainmentVerb::Kill, 0) => "not killed any more",
        (ContainmentVerb::Resume, 1..) => "killed again",
        _ => return Ok(()),
    };
    Err(Error::Conflict { what: WHAT, id: key.name.clone(), current: current.to_owned() })
}

/// Ends what is open for the key, so that this write can be its one open action.
async fn overtake(
    tx: &mut Tx,
    open: &ActionId,
    write: &ContainmentWrite,
    now: Timestamp,
) -> Result<()> {
    let head = Head::load(tx, open, OPERATION).await?;
    let said = format!("overtaken: {}", write.action.reason);
    let event = match head.state {
        ActionState::RollingOut => ActionEvent::Fail,
        ActionState::Executing => {
            settle_update(tx, open, &said, now).await?;
            ActionEvent::Supersede
        }
        _ => ActionEvent::Supersede,
    };
    let actor = write.action.actor.as_str();
    let change =
        Change { event, actor, said: &said, detail: Some(&said), start_by: None, moved: None };
    head.apply(tx, change, now, OPERATION).await?;
    if event == ActionEvent::Supersede {
        let status = ApprovalStatus::Superseded;
        approvals::end(tx, open, status, None, now, OPERATION).await?;
    }
    batches::follow(tx, &head, event, &said, now, OPERATION).await
}

/// An update cannot take effect once another write of its Version has: this one. A create or a
/// removal can, so those are settled first.
async fn settle_update(tx: &mut Tx, action: &ActionId, said: &str, now: Timestamp) -> Result<()> {
    let (id, settled_at) = (action.as_str(), clock::to_column(now));
    let settled = sqlx::query!(
        "UPDATE intents SET outcome = 'no_effect', detail = ?, settled_at = ?, body = x'' \
         WHERE action_id = ? AND outcome = 'unknown' AND phase = 'write' \
         AND object_id IS NOT NULL",
        said,
        settled_at,
        id
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    if settled.rows_affected() == 0 {
        let current = "a create or a replacement whose outcome is unknown".to_owned();
        return Err(Error::Conflict { what: "action", id: id.to_owned(), current });
    }
    Ok(())
}

/// Keeps what was there before; of a key there is one.
pub(super) async fn put_former_state(
    tx: &mut Tx,
    recorded: &RecordedState,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    let (tenant, cluster) = (recorded.key.tenant.as_str(), recorded.key.cluster.as_str());
    let object_kind = recorded.key.kind.as_str();
    let object = recorded.object.as_str();
    let former =
        serde_json::to_string(&recorded.former).map_err(|error| row::json_error(&error, WHAT))?;
    let (verb, action) =
        recorded.last.as_ref().map(|(verb, id)| (verb.as_str(), id.as_str())).unzip();
    let recorded_at = clock::to_column(now);
    sqlx::query!(
        "INSERT INTO former_states (tenant, cluster, object_kind, object_name, object_id, domain, \
         former, last_verb, action_id, recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT DO UPDATE SET object_id = excluded.object_id, domain = excluded.domain, \
         former = excluded.former, last_verb = excluded.last_verb, \
         action_id = excluded.action_id, recorded_at = excluded.recorded_at",
        tenant,
        cluster,
        object_kind,
        recorded.key.name,
        object,
        recorded.domain,
        former,
        verb,
        action,
        recorded_at
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

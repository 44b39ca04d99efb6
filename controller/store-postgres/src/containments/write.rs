//! The beginning of a write of containment: everything that it overtakes, its record, its action
//! and its intent, in one transaction.

use jiff::Timestamp;
use skep_core::action::{ActionEvent, ActionState};
use skep_core::approval::ApprovalStatus;
use skep_core::containment::{ContainmentVerb, RecordedState};
use skep_core::identity::ActionId;
use skep_store::{ContainmentWrite, Error, Fence, Result};
use skep_store_sql::containments as shared;
use skep_store_sql::instant::to_column;
use skep_store_sql::{Change, json};

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::write::Write;
use crate::{PostgresStore, actions, approvals, audit, batches, intents, transition};

const WHAT: &str = "containment";
const OPERATION: &str = "begin a write of containment";

impl PostgresStore {
    pub(super) async fn begin_containment_write(
        &self,
        fence: &Fence,
        write: &ContainmentWrite,
        now: Timestamp,
    ) -> Result<()> {
        let verb = shared::check_containment(write)?;
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        is_ordered(&mut tx, write, verb).await?;
        loop {
            if let Some(open) = actions::in_the_way(&mut tx, &write.action, OPERATION).await? {
                overtake(&mut tx, &open, write, now).await?;
            }
            // Otherwise another one was recorded meanwhile: it is overtaken too.
            if actions::insert(&mut tx, &write.action, OPERATION).await? {
                break;
            }
        }
        intents::insert(&mut tx, &write.intent, OPERATION).await?;
        put_former_state(&mut tx, &write.recorded, now, OPERATION).await?;
        for event in shared::contained(write, leader, now) {
            audit::append(&mut tx, &event).await?;
        }
        tx.commit().await
    }
}

/// The orders that this write follows; none changes until it is stored.
async fn is_ordered(
    tx: &mut Session<'_>,
    write: &ContainmentWrite,
    verb: ContainmentVerb,
) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock_shared(hashtextextended('containment', 0))")
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
    let key = &write.action.key;
    let killed = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM containments
           WHERE tenant = $1 AND cluster = $2 AND state = 'killed'
           AND ((scope = 'service' AND name = $3) OR (scope = 'domain' AND name = $4))"#,
        key.tenant.as_str(),
        key.cluster.as_str(),
        key.name,
        write.recorded.domain
    )
    .fetch_one(&mut *tx)
    .await
    .during(OPERATION)?;
    shared::check_orders(write, verb, killed)
}

/// Ends what is open for the key, so that this write can be its one open action.
async fn overtake(
    tx: &mut Write,
    open: &ActionId,
    write: &ContainmentWrite,
    now: Timestamp,
) -> Result<()> {
    if *open == write.action.id {
        let current = "recorded already".to_owned();
        return Err(Error::Conflict { what: WHAT, id: open.to_string(), current });
    }
    // Intents are locked before their actions, as when they are settled.
    sqlx::query_scalar!(
        "SELECT id FROM intents WHERE action_id = $1 AND outcome = 'unknown' FOR UPDATE",
        open.as_str()
    )
    .fetch_optional(&mut **tx)
    .await
    .during(OPERATION)?;
    batches::lock(tx, open, ActionEvent::Fail, OPERATION).await?;
    let head = transition::load(tx, open, OPERATION).await?;
    let said = format!("overtaken: {}", write.action.reason);
    if head.state == ActionState::Executing {
        settle_update(tx, open, &said, now).await?;
    }
    let event = shared::overtaken(head.state);
    let actor = write.action.actor.as_str();
    let change =
        Change { event, actor, said: &said, detail: Some(&said), start_by: None, moved: None };
    transition::apply(tx, &head, &change, now, OPERATION).await?;
    if event == ActionEvent::Supersede {
        let status = ApprovalStatus::Superseded;
        approvals::end(tx, open, status, None, now, OPERATION).await?;
    }
    batches::follow(tx, &head, event, &said, now, OPERATION).await
}

/// An update cannot take effect once another write of its Version has: this one. A create or a
/// removal can, so those are settled first.
async fn settle_update(
    tx: &mut Session<'_>,
    action: &ActionId,
    said: &str,
    now: Timestamp,
) -> Result<()> {
    let settled = sqlx::query!(
        "UPDATE intents SET outcome = 'no_effect', detail = $1, settled_at = $2, body = '' \
         WHERE action_id = $3 AND outcome = 'unknown' AND phase = 'write' \
         AND object_id IS NOT NULL",
        said,
        to_column(now),
        action.as_str()
    )
    .execute(&mut *tx)
    .await
    .during(OPERATION)?;
    if settled.rows_affected() == 0 {
        return Err(shared::not_overtaken(action));
    }
    Ok(())
}

/// Keeps what was there before; of a key there is one.
pub(super) async fn put_former_state(
    tx: &mut Session<'_>,
    recorded: &RecordedState,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    let former = json(serde_json::to_string(&recorded.former), WHAT)?;
    let (verb, action) =
        recorded.last.as_ref().map(|(verb, id)| (verb.as_str(), id.as_str())).unzip();
    sqlx::query!(
        "INSERT INTO former_states (tenant, cluster, object_kind, object_name, object_id, domain, \
         former, last_verb, action_id, recorded_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (cluster, object_kind, object_name, tenant) DO UPDATE \
         SET object_id = excluded.object_id, domain = excluded.domain, \
         former = excluded.former, last_verb = excluded.last_verb, \
         action_id = excluded.action_id, recorded_at = excluded.recorded_at",
        recorded.key.tenant.as_str(),
        recorded.key.cluster.as_str(),
        recorded.key.kind.as_str(),
        recorded.key.name,
        recorded.object.as_str(),
        recorded.domain,
        former,
        verb,
        action,
        to_column(now)
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(())
}

//! Actions and their changes of state.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::{Action, ActionState};
use skep_core::approval::ApprovalStatus;
use skep_core::gate::Decision;
use skep_core::identity::{ActionId, ObjectKey};
use skep_core::notice::Notice;
use skep_store::{
    ActionFilter, ActionList, Actions, Closing, Error, Fence, NewAction, ProposeOutcome,
    RequestOutcome, Result, WaitNote, step_context,
};
use skep_store_sql::instant::to_column;
use skep_store_sql::{
    ActionRow, Change, check_proposal, events, json, list, prefix_end, whole_or_only,
};
use sqlx::{QueryBuilder, Sqlite};

use crate::error::IntoStoreError as _;
use crate::{
    SqliteStore, Tx, approvals, audit, batches, ledger, outbox, query, requests, transition, waits,
};

const WHAT: &str = "action";

/// The open action of a key, if it has one.
pub(crate) async fn open_action(
    tx: &mut Tx,
    key: &ObjectKey,
    operation: &'static str,
) -> Result<Option<ActionId>> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM actions \
         WHERE tenant = ? AND cluster = ? AND object_kind = ? AND object_name = ? \
         AND state IN ('pending', 'granted', 'executing', 'rolling_out')",
        key.tenant.as_str(),
        key.cluster.as_str(),
        key.kind.as_str(),
        key.name
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?;
    Ok(id.map(ActionId::new))
}

pub(crate) async fn insert(tx: &mut Tx, action: &Action, operation: &'static str) -> Result<()> {
    let step = json(serde_json::to_string(&action.step), WHAT)?;
    let context = step_context(action.id.as_str());
    let step = tx.protection.seal(WHAT, &context, step.as_bytes())?;
    sqlx::query!(
        "INSERT INTO actions (id, tenant, cluster, object_kind, object_name, kind, plan_id, step, \
         binding, source, actor, reason, mode, rule, state, revision, approval_id, detail, \
         created_at, updated_at, granted_at, start_by) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        action.id.as_str(),
        action.key.tenant.as_str(),
        action.key.cluster.as_str(),
        action.key.kind.as_str(),
        action.key.name,
        action.kind.as_str(),
        action.plan.as_str(),
        step,
        action.binding.as_str(),
        action.source.as_str(),
        action.actor,
        action.reason,
        action.mode.as_str(),
        action.rule,
        action.state.as_str(),
        action.revision,
        action.approval.as_ref().map(AsRef::<str>::as_ref),
        action.detail,
        to_column(action.created_at),
        to_column(action.updated_at),
        action.granted_at.map(to_column),
        action.start_by.map(to_column)
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

/// Records one proposal, or finds out what is in its way.
async fn record(
    tx: &mut Tx,
    new: &NewAction,
    leader: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<ProposeOutcome> {
    if let Some(busy) = open_action(tx, &new.action.key, operation).await? {
        return Ok(ProposeOutcome::KeyBusy(busy));
    }
    insert(tx, &new.action, operation).await?;
    if let Some(approval) = &new.approval {
        approvals::insert(tx, approval, operation).await?;
        outbox::record(tx, &Notice::requested(&new.action, approval), operation).await?;
    } else if new.decision.decision == Decision::AllowNotify.as_str() {
        let notice = Notice::allowed(&new.action, &new.decision.reason);
        outbox::record(tx, &notice, operation).await?;
    }
    ledger::append(tx, &new.decision, operation).await?;
    for event in events::proposed(new, now) {
        audit::append(tx, &event).await?;
    }
    if let Some(request) = &new.request {
        let filed = RequestOutcome::Filed(new.action.id.clone());
        requests::resolve(tx, request, &filed, leader, now, operation).await?;
    }
    Ok(ProposeOutcome::Recorded)
}

#[async_trait]
impl Actions for SqliteStore {
    async fn propose(
        &self,
        fence: &Fence,
        proposals: &[NewAction],
        now: Timestamp,
    ) -> Result<Vec<ProposeOutcome>> {
        const OPERATION: &str = "record proposals";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        let mut outcomes = Vec::with_capacity(proposals.len());
        for new in proposals {
            check_proposal(new)?;
            outcomes.push(record(&mut tx, new, &leader, now, OPERATION).await?);
        }
        tx.commit().await.during(OPERATION)?;
        Ok(outcomes)
    }

    async fn close_action(&self, fence: &Fence, closing: &Closing, now: Timestamp) -> Result<()> {
        const OPERATION: &str = "close an action";
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        let head = transition::load(&mut tx, &closing.action, OPERATION).await?;
        let approval = head.may_close(closing)?;
        let change = Change::closing(closing);
        transition::apply(&mut tx, &head, &change, now, OPERATION).await?;
        if let Some(status) = approval {
            let denied = (status == ApprovalStatus::Denied)
                .then_some((closing.actor.as_str(), closing.detail.as_str()));
            let had =
                approvals::end(&mut tx, &closing.action, status, denied, now, OPERATION).await?;
            if had && head.state == ActionState::Granted && status == ApprovalStatus::Superseded {
                let notice = Notice::superseded(&head.key, &head.id, &closing.detail, now);
                outbox::record(&mut tx, &notice, OPERATION).await?;
            }
        }
        batches::follow(&mut tx, &head, closing.event, &closing.detail, now, OPERATION).await?;
        tx.commit().await.during(OPERATION)
    }

    async fn note_waits(&self, fence: &Fence, notes: &[WaitNote], now: Timestamp) -> Result<()> {
        waits::note(self, fence, notes, now).await
    }

    async fn action(&self, id_or_prefix: &str) -> Result<Action> {
        const OPERATION: &str = "read an action";
        if id_or_prefix.is_empty() {
            return Err(Error::NotFound { what: WHAT, id: id_or_prefix.to_owned() });
        }
        let ids = sqlx::query_scalar!(
            "SELECT id FROM actions WHERE id >= ?1 AND id < ?2 ORDER BY id",
            id_or_prefix,
            prefix_end(id_or_prefix)
        )
        .fetch_all(&self.readers)
        .await
        .during(OPERATION)?;
        let id = whole_or_only(&ids, id_or_prefix, WHAT)?;
        sqlx::query_as!(
            ActionRow,
            "SELECT id, tenant, cluster, object_kind, object_name, kind, plan_id, step, binding, \
             source, actor, reason, mode, rule, state, revision, approval_id, detail, created_at, \
             updated_at, granted_at, start_by, wait_code, wait_reason, wait_since, runnable_since, moved \
             FROM actions WHERE id = ?",
            id
        )
        .fetch_one(&self.readers)
        .await
        .during(OPERATION)?
        .read(&self.protection)
    }

    async fn list_actions(&self, filter: &ActionFilter) -> Result<ActionList> {
        const OPERATION: &str = "list actions";
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT id, tenant, cluster, object_kind, object_name, kind, plan_id, step, binding, \
             source, actor, reason, mode, rule, state, revision, approval_id, detail, created_at, \
             updated_at, granted_at, start_by, wait_code, wait_reason, wait_since, \
             runnable_since, moved FROM actions AS a WHERE true",
        );
        if filter.latest_per_key {
            query.push(
                " AND NOT EXISTS (SELECT 1 FROM actions AS later WHERE later.tenant = a.tenant \
                 AND later.cluster = a.cluster AND later.object_kind = a.object_kind \
                 AND later.object_name = a.object_name AND later.seq > a.seq)",
            );
        }
        query::push_words(&mut query, "state", filter.states.iter().map(|state| state.as_str()));
        query::push_words(&mut query, "kind", filter.kinds.iter().map(|kind| kind.as_str()));
        if let Some(since) = filter.changed_since {
            query.push(" AND updated_at >= ").push_bind(to_column(since));
        }
        query::push_keys(&mut query, &filter.keys);
        query.push(" ORDER BY seq DESC LIMIT ").push_bind(query::limit(filter.limit));
        let rows: Vec<ActionRow> =
            query.build_query_as().fetch_all(&self.readers).await.during(OPERATION)?;
        Ok(list(rows, &self.protection))
    }
}

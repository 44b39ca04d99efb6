//! Actions and their changes of state.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::{Action, ActionState};
use skep_core::approval::ApprovalStatus;
use skep_core::gate::Decision;
use skep_core::identity::ActionId;
use skep_core::notice::Notice;
use skep_store::{
    ActionFilter, ActionList, Actions, Closing, Error, Fence, NewAction, ProposeOutcome,
    RequestOutcome, Result, WaitNote, step_context,
};
use skep_store_sql::instant::to_column;
use skep_store_sql::{
    ActionRow, Change, check_proposal, events, json, list, prefix_end, whole_or_only,
};
use sqlx::{Postgres, QueryBuilder};

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::write::Write;
use crate::{
    PostgresStore, approvals, audit, batches, ledger, outbox, query, requests, transition, waits,
};

const WHAT: &str = "action";

/// The open action of the proposal's key, or the very action when it is recorded already.
pub(crate) async fn in_the_way(
    tx: &mut Session<'_>,
    action: &Action,
    operation: &'static str,
) -> Result<Option<ActionId>> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM actions \
         WHERE id = $5 OR (tenant = $1 AND cluster = $2 AND object_kind = $3 \
         AND object_name = $4 AND state IN ('pending', 'granted', 'executing', 'rolling_out')) \
         ORDER BY id = $5 DESC LIMIT 1",
        action.key.tenant.as_str(),
        action.key.cluster.as_str(),
        action.key.kind.as_str(),
        action.key.name,
        action.id.as_str()
    )
    .fetch_optional(&mut *tx)
    .await
    .during(operation)?;
    Ok(id.map(ActionId::new))
}

/// Records an action; `false` when another one of the same key was recorded meanwhile.
pub(crate) async fn insert(
    tx: &mut Write,
    action: &Action,
    operation: &'static str,
) -> Result<bool> {
    let step = json(serde_json::to_string(&action.step), WHAT)?;
    let context = step_context(action.id.as_str());
    let step = tx.protection().seal(WHAT, &context, step.as_bytes())?;
    let inserted = sqlx::query!(
        "INSERT INTO actions (id, tenant, cluster, object_kind, object_name, kind, plan_id, step, \
         binding, source, actor, reason, mode, rule, state, revision, approval_id, detail, \
         created_at, updated_at, granted_at, start_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
         $19, $20, $21, $22) \
         ON CONFLICT (tenant, cluster, object_kind, object_name) \
         WHERE state IN ('pending', 'granted', 'executing', 'rolling_out') DO NOTHING",
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
    Ok(inserted.rows_affected() == 1)
}

/// Records one proposal, or finds out what is in its way.
async fn record(
    tx: &mut Write,
    new: &NewAction,
    leader: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<ProposeOutcome> {
    loop {
        if let Some(busy) = in_the_way(tx, &new.action, operation).await? {
            return Ok(ProposeOutcome::KeyBusy(busy));
        }
        // What was in the way of the insert is committed, so the next look finds it.
        if insert(tx, &new.action, operation).await? {
            break;
        }
    }
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
impl Actions for PostgresStore {
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
        tx.commit().await?;
        Ok(outcomes)
    }

    async fn close_action(&self, fence: &Fence, closing: &Closing, now: Timestamp) -> Result<()> {
        const OPERATION: &str = "close an action";
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        batches::lock(&mut tx, &closing.action, closing.event, OPERATION).await?;
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
        tx.commit().await
    }

    async fn note_waits(&self, fence: &Fence, notes: &[WaitNote], now: Timestamp) -> Result<()> {
        waits::note(self, fence, notes, now).await
    }

    async fn action(&self, id_or_prefix: &str) -> Result<Action> {
        const OPERATION: &str = "read an action";
        if id_or_prefix.is_empty() {
            return Err(Error::NotFound { what: WHAT, id: id_or_prefix.to_owned() });
        }
        let mut tx = self.read(OPERATION).await?;
        let ids = sqlx::query_scalar!(
            "SELECT id FROM actions WHERE id >= $1 AND id < $2 ORDER BY id",
            id_or_prefix,
            prefix_end(id_or_prefix)
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        let id = whole_or_only(&ids, id_or_prefix, WHAT)?;
        sqlx::query_as!(
            ActionRow,
            "SELECT id, tenant, cluster, object_kind, object_name, kind, plan_id, step, binding, \
             source, actor, reason, mode, rule, state, revision, approval_id, detail, created_at, \
             updated_at, granted_at, start_by, wait_code, wait_reason, wait_since, \
             runnable_since, moved FROM actions WHERE id = $1",
            id
        )
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?
        .read(&self.protection)
    }

    async fn list_actions(&self, filter: &ActionFilter) -> Result<ActionList> {
        const OPERATION: &str = "list actions";
        let mut query = QueryBuilder::<Postgres>::new(
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
        if !filter.states.is_empty() {
            let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
            query.push(" AND state = ANY(").push_bind(states).push(")");
        }
        if !filter.kinds.is_empty() {
            let kinds: Vec<&str> = filter.kinds.iter().map(|kind| kind.as_str()).collect();
            query.push(" AND kind = ANY(").push_bind(kinds).push(")");
        }
        if let Some(since) = filter.changed_since {
            query.push(" AND updated_at >= ").push_bind(to_column(since));
        }
        query::push_keys(&mut query, &filter.keys);
        query.push(" ORDER BY seq DESC LIMIT ").push_bind(query::limit(filter.limit));
        let mut tx = self.read(OPERATION).await?;
        let rows: Vec<ActionRow> =
            query.build_query_as().fetch_all(&mut *tx).await.during(OPERATION)?;
        Ok(list(rows, &self.protection))
    }
}

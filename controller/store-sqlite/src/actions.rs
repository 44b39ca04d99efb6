//! Actions and their changes of state.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::{Action, ActionEvent, ActionState};
use skep_core::approval::ApprovalStatus;
use skep_core::audit::{ActionFacts, AuditData, AuditEvent, AuditKind};
use skep_core::gate::Decision;
use skep_core::identity::{ActionId, ObjectKey};
use skep_core::notice::Notice;
use skep_store::{
    ActionFilter, ActionList, Actions, Closing, Error, Fence, NewAction, ProposeOutcome,
    RequestOutcome, Result, UnreadableAction, WaitNote, step_context,
};
use sqlx::{QueryBuilder, Sqlite};

use crate::error::IntoStoreError as _;
use crate::row::ActionRow;
use crate::transition::{Change, Head};
use crate::{
    SqliteStore, Tx, approvals, audit, batches, clock, ledger, outbox, requests, row, waits,
};

const WHAT: &str = "action";

/// What has to be true of a proposal before anything is written.
fn check(new: &NewAction) -> Result<()> {
    let action = &new.action;
    let refuse = |why| Err(Error::Refused { what: WHAT, id: action.id.to_string(), why });
    match (action.state, &new.approval) {
        (ActionState::Pending, None) => return refuse("it waits for nobody's decision"),
        (ActionState::Granted, Some(_)) => return refuse("it asks for what is granted already"),
        (ActionState::Pending, Some(_)) | (ActionState::Granted, None) => {}
        _ => return refuse("a new action is pending or granted"),
    }
    if let Some(approval) = &new.approval
        && approval.status != ApprovalStatus::Pending
    {
        return refuse("its request is decided already");
    }
    if new.approval.as_ref().is_some_and(|approval| approval.action != action.id)
        || new.approval.as_ref().map(|approval| &approval.id) != action.approval.as_ref()
        || new.decision.action.as_ref() != Some(&action.id)
    {
        return refuse("its request or its decision is about another action");
    }
    Ok(())
}

/// The open action of a key, if it has one.
pub(crate) async fn open_action(
    tx: &mut Tx,
    key: &ObjectKey,
    operation: &'static str,
) -> Result<Option<ActionId>> {
    let tenant = key.tenant.as_str();
    let cluster = key.cluster.as_str();
    let kind = key.kind.as_str();
    let id = sqlx::query_scalar!(
        "SELECT id FROM actions \
         WHERE tenant = ? AND cluster = ? AND object_kind = ? AND object_name = ? \
         AND state IN ('pending', 'granted', 'executing', 'rolling_out')",
        tenant,
        cluster,
        kind,
        key.name
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?;
    Ok(id.map(ActionId::new))
}

/// What the trail says about a new action beside the sentence.
pub(crate) fn facts(action: &Action) -> ActionFacts {
    ActionFacts {
        operation: action.kind,
        source: action.source,
        initiator: action.actor.clone(),
        mode: action.mode,
        state: action.state,
        attempts_before: 0,
    }
}

pub(crate) async fn insert(tx: &mut Tx, action: &Action, operation: &'static str) -> Result<()> {
    let step = serde_json::to_vec(&action.step).map_err(|error| row::json_error(&error, WHAT))?;
    let id = action.id.as_str();
    let step = tx.protection.seal(WHAT, &step_context(id), &step)?;
    let tenant = action.key.tenant.as_str();
    let cluster = action.key.cluster.as_str();
    let object_kind = action.key.kind.as_str();
    let kind = action.kind.as_str();
    let plan = action.plan.as_str();
    let binding = action.binding.as_str();
    let source = action.source.as_str();
    let mode = action.mode.as_str();
    let state = action.state.as_str();
    let approval = action.approval.as_ref().map(AsRef::<str>::as_ref);
    let created_at = clock::to_column(action.created_at);
    let updated_at = clock::to_column(action.updated_at);
    let granted_at = action.granted_at.map(clock::to_column);
    let start_by = action.start_by.map(clock::to_column);
    sqlx::query!(
        "INSERT INTO actions (id, tenant, cluster, object_kind, object_name, kind, plan_id, step, \
         binding, source, actor, reason, mode, rule, state, revision, approval_id, detail, \
         created_at, updated_at, granted_at, start_by) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        tenant,
        cluster,
        object_kind,
        action.key.name,
        kind,
        plan,
        step,
        binding,
        source,
        action.actor,
        action.reason,
        mode,
        action.rule,
        state,
        action.revision,
        approval,
        action.detail,
        created_at,
        updated_at,
        granted_at,
        start_by
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
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
            check(new)?;
            let action = &new.action;
            if let Some(busy) = open_action(&mut tx, &action.key, OPERATION).await? {
                outcomes.push(ProposeOutcome::KeyBusy(busy));
                continue;
            }
            insert(&mut tx, action, OPERATION).await?;
            if let Some(approval) = &new.approval {
                approvals::insert(&mut tx, approval, OPERATION).await?;
                outbox::record(&mut tx, &Notice::requested(action, approval), OPERATION).await?;
            } else if new.decision.decision == Decision::AllowNotify.as_str() {
                let notice = Notice::allowed(action, &new.decision.reason);
                outbox::record(&mut tx, &notice, OPERATION).await?;
            }
            ledger::append(&mut tx, &new.decision, OPERATION).await?;
            let mut event = AuditEvent {
                at: now,
                kind: AuditKind::Proposed,
                actor: action.actor.clone(),
                key: Some(action.key.clone()),
                action: Some(action.id.clone()),
                detail: action.reason.clone(),
                data: Some(AuditData::Action(facts(action))),
            };
            audit::append(&mut tx, &event).await?;
            if action.state == ActionState::Granted {
                event.kind = AuditKind::Allowed;
                event.detail = format!("rule {}: {}", new.decision.rule, new.decision.reason);
                audit::append(&mut tx, &event).await?;
            }
            if let Some(request) = &new.request {
                let filed = RequestOutcome::Filed(action.id.clone());
                requests::resolve(&mut tx, request, &filed, &leader, now, OPERATION).await?;
            }
            outcomes.push(ProposeOutcome::Recorded);
        }
        tx.commit().await.during(OPERATION)?;
        Ok(outcomes)
    }

    async fn close_action(&self, fence: &Fence, closing: &Closing, now: Timestamp) -> Result<()> {
        const OPERATION: &str = "close an action";
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        let head = Head::load(&mut tx, &closing.action, OPERATION).await?;
        head.at_revision(closing.revision)?;
        let approval = match closing.event {
            ActionEvent::Supersede => Some(ApprovalStatus::Superseded),
            ActionEvent::Expire => Some(ApprovalStatus::Expired),
            ActionEvent::Deny => Some(ApprovalStatus::Denied),
            // What was approved was a rehearsal or a rollout, and it took place.
            ActionEvent::Rehearse | ActionEvent::Succeed => None,
            // What fails leaves a letter.
            ActionEvent::Fail
            | ActionEvent::Grant
            | ActionEvent::Begin
            | ActionEvent::Accept
            | ActionEvent::Retry => return Err(head.impossible(closing.event)),
        };
        head.may_be_closed(closing.event)?;
        let change = Change {
            event: closing.event,
            actor: &closing.actor,
            said: &closing.detail,
            detail: Some(&closing.detail),
            start_by: None,
            moved: closing.moved.as_ref(),
        };
        head.apply(&mut tx, change, now, OPERATION).await?;
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
        let end = row::prefix_end(id_or_prefix);
        let ids = sqlx::query_scalar!(
            "SELECT id FROM actions WHERE id >= ?1 AND id < ?2 ORDER BY id",
            id_or_prefix,
            end
        )
        .fetch_all(&self.readers)
        .await
        .during(OPERATION)?;
        let id = row::one_of(&ids, id_or_prefix, WHAT)?;
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
        if !filter.states.is_empty() {
            query.push(" AND state IN (");
            let mut states = query.separated(", ");
            for state in &filter.states {
                states.push_bind(state.as_str());
            }
            query.push(")");
        }
        row::push_keys(&mut query, &filter.keys);
        query.push(" ORDER BY seq DESC LIMIT ").push_bind(row::limit(filter.limit));
        let rows: Vec<ActionRow> =
            query.build_query_as().fetch_all(&self.readers).await.during("list actions")?;
        let mut list = ActionList { actions: Vec::with_capacity(rows.len()), unreadable: vec![] };
        for row in rows {
            let (id, name) = (row.id.clone(), row.object_name.clone());
            match row.read(&self.protection) {
                Ok(action) => list.actions.push(action),
                Err(error) => {
                    list.unreadable.push(UnreadableAction { id: ActionId::new(id), name, error });
                }
            }
        }
        Ok(list)
    }
}

//! Intents: *unknown* is on disk before the remote write, and the outcome after it.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::{ActionEvent, ActuatorMode, IntentPhase};
use skep_core::approval::ApprovalStatus;
use skep_core::audit::{AuditEvent, AuditKind};
use skep_core::identity::{ActionId, IntentId, ObjectKey, SwarmId};
use skep_core::notice::Notice;
use skep_store::{Effects, Error, Fence, Intent, IntentOutcome, Intents, OwnershipChange, Result};

use crate::error::IntoStoreError as _;
use crate::transition::{Change, Head};
use crate::{
    SqliteStore, Tx, approvals, attempts, audit, batches, clock, holds, letters, outbox, ownership,
    revisions, row,
};

const WHAT: &str = "intent";

/// The word for an outcome in the tables.
fn word(outcome: &IntentOutcome) -> &'static str {
    match outcome {
        // What became of the rollout stands with the action.
        IntentOutcome::Done { .. } | IntentOutcome::Accepted { .. } => "done",
        IntentOutcome::Refused { .. } | IntentOutcome::PutBack { .. } => "refused",
        IntentOutcome::NoEffect { .. } => "no_effect",
        IntentOutcome::Retry { .. } => "retry",
    }
}

/// Moves the action on by the outcome, and everything that belongs to it.
async fn close(
    tx: &mut Tx,
    outcome: &IntentOutcome,
    head: &Head,
    actor: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    if let Some(effects) = outcome.effects() {
        apply(tx, effects, head, operation).await?;
    }
    let change = Change {
        event: outcome.event(),
        actor,
        said: outcome.detail(),
        detail: Some(outcome.detail()),
        start_by: None,
        moved: None,
    };
    head.apply(tx, change, now, operation).await?;
    if let Some(failed) = outcome.failed() {
        letters::leave(tx, head, failed, outcome.detail(), now, operation).await?;
    }
    if let IntentOutcome::Retry { detail, attempt: Some(attempt) } = outcome {
        attempts::count(tx, &head.id, attempt, detail, now, operation).await?;
    }
    if outcome.event() == ActionEvent::Supersede {
        let status = ApprovalStatus::Superseded;
        if approvals::end(tx, &head.id, status, None, now, operation).await? {
            let notice = Notice::superseded(&head.key, &head.id, outcome.detail(), now);
            outbox::record(tx, &notice, operation).await?;
        }
    }
    batches::follow(tx, head, outcome.event(), outcome.detail(), now, operation).await
}

/// Stores what follows from the outcome, all of it about the action's own object.
async fn apply(tx: &mut Tx, effects: &Effects, head: &Head, operation: &'static str) -> Result<()> {
    let Effects { ownership, revision, hold } = effects;
    let keys = [
        ownership.as_ref().map(object_of),
        revision.as_ref().map(|revision| &revision.key),
        hold.as_ref().map(|hold| &hold.key),
    ];
    if keys.into_iter().flatten().any(|key| *key != head.key) {
        return Err(head.refused("its outcome is about another object"));
    }
    if let Some(change) = ownership {
        ownership::apply(tx, change, operation).await?;
    }
    if let Some(revision) = revision {
        if revision.action.as_ref().is_some_and(|action| *action != head.id) {
            return Err(head.refused("its revision was made by another action"));
        }
        revisions::append(tx, revision, operation).await?;
    }
    if let Some(hold) = hold {
        holds::place(tx, hold, operation).await?;
    }
    Ok(())
}

fn object_of(change: &OwnershipChange) -> &ObjectKey {
    match change {
        OwnershipChange::Record(object) => &object.key,
        OwnershipChange::Forget(key) => key,
    }
}

/// Last line of a promise that the layers above make too.
fn may_run(head: &Head) -> Result<()> {
    match head.mode {
        ActuatorMode::Swarm => Ok(()),
        ActuatorMode::DryRun => {
            Err(head.refused("what was approved as a rehearsal never runs for real"))
        }
    }
}

pub(crate) async fn insert(tx: &mut Tx, intent: &Intent, operation: &'static str) -> Result<()> {
    let id = intent.id.as_str();
    let action = intent.action.as_str();
    let tenant = intent.key.tenant.as_str();
    let cluster = intent.key.cluster.as_str();
    let kind = intent.key.kind.as_str();
    let object = intent.object.as_ref().map(SwarmId::as_str);
    let version = row::version(intent.version, WHAT, id)?;
    let phase = intent.phase.as_str();
    let created_at = clock::to_column(intent.created_at);
    let context = Intent::body_context(&intent.id, &intent.action, &intent.key);
    let body = tx.protection.seal(WHAT, &context, &intent.body)?;
    sqlx::query!(
        "INSERT INTO intents (id, action_id, tenant, cluster, object_kind, object_name, \
         object_id, version, phase, body, outcome, detail, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'unknown', '', ?)",
        id,
        action,
        tenant,
        cluster,
        kind,
        intent.key.name,
        object,
        version,
        phase,
        body,
        created_at
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

/// An intent whose outcome is unknown.
pub(crate) struct Open {
    pub(crate) action: ActionId,
    phase: IntentPhase,
}

pub(crate) async fn load_open(
    tx: &mut Tx,
    intent: &IntentId,
    operation: &'static str,
) -> Result<Open> {
    let id = intent.as_str();
    let row = sqlx::query!("SELECT action_id, phase, outcome FROM intents WHERE id = ?", id)
        .fetch_optional(&mut **tx)
        .await
        .during(operation)?
        .ok_or_else(|| Error::NotFound { what: WHAT, id: id.to_owned() })?;
    if row.outcome != "unknown" {
        let current = format!("settled as {}", row.outcome);
        return Err(Error::Conflict { what: WHAT, id: id.to_owned(), current });
    }
    Ok(Open {
        action: ActionId::new(row.action_id),
        phase: row::word(&row.phase, IntentPhase::from_word, WHAT)?,
    })
}

#[async_trait]
impl Intents for SqliteStore {
    async fn begin(
        &self,
        fence: &Fence,
        revision: i64,
        intent: &Intent,
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "store an intent";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        let head = Head::load(&mut tx, &intent.action, OPERATION).await?;
        head.at_revision(revision)?;
        may_run(&head)?;
        if head.key != intent.key {
            return Err(head.refused("its intent is about another object"));
        }
        if head.kind.writes_nothing_to_the_engine() {
            return Err(head.refused("it only changes our own records and needs no intent"));
        }
        if intent.phase == IntentPhase::Create {
            return Err(head.refused("a replacement begins with the removal"));
        }
        let said = format!("intent {}", intent.id);
        let change = Change {
            event: ActionEvent::Begin,
            actor: &leader,
            said: &said,
            detail: None,
            start_by: None,
            moved: None,
        };
        head.apply(&mut tx, change, now, OPERATION).await?;
        insert(&mut tx, intent, OPERATION).await?;
        tx.commit().await.during(OPERATION)
    }

    async fn advance(
        &self,
        fence: &Fence,
        intent: &IntentId,
        from: IntentPhase,
        to: IntentPhase,
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "move a replacement on";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        let open = load_open(&mut tx, intent, OPERATION).await?;
        let id = intent.as_str();
        if open.phase != from {
            let current = format!("in phase {}", open.phase);
            return Err(Error::Conflict { what: WHAT, id: id.to_owned(), current });
        }
        if !from.leads_to(to) {
            let why = "only a removal is followed by another request";
            return Err(Error::Refused { what: WHAT, id: id.to_owned(), why });
        }
        let phase = to.as_str();
        sqlx::query!("UPDATE intents SET phase = ? WHERE id = ?", phase, id)
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
        let head = Head::load(&mut tx, &open.action, OPERATION).await?;
        let data = head.facts(&mut tx, head.state, OPERATION).await?;
        let event = AuditEvent {
            at: now,
            kind: AuditKind::Advanced,
            actor: leader,
            key: Some(head.key),
            action: Some(head.id),
            detail: format!("intent {id}: {from} is done, {to} is next"),
            data: Some(data),
        };
        audit::append(&mut tx, &event).await?;
        tx.commit().await.during(OPERATION)
    }

    async fn settle(
        &self,
        fence: &Fence,
        intent: &IntentId,
        outcome: &IntentOutcome,
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "store the outcome of an intent";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        let id = intent.as_str();
        let open = load_open(&mut tx, intent, OPERATION).await?;
        let settled_at = clock::to_column(now);
        let (word, detail) = (word(outcome), outcome.detail());
        // The body holds values behind references; once the outcome is known nobody needs it.
        sqlx::query!(
            "UPDATE intents SET outcome = ?, detail = ?, settled_at = ?, body = x'' WHERE id = ?",
            word,
            detail,
            settled_at,
            id
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        let head = Head::load(&mut tx, &open.action, OPERATION).await?;
        close(&mut tx, outcome, &head, &leader, now, OPERATION).await?;
        tx.commit().await.during(OPERATION)
    }

    async fn settle_without_write(
        &self,
        fence: &Fence,
        action: &ActionId,
        revision: i64,
        outcome: &IntentOutcome,
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "carry out a change of our own records";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        let head = Head::load(&mut tx, action, OPERATION).await?;
        head.at_revision(revision)?;
        may_run(&head)?;
        if !head.kind.writes_nothing_to_the_engine() {
            return Err(head.refused("it writes to the engine and needs an intent"));
        }
        if matches!(outcome, IntentOutcome::Accepted { .. }) {
            return Err(head.refused("nothing is sent to the engine, so nothing rolls out"));
        }
        // It passes through `executing` like every action, so that the trail has one form; nobody
        // ever sees it there.
        let change = Change {
            event: ActionEvent::Begin,
            actor: &leader,
            said: "nothing is sent to the engine",
            detail: None,
            start_by: None,
            moved: None,
        };
        head.apply(&mut tx, change, now, OPERATION).await?;
        let head = Head::load(&mut tx, action, OPERATION).await?;
        close(&mut tx, outcome, &head, &leader, now, OPERATION).await?;
        tx.commit().await.during(OPERATION)
    }

    async fn open_intents(&self) -> Result<Vec<Intent>> {
        let rows = sqlx::query!(
            "SELECT id, action_id, tenant, cluster, object_kind, object_name, object_id, version, \
             phase, body, created_at FROM intents WHERE outcome = 'unknown' ORDER BY seq"
        )
        .fetch_all(&self.readers)
        .await
        .during("read the open intents")?;
        let mut open = Vec::with_capacity(rows.len());
        for row in rows {
            let id = IntentId::new(row.id);
            let read = || {
                let key =
                    row::key(row.tenant, row.cluster, &row.object_kind, row.object_name, WHAT)?;
                let action = ActionId::new(row.action_id);
                let context = Intent::body_context(&id, &action, &key);
                Ok::<_, Error>(Intent {
                    id: id.clone(),
                    action,
                    key,
                    object: row.object_id.map(SwarmId::new),
                    version: row::stored_version(row.version, WHAT)?,
                    phase: row::word(&row.phase, IntentPhase::from_word, WHAT)?,
                    body: self.protection.open(WHAT, &context, row.body)?,
                    created_at: clock::from_column(row.created_at, WHAT)?,
                })
            };
            match read() {
                Ok(intent) => open.push(intent),
                // One that cannot be read must not keep the others from being settled.
                Err(error) => {
                    tracing::error!(intent.id = %id, error = %error, "store.intent_unreadable");
                }
            }
        }
        Ok(open)
    }
}

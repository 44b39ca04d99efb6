//! Intents: *unknown* is on disk before the remote write, and the outcome after it.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::{ActionEvent, IntentPhase};
use skep_core::approval::ApprovalStatus;
use skep_core::identity::{ActionId, IntentId, SwarmId};
use skep_core::notice::Notice;
use skep_store::{Effects, Fence, Intent, IntentOutcome, Intents, Result};
use skep_store_sql::instant::to_column;
use skep_store_sql::{
    Change, Head, IntentRow, OpenIntent, OpenIntentRow, events, outcome_word, version,
};

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::write::Write;
use crate::{
    PostgresStore, approvals, attempts, audit, batches, holds, letters, outbox, ownership,
    revisions, transition,
};

const WHAT: &str = "intent";

/// Moves the action on by the outcome, and everything that belongs to it.
async fn close(
    tx: &mut Write,
    outcome: &IntentOutcome,
    head: &Head,
    actor: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    if let Some(effects) = outcome.effects() {
        store(tx, effects, head, operation).await?;
    }
    transition::apply(tx, head, &Change::outcome(outcome, actor), now, operation).await?;
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
async fn store(
    tx: &mut Write,
    effects: &Effects,
    head: &Head,
    operation: &'static str,
) -> Result<()> {
    head.owns(effects)?;
    if let Some(change) = &effects.ownership {
        ownership::apply(tx, change, operation).await?;
    }
    if let Some(revision) = &effects.revision {
        revisions::append(tx, revision, operation).await?;
    }
    if let Some(hold) = &effects.hold {
        holds::place(tx, hold, operation).await?;
    }
    Ok(())
}

pub(crate) async fn insert(tx: &mut Write, intent: &Intent, operation: &'static str) -> Result<()> {
    let context = Intent::body_context(&intent.id, &intent.action, &intent.key);
    let body = tx.protection().seal(WHAT, &context, &intent.body)?;
    sqlx::query!(
        "INSERT INTO intents (id, action_id, tenant, cluster, object_kind, object_name, \
         object_id, version, phase, body, outcome, detail, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'unknown', '', $11)",
        intent.id.as_str(),
        intent.action.as_str(),
        intent.key.tenant.as_str(),
        intent.key.cluster.as_str(),
        intent.key.kind.as_str(),
        intent.key.name,
        intent.object.as_ref().map(SwarmId::as_str),
        version(intent.version, WHAT, &intent.id)?,
        intent.phase.as_str(),
        body,
        to_column(intent.created_at)
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

/// Reads an open intent and locks it until the transaction ends.
pub(crate) async fn load_open(
    tx: &mut Session<'_>,
    intent: &IntentId,
    operation: &'static str,
) -> Result<OpenIntent> {
    let row = sqlx::query_as!(
        OpenIntentRow,
        "SELECT action_id, phase, outcome FROM intents WHERE id = $1 FOR UPDATE",
        intent.as_str()
    )
    .fetch_optional(&mut *tx)
    .await
    .during(operation)?;
    OpenIntentRow::open(row, intent)
}

#[async_trait]
impl Intents for PostgresStore {
    async fn begin(
        &self,
        fence: &Fence,
        revision: i64,
        intent: &Intent,
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "store an intent";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        let head = transition::load(&mut tx, &intent.action, OPERATION).await?;
        head.may_begin(revision, intent)?;
        let said = format!("intent {}", intent.id);
        let change = Change::begin(&leader, &said);
        transition::apply(&mut tx, &head, &change, now, OPERATION).await?;
        insert(&mut tx, intent, OPERATION).await?;
        tx.commit().await
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
        open.may_advance(intent, from, to)?;
        sqlx::query!("UPDATE intents SET phase = $1 WHERE id = $2", to.as_str(), intent.as_str())
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
        let head = transition::load(&mut tx, &open.action, OPERATION).await?;
        let attempts = audit::attempts(&mut tx, &head.id, OPERATION).await?;
        let event = events::advanced(intent, (from, to), head, attempts, leader, now);
        audit::append(&mut tx, &event).await?;
        tx.commit().await
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
        let open = load_open(&mut tx, intent, OPERATION).await?;
        // The body holds values behind references; once the outcome is known nobody needs it.
        sqlx::query!(
            "UPDATE intents SET outcome = $1, detail = $2, settled_at = $3, body = '' \
             WHERE id = $4",
            outcome_word(outcome),
            outcome.detail(),
            to_column(now),
            intent.as_str()
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        batches::lock(&mut tx, &open.action, outcome.event(), OPERATION).await?;
        let head = transition::load(&mut tx, &open.action, OPERATION).await?;
        close(&mut tx, outcome, &head, &leader, now, OPERATION).await?;
        tx.commit().await
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
        batches::lock(&mut tx, action, outcome.event(), OPERATION).await?;
        let head = transition::load(&mut tx, action, OPERATION).await?;
        head.may_settle_without_write(revision, outcome)?;
        // It passes through `executing` like every action, so that the trail has one form; nobody
        // ever sees it there.
        let change = Change::begin(&leader, "nothing is sent to the engine");
        transition::apply(&mut tx, &head, &change, now, OPERATION).await?;
        let head = transition::load(&mut tx, action, OPERATION).await?;
        close(&mut tx, outcome, &head, &leader, now, OPERATION).await?;
        tx.commit().await
    }

    async fn open_intents(&self) -> Result<Vec<Intent>> {
        const OPERATION: &str = "read the open intents";
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query_as!(
            IntentRow,
            "SELECT id, action_id, tenant, cluster, object_kind, object_name, object_id, version, \
             phase, body, created_at FROM intents WHERE outcome = 'unknown' ORDER BY seq"
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        let mut open = Vec::with_capacity(rows.len());
        for row in rows {
            let id = row.id.clone();
            match row.read(&self.protection) {
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

//! Dead letters: left with the failure of an action, handled by people.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::ActionEvent;
use skep_core::audit::{AuditData, AuditEvent, AuditKind, LetterFacts};
use skep_core::identity::{LetterId, ObjectKey};
use skep_core::letter::{DeadLetter, Handled, LetterKind, LetterReason, LetterState};
use skep_store::{
    Closing, DeadLetters, DropLetter, Error, Failed, Fence, LetterAnswer, LetterFilter,
    OpenLetters, Operator, Rejection, Requeue, RequeueWith, Result,
};
use sqlx::{QueryBuilder, Sqlite};

use crate::error::IntoStoreError as _;
use crate::transition::{Change, Head};
use crate::{SqliteStore, Tx, attempts, audit, batches, clock, holds, requests, row};

const WHAT: &str = "dead letter";

/// A row of `dead_letters`.
#[derive(sqlx::FromRow)]
struct LetterRow {
    id: String,
    kind: String,
    source: String,
    event: String,
    host: String,
    tenant: Option<String>,
    cluster: Option<String>,
    object_kind: Option<String>,
    object_name: Option<String>,
    reason: String,
    detail: String,
    attempts: i64,
    payload: String,
    first_seen: i64,
    last_seen: i64,
    state: String,
    handled_at: Option<i64>,
    handled_by: Option<String>,
    handled_why: Option<String>,
}

impl LetterRow {
    fn read(self) -> Result<DeadLetter> {
        let handled_at = row::instant(self.handled_at, WHAT)?;
        let handled = handled_at.map(|at| Handled {
            at,
            by: self.handled_by.unwrap_or_default(),
            why: self.handled_why.unwrap_or_default(),
        });
        Ok(DeadLetter {
            id: LetterId::new(self.id),
            kind: row::word(&self.kind, LetterKind::from_word, WHAT)?,
            source: self.source,
            event: self.event,
            host: self.host,
            key: row::optional_key(
                (self.tenant, self.cluster),
                (self.object_kind, self.object_name),
                WHAT,
            )?,
            reason: row::word(&self.reason, LetterReason::from_word, WHAT)?,
            detail: self.detail,
            attempts: row::count(self.attempts, WHAT)?,
            payload: self.payload,
            first_seen: clock::from_column(self.first_seen, WHAT)?,
            last_seen: clock::from_column(self.last_seen, WHAT)?,
            state: row::word(&self.state, LetterState::from_word, WHAT)?,
            handled,
        })
    }
}

async fn load(tx: &mut Tx, id: &LetterId, operation: &'static str) -> Result<Option<DeadLetter>> {
    let id = id.as_str();
    sqlx::query_as!(
        LetterRow,
        "SELECT id, kind, source, event, host, tenant, cluster, object_kind, object_name, reason, \
         detail, attempts, payload, first_seen, last_seen, state, handled_at, handled_by, \
         handled_why FROM dead_letters WHERE id = ?",
        id
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?
    .map(LetterRow::read)
    .transpose()
}

async fn insert(tx: &mut Tx, letter: &DeadLetter, operation: &'static str) -> Result<()> {
    let id = letter.id.as_str();
    let kind = letter.kind.as_str();
    let key = letter.key.as_ref();
    let tenant = key.map(|key| key.tenant.as_str());
    let cluster = key.map(|key| key.cluster.as_str());
    let object_kind = key.map(|key| key.kind.as_str());
    let object_name = key.map(|key| key.name.as_str());
    let reason = letter.reason.as_str();
    let attempts = i64::from(letter.attempts);
    let (first_seen, last_seen) =
        (clock::to_column(letter.first_seen), clock::to_column(letter.last_seen));
    sqlx::query!(
        "INSERT INTO dead_letters (id, kind, source, event, host, tenant, cluster, object_kind, \
         object_name, reason, detail, attempts, payload, first_seen, last_seen, state) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open')",
        id,
        kind,
        letter.source,
        letter.event,
        letter.host,
        tenant,
        cluster,
        object_kind,
        object_name,
        reason,
        letter.detail,
        attempts,
        letter.payload,
        first_seen,
        last_seen
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

/// Leaves the letter of an action that fails in this transaction.
pub(crate) async fn leave(
    tx: &mut Tx,
    head: &Head,
    failed: &Failed,
    detail: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    if failed.reason.kind() != LetterKind::Dispatch {
        return Err(head.refused("it cannot have failed for a reason that is about events"));
    }
    let id = head.id.as_str();
    let earlier = attempts::load(tx, &head.id, operation).await?;
    let letter = DeadLetter {
        id: LetterId::new(id),
        kind: LetterKind::Dispatch,
        source: head.source.to_string(),
        event: head.kind.to_string(),
        host: failed.host.clone(),
        key: Some(head.key.clone()),
        reason: failed.reason,
        detail: detail.to_owned(),
        attempts: failed.attempts,
        payload: format!("action:{id}"),
        first_seen: earlier.map_or(now, |earlier| earlier.first_at),
        last_seen: now,
        state: LetterState::Open,
        handled: None,
    };
    insert(tx, &letter, operation).await
}

/// Marks an open letter as handled and writes the trail's row about it.
async fn handle(
    tx: &mut Tx,
    letter: &DeadLetter,
    state: LetterState,
    by: &Operator,
    why: &str,
    now: Timestamp,
    operation: &'static str,
) -> Result<DeadLetter> {
    let id = letter.id.as_str();
    let word = state.as_str();
    let at = clock::to_column(now);
    sqlx::query!(
        "UPDATE dead_letters SET state = ?, handled_at = ?, handled_by = ?, handled_why = ? \
         WHERE id = ?",
        word,
        at,
        by.actor,
        why,
        id
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    let (kind, op) = match state {
        LetterState::Dropped => (AuditKind::LetterDropped, "drop"),
        LetterState::Open | LetterState::Requeued => (AuditKind::LetterRequeued, "requeue"),
    };
    let event = AuditEvent {
        at: now,
        kind,
        actor: by.actor.clone(),
        key: letter.key.clone(),
        action: None,
        detail: format!(
            "op={op} id={id} kind={} host={} initiator={:?} source={:?} attemptsBeforeOp={} \
             reason={why:?}",
            letter.kind, by.host, by.initiator, by.source, letter.attempts
        ),
        data: Some(AuditData::Letter(LetterFacts {
            op: op.to_owned(),
            id: id.to_owned(),
            kind: letter.kind.to_string(),
            host: by.host.clone(),
            initiator: by.initiator.to_string(),
            source: by.source.to_string(),
            reason: why.to_owned(),
            attempts_before_op: letter.attempts,
        })),
    };
    audit::append(tx, &event).await?;
    let at = clock::from_column(at, WHAT)?;
    let handled = Some(Handled { at, by: by.actor.clone(), why: why.to_owned() });
    Ok(DeadLetter { state, handled, ..letter.clone() })
}

fn refused(id: &LetterId, why: &'static str) -> Error {
    Error::Refused { what: WHAT, id: id.to_string(), why }
}

fn not_found(id: &LetterId) -> Error {
    Error::NotFound { what: WHAT, id: id.to_string() }
}

/// The object that a requeue is about.
fn object_of(with: &RequeueWith) -> Option<&ObjectKey> {
    match with {
        RequeueWith::Retry(hold) => Some(&hold.key),
        RequeueWith::Request(request) => Some(&request.key),
        RequeueWith::Nothing => None,
    }
}

#[async_trait]
impl DeadLetters for SqliteStore {
    async fn fail_action(
        &self,
        fence: &Fence,
        closing: &Closing,
        failed: &Failed,
        now: Timestamp,
    ) -> Result<()> {
        const OPERATION: &str = "end a rollout as failed";
        let (mut tx, _) = self.write_fenced(fence, OPERATION).await?;
        let head = Head::load(&mut tx, &closing.action, OPERATION).await?;
        head.at_revision(closing.revision)?;
        if closing.event != ActionEvent::Fail {
            return Err(head.impossible(closing.event));
        }
        head.may_be_closed(closing.event)?;
        let change = Change {
            event: closing.event,
            actor: &closing.actor,
            said: &closing.detail,
            detail: Some(&closing.detail),
            start_by: None,
            moved: None,
        };
        head.apply(&mut tx, change, now, OPERATION).await?;
        leave(&mut tx, &head, failed, &closing.detail, now, OPERATION).await?;
        batches::follow(&mut tx, &head, closing.event, &closing.detail, now, OPERATION).await?;
        tx.commit().await.during(OPERATION)
    }

    async fn reject_event(&self, rejection: &Rejection, now: Timestamp) -> Result<DeadLetter> {
        const OPERATION: &str = "keep a rejected event";
        if rejection.reason.kind() != LetterKind::Ingress {
            return Err(refused(&rejection.id, "its reason is about actions"));
        }
        let mut tx = self.write(OPERATION).await?;
        match load(&mut tx, &rejection.id, OPERATION).await? {
            None => insert(&mut tx, &first(rejection, now), OPERATION).await?,
            Some(letter) if letter.kind == LetterKind::Ingress => {
                again(&mut tx, rejection, now, OPERATION).await?;
            }
            Some(_) => return Err(refused(&rejection.id, "its id is that of an action")),
        }
        let event = AuditEvent {
            at: now,
            kind: AuditKind::EventRejected,
            actor: rejection.source.clone(),
            key: None,
            action: None,
            detail: format!("event {} ({}): {}", rejection.id, rejection.reason, rejection.detail),
            data: None,
        };
        audit::append(&mut tx, &event).await?;
        let letter = load(&mut tx, &rejection.id, OPERATION).await?;
        tx.commit().await.during(OPERATION)?;
        letter.ok_or_else(|| not_found(&rejection.id))
    }

    async fn letters(&self, filter: &LetterFilter) -> Result<Vec<DeadLetter>> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT id, kind, source, event, host, tenant, cluster, object_kind, object_name, \
             reason, detail, attempts, payload, first_seen, last_seen, state, handled_at, \
             handled_by, handled_why FROM dead_letters WHERE true",
        );
        if let Some(kind) = filter.kind {
            query.push(" AND kind = ").push_bind(kind.as_str());
        }
        row::push_words(&mut query, "state", filter.states.iter().map(|state| state.as_str()));
        row::push_words(&mut query, "reason", filter.reasons.iter().map(|word| word.as_str()));
        row::push_words(&mut query, "object_name", filter.names.iter().map(String::as_str));
        query.push(" AND attempts >= ").push_bind(i64::from(filter.min_attempts));
        if let Some(since) = filter.since {
            query.push(" AND last_seen >= ").push_bind(clock::to_column(since));
        }
        query.push(" ORDER BY last_seen DESC, seq DESC LIMIT ");
        query.push_bind(row::limit(filter.limit));
        let rows: Vec<LetterRow> =
            query.build_query_as().fetch_all(&self.readers).await.during("list dead letters")?;
        rows.into_iter().map(LetterRow::read).collect()
    }

    async fn letter(&self, id_or_prefix: &str) -> Result<DeadLetter> {
        const OPERATION: &str = "read a dead letter";
        let end = row::prefix_end(id_or_prefix);
        let ids = sqlx::query_scalar!(
            "SELECT id FROM dead_letters WHERE id >= ?1 AND id < ?2 ORDER BY id",
            id_or_prefix,
            end
        )
        .fetch_all(&self.readers)
        .await
        .during(OPERATION)?;
        let id = row::one_of(&ids, id_or_prefix, WHAT)?;
        sqlx::query_as!(
            LetterRow,
            "SELECT id, kind, source, event, host, tenant, cluster, object_kind, object_name, \
             reason, detail, attempts, payload, first_seen, last_seen, state, handled_at, \
             handled_by, handled_why FROM dead_letters WHERE id = ?",
            id
        )
        .fetch_one(&self.readers)
        .await
        .during(OPERATION)?
        .read()
    }

    async fn open_letters(&self) -> Result<OpenLetters> {
        let rows = sqlx::query!(
            r#"SELECT kind, count(*) AS "open!: i64" FROM dead_letters WHERE state = 'open' GROUP BY kind"#
        )
        .fetch_all(&self.readers)
        .await
        .during("count dead letters")?;
        let mut counts = OpenLetters::default();
        for row in rows {
            let open = u64::try_from(row.open).unwrap_or_default();
            match row::word(&row.kind, LetterKind::from_word, WHAT)? {
                LetterKind::Ingress => counts.ingress = open,
                LetterKind::Dispatch => counts.dispatch = open,
            }
        }
        Ok(counts)
    }

    async fn requeue_letter(&self, requeue: &Requeue, now: Timestamp) -> Result<LetterAnswer> {
        const OPERATION: &str = "have a dead letter proposed again";
        let mut tx = self.write(OPERATION).await?;
        let letter = load(&mut tx, &requeue.letter, OPERATION).await?;
        let letter = letter.ok_or_else(|| not_found(&requeue.letter))?;
        if letter.state != LetterState::Open {
            return Ok(LetterAnswer::Already(letter));
        }
        let Some(key) = &letter.key else {
            return Err(refused(&letter.id, "it is about no object, so nothing can be proposed"));
        };
        if object_of(&requeue.with).is_some_and(|object| object != key) {
            return Err(refused(&letter.id, "what is to be proposed is about another object"));
        }
        match &requeue.with {
            RequeueWith::Retry(hold) => holds::place(&mut tx, hold, OPERATION).await?,
            RequeueWith::Request(request) => {
                requests::file(&mut tx, request, now, OPERATION).await?;
            }
            RequeueWith::Nothing => {}
        }
        let (state, by) = (LetterState::Requeued, &requeue.by);
        let letter = handle(&mut tx, &letter, state, by, &requeue.why, now, OPERATION).await?;
        tx.commit().await.during(OPERATION)?;
        Ok(LetterAnswer::Changed(letter))
    }

    async fn drop_letter(&self, wish: &DropLetter, now: Timestamp) -> Result<LetterAnswer> {
        const OPERATION: &str = "put a dead letter away";
        if wish.why.trim().is_empty() {
            return Err(refused(&wish.letter, "it is put away for a reason only"));
        }
        let mut tx = self.write(OPERATION).await?;
        let letter = load(&mut tx, &wish.letter, OPERATION).await?;
        let letter = letter.ok_or_else(|| not_found(&wish.letter))?;
        if letter.state != LetterState::Open {
            return Ok(LetterAnswer::Already(letter));
        }
        let (state, by) = (LetterState::Dropped, &wish.by);
        let letter = handle(&mut tx, &letter, state, by, &wish.why, now, OPERATION).await?;
        tx.commit().await.during(OPERATION)?;
        Ok(LetterAnswer::Changed(letter))
    }
}

fn first(rejection: &Rejection, now: Timestamp) -> DeadLetter {
    DeadLetter {
        id: rejection.id.clone(),
        kind: LetterKind::Ingress,
        source: rejection.source.clone(),
        event: rejection.event.clone(),
        host: rejection.host.clone(),
        key: None,
        reason: rejection.reason,
        detail: rejection.detail.clone(),
        attempts: 1,
        payload: rejection.payload.clone(),
        first_seen: now,
        last_seen: now,
        state: LetterState::Open,
        handled: None,
    }
}

/// The same event could not be taken in once more.
async fn again(
    tx: &mut Tx,
    rejection: &Rejection,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    let id = rejection.id.as_str();
    let reason = rejection.reason.as_str();
    let at = clock::to_column(now);
    sqlx::query!(
        "UPDATE dead_letters SET attempts = attempts + 1, reason = ?, detail = ?, host = ?, \
         last_seen = ?, state = 'open', handled_at = NULL, handled_by = NULL, handled_why = NULL \
         WHERE id = ?",
        reason,
        rejection.detail,
        rejection.host,
        at,
        id
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

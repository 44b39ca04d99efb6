//! Rows of `attempts` and `dead_letters`, and what must be true before one is written.

use jiff::Timestamp;
use skep_core::audit::{AuditData, AuditEvent, AuditKind, LetterFacts};
use skep_core::identity::{ActionId, LetterId, ObjectKey};
use skep_core::letter::{DeadLetter, Handled, LetterKind, LetterReason, LetterState};
use skep_core::retry::Failure;
use skep_store::{
    Attempts, DropLetter, Error, Failed, FailedAttempt, Operator, Rejection, Requeue, RequeueWith,
    Result,
};

use crate::columns::{instant_or_none, key, number, word};
use crate::instant::from_column;
use crate::transition::Head;

const WHAT: &str = "dead letter";

/// A row of `attempts`.
#[derive(sqlx::FromRow)]
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct AttemptRow {
    pub action_id: String,
    pub failed: i64,
    pub failure: String,
    pub detail: String,
    pub first_at: i64,
    pub last_at: i64,
    pub not_before: i64,
}

impl AttemptRow {
    /// The failed attempts.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<Attempts> {
        const WHAT: &str = "attempt";
        Ok(Attempts {
            action: ActionId::new(self.action_id),
            failed: number(self.failed, WHAT)?,
            failure: word(&self.failure, Failure::from_word, WHAT)?,
            detail: self.detail,
            first_at: from_column(self.first_at, WHAT)?,
            last_at: from_column(self.last_at, WHAT)?,
            not_before: from_column(self.not_before, WHAT)?,
        })
    }
}

/// A row of `dead_letters`.
#[derive(sqlx::FromRow)]
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct LetterRow {
    pub id: String,
    pub kind: String,
    pub source: String,
    pub event: String,
    pub host: String,
    pub tenant: Option<String>,
    pub cluster: Option<String>,
    pub object_kind: Option<String>,
    pub object_name: Option<String>,
    pub reason: String,
    pub detail: String,
    pub attempts: i64,
    pub payload: String,
    pub first_seen: i64,
    pub last_seen: i64,
    pub state: String,
    pub handled_at: Option<i64>,
    pub handled_by: Option<String>,
    pub handled_why: Option<String>,
}

impl LetterRow {
    /// The letter.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<DeadLetter> {
        let handled_at = instant_or_none(self.handled_at, WHAT)?;
        let key = match (self.tenant, self.cluster, self.object_kind, self.object_name) {
            (Some(tenant), Some(cluster), Some(kind), Some(name)) => {
                Some(key(tenant, cluster, &kind, name, WHAT)?)
            }
            (None, None, None, None) => None,
            _ => {
                let source = "half of an object's key".into();
                return Err(Error::Corrupt { what: WHAT, source });
            }
        };
        Ok(DeadLetter {
            id: LetterId::new(self.id),
            kind: word(&self.kind, LetterKind::from_word, WHAT)?,
            source: self.source,
            event: self.event,
            host: self.host,
            key,
            reason: word(&self.reason, LetterReason::from_word, WHAT)?,
            detail: self.detail,
            attempts: number(self.attempts, WHAT)?,
            payload: self.payload,
            first_seen: from_column(self.first_seen, WHAT)?,
            last_seen: from_column(self.last_seen, WHAT)?,
            state: word(&self.state, LetterState::from_word, WHAT)?,
            handled: handled_at.map(|at| Handled {
                at,
                by: self.handled_by.unwrap_or_default(),
                why: self.handled_why.unwrap_or_default(),
            }),
        })
    }
}

/// The trail's row about an attempt whose intent stays open.
#[must_use]
pub fn attempt_failed(
    head: Head,
    counted: &Attempts,
    attempt: &FailedAttempt,
    detail: &str,
    attempts_before: u32,
    leader: String,
    now: Timestamp,
) -> AuditEvent {
    let data = Some(head.facts(head.state, attempts_before));
    AuditEvent {
        at: now,
        kind: AuditKind::AttemptFailed,
        actor: leader,
        key: Some(head.key),
        action: Some(head.id),
        detail: format!("attempt {} failed ({}): {detail}", counted.failed, attempt.failure),
        data,
    }
}

/// The letter of an action that fails. `first_seen` is when its first attempt failed, when an
/// earlier one did.
///
/// # Errors
/// [`Error::Refused`] for a reason that is about events.
pub fn letter_of(
    head: &Head,
    failed: &Failed,
    detail: &str,
    first_seen: Option<Timestamp>,
    now: Timestamp,
) -> Result<DeadLetter> {
    let id = LetterId::new(head.id.as_str());
    if failed.reason.kind() != LetterKind::Dispatch {
        return Err(refused(&id, "an action cannot fail for a reason that is about events"));
    }
    Ok(DeadLetter {
        kind: LetterKind::Dispatch,
        source: head.source.to_string(),
        event: head.kind.to_string(),
        host: failed.host.clone(),
        key: Some(head.key.clone()),
        reason: failed.reason,
        detail: detail.to_owned(),
        attempts: failed.attempts,
        payload: format!("action:{id}"),
        first_seen: first_seen.unwrap_or(now),
        last_seen: now,
        state: LetterState::Open,
        handled: None,
        id,
    })
}

/// The letter of an event that could not be taken in for the first time.
#[must_use]
pub fn letter_of_event(rejection: &Rejection, now: Timestamp) -> DeadLetter {
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

/// Whether an event may be kept beside what is there under its id.
///
/// # Errors
/// [`Error::Refused`] for a reason that is about actions, and for the id of one.
pub fn check_rejection(rejection: &Rejection, there: Option<&DeadLetter>) -> Result<()> {
    if rejection.reason.kind() != LetterKind::Ingress {
        return Err(refused(&rejection.id, "its reason is about actions"));
    }
    if there.is_some_and(|letter| letter.kind != LetterKind::Ingress) {
        return Err(refused(&rejection.id, "its id is that of an action"));
    }
    Ok(())
}

/// The trail's row about an event that could not be taken in.
#[must_use]
pub fn event_rejected(rejection: &Rejection, now: Timestamp) -> AuditEvent {
    AuditEvent {
        at: now,
        kind: AuditKind::EventRejected,
        actor: rejection.source.clone(),
        key: None,
        action: None,
        detail: format!("event {} ({}): {}", rejection.id, rejection.reason, rejection.detail),
        data: None,
    }
}

/// Whether an open letter may be proposed again like this.
///
/// # Errors
/// [`Error::Refused`] for a letter about no object, and for what is about another one.
pub fn check_requeue(requeue: &Requeue, letter: &DeadLetter) -> Result<()> {
    let Some(key) = &letter.key else {
        return Err(refused(&letter.id, "it is about no object, so nothing can be proposed"));
    };
    if object_of(&requeue.with).is_some_and(|object| object != key) {
        return Err(refused(&letter.id, "what is to be proposed is about another object"));
    }
    Ok(())
}

/// Whether a letter may be put away like this.
///
/// # Errors
/// [`Error::Refused`] without a reason.
pub fn check_drop(wish: &DropLetter) -> Result<()> {
    if wish.why.trim().is_empty() {
        return Err(refused(&wish.letter, "it is put away for a reason only"));
    }
    Ok(())
}

/// A letter that is not there.
#[must_use]
pub fn no_letter(id: &LetterId) -> Error {
    Error::NotFound { what: WHAT, id: id.to_string() }
}

/// The trail's row about a letter that somebody has looked at.
#[must_use]
pub fn letter_handled(
    letter: &DeadLetter,
    state: LetterState,
    by: &Operator,
    why: &str,
    now: Timestamp,
) -> AuditEvent {
    let (kind, op) = match state {
        LetterState::Dropped => (AuditKind::LetterDropped, "drop"),
        LetterState::Open | LetterState::Requeued => (AuditKind::LetterRequeued, "requeue"),
    };
    AuditEvent {
        at: now,
        kind,
        actor: by.actor.clone(),
        key: letter.key.clone(),
        action: None,
        detail: format!(
            "op={op} id={} kind={} host={} initiator={:?} source={:?} attemptsBeforeOp={} \
             reason={why:?}",
            letter.id, letter.kind, by.host, by.initiator, by.source, letter.attempts
        ),
        data: Some(AuditData::Letter(LetterFacts {
            op: op.to_owned(),
            id: letter.id.to_string(),
            kind: letter.kind.to_string(),
            host: by.host.clone(),
            initiator: by.initiator.to_string(),
            source: by.source.to_string(),
            reason: why.to_owned(),
            attempts_before_op: letter.attempts,
        })),
    }
}

fn refused(id: &LetterId, why: &'static str) -> Error {
    Error::Refused { what: WHAT, id: id.to_string(), why }
}

/// The object that a requeue is about.
fn object_of(with: &RequeueWith) -> Option<&ObjectKey> {
    match with {
        RequeueWith::Retry(hold) => Some(&hold.key),
        RequeueWith::Request(request) => Some(&request.key),
        RequeueWith::Nothing => None,
    }
}

//! The rows of the audit trail that both databases write, word for word.

use jiff::Timestamp;
use skep_core::action::{ActionState, IntentPhase};
use skep_core::audit::{AuditEvent, AuditKind};
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{IntentId, ObjectKey};
use skep_core::request::NewRequest;
use skep_core::revision::NewRevision;
use skep_store::NewAction;

use crate::leases::Held;
use crate::transition::Head;

/// A proposal, and the grant when a rule gave it.
#[must_use]
pub fn proposed(new: &NewAction, now: Timestamp) -> Vec<AuditEvent> {
    let action = &new.action;
    let event = |kind, detail| AuditEvent {
        at: now,
        kind,
        actor: action.actor.clone(),
        key: Some(action.key.clone()),
        action: Some(action.id.clone()),
        detail,
    };
    let mut events = vec![event(AuditKind::Proposed, action.reason.clone())];
    if action.state == ActionState::Granted {
        let rule = format!("rule {}: {}", new.decision.rule, new.decision.reason);
        events.push(event(AuditKind::Allowed, rule));
    }
    events
}

/// The first request of a replacement is done.
#[must_use]
pub fn advanced(
    intent: &IntentId,
    from: IntentPhase,
    to: IntentPhase,
    head: Head,
    actor: String,
    now: Timestamp,
) -> AuditEvent {
    AuditEvent {
        at: now,
        kind: AuditKind::Advanced,
        actor,
        key: Some(head.key),
        action: Some(head.id),
        detail: format!("intent {intent}: {from} is done, {to} is next"),
    }
}

/// A request by hand.
#[must_use]
pub fn requested(new: &NewRequest, now: Timestamp) -> AuditEvent {
    let said = new.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    AuditEvent {
        at: now,
        kind: AuditKind::Requested,
        actor: new.actor.clone(),
        key: Some(new.key.clone()),
        action: None,
        detail: format!("{} (request {}){said}", new.verb, new.id),
    }
}

/// A hold that was placed.
#[must_use]
pub fn held(hold: &Hold) -> AuditEvent {
    AuditEvent {
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
    }
}

/// A hold that was taken away; `kind` is its word.
#[must_use]
pub fn lifted(key: &ObjectKey, kind: &str, actor: &str, now: Timestamp) -> AuditEvent {
    AuditEvent {
        at: now,
        kind: AuditKind::HoldLifted,
        actor: actor.to_owned(),
        key: Some(key.clone()),
        action: None,
        detail: format!("the hold was {kind}"),
    }
}

/// A revision that somebody else made.
#[must_use]
pub fn revision_noted(
    revision: &NewRevision,
    number: u32,
    leader: String,
    now: Timestamp,
) -> AuditEvent {
    AuditEvent {
        at: now,
        kind: AuditKind::RevisionNoted,
        actor: leader,
        key: Some(revision.key.clone()),
        action: revision.action.clone(),
        detail: format!("revision {number} by {}: {}", revision.actor, revision.reason),
    }
}

/// A leadership that begins after what was held before.
#[must_use]
pub fn leader_started(held: &Held, epoch: i64, holder: &str, now: Timestamp) -> AuditEvent {
    let detail = if held.term.is_some() {
        format!("epoch {epoch}; the lease of {} had run out", held.holder.holder)
    } else {
        format!("epoch {epoch}; the lease was free")
    };
    about_the_lease(now, AuditKind::LeaderStarted, holder, detail)
}

/// A leadership that ended by itself.
#[must_use]
pub fn leader_released(epoch: i64, holder: &str, now: Timestamp) -> AuditEvent {
    about_the_lease(now, AuditKind::LeaderReleased, holder, format!("epoch {epoch}"))
}

fn about_the_lease(at: Timestamp, kind: AuditKind, actor: &str, detail: String) -> AuditEvent {
    AuditEvent { at, kind, actor: actor.to_owned(), key: None, action: None, detail }
}

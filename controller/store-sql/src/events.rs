//! The rows of the audit trail that both databases write, word for word.

use jiff::Timestamp;
use skep_core::action::{Action, ActionState, IntentPhase};
use skep_core::audit::{ActionFacts, AuditData, AuditEvent, AuditKind, RevisionFacts};
use skep_core::desired::Provenance;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{IntentId, ObjectKey};
use skep_core::request::NewRequest;
use skep_core::revision::NewRevision;
use skep_store::NewAction;

use crate::leases::Held;
use crate::transition::Head;

/// What the trail says about a new action beside the sentence.
#[must_use]
pub fn facts(action: &Action) -> ActionFacts {
    ActionFacts {
        operation: action.kind,
        source: action.source,
        initiator: action.actor.clone(),
        mode: action.mode,
        state: action.state,
        attempts_before: 0,
    }
}

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
        data: Some(AuditData::Action(facts(action))),
    };
    let committed = action.step.provenance.as_ref().and_then(Provenance::committed);
    let reason = match committed {
        Some(place) => format!("{} (declared in {place})", action.reason),
        None => action.reason.clone(),
    };
    let mut events = vec![event(AuditKind::Proposed, reason)];
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
    (from, to): (IntentPhase, IntentPhase),
    head: Head,
    attempts_before: u32,
    actor: String,
    now: Timestamp,
) -> AuditEvent {
    let data = Some(head.facts(head.state, attempts_before));
    AuditEvent {
        at: now,
        kind: AuditKind::Advanced,
        actor,
        key: Some(head.key),
        action: Some(head.id),
        detail: format!("intent {intent}: {from} is done, {to} is next"),
        data,
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
        data: Some(AuditData::Request {
            request: new.id.clone(),
            asks: Some(new.verb.to_string()),
            reason: new.reason.clone(),
        }),
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
        data: Some(AuditData::Hold {
            hold: hold.kind,
            until: hold.until,
            reason: Some(hold.reason.clone()),
        }),
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
        data: HoldKind::from_word(kind).map(|hold| AuditData::Hold {
            hold,
            until: None,
            reason: None,
        }),
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
        data: Some(AuditData::Revision(RevisionFacts {
            revision: number,
            origin: revision.origin,
            author: revision.actor.clone(),
            reason: revision.reason.clone(),
        })),
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
    about_the_lease(now, AuditKind::LeaderStarted, holder, epoch, detail)
}

/// A leadership that ended by itself.
#[must_use]
pub fn leader_released(epoch: i64, holder: &str, now: Timestamp) -> AuditEvent {
    about_the_lease(now, AuditKind::LeaderReleased, holder, epoch, format!("epoch {epoch}"))
}

fn about_the_lease(
    at: Timestamp,
    kind: AuditKind,
    actor: &str,
    epoch: i64,
    detail: String,
) -> AuditEvent {
    let data = Some(AuditData::Lease { epoch });
    AuditEvent { at, kind, actor: actor.to_owned(), key: None, action: None, detail, data }
}

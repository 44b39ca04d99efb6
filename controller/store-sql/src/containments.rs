//! Rows of `containments` and `former_states`, and what a write of containment must be.

use jiff::Timestamp;
use skep_core::action::{ActionEvent, ActionState, ActuatorMode, IntentPhase};
use skep_core::audit::{AuditData, AuditEvent, AuditKind};
use skep_core::containment::{
    Confirmation, Containment, ContainmentEvent, ContainmentState, ContainmentVerb, Order,
    RecordedState, Scope,
};
use skep_core::identity::{ActionId, ClusterId, ObjectKey, SwarmId};
use skep_store::{ContainmentWrite, Error, Result};

use crate::columns::{json_error, key, word};
use crate::events::facts;
use crate::instant::from_column;

const WHAT: &str = "containment";

/// A row of `containments`, without what it is about.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct ContainmentRow {
    pub state: String,
    pub actor: String,
    pub reason: String,
    pub since: i64,
    pub revision: i64,
}

impl ContainmentRow {
    /// The containment of a scope.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self, cluster: &ClusterId, scope: Scope) -> Result<Containment> {
        Ok(Containment {
            cluster: cluster.clone(),
            scope,
            state: word(&self.state, ContainmentState::from_word, WHAT)?,
            actor: self.actor,
            reason: self.reason,
            since: from_column(self.since, WHAT)?,
            revision: self.revision,
        })
    }
}

/// A row of `containments` of a known cluster.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct ScopedRow {
    pub scope: String,
    pub name: String,
    pub state: String,
    pub actor: String,
    pub reason: String,
    pub since: i64,
    pub revision: i64,
}

impl ScopedRow {
    /// The containment.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self, cluster: &ClusterId) -> Result<Containment> {
        let scope = Scope::from_words(&self.scope, self.name).ok_or_else(|| {
            let source = format!("the scope {:?} is not known to this version", self.scope);
            Error::Corrupt { what: WHAT, source: source.into() }
        })?;
        let (state, actor, reason) = (self.state, self.actor, self.reason);
        let row =
            ContainmentRow { state, actor, reason, since: self.since, revision: self.revision };
        row.read(cluster, scope)
    }
}

/// A row of `former_states`.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct FormerStateRow {
    pub tenant: String,
    pub cluster: String,
    pub object_kind: String,
    pub object_name: String,
    pub object_id: String,
    pub domain: String,
    pub former: String,
    pub last_verb: Option<String>,
    pub action_id: Option<String>,
}

impl FormerStateRow {
    /// What was there before.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<RecordedState> {
        let verb = self.last_verb.as_deref();
        let verb = verb.map(|verb| word(verb, ContainmentVerb::from_word, WHAT)).transpose()?;
        let former = serde_json::from_str(&self.former);
        Ok(RecordedState {
            key: key(self.tenant, self.cluster, &self.object_kind, self.object_name, WHAT)?,
            object: SwarmId::new(self.object_id),
            domain: self.domain,
            former: former.map_err(|error| json_error(&error, WHAT))?,
            last: verb.zip(self.action_id.map(ActionId::new)),
        })
    }
}

/// What has to be true of a write of containment whatever is stored.
///
/// # Errors
/// [`Error::Refused`] with what it contradicts.
pub fn check_containment(write: &ContainmentWrite) -> Result<ContainmentVerb> {
    let (action, intent) = (&write.action, &write.intent);
    let refuse = |why| Err(Error::Refused { what: WHAT, id: action.id.to_string(), why });
    if action.mode != ActuatorMode::Swarm {
        return refuse("a rehearsal sends nothing");
    }
    if !action.is_containment() || action.state != ActionState::Executing {
        return refuse("its action is not one of containment that is about to be sent");
    }
    if intent.object.is_none() || intent.version.is_none() || intent.phase != IntentPhase::Write {
        return refuse("containment only ever updates");
    }
    let same_object = intent.object.as_ref() == Some(&write.recorded.object);
    if intent.key != action.key || write.recorded.key != action.key || !same_object {
        return refuse("its parts are about different objects");
    }
    match &write.recorded.last {
        Some((verb, last)) if *last == action.id && intent.action == action.id => Ok(*verb),
        _ => refuse("its record names another action"),
    }
}

/// A kill needs an order that is in force, the way back needs that none is; `killed` counts those
/// in force.
///
/// # Errors
/// [`Error::Conflict`] when the orders have changed.
pub fn check_orders(write: &ContainmentWrite, verb: ContainmentVerb, killed: i64) -> Result<()> {
    let current = match (verb, killed) {
        (ContainmentVerb::Kill, 0) => "not killed any more",
        (ContainmentVerb::Resume, 1..) => "killed again",
        _ => return Ok(()),
    };
    let id = write.action.key.name.clone();
    Err(Error::Conflict { what: WHAT, id, current: current.to_owned() })
}

/// What a write of containment does to the action that it overtakes.
#[must_use]
pub fn overtaken(state: ActionState) -> ActionEvent {
    match state {
        ActionState::RollingOut => ActionEvent::Fail,
        _ => ActionEvent::Supersede,
    }
}

/// A create or a replacement of the key is unknown: it is settled first.
#[must_use]
pub fn not_overtaken(action: &ActionId) -> Error {
    let current = "a create or a replacement whose outcome is unknown".to_owned();
    Error::Conflict { what: "action", id: action.to_string(), current }
}

/// Whether a containment may end now, as it was seen.
///
/// # Errors
/// [`Error::Conflict`] when it is not there any more as it was seen.
pub fn check_end(seen: &Containment, current: Option<&Containment>) -> Result<()> {
    let state = current.map(|current| current.state);
    let stands = current
        .is_some_and(|current| (current.state, current.revision) == (seen.state, seen.revision));
    if stands && ContainmentState::after(state, ContainmentEvent::Restore).is_ok() {
        return Ok(());
    }
    let current = state.map_or("gone", ContainmentState::as_str).to_owned();
    Err(Error::Conflict { what: WHAT, id: seen.scope.to_string(), current })
}

fn object_of(cluster: &ClusterId, scope: &Scope) -> Option<ObjectKey> {
    match scope {
        Scope::Service(name) => Some(ObjectKey::service(cluster, name)),
        // A domain is no object of the swarm; the detail names it.
        Scope::Domain(_) => None,
    }
}

fn said(scope: &Scope, reason: &str) -> String {
    let scope = match scope {
        Scope::Service(_) => scope.word().to_owned(),
        Scope::Domain(_) => scope.to_string(),
    };
    if reason.is_empty() { scope } else { format!("{scope}: {reason}") }
}

/// An order that was carried out on the record.
#[must_use]
pub fn ordered(cluster: &ClusterId, order: &Order, at: Timestamp) -> AuditEvent {
    let kind = match order.verb {
        ContainmentVerb::Pause => AuditKind::Paused,
        ContainmentVerb::Kill => AuditKind::Killed,
        ContainmentVerb::Resume => AuditKind::Resumed,
    };
    about_an_order(cluster, order, kind, said(&order.scope, &order.reason), at)
}

/// An order that a dry run rehearsed.
#[must_use]
pub fn rehearsed(cluster: &ClusterId, order: &Order, at: Timestamp) -> AuditEvent {
    let detail = format!("{} {}", order.verb, said(&order.scope, &order.reason));
    about_an_order(cluster, order, AuditKind::ContainmentRehearsed, detail, at)
}

fn about_an_order(
    cluster: &ClusterId,
    order: &Order,
    kind: AuditKind,
    detail: String,
    at: Timestamp,
) -> AuditEvent {
    let key = object_of(cluster, &order.scope);
    let data = Some(AuditData::Containment {
        order: order.verb,
        scope: order.scope.word().to_owned(),
        name: order.scope.name().to_owned(),
        reason: (!order.reason.is_empty()).then(|| order.reason.clone()),
    });
    AuditEvent { at, kind, actor: order.actor.clone(), key, action: None, detail, data }
}

/// A first call that waits for a second one.
#[must_use]
pub fn confirmation_asked(confirmation: &Confirmation, at: Timestamp) -> AuditEvent {
    AuditEvent {
        at,
        kind: AuditKind::ConfirmationAsked,
        actor: confirmation.actor.clone(),
        key: None,
        action: None,
        detail: format!("until {}: {}", confirmation.until, confirmation.digest.short(16)),
        data: None,
    }
}

/// A write of containment that is about to be sent, in two rows.
#[must_use]
pub fn contained(write: &ContainmentWrite, leader: String, at: Timestamp) -> [AuditEvent; 2] {
    let event = |kind, actor, detail| AuditEvent {
        at,
        kind,
        actor,
        key: Some(write.action.key.clone()),
        action: Some(write.action.id.clone()),
        detail,
        data: Some(AuditData::Action(facts(&write.action))),
    };
    let (actor, reason) = (write.action.actor.clone(), write.action.reason.clone());
    [
        event(AuditKind::Contained, actor, reason),
        event(AuditKind::Started, leader, format!("intent {}", write.intent.id)),
    ]
}

/// What a kill found when nothing had to be written.
#[must_use]
pub fn former_state_recorded(key: &ObjectKey, leader: String, at: Timestamp) -> AuditEvent {
    let detail = "it is at zero already; what was there is recorded".to_owned();
    let (kind, key) = (AuditKind::FormerStateRecorded, Some(key.clone()));
    AuditEvent { at, kind, actor: leader, key, action: None, detail, data: None }
}

/// A service that is back.
#[must_use]
pub fn former_state_forgotten(
    key: &ObjectKey,
    why: &str,
    leader: String,
    at: Timestamp,
) -> AuditEvent {
    let (kind, key) = (AuditKind::Restored, Some(key.clone()));
    AuditEvent { at, kind, actor: leader, key, action: None, detail: why.to_owned(), data: None }
}

/// A containment that has ended.
#[must_use]
pub fn ended(seen: &Containment, leader: String, at: Timestamp) -> AuditEvent {
    AuditEvent {
        at,
        kind: AuditKind::Restored,
        actor: leader,
        key: object_of(&seen.cluster, &seen.scope),
        action: None,
        detail: said(&seen.scope, "everything is as it was"),
        data: None,
    }
}

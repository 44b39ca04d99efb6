//! Containment: a person stops a service or a whole domain, at once, whatever the rules say.
//!
//! *Pause* freezes a target: nothing is proposed and nothing is carried out for it. *Kill* also
//! scales it to zero and keeps it there. *Resume* takes either back; what a kill changed is put
//! back as it was. Each is one person's order, audited, and never queued: an emergency does not
//! wait for an approval. What can be done at all is in the table of [`ContainmentState::after`];
//! the write itself is authorised by [`crate::gate::contain`].

mod confirmation;
mod former;
mod held;
mod protected;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::confirmation::{CONFIRM_WITHIN, Confirmation, needs_confirmation};
pub use self::former::{FormerState, RecordedState, is_killed};
pub(crate) use self::former::{apply as apply_edits, changes as changes_of, kill as kill_edits};
pub use self::held::{Contained, Held};
pub use self::protected::{InvalidProtection, PROTECTED, Protected, block_protected, takes_down};
use crate::action::words;
use crate::identity::{ClusterId, ServiceName};

words! {
    /// What a person orders.
    ContainmentVerb {
        /// Freeze it.
        Pause = "pause",
        /// Scale it to zero and keep it there.
        Kill = "kill",
        /// Take either back.
        Resume = "resume",
    }
}

words! {
    /// Where a containment stands. No containment is no row.
    ContainmentState {
        /// Nothing is proposed and nothing is carried out.
        Paused = "paused",
        /// The same, and it is kept at zero.
        Killed = "killed",
        /// It was killed and is being put back as it was.
        Resuming = "resuming",
    }
}

words! {
    /// What can happen to a containment.
    ContainmentEvent {
        /// A person froze it.
        Pause = "pause",
        /// A person killed it.
        Kill = "kill",
        /// A person took it back.
        Resume = "resume",
        /// Everything that the kill changed is as it was.
        Restore = "restore",
    }
}

impl ContainmentVerb {
    /// The event of the order.
    #[must_use]
    pub fn event(self) -> ContainmentEvent {
        match self {
            Self::Pause => ContainmentEvent::Pause,
            Self::Kill => ContainmentEvent::Kill,
            Self::Resume => ContainmentEvent::Resume,
        }
    }
}

/// An event that is not possible: nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.reason())]
pub struct IllegalContainment {
    /// Where it stands; `None` when it is not contained.
    pub from: Option<ContainmentState>,
    /// What was tried.
    pub event: ContainmentEvent,
}

impl IllegalContainment {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.from {
            None => "NOT_CONTAINED",
            Some(ContainmentState::Paused) => "ALREADY_PAUSED",
            Some(ContainmentState::Killed) => "ALREADY_KILLED",
            Some(ContainmentState::Resuming) => "RESUMING",
        }
    }

    fn reason(&self) -> &'static str {
        match (self.from, self.event) {
            (None, _) => "it is neither paused nor killed",
            (Some(ContainmentState::Paused), _) => "it is paused already",
            (Some(ContainmentState::Killed), ContainmentEvent::Pause) => {
                "it is killed, which holds more than a pause"
            }
            (Some(ContainmentState::Killed), _) => "it is killed already",
            (Some(ContainmentState::Resuming), _) => "it is being resumed; ask again afterwards",
        }
    }
}

impl ContainmentState {
    /// The state after an event; `None` when the containment is over.
    ///
    /// # Errors
    /// When the event is not possible: a kill is not softened into a pause, and what is being put
    /// back is put back first, unless it is killed again.
    pub fn after(
        from: Option<Self>,
        event: ContainmentEvent,
    ) -> Result<Option<Self>, IllegalContainment> {
        use ContainmentEvent as E;
        match (from, event) {
            (None, E::Pause) => Ok(Some(Self::Paused)),
            (None | Some(Self::Paused | Self::Resuming), E::Kill) => Ok(Some(Self::Killed)),
            (Some(Self::Paused), E::Resume) => Ok(None),
            (Some(Self::Killed), E::Resume) => Ok(Some(Self::Resuming)),
            (Some(Self::Resuming), E::Restore) => Ok(None),
            (from, event) => Err(IllegalContainment { from, event }),
        }
    }
}

/// What is contained.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "scope", content = "name", rename_all = "snake_case")]
pub enum Scope {
    /// One service.
    Service(ServiceName),
    /// Every service of a domain, also those that join it later.
    Domain(String),
}

impl Scope {
    /// The word for the kind of scope.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Service(_) => "service",
            Self::Domain(_) => "domain",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Service(name) => name.as_str(),
            Self::Domain(name) => name,
        }
    }

    /// The scope that a stored word and name mean.
    #[must_use]
    pub fn from_words(word: &str, name: String) -> Option<Self> {
        match word {
            "service" => Some(Self::Service(ServiceName::new(name))),
            "domain" => Some(Self::Domain(name)),
            _ => None,
        }
    }

    /// Whether a service is in it.
    #[must_use]
    pub fn covers(&self, service: &ServiceName, domain: &str) -> bool {
        match self {
            Self::Service(name) => name == service,
            Self::Domain(name) => name == domain,
        }
    }

    /// The arguments that name it on the command line.
    #[must_use]
    pub fn arguments(&self) -> String {
        match self {
            Self::Service(name) => name.to_string(),
            Self::Domain(name) => format!("--domain {name}"),
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Service(name) => write!(f, "{name}"),
            Self::Domain(name) => write!(f, "domain {name}"),
        }
    }
}

/// One person's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What is to be done.
    pub verb: ContainmentVerb,
    /// To what.
    pub scope: Scope,
    /// Who ordered it.
    pub actor: String,
    /// Why, in the person's own words; may be empty.
    pub reason: String,
}

/// A containment that is in force, or whose effects are being taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Containment {
    /// On which swarm.
    pub cluster: ClusterId,
    /// What is contained.
    #[serde(flatten)]
    pub scope: Scope,
    /// Where it stands.
    pub state: ContainmentState,
    /// Who ordered the present state.
    pub actor: String,
    /// Why; may be empty.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Increases with every change of state.
    pub revision: i64,
}

impl Containment {
    /// Carries out an order on what is there, which it uses up; `None` when nothing is contained
    /// any more.
    ///
    /// # Errors
    /// [`IllegalContainment`]; what was there stays.
    pub fn ordered(
        current: Option<Self>,
        cluster: &ClusterId,
        order: &Order,
        at: Timestamp,
    ) -> Result<Option<Self>, IllegalContainment> {
        let from = current.as_ref().map(|current| current.state);
        let revision = current.map_or(1, |current| current.revision.saturating_add(1));
        let state = ContainmentState::after(from, order.verb.event())?;
        Ok(state.map(|state| Self {
            cluster: cluster.clone(),
            scope: order.scope.clone(),
            state,
            actor: order.actor.clone(),
            reason: order.reason.clone(),
            since: at,
            revision,
        }))
    }

    /// Who, when and why, in one phrase.
    #[must_use]
    pub fn said(&self) -> String {
        let why = if self.reason.is_empty() { "" } else { ": " };
        format!("by {} at {:.0}{why}{}", self.actor, self.since, self.reason)
    }
}

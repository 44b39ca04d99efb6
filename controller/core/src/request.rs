//! What a person asks for by hand. A request writes nothing by itself: the leader turns it into
//! an action, which passes the gate like any other.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::action::words;
use crate::identity::{ActionId, ObjectKey, RequestId};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum RequestVerb {
    /// Put the service on record as ours.
    Adopt,
    /// Take it off record.
    Release,
    /// Replace its tasks.
    Restart,
    /// Run this many replicas.
    Scale {
        /// How many.
        replicas: u64,
    },
    /// Scale to zero.
    Stop,
    /// Return to an earlier revision.
    Rollback {
        /// Its number.
        revision: u32,
    },
    /// Hand the registry's credentials to the engine again, without touching a task.
    RefreshCredentials,
    /// Return the services of a stack to their revisions before its rollout.
    RollbackStack {
        /// True when nobody asked: the stack says so for a rollout that fails.
        automatic: bool,
    },
    /// Scale to zero and hold it there: containment, which nobody files as a request.
    Kill,
    /// Put back what a kill changed: containment as well.
    Resume,
}

impl RequestVerb {
    /// True for what is ordered and not asked for: see [`crate::containment`].
    #[must_use]
    pub fn is_containment(&self) -> bool {
        matches!(self, Self::Kill | Self::Resume)
    }

    /// The word for it, without its parameters.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Adopt => "adopt",
            Self::Release => "release",
            Self::Restart => "restart",
            Self::Scale { .. } => "scale",
            Self::Stop => "stop",
            Self::Rollback { .. } => "rollback",
            Self::RefreshCredentials => "refresh_credentials",
            Self::RollbackStack { .. } => "rollback_stack",
            Self::Kill => "kill",
            Self::Resume => "resume",
        }
    }
}

impl std::fmt::Display for RequestVerb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scale { replicas } => write!(f, "scale to {replicas}"),
            Self::Rollback { revision } => write!(f, "rollback to revision {revision}"),
            Self::RefreshCredentials => f.write_str("refresh credentials"),
            Self::RollbackStack { .. } => f.write_str("rollback of the stack"),
            Self::Adopt
            | Self::Release
            | Self::Restart
            | Self::Stop
            | Self::Kill
            | Self::Resume => f.write_str(self.as_str()),
        }
    }
}

words! {
    /// Where a request stands.
    RequestState {
        /// The leader has not answered yet.
        Open = "open",
        /// It has become an action.
        Filed = "filed",
        /// It cannot be done; the detail says why.
        Refused = "refused",
    }
}

/// A request to be filed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// Its id.
    pub id: RequestId,
    /// The object.
    pub key: ObjectKey,
    /// What is asked for.
    pub verb: RequestVerb,
    /// Who asks.
    pub actor: String,
    /// Why, in the person's own words.
    pub reason: Option<String>,
}

/// One request as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRequest {
    /// Its id.
    pub id: RequestId,
    /// The object.
    pub key: ObjectKey,
    /// What is asked for.
    pub verb: RequestVerb,
    /// Who asked.
    pub actor: String,
    /// Why, in the person's own words.
    pub reason: Option<String>,
    /// Where it stands.
    pub state: RequestState,
    /// The action that it has become.
    pub action: Option<ActionId>,
    /// Why it was refused; otherwise empty.
    pub detail: String,
    /// When it was asked.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_reads_back_and_is_tagged_with_its_word() {
        for verb in [
            RequestVerb::Adopt,
            RequestVerb::Release,
            RequestVerb::Restart,
            RequestVerb::Scale { replicas: u64::MAX },
            RequestVerb::Stop,
            RequestVerb::Rollback { revision: 7 },
            RequestVerb::RefreshCredentials,
            RequestVerb::RollbackStack { automatic: true },
            RequestVerb::Kill,
            RequestVerb::Resume,
        ] {
            let json = serde_json::to_value(&verb).unwrap();
            assert_eq!(json["verb"], verb.as_str());
            assert_eq!(serde_json::from_value::<RequestVerb>(json).unwrap(), verb);
        }
    }
}

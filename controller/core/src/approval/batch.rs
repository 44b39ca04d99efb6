//! One decision about many requests. It halts at its first failure: what went wrong once would go
//! wrong again, and whoever decided for all of them has to look.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Decision;
use crate::audit::AuditData;
use crate::identity::{ActionId, BatchId, ServiceName};

/// One decision about many requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Its id.
    pub id: BatchId,
    /// Yes or no.
    pub decision: Decision,
    /// How the requests were chosen, for example `group 91f58d63bd5dd015`.
    pub chosen: String,
    /// Whether the first failure ends it.
    pub halts: bool,
    /// Who decided.
    pub actor: String,
    /// From where, as claimed.
    pub source: String,
    /// What the person added.
    pub comment: Option<String>,
    /// When.
    pub decided_at: Timestamp,
    /// How it was halted, when it was.
    pub halted: Option<Halt>,
}

impl Batch {
    /// What the audit trail says about it, with the number of requests that it covers or stops.
    #[must_use]
    pub fn facts(&self, requests: u64) -> AuditData {
        AuditData::Batch {
            batch: self.id.clone(),
            decision: self.decision.to_string(),
            from: self.source.clone(),
            requests,
            comment: self.comment.clone(),
        }
    }
}

/// The failure that halted a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// When.
    pub at: Timestamp,
    /// The action that failed.
    pub action: ActionId,
    /// Its service.
    pub target: ServiceName,
    /// Why it failed.
    pub reason: String,
}

/// What is said about a member that a halt kept from starting.
#[must_use]
pub fn halted_because(batch: &BatchId, failed: &ServiceName, action: &ActionId) -> String {
    let short = |id: &str| id.get(..8).unwrap_or(id).to_owned();
    format!(
        "superseded: decision {} was halted because {failed} failed (action {}); look at it, then \
         decide again: skep actions show {}",
        short(batch.as_str()),
        short(action.as_str()),
        short(action.as_str()),
    )
}

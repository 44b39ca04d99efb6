//! The ledger of the gate's decisions: rate limits and blast radius are counted here, so they
//! survive restarts and changes of the leader.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::{ActionKind, Source};
use skep_core::identity::{ActionId, ServiceName};

use crate::Result;

/// One decision of the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRow {
    /// The action that it was about.
    pub action: ActionId,
    /// What the action does.
    pub kind: ActionKind,
    /// To what.
    pub target: ServiceName,
    /// Who proposed it.
    pub source: Source,
    /// `allow`, `allow_notify`, `queue_approval` or `deny`.
    pub decision: String,
    /// The tier of the rule.
    pub tier: String,
    /// The rule.
    pub rule: String,
    /// The gate's reason.
    pub reason: String,
    /// When.
    pub decided_at: Timestamp,
}

/// Which decisions to read.
#[derive(Debug, Clone)]
pub struct LedgerFilter {
    /// Only decisions since then.
    pub since: Timestamp,
    /// Only decisions that allowed.
    pub allowed_only: bool,
}

/// The decision ledger of one database. Rows are written by [`crate::Actions::propose`].
#[async_trait]
pub trait Ledger {
    /// Decisions, oldest first.
    async fn decisions(&self, filter: &LedgerFilter) -> Result<Vec<DecisionRow>>;
}

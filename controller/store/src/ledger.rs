//! The ledger of the gate's decisions: rate limits and blast radius are counted here, so they
//! survive restarts and changes of the leader.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::{ActionKind, Source};
use skep_core::gate::Facts;
use skep_core::identity::{ActionId, ObjectKey, ServiceName};

use crate::{Fence, Result};

/// One decision of the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRow {
    /// The action that it was about; `None` when none came of it because it was refused.
    pub action: Option<ActionId>,
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
    /// Which check decided, as a word; empty in rows from before it was kept.
    pub cause: String,
    /// The gate's reason.
    pub reason: String,
    /// What it was made from; `None` in rows from before it was kept.
    pub facts: Option<Facts>,
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

/// A decision that kept an action from being proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The object that it was about.
    pub key: ObjectKey,
    /// Who proposed it.
    pub actor: String,
    /// The decision; it denies, and has no action.
    pub decision: DecisionRow,
}

/// The decision ledger of one database. Decisions about actions are written by
/// [`crate::Actions::propose`].
#[async_trait]
pub trait Ledger {
    /// Records refusals, all in one transaction. Fenced and audited. [`crate::Error::Refused`]
    /// when one has an action or does not deny.
    async fn record_refusals(
        &self,
        fence: &Fence,
        refusals: &[Refusal],
        now: Timestamp,
    ) -> Result<()>;

    /// Decisions, oldest first.
    async fn decisions(&self, filter: &LedgerFilter) -> Result<Vec<DecisionRow>>;
}

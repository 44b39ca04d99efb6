//! What one pass found and did. The names are those that existing dashboards read, plus ours.

use serde::Serialize;
use skep_core::identity::PlanId;
use skep_core::plan::{Summary, Waiting};

/// The report of one pass.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PassReport {
    /// Steps in the plan, blocked ones included.
    pub divergences: usize,
    /// Steps that became an action in this pass.
    pub processed: usize,
    /// Steps that a rule allows and that the storm guard left for a later pass.
    pub deferred: Vec<ActionReport>,
    /// Actions proposed in this pass.
    pub actions: Vec<ActionReport>,
    /// Actions carried out in this pass, whoever allowed them.
    pub approved_drained: Vec<ActionReport>,
    /// The actuator's mode.
    pub actuator: String,
    /// How far the evidence can be trusted.
    pub health: Health,
    /// The plan that the pass worked on.
    pub plan: Option<PlanReport>,
    /// What is waiting, and for what.
    pub waiting: Vec<Waiting>,
}

/// One action in a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ActionReport {
    /// What it does.
    pub kind: String,
    /// To what.
    pub target: String,
    /// Why.
    pub reason: String,
    /// The gate's decision.
    pub decision: String,
    /// The action, once it is recorded.
    pub action_id: Option<String>,
    /// The request for a person's decision, when one was filed.
    pub approval_id: Option<String>,
    /// The state that the action is in now.
    pub state: Option<String>,
    /// What became of it, in one sentence.
    pub execution: Option<String>,
}

impl ActionReport {
    /// True when it failed in a way that may pass.
    pub(crate) fn is_retrying(&self) -> bool {
        self.state.as_deref() == Some("retrying")
    }

    /// True when its worker is done with it, also while Swarm rolls it out; false while it waits or
    /// is tried again.
    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self.state.as_deref(), Some("waiting" | "retrying") | None)
    }
}

/// Whether the evidence of a pass can be trusted.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Health {
    /// `healthy` or `unavailable`.
    pub status: String,
    /// Why it is not healthy.
    pub reason: Option<String>,
}

/// The plan of a pass, in short.
#[derive(Debug, Clone, Serialize)]
pub struct PlanReport {
    /// Its id.
    pub plan_id: PlanId,
    /// Its digest.
    pub digest: String,
    /// Its totals.
    pub summary: Summary,
}

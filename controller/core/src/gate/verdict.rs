//! The gate's answer, and everything needed to explain it and to hold somebody to it.

use serde::{Deserialize, Serialize};
use skep_crds::policy::{MaintenanceWindow, Mode, Tier};

use super::Request;
use super::assurance::Violation;
use super::judge::Answer;
use super::policy::Matched;
use super::rule::RuleRef;
use crate::action::{ActuatorMode, words};
use crate::canonical::Digest;

words! {
    /// What is to happen.
    Decision {
        /// It may run.
        Allow = "allow",
        /// It may run, and the operators are told.
        AllowNotify = "allow_notify",
        /// A person decides.
        QueueApproval = "queue_approval",
        /// It does not run.
        Deny = "deny",
    }
}

impl Decision {
    /// True when it may run without a person.
    #[must_use]
    pub fn is_allowed(self) -> bool {
        matches!(self, Self::Allow | Self::AllowNotify)
    }
}

words! {
    /// Which check decided; the label of metrics.
    Cause {
        /// The source is unknown or outside its role.
        Role = "role",
        /// A parameter is missing or malformed.
        Schema = "schema",
        /// The claimed state is one in which the action makes no sense.
        Precondition = "precondition",
        /// Something is named that the policy does not know.
        Reference = "reference",
        /// The stored overrides could not be read.
        OverridesUnreadable = "overrides_unreadable",
        /// A stored override forbids it: a freeze.
        Frozen = "frozen",
        /// The rule's tier is `forbidden`.
        Forbidden = "forbidden",
        /// The rule's tier is `approval_required`.
        ApprovalRequired = "approval_required",
        /// The plan itself asks for a person.
        Confirm = "confirm",
        /// A sensitive field that the rule does not name.
        SensitiveField = "sensitive_field",
        /// The ledger, which the limits are counted in, could not be read.
        LedgerUnreadable = "ledger_unreadable",
        /// Too often on this target.
        RateLimit = "rate_limit",
        /// Too many targets.
        BlastRadius = "blast_radius",
        /// Too much of the fleet was changed.
        ChangeBudget = "change_budget",
        /// Too much of the fleet was removed.
        RemovalBudget = "removal_budget",
        /// Too much of the fleet is unavailable.
        UnavailabilityBudget = "unavailability_budget",
        /// The fleet, which a budget is counted in, could not be read.
        FleetUnreadable = "fleet_unreadable",
        /// It cannot be undone, and the installation wants to be asked.
        Irreversible = "irreversible",
        /// The rule's maintenance window is closed.
        OutsideWindow = "outside_window",
        /// Nothing stood in the way.
        Allowed = "allowed",
    }
}

impl Cause {
    /// True when the gate could not see enough to decide: the same question may have another
    /// answer in a moment.
    #[must_use]
    pub fn is_blindness(self) -> bool {
        matches!(self, Self::OverridesUnreadable | Self::LedgerUnreadable | Self::FleetUnreadable)
    }

    /// True for a denial that ends by itself or by lifting a freeze: what was allowed before keeps
    /// waiting instead of being lost.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Self::Frozen | Self::RateLimit | Self::UnavailabilityBudget)
    }
}

/// The answer to one [`Request`]. Only [`super::decide`] makes one, and it remembers what it is
/// about, so a verdict about one step cannot let another one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    decision: Decision,
    tier: Tier,
    rule: RuleRef,
    cause: Cause,
    reason: String,
    window: Option<MaintenanceWindow>,
    remarks: Vec<Remark>,
    held_back: Option<String>,
    subject: Subject,
}

/// What a rule that is not enforced would have decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// `audit` or `warn`.
    pub mode: Mode,
    /// The rule, with its line when it stands in a file.
    pub rule: String,
    /// What it would have decided.
    pub decision: Decision,
    /// Why.
    pub reason: String,
}

impl Remark {
    pub(super) fn new(mode: Mode, rule: &RuleRef, decision: Decision, reason: String) -> Self {
        Self { mode, rule: rule.label(), decision, reason }
    }
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mode, rule, decision, reason } = self;
        write!(f, "rule {rule}, in mode {}, would say {decision}: {reason}", mode.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Subject {
    step: Option<Digest>,
    mode: ActuatorMode,
}

impl Verdict {
    pub(super) fn new(
        request: &Request<'_>,
        matched: &Matched<'_>,
        answer: Answer,
        remarks: Vec<Remark>,
        held_back: Option<String>,
    ) -> Self {
        let Answer { decision, cause, reason } = answer;
        Self {
            decision,
            tier: matched.tier,
            rule: matched.rule.clone(),
            cause,
            reason,
            window: matched.window.cloned(),
            remarks,
            held_back,
            subject: Subject::of(request),
        }
    }

    pub(super) fn violation(request: &Request<'_>, violation: &Violation) -> Self {
        let invariant = violation.invariant;
        let reason = format!("assurance gate ({invariant}): {}", violation.message);
        Self::refusal(request, invariant, reason)
    }

    pub(super) fn blind(request: &Request<'_>) -> Self {
        let reason =
            "the policy overrides cannot be read, one of them may be a freeze (fail closed)";
        Self::refusal(request, Cause::OverridesUnreadable, reason.to_owned())
    }

    fn refusal(request: &Request<'_>, cause: Cause, reason: String) -> Self {
        Self {
            decision: Decision::Deny,
            tier: Tier::Forbidden,
            rule: RuleRef::of_assurance(cause.as_str()),
            cause,
            reason,
            window: None,
            remarks: Vec::new(),
            held_back: None,
            subject: Subject::of(request),
        }
    }

    /// What is to happen.
    #[must_use]
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// The tier of the rule, which the decision may be stricter than.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// The rule that decided.
    #[must_use]
    pub fn rule(&self) -> &RuleRef {
        &self.rule
    }

    /// The check that decided.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Why, in one sentence.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The rule's maintenance window, open or not.
    #[must_use]
    pub fn window(&self) -> Option<&MaintenanceWindow> {
        self.window.as_ref()
    }

    /// What rules that are not enforced would have decided.
    #[must_use]
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// The remarks of rules in mode `warn` that would have decided otherwise: for people to see
    /// wherever the decision is shown.
    pub fn warnings(&self) -> impl Iterator<Item = &Remark> {
        let differs = |remark: &&Remark| remark.decision != self.decision;
        self.remarks.iter().filter(|remark| remark.mode == Mode::Warn).filter(differs)
    }

    /// Why it must not start at this moment although a person allowed it: too much of the fleet is
    /// unavailable.
    #[must_use]
    pub fn held_back(&self) -> Option<&str> {
        self.held_back.as_deref()
    }

    /// The failed check of what no rule can allow: `role`, `schema`, `precondition` or
    /// `reference`.
    #[must_use]
    pub fn invariant(&self) -> Option<Cause> {
        use Cause::{Precondition, Reference, Role, Schema};
        matches!(self.cause, Role | Schema | Precondition | Reference).then_some(self.cause)
    }

    /// Whether it was made about this step and mode.
    pub(crate) fn is_about(&self, step: &Digest, mode: ActuatorMode) -> bool {
        self.subject.step.as_ref() == Some(step) && self.subject.mode == mode
    }
}

impl Subject {
    fn of(request: &Request<'_>) -> Self {
        Self { step: request.step.cloned(), mode: request.mode }
    }
}

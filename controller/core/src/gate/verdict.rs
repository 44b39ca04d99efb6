//! The gate's answer, and everything needed to explain it and to hold somebody to it.

use serde::{Deserialize, Serialize};
use skep_crds::policy::{MaintenanceWindow, Tier};

use super::Request;
use super::assurance::Violation;
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
        /// Something is named that the policy does not know.
        Reference = "reference",
        /// The stored overrides could not be read.
        OverridesUnreadable = "overrides_unreadable",
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
        matches!(self, Self::OverridesUnreadable | Self::LedgerUnreadable)
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
    subject: Subject,
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
        decision: Decision,
        cause: Cause,
        reason: String,
    ) -> Self {
        Self {
            decision,
            tier: matched.tier,
            rule: matched.rule.clone(),
            cause,
            reason,
            window: matched.window,
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
    pub fn window(&self) -> Option<MaintenanceWindow> {
        self.window
    }

    /// The failed check of what no rule can allow: `role`, `schema` or `reference`.
    #[must_use]
    pub fn invariant(&self) -> Option<Cause> {
        matches!(self.cause, Cause::Role | Cause::Schema | Cause::Reference).then_some(self.cause)
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

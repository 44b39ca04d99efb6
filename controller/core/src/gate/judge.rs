//! What a rule makes of a request: its tier, then the limits, in the order that [`super`] tells.

use skep_crds::policy::Tier;

use super::policy::Matched;
use super::{Cause, Decision, Evidence, Policy, Request, budget, is_open};
use crate::action::Source;

/// The answer of one rule.
pub(super) struct Answer {
    pub(super) decision: Decision,
    pub(super) cause: Cause,
    pub(super) reason: String,
}

fn answer(decision: Decision, cause: Cause, reason: impl Into<String>) -> Answer {
    Answer { decision, cause, reason: reason.into() }
}

/// Asks one rule. The same for a rule that decides and for one that only would.
pub(super) fn judge(
    policy: &Policy,
    request: &Request<'_>,
    source: Source,
    matched: &Matched<'_>,
    evidence: Evidence<'_>,
) -> Answer {
    use Decision as D;
    // Tiers that need no counting.
    let allowed = match (matched.tier, matched.frozen) {
        (Tier::Forbidden, Some(why)) => return answer(D::Deny, Cause::Frozen, why),
        (Tier::Forbidden, None) => {
            return answer(D::Deny, Cause::Forbidden, "forbidden by policy");
        }
        (Tier::ApprovalRequired, _) => {
            let reason = "tier requires human approval";
            return answer(D::QueueApproval, Cause::ApprovalRequired, reason);
        }
        (Tier::Auto, _) => D::Allow,
        (Tier::AutoNotify, _) => D::AllowNotify,
    };
    if let Some(confirm) = request.confirm {
        let reason = format!("a person has to confirm this: {confirm}");
        return answer(D::QueueApproval, Cause::Confirm, reason);
    }
    if let Some(field) = request.sensitive.iter().find(|field| !matched.names(field)) {
        let reason = format!(
            "sensitive field {} ({}) is not named in the rule's fields; queued",
            field.pointer, field.class
        );
        return answer(D::QueueApproval, Cause::SensitiveField, reason);
    }
    // A machine that loops is stopped; a person in a hurry is asked to have it approved.
    let over_limit = if source.is_machine() { D::Deny } else { D::QueueApproval };
    let Ok(ledger) = evidence.ledger else {
        let reason = "rate limit: the ledger cannot be read (fail closed)";
        return answer(over_limit, Cause::LedgerUnreadable, reason);
    };
    let rate = matched.rate_limit;
    if ledger.count(request, rate.window_s) >= u64::from(rate.max) {
        let reason =
            format!("rate limit exceeded ({}/{}s for this action+target)", rate.max, rate.window_s);
        return answer(over_limit, Cause::RateLimit, reason);
    }
    // One bad rule must not take the whole fleet along.
    let blast = matched.blast_radius;
    if ledger.targets_with(request, blast.window_s) > u64::from(blast.max_targets) {
        let reason = format!(
            "blast-radius cap ({} targets/{}s for this action), queued",
            blast.max_targets, blast.window_s
        );
        return answer(D::QueueApproval, Cause::BlastRadius, reason);
    }
    // Nor may all rules together.
    if let Some(full) = budget::check(policy, request, ledger, evidence) {
        let decision = if full.passes { over_limit } else { D::QueueApproval };
        return answer(decision, full.cause, full.reason);
    }
    // What cannot be undone, when the installation wants to be asked.
    if policy.settings().irreversibility_aversion && request.is_irreversible() {
        let reason = "irreversible action, queued for approval";
        return answer(D::QueueApproval, Cause::Irreversible, reason);
    }
    // Automatic tiers apply only inside the rule's window.
    if let Some(window) = matched.window
        && !is_open(window, request.now)
    {
        let reason = format!("outside maintenance window {}, queued", window.described());
        return answer(D::QueueApproval, Cause::OutsideWindow, reason);
    }
    answer(allowed, Cause::Allowed, format!("tier {}", matched.tier.as_str()))
}

//! The gate: whether a step may be carried out, decided by rules alone.
//!
//! Every mutation passes here, whoever asks for it. The order of the checks is the contract: what
//! is impossible for the source or malformed is refused first, then the first matching rule sets
//! the tier, and an automatic tier still has to pass the limits. Whatever cannot be read counts
//! against the action.

mod assurance;
mod authorised;
mod contain;
mod explain;
mod ledger;
mod pattern;
mod policy;
mod request;
mod rule;
pub mod sensitive;
mod verdict;
mod window;

use skep_crds::policy::Tier;

pub use self::authorised::Authorised;
pub use self::contain::{Containing, Wanted, contain};
pub use self::explain::{Explanation, Hypothesis, InvalidParameter, explain};
pub use self::ledger::{LedgerView, Unreadable};
pub(crate) use self::pattern::Pattern;
pub use self::policy::{Policy, Settings};
pub use self::request::{Parameters, Request};
pub use self::rule::{RuleOrigin, RuleRef};
pub use self::sensitive::{SensitiveClass, SensitiveField};
pub use self::verdict::{Cause, Decision, Verdict};
pub(crate) use self::window::{is_open, next_opening};

use self::policy::Matched;
use crate::action::Source;

/// Decides about one request.
///
/// Within one pass, [`LedgerView::record`] each allowed request before deciding the next one;
/// otherwise the limits do not see what the pass itself has just allowed.
#[must_use]
pub fn decide(
    policy: &Policy,
    request: &Request<'_>,
    ledger: Result<&LedgerView, Unreadable>,
) -> Verdict {
    // 0. Is it possible at all: for this source, with these parameters, on this target?
    let source = match assurance::check(policy.options(), request) {
        Ok(source) => source,
        Err(violation) => return Verdict::violation(request, &violation),
    };
    // A freeze is an override: while the overrides cannot be read, there may be one.
    if policy.overrides_are_unreadable() {
        return Verdict::blind(request);
    }
    // 1. Which rule?
    let matched = policy.select(request.kind, request.target);
    let (decision, cause, reason) = judge(policy, request, source, &matched, ledger);
    Verdict::new(request, &matched, decision, cause, reason)
}

fn judge(
    policy: &Policy,
    request: &Request<'_>,
    source: Source,
    matched: &Matched<'_>,
    ledger: Result<&LedgerView, Unreadable>,
) -> (Decision, Cause, String) {
    use Decision as D;
    // 2. Tiers that need no counting.
    let allowed = match matched.tier {
        Tier::Forbidden => return (D::Deny, Cause::Forbidden, "forbidden by policy".into()),
        Tier::ApprovalRequired => {
            let reason = "tier requires human approval".into();
            return (D::QueueApproval, Cause::ApprovalRequired, reason);
        }
        Tier::Auto => D::Allow,
        Tier::AutoNotify => D::AllowNotify,
    };
    if let Some(confirm) = request.confirm {
        let reason = format!("a person has to confirm this: {confirm}");
        return (D::QueueApproval, Cause::Confirm, reason);
    }
    if let Some(field) = request.sensitive.iter().find(|field| !matched.names(field)) {
        let reason = format!(
            "sensitive field {} ({}) is not named in the rule's fields; queued",
            field.pointer, field.class
        );
        return (D::QueueApproval, Cause::SensitiveField, reason);
    }
    // 3. A machine that loops is stopped; a person in a hurry is asked to have it approved.
    let over_limit = if source.is_machine() { D::Deny } else { D::QueueApproval };
    let Ok(ledger) = ledger else {
        let reason = "rate limit: the ledger cannot be read (fail closed)".into();
        return (over_limit, Cause::LedgerUnreadable, reason);
    };
    let rate = matched.rate_limit;
    if ledger.count(request, rate.window_s) >= u64::from(rate.max) {
        let reason =
            format!("rate limit exceeded ({}/{}s for this action+target)", rate.max, rate.window_s);
        return (over_limit, Cause::RateLimit, reason);
    }
    // 4. One bad rule must not take the whole fleet along.
    let blast = matched.blast_radius;
    if ledger.targets_with(request, blast.window_s) > u64::from(blast.max_targets) {
        let reason = format!(
            "blast-radius cap ({} targets/{}s for this action), queued",
            blast.max_targets, blast.window_s
        );
        return (D::QueueApproval, Cause::BlastRadius, reason);
    }
    // 5. What cannot be undone, when the installation wants to be asked.
    if policy.settings().irreversibility_aversion && request.is_irreversible() {
        let reason = "irreversible action, queued for approval".into();
        return (D::QueueApproval, Cause::Irreversible, reason);
    }
    // 6. Automatic tiers apply only inside the rule's window.
    if let Some(window) = matched.window
        && !is_open(window, request.now)
    {
        let reason = format!("outside maintenance window {window} UTC, queued");
        return (D::QueueApproval, Cause::OutsideWindow, reason);
    }
    (allowed, Cause::Allowed, format!("tier {}", matched.tier.as_str()))
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

//! The gate: whether a step may be carried out, decided by rules alone.
//!
//! Every mutation passes here, whoever asks for it. Whatever cannot be read counts against the
//! action.
//!
//! # The order of decisions
//!
//! This list is the contract; the first check that objects decides.
//!
//! 1. **Assurance**: what no rule can allow. *Role*: an unknown source, or one outside its role.
//!    *Schema*: a parameter that is missing or malformed. *Precondition*: a claimed state in which
//!    the action makes no sense. *Reference*: a target or tool that the policy does not know. Each
//!    denies.
//! 2. **Overrides that cannot be read** deny everything: one of them may be a freeze.
//! 3. **The rule**: stored overrides by priority (of equal ones the strictest first), then the
//!    file's rules in order, then the file's defaults. The first *enforced* one that matches
//!    decides. A rule in mode `audit` or `warn` that matches on the way leaves a [`Remark`] of
//!    what it would have decided and passes the request on; `off` is as if the rule were not
//!    there.
//! 4. **The tier**: `forbidden` denies, `approval_required` asks a person; nothing below is
//!    looked at for either.
//! 5. A step that the plan itself wants **confirmed**, then a **sensitive field** that the rule
//!    does not name: a person.
//! 6. **Rate limit**: machines are denied, people are queued. An unreadable ledger counts as
//!    exceeded, here.
//! 7. **Blast radius**: a person.
//! 8. **Budgets of the fleet** ([`skep_crds::policy::Budgets`]): removals or changes, a person;
//!    unavailability, as the rate limit, because it passes by itself.
//! 9. **Irreversibility**, when the installation asks for it: a person.
//! 10. **Maintenance window**: a person outside of it.
//! 11. `auto` allows, `auto_notify` allows and tells the operators.
//!
//! `ramp_eligible` has no effect at any of these places: who acts is not authenticated well enough
//! to outgrow an approval, and a preview that knows more than the decision would mislead.

mod assurance;
mod authorised;
mod budget;
mod cases;
mod contain;
mod evidence;
mod explain;
mod facts;
mod judge;
mod kinds;
mod ledger;
mod lint;
mod overrides;
mod pattern;
mod policy;
mod replay;
mod request;
mod rule;
pub mod sensitive;
mod verdict;
mod window;

pub use self::authorised::Authorised;
pub use self::cases::{CaseOutcome, Difference, InvalidCase, ask_case};
pub use self::contain::{Containing, Wanted, contain};
pub use self::evidence::{Evidence, FleetView};
pub use self::explain::{Explanation, Hypothesis, InvalidParameter, explain};
pub use self::facts::{Facts, FleetNumbers};
pub use self::kinds::{KNOWN_KINDS, only_looks};
pub use self::ledger::{LedgerView, Unreadable};
pub use self::lint::{Finding, Level, lint};
pub use self::overrides::{FREEZE_PRIORITY, Lifted, MAX_OVERRIDES, Override, glob_problem};
pub(crate) use self::pattern::Pattern;
pub use self::policy::{Policy, Settings};
pub use self::replay::{Changed, Past, Replay, Row, replay};
pub use self::request::{Parameters, Request};
pub use self::rule::{RuleOrigin, RuleRef};
pub use self::sensitive::{SensitiveClass, SensitiveField};
pub use self::verdict::{Cause, Decision, Remark, Verdict};
pub(crate) use self::window::{is_open, next_opening};

use self::judge::judge;

/// Decides about one request.
///
/// Within one pass, [`LedgerView::record`] each allowed request before deciding the next one (and
/// [`FleetView::disrupt`] its target); otherwise the limits do not see what the pass itself has
/// just allowed.
#[must_use]
pub fn decide<'e>(
    policy: &Policy,
    request: &Request<'_>,
    evidence: impl Into<Evidence<'e>>,
) -> Verdict {
    let evidence = evidence.into();
    let source = match assurance::check(policy.options(), request) {
        Ok(source) => source,
        Err(violation) => return Verdict::violation(request, &violation),
    };
    if policy.overrides_are_unreadable() {
        return Verdict::blind(request);
    }
    let selected = policy.select(request);
    let ask = |matched| judge(policy, request, source, matched, evidence);
    let remarks = selected.passed_over.iter().map(|(mode, matched)| {
        let would = ask(matched);
        Remark::new(*mode, matched.rule, would.decision, would.reason)
    });
    let remarks = remarks.collect();
    let answer = ask(&selected.matched);
    let held_back = budget::unavailable(policy, request, evidence).map(|full| full.reason);
    Verdict::new(request, &selected.matched, answer, remarks, held_back)
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

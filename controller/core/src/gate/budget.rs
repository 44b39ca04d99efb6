//! Budgets of the fleet as a whole: how much may change, go, or be unavailable by itself.

use skep_crds::policy::Share;

use super::kinds::{changes_a_service, is_removal};
use super::{Cause, Evidence, LedgerView, Policy, Request, Unreadable};

/// A budget that has no room for the request.
pub(super) struct Exhausted {
    pub(super) cause: Cause,
    pub(super) reason: String,
    /// True when it has room again without anybody's decision, in moments.
    pub(super) passes: bool,
}

/// The first budget that the request does not fit into. The ledger has been read at this point.
pub(super) fn check(
    policy: &Policy,
    request: &Request<'_>,
    ledger: &LedgerView,
    evidence: Evidence<'_>,
) -> Option<Exhausted> {
    let budgets = policy.budgets();
    let counted = if is_removal(request.kind) {
        budgets.removed.map(|budget| (budget, Cause::RemovalBudget, "removed"))
    } else {
        None
    };
    // Without a budget of their own, removals are changes like any other.
    let changed = budgets.changed.map(|budget| (budget, Cause::ChangeBudget, "changed"));
    let counted = counted.or(changed).filter(|_| changes_a_service(request.kind));
    if let Some((budget, cause, verb)) = counted {
        let room = match room(budget.share, evidence) {
            Ok(room) => room,
            Err(exhausted) => return Some(exhausted),
        };
        let apart = budgets.removed.is_some();
        let others = ledger.others_changed(request, budget.window_s, |kind| {
            let removal = is_removal(kind);
            if cause == Cause::RemovalBudget {
                removal
            } else {
                changes_a_service(kind) && !(removal && apart)
            }
        });
        if others >= room {
            let reason = format!(
                "fleet budget: {} services may be {verb} in {}s and {others} were; queued",
                budget.share, budget.window_s
            );
            return Some(Exhausted { cause, reason, passes: false });
        }
    }
    unavailable(policy, request, evidence)
}

/// Whether carrying the request out now would leave too much of the fleet unavailable.
pub(super) fn unavailable(
    policy: &Policy,
    request: &Request<'_>,
    evidence: Evidence<'_>,
) -> Option<Exhausted> {
    let share = policy.budgets().unavailable.filter(|_| request.disrupts)?;
    let Ok(fleet) = evidence.fleet else { return Some(blind()) };
    // Repairing what is down takes nothing away.
    if fleet.is_unavailable(request.target) || fleet.unavailable() < share.of(fleet.services()) {
        return None;
    }
    let reason = format!(
        "unavailability budget: {share} services may be unavailable at once and {} of {} are",
        fleet.unavailable(),
        fleet.services()
    );
    Some(Exhausted { cause: Cause::UnavailabilityBudget, reason, passes: true })
}

fn room(share: Share, evidence: Evidence<'_>) -> Result<u64, Exhausted> {
    match (share.percent, evidence.fleet) {
        (None, _) => Ok(share.of(0)),
        (Some(_), Ok(fleet)) => Ok(share.of(fleet.services())),
        (Some(_), Err(Unreadable)) => Err(blind()),
    }
}

fn blind() -> Exhausted {
    let reason = "fleet budget: the size of the fleet is not known (fail closed)".to_owned();
    Exhausted { cause: Cause::FleetUnreadable, reason, passes: true }
}

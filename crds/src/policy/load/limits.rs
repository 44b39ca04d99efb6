//! Limits and budgets of a file that may be broken: what cannot be read allows nothing by itself.

use skep_yaml::{Kind, Node, Resolved};

use super::{Given, given, value};
use crate::policy::{BlastRadius, Budgets, DAY_S, FleetBudget, HOUR_S, RateLimit, Share};

pub(super) const NO_RATE: RateLimit = RateLimit { max: 0, window_s: HOUR_S };
pub(super) const NO_BLAST: BlastRadius = BlastRadius { max_targets: 0, window_s: HOUR_S };

pub(super) fn rate_limit(given: Given<'_>) -> Option<RateLimit> {
    match limit(given, "max") {
        Limit::Absent => None,
        Limit::Broken => Some(NO_RATE),
        Limit::Read { most, window_s } => Some(RateLimit { max: most, window_s }),
    }
}

pub(super) fn blast_radius(given: Given<'_>) -> Option<BlastRadius> {
    match limit(given, "max_targets") {
        Limit::Absent => None,
        Limit::Broken => Some(NO_BLAST),
        Limit::Read { most, window_s } => Some(BlastRadius { max_targets: most, window_s }),
    }
}

enum Limit {
    Absent,
    Broken,
    Read { most: u32, window_s: u64 },
}

fn limit(given_limit: Given<'_>, most: &str) -> Limit {
    let map = match given_limit {
        Given::Absent => return Limit::Absent,
        Given::Once(Node { kind: Kind::Mapping(map), .. }) => map,
        Given::Once(_) | Given::Twice => return Limit::Broken,
    };
    let count = match given(map, most) {
        Given::Once(node) => count(node).and_then(|count| u32::try_from(count).ok()),
        Given::Absent | Given::Twice => None,
    };
    let window_s = match given(map, "window_s") {
        Given::Absent => Some(HOUR_S),
        Given::Once(node) => count_up(node),
        Given::Twice => None,
    };
    match (count, window_s) {
        (Some(most), Some(window_s)) => Limit::Read { most, window_s },
        _ => Limit::Broken,
    }
}

/// A whole number above zero.
fn count(node: &Node) -> Option<u64> {
    let Resolved::Int(number) = value(node)? else { return None };
    u64::try_from(number).ok().filter(|number| *number > 0)
}

/// A time in seconds; a fraction makes it longer, which is the stricter side.
fn count_up(node: &Node) -> Option<u64> {
    if let Resolved::Float(number) = value(node)? {
        if !(f64::MIN_POSITIVE..=1e12).contains(&number) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the bounds are checked above"
        )]
        return Some(number.ceil() as u64);
    }
    count(node)
}

/// Budgets; a broken block closes each of them.
pub(super) fn budgets(given_budgets: Given<'_>) -> Budgets {
    let map = match given_budgets {
        Given::Absent => return Budgets::default(),
        Given::Once(Node { kind: Kind::Mapping(map), .. }) => map,
        Given::Once(_) | Given::Twice => {
            let closed = |window_s| Some(FleetBudget { share: Share::NOTHING, window_s });
            return Budgets {
                changed: closed(HOUR_S),
                removed: closed(DAY_S),
                unavailable: Some(Share::NOTHING),
            };
        }
    };
    Budgets {
        changed: fleet_budget(given(map, "changed"), HOUR_S),
        removed: fleet_budget(given(map, "removed"), DAY_S),
        unavailable: match given(map, "unavailable") {
            Given::Absent => None,
            found @ (Given::Once(_) | Given::Twice) => Some(share(found)),
        },
    }
}

fn fleet_budget(found: Given<'_>, usual_s: u64) -> Option<FleetBudget> {
    let window_s = match found {
        Given::Absent => return None,
        Given::Once(Node { kind: Kind::Mapping(map), .. }) => match given(map, "window_s") {
            Given::Absent => Some(usual_s),
            Given::Once(node) => count_up(node),
            Given::Twice => None,
        },
        Given::Once(_) | Given::Twice => None,
    };
    Some(match window_s {
        Some(window_s) => FleetBudget { share: share(found), window_s },
        None => FleetBudget { share: Share::NOTHING, window_s: usual_s },
    })
}

/// A share of which every given number can be read.
fn share(found: Given<'_>) -> Share {
    let Given::Once(Node { kind: Kind::Mapping(map), .. }) = found else { return Share::NOTHING };
    let number = |key, most: u64| match given(map, key) {
        Given::Absent => Some(None),
        Given::Once(node) => {
            let number = count(node).filter(|number| *number <= most)?;
            Some(Some(u32::try_from(number).ok()?))
        }
        Given::Twice => None,
    };
    match (number("max", u64::MAX), number("percent", 100)) {
        (Some(max), Some(percent)) if max.or(percent).is_some() => Share { max, percent },
        _ => Share::NOTHING,
    }
}

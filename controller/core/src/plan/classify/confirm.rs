//! What the plan says about the fleet as a whole: when a person has to look first, which sources
//! cannot be relied on, and what is ours and no longer declared.

use std::collections::BTreeSet;

use crate::desired::{Desired, SourceState};
use crate::identity::ServiceName;
use crate::plan::objects::current_target;
use crate::plan::walk::Walk;
use crate::plan::{PlanInput, Waiting};

/// More than this many recorded objects gone at once is not somebody's clean-up; see
/// [`vanished_budget`].
const VANISHED_AT_MOST: usize = 3;

/// Creating what was on record a moment ago is right for one deleted service and wrong for a
/// restored manager, a stale one or another swarm. Beyond the budget a person looks first.
pub(in crate::plan) fn reason(input: &PlanInput<'_>) -> Option<String> {
    let known = input.known_clusters;
    if !known.is_empty() && !known.contains(&input.observed.cluster) {
        return Some(format!(
            "the store knows another swarm; this one ({}) has nothing on record",
            input.observed.cluster
        ));
    }
    // One that nobody declares any more may well have been removed on purpose.
    // All three are sorted: one walk instead of two look-ups for each.
    let mut declared = Walk::of(input.desired.services.keys().map(|name| (name, ())));
    let mut there = Walk::of(input.observed.services.keys().map(|name| (name, ())));
    let is_gone = |name: &&ServiceName| declared.find(name).is_some() && there.find(name).is_none();
    let gone = input.owned.keys().filter(is_gone).count() + objects_gone(input);
    let recorded = input.owned.len() + input.owned_objects.len();
    let budget = vanished_budget(recorded);
    (gone > budget).then(|| {
        format!(
            "{gone} of {recorded} recorded objects are gone at once (more than {budget}): a \
             restored or stale manager looks like this"
        )
    })
}

/// Networks, configs and secrets on record that are declared and not there. Earlier versions are
/// not made again, so they do not count.
fn objects_gone(input: &PlanInput<'_>) -> usize {
    let is_gone = |target: &&ServiceName| !input.observed.objects.contains_key(*target);
    let gone: BTreeSet<&ServiceName> = input.owned_objects.keys().filter(is_gone).collect();
    if gone.is_empty() {
        return 0;
    }
    let current = input.desired.objects.values().map(|object| current_target(input, object));
    current.filter(|target| gone.contains(target)).count()
}

/// The smaller of three objects and a fifth of the fleet, but at least one.
fn vanished_budget(recorded: usize) -> usize {
    (recorded / 5).clamp(1, VANISHED_AT_MOST)
}

pub(super) fn sources_waiting(desired: &Desired) -> impl Iterator<Item = Waiting> + '_ {
    desired.sources.iter().filter(|source| source.state != SourceState::Ready).map(|source| {
        let reason = source.reason.as_deref().unwrap_or("no reason given");
        match source.state {
            SourceState::NeverLoaded => Waiting::overall(
                "SOURCE_NEVER_LOADED",
                format!("{}: what it declares is unknown: {reason}", source.name),
            ),
            SourceState::Stale | SourceState::Ready => Waiting::overall(
                "SOURCE_INVALID",
                format!("{}: its last good content stays in force: {reason}", source.name),
            ),
        }
    })
}

pub(super) fn orphans<'a>(input: &'a PlanInput<'_>) -> impl Iterator<Item = Waiting> + 'a {
    let ready = input.desired.sources.iter().all(|source| source.state == SourceState::Ready);
    let mut declared = Walk::of(input.desired.services.keys().map(|name| (name, ())));
    input
        .owned
        .iter()
        .filter(move |_| ready && !input.desired.sources.is_empty())
        .filter(move |(name, id)| {
            declared.find(name).is_none()
                && input.observed.services.get(name).is_some_and(|live| live.id == **id)
        })
        .map(|(name, _)| {
            Waiting::on(
                name,
                "ORPHAN",
                "ours and no longer declared; it keeps running, nothing is removed by itself",
            )
        })
}

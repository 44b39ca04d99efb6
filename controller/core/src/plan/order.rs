//! Waves: a step waits for the steps of what its service depends on.

use std::collections::{BTreeMap, BTreeSet};

use super::Step;
use crate::desired::Desired;
use crate::identity::ServiceName;

/// Numbers each step's wave from 1 and sorts: by wave, then by name. A dependency without a step
/// of its own is satisfied and adds no wave; what lies behind it still counts.
pub(super) fn into_waves(steps: &mut [Step], desired: &Desired) {
    let with_step: BTreeSet<ServiceName> = steps.iter().map(|step| step.target.clone()).collect();
    let mut waves = BTreeMap::new();
    for step in steps.iter_mut() {
        step.wave = wave(&step.target, desired, &with_step, &mut waves, &mut BTreeSet::new());
    }
    steps.sort_by(|a, b| (a.wave, &a.target).cmp(&(b.wave, &b.target)));
}

fn wave(
    name: &ServiceName,
    desired: &Desired,
    with_step: &BTreeSet<ServiceName>,
    known: &mut BTreeMap<ServiceName, u32>,
    path: &mut BTreeSet<ServiceName>,
) -> u32 {
    if let Some(wave) = known.get(name) {
        return *wave;
    }
    // Cycles are refused when a source is loaded; across sources one is cut here.
    if !path.insert(name.clone()) {
        return 0;
    }
    let before = desired
        .services
        .get(name)
        .map(|service| service.depends_on.as_slice())
        .unwrap_or_default()
        .iter()
        .map(|dependency| wave(dependency, desired, with_step, known, path))
        .max()
        .unwrap_or(0);
    path.remove(name);
    let own = before + u32::from(with_step.contains(name));
    known.insert(name.clone(), own);
    own
}

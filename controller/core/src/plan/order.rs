//! Waves: a step waits for the steps of what its service depends on.

use std::collections::{BTreeMap, BTreeSet};

use super::objects::ObjectPlan;
use super::{DriftClass, Operation, Step};
use crate::desired::Desired;
use crate::identity::ServiceName;

/// Numbers each step's wave from 1 and sorts: by wave, then by name. A dependency without a step
/// of its own is satisfied and adds no wave; what lies behind it still counts.
/// Networks, configs and secrets come in the first wave, the services that wait for one of them in
/// a later one.
pub(super) fn into_waves(steps: &mut [Step], desired: &Desired, objects: &ObjectPlan) {
    let with_step: BTreeSet<ServiceName> = steps.iter().map(|step| step.target.clone()).collect();
    let mut waves = BTreeMap::new();
    let known = Known { desired, with_step, objects };
    for step in steps.iter_mut() {
        step.wave = wave(&step.target, &known, &mut waves, &mut BTreeSet::new());
    }
    // What nobody wants any more goes last.
    let last = steps.iter().map(|step| step.wave).max().unwrap_or(0);
    for step in steps.iter_mut().filter(|step| is_prune(step)) {
        step.wave = if last > 1 || step.wave > 1 { last + 1 } else { 2 };
    }
    steps.sort_by(|a, b| (a.wave, &a.target).cmp(&(b.wave, &b.target)));
}

fn is_prune(step: &Step) -> bool {
    let goes = matches!(step.class, DriftClass::Orphan | DriftClass::Outdated);
    step.operation == Operation::Remove && goes
}

struct Known<'a> {
    desired: &'a Desired,
    with_step: BTreeSet<ServiceName>,
    objects: &'a ObjectPlan,
}

fn wave(
    name: &ServiceName,
    known: &Known<'_>,
    waves: &mut BTreeMap<ServiceName, u32>,
    path: &mut BTreeSet<ServiceName>,
) -> u32 {
    if let Some(wave) = waves.get(name) {
        return *wave;
    }
    // Cycles are refused when a source is loaded; across sources one is cut here.
    if !path.insert(name.clone()) {
        return 0;
    }
    let service = known.desired.services.get(name);
    let behind_objects = known.objects.makes_something()
        && service.is_some_and(|service| known.objects.precedes(&service.spec.value()));
    let before = service
        .map(|service| service.depends_on.as_slice())
        .unwrap_or_default()
        .iter()
        .map(|dependency| wave(dependency, known, waves, path))
        .max()
        .unwrap_or(0)
        .max(u32::from(behind_objects));
    path.remove(name);
    let own = before + u32::from(known.with_step.contains(name));
    waves.insert(name.clone(), own);
    own
}

//! Which steps of a plan are those of one stack.

use std::collections::BTreeSet;

use skep_core::identity::ServiceName;
use skep_core::plan::{Step, Summary};
use skep_runtime::{Planned, is_of_stack};

/// Whether a step is about a service, network, config or secret of this stack.
pub(in crate::verbs) fn belongs(planned: &Planned, stack: &str, step: &Step) -> bool {
    is_of_stack(&planned.desired, stack, step)
}

/// Leaves the steps of these stacks, and what their services wait for.
pub(in crate::verbs) fn restrict(planned: &mut Planned, stacks: &[String]) {
    let steps = std::mem::take(&mut planned.plan.steps);
    let (own, _): (Vec<Step>, Vec<Step>) = steps
        .into_iter()
        .partition(|step| stacks.iter().any(|stack| belongs(planned, stack, step)));
    let declared: BTreeSet<ServiceName> = stacks
        .iter()
        .filter_map(|stack| planned.desired.stacks.get(stack))
        .flat_map(|stack| stack.services.iter().cloned())
        .collect();
    let waiting = &mut planned.plan.waiting;
    waiting.retain(|one| one.target.as_ref().is_none_or(|name| declared.contains(name)));
    let changed = own.iter().filter(|step| declared.contains(&step.target)).count();
    planned.plan.summary = Summary::count(&own, declared.len().saturating_sub(changed));
    planned.plan.steps = own;
}

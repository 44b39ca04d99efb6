//! Which of the granted actions start now: a service is deployed when what it comes after is as
//! declared and healthy, when nothing of its stack has failed, and when its batch has come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skep_core::action::{Action, ActionKind, ActionState, ActuatorMode};
use skep_core::identity::{ObjectKey, ServiceName};
use skep_core::plan::{Operation, Waiting, missing_references};
use skep_core::readiness::State;
use skep_core::stack::{
    DEPENDENCY, Member, Order, Progress, RETURNING, Wait, YOUNG, batch, levels, progress,
    unhealthy, waits_its_turn,
};
use skep_crds::stacks::FirstRollout;
use skep_store::ActionFilter;

use super::Facts;
use super::whole::{members_on_record, whole_of};
use crate::Error;
use crate::controller::Context;
use crate::reconcile::World;
use crate::report::PassReport;
use crate::waits::Waits;

/// The granted actions, sorted.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    /// These may start.
    pub(crate) ready: Vec<Action>,
    /// These wait.
    waiting: Vec<(Action, Wait)>,
    /// Nobody has decided about these; some would wait even when they are approved.
    undecided: Vec<(Action, Option<Wait>)>,
}

impl Sorted {
    /// Says what waits for what; gives true when one of the granted may be able to start soon.
    pub(crate) fn tell(&self, waits: &mut Waits, report: &mut PassReport) -> bool {
        let mut say = |action: &Action, wait: &Wait| {
            waits.wait(action, wait.code, &wait.reason);
            let (target, code) = (Some(action.step.target.clone()), wait.code.to_owned());
            report.waiting.push(Waiting { target, code, reason: wait.reason.clone() });
        };
        self.waiting.iter().for_each(|(action, wait)| say(action, wait));
        for (action, wait) in &self.undecided {
            if let Some(wait) = wait {
                say(action, wait);
            }
        }
        let free = self.undecided.iter().filter(|(_, wait)| wait.is_none());
        free.for_each(|(action, _)| waits.end(action));
        self.waiting.iter().any(|(_, wait)| wait.ends_soon)
    }
}

/// Sorts granted actions that nothing else keeps from starting. `active` are the services with an
/// action that is allowed or under way.
pub(crate) async fn sort_out(
    context: &Context,
    world: &World,
    granted: Vec<Action>,
    active: &BTreeSet<ServiceName>,
) -> Result<Sorted, Error> {
    // A rehearsal creates nothing that could be waited for.
    if context.options.mode == ActuatorMode::DryRun {
        return Ok(Sorted { ready: granted, ..Sorted::default() });
    }
    let undecided = undecided(context, world).await?;
    let targets = granted.iter().map(|action| &action.step.target);
    let facts = Facts::of(context, world, targets).await?;
    let mut order = Order::new(&world.desired, |name| state(context, world, active, name));
    let mut sorted = Sorted { undecided, ..Sorted::default() };
    for action in granted {
        let wait = match returns(context, &action).await? {
            Some(wait) => Some(wait),
            None => facts
                .stopped(context, world, &action.step)
                .or_else(|| references(world, &action, active))
                .or_else(|| after_others(&mut order, &action)),
        };
        match wait {
            Some(wait) => sorted.waiting.push((action, wait)),
            None => sorted.ready.push(action),
        }
    }
    stage(context, world, &facts, sorted).await
}

/// The way back of a stack waits for its members, and a member for those that go back before it.
async fn returns(context: &Context, action: &Action) -> Result<Option<Wait>, Error> {
    if action.kind == ActionKind::RedeployStack {
        let members = members_on_record(context, action).await?;
        // Only looked at again when one of them has moved.
        let Progress::Running(reason) = progress(action, &members) else { return Ok(None) };
        return Ok(Some(Wait { code: RETURNING, reason, ends_soon: true }));
    }
    let Some(whole) = whole_of(context, action).await? else { return Ok(None) };
    let members = members_on_record(context, &whole).await?;
    let reason = waits_its_turn(&whole, action, &members);
    Ok(reason.map(|reason| Wait { code: RETURNING, reason, ends_soon: true }))
}

/// What a service needs that is not there. Stopping, scaling and restarting need nothing.
fn references(world: &World, action: &Action, active: &BTreeSet<ServiceName>) -> Option<Wait> {
    if action.kind != ActionKind::DeployService {
        return None;
    }
    let service = world.desired.services.get(&action.step.target)?;
    let missing = missing_references(&world.snapshot, &service.spec.value()).next()?;
    let ends_soon = active.contains(&missing);
    let reason = format!("waits for {missing}, which is not there yet");
    Some(Wait { code: DEPENDENCY, reason, ends_soon })
}

/// Stopping, scaling and restarting need nobody else.
fn after_others<F>(order: &mut Order<'_, F>, action: &Action) -> Option<Wait>
where
    F: FnMut(&ServiceName) -> Option<(String, bool)>,
{
    if action.kind != ActionKind::DeployService {
        return None;
    }
    order.wait(&action.step.target)
}

/// What keeps a service from being done and healthy. What differs there and is not approved is no
/// reason to hold others back.
fn state(
    context: &Context,
    world: &World,
    active: &BTreeSet<ServiceName>,
    name: &ServiceName,
) -> Option<(String, bool)> {
    if active.contains(name) {
        return Some(("is about to be changed".to_owned(), true));
    }
    let wanted = world.desired.services.get(name)?;
    let live = world.snapshot.services.get(name);
    let what = unhealthy(wanted, live, answers(context, name))?;
    Some((what, live.is_some()))
}

fn answers(context: &Context, name: &ServiceName) -> State {
    let readiness = Arc::clone(&context.readiness.borrow());
    readiness.state(name)
}

/// Holds back what belongs to a later batch of a large first rollout.
async fn stage(
    context: &Context,
    world: &World,
    facts: &Facts,
    mut sorted: Sorted,
) -> Result<Sorted, Error> {
    let mut creates: BTreeMap<(&str, u32), Vec<ServiceName>> = BTreeMap::new();
    let mut of_stack = BTreeMap::new();
    for action in sorted.ready.iter().filter(|action| creates_service(action)) {
        let name = &action.step.target;
        let stack = world.stacks.stack_of(name).and_then(|stack| world.desired.stacks.get(stack));
        let Some(stack) = stack.filter(|stack| stack.rollout == FirstRollout::Staged) else {
            continue;
        };
        let levels =
            of_stack.entry(stack.name.as_str()).or_insert_with(|| levels(&world.desired, stack));
        let Some(level) = levels.get(name) else { continue };
        creates.entry((&stack.name, *level)).or_default().push(name.clone());
    }
    let mut waits: BTreeMap<ServiceName, Wait> = BTreeMap::new();
    for ((stack, level), allowed) in &creates {
        let Some(levels) = of_stack.get(*stack) else { continue };
        let names: Vec<&ServiceName> =
            levels.iter().filter(|(_, own)| *own == level).map(|(name, _)| *name).collect();
        let members = new_of(context, world, facts, &names);
        let busy = context.in_flight.keys();
        let is_free = |name: &&ServiceName| {
            !busy.contains(&ObjectKey::service(&world.snapshot.cluster, name))
        };
        let allowed: Vec<&ServiceName> = allowed.iter().filter(is_free).collect();
        let batch = batch(&members, &allowed);
        for name in allowed {
            waits.extend(batch.wait(name).map(|wait| (name.clone(), wait)));
        }
    }
    let mut ready = Vec::new();
    for action in std::mem::take(&mut sorted.ready) {
        match waits.remove(&action.step.target) {
            Some(wait) if creates_service(&action) => sorted.waiting.push((action, wait)),
            _ => ready.push(action),
        }
    }
    sorted.ready = ready;
    Ok(sorted)
}

fn creates_service(action: &Action) -> bool {
    action.kind == ActionKind::DeployService
        && matches!(action.step.operation, Operation::Create { .. })
}

/// Those services of a wave that are new: to be created, being created, or on record for so short
/// a time that they belong to this rollout.
fn new_of<'a>(
    context: &Context,
    world: &World,
    facts: &Facts,
    names: &[&'a ServiceName],
) -> Vec<Member<'a>> {
    let busy = context.in_flight.keys();
    names
        .iter()
        .filter_map(|name| {
            let wanted = world.desired.services.get(*name)?;
            let key = ObjectKey::service(&world.snapshot.cluster, name);
            let live = world.snapshot.services.get(name);
            let last = facts.latest(name);
            let since = world.on_record_since(name);
            // The picture may be older than the record.
            let is_coming = busy.contains(&key)
                || last.is_some_and(|last| match last.state {
                    ActionState::Executing | ActionState::RollingOut => true,
                    ActionState::Succeeded => last.updated_at >= world.snapshot.taken_at,
                    _ => false,
                });
            let started_at = match live {
                Some(_) => Some(since.filter(|at| world.now.duration_since(*at) < YOUNG)?),
                None if is_coming => Some(last.map_or(world.now, |last| last.updated_at)),
                None => None,
            };
            let unhealthy =
                started_at.and_then(|_| unhealthy(wanted, live, answers(context, name)));
            Some(Member { service: name, started_at, unhealthy })
        })
        .collect()
}

/// The requests that nobody has decided yet, with what keeps each from starting even when it is
/// approved.
async fn undecided(context: &Context, world: &World) -> Result<Vec<(Action, Option<Wait>)>, Error> {
    if world.desired.stacks.is_empty() {
        return Ok(Vec::new());
    }
    let filter = ActionFilter { states: vec![ActionState::Pending], ..ActionFilter::default() };
    let mut pending = context.store.actions(&filter).await?;
    let only = context.options.only.as_ref();
    pending.retain(|action| only.is_none_or(|only| only.contains(&action.step.target)));
    let facts = Facts::of(context, world, pending.iter().map(|action| &action.step.target)).await?;
    let with_wait = |action: Action| {
        let wait = facts.stopped(context, world, &action.step);
        (action, wait)
    };
    Ok(pending.into_iter().map(with_wait).collect())
}

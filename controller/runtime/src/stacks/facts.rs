//! What is on record about stacks: the newest action of each of their services, what of them has
//! failed, and which of them have returned.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use skep_core::action::{Action, ActionKind, ActionState};
use skep_core::desired::DesiredStack;
use skep_core::identity::{ObjectKey, ObjectKind, ServiceName};
use skep_core::labels;
use skep_core::plan::{DriftClass, Finding, Plan, Step, Waiting, plan_key};
use skep_core::rollout::tries_again;
use skep_core::stack::{Failure, RETURNING, Wait, held_by, stopped_by};
use skep_store::ActionFilter;

use crate::Error;
use crate::controller::Context;
use crate::reconcile::World;
use crate::reconcile::standing::{is_forgotten, last_planned, retried_at};

/// A service that is down so shortly after its rollout is down because of it.
const AFTERMATH: SignedDuration = SignedDuration::from_mins(15);

/// The code of a service whose last rollout does not stand.
const DEGRADED: &str = "DEGRADED";

/// The code of what a person, or the way back of a stack, keeps from being proposed.
pub(crate) const HELD: &str = "HELD";

/// The facts about some stacks and those that they come after.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The newest action of each service, and of each stack.
    latest: BTreeMap<ServiceName, Action>,
    /// What has failed and was not tried again.
    pub(crate) failures: Vec<Failure>,
    /// When a person last asked to try a service again.
    retried: BTreeMap<ServiceName, Timestamp>,
}

impl Facts {
    /// Looks at the stacks of these services. Costs nothing when none is of a stack.
    pub(crate) async fn of<'a>(
        context: &Context,
        world: &World,
        services: impl Iterator<Item = &'a ServiceName>,
    ) -> Result<Self, Error> {
        let stacks = services.filter_map(|name| stack_of(world, name)).collect();
        Self::of_stacks(context, world, stacks).await
    }

    /// Looks at these stacks.
    pub(crate) async fn of_stacks(
        context: &Context,
        world: &World,
        stacks: BTreeSet<&str>,
    ) -> Result<Self, Error> {
        let stacks = with_earlier(world, stacks);
        if stacks.is_empty() {
            return Ok(Self::default());
        }
        let cluster = &world.snapshot.cluster;
        let targets = stacks.iter().flat_map(|stack| {
            let whole = ServiceName::object(ObjectKind::Stack, &stack.name);
            stack.services.iter().cloned().chain([whole])
        });
        let keys = targets.map(|target| ObjectKey::of(cluster, &target)).collect();
        let filter = ActionFilter { latest_per_key: true, keys, ..ActionFilter::default() };
        let latest = context.store.actions(&filter).await?;
        let holds = context.store.holds(cluster).await?;
        let mut facts = Self {
            latest: latest.into_iter().map(|action| (action.key.target(), action)).collect(),
            failures: Vec::new(),
            retried: holds
                .iter()
                .filter_map(|hold| Some((hold.key.target(), retried_at(Some(hold))?)))
                .collect(),
        };
        for stack in stacks {
            for name in &stack.services {
                let Some(last) = facts.latest.get(name) else { continue };
                let planned;
                let last = match last.step.request {
                    // What was asked for by hand says nothing about what the stack says.
                    Some(_) if !last.state.is_open() => {
                        planned = last_planned(context, last).await?;
                        planned.as_ref()
                    }
                    _ => Some(last),
                };
                let retried_at = facts.retried.get(name).copied();
                let found = last.filter(|last| !is_forgotten(last, retried_at));
                let found = found.and_then(|last| failure(context, world, stack, last));
                facts.failures.extend(found);
            }
        }
        Ok(facts)
    }

    /// The newest action of a service, or of a stack.
    pub(crate) fn latest(&self, target: &ServiceName) -> Option<&Action> {
        self.latest.get(target)
    }

    /// The failures of one stack.
    pub(crate) fn failures_of<'a>(&'a self, stack: &'a str) -> impl Iterator<Item = &'a Failure> {
        self.failures.iter().filter(move |failure| failure.stack == stack)
    }

    /// Why a step is not proposed: its stack has returned, and declares the same as before.
    pub(crate) fn held(&self, context: &Context, world: &World, step: &Step) -> Option<Waiting> {
        let wait = self.returned(context, world, step)?;
        Some(Waiting {
            target: Some(step.target.clone()),
            code: wait.code.to_owned(),
            reason: wait.reason,
        })
    }

    fn returned(&self, context: &Context, world: &World, step: &Step) -> Option<Wait> {
        if step.request.is_some() || !is_of_a_rollout(step.action) {
            return None;
        }
        let stack = stack_of(world, &step.target)?;
        let whole = self.latest(&ServiceName::object(ObjectKind::Stack, stack))?;
        let declaration = world.stacks.digest(stack, &context.digester)?;
        let retried = self.retried.get(&step.target).copied();
        let reason = held_by(whole, declaration, &step.target, retried)?;
        Some(Wait { code: HELD, reason, ends_soon: false })
    }

    /// Why a step does not start: its stack has returned, or something of it has failed.
    pub(crate) fn stopped(&self, context: &Context, world: &World, step: &Step) -> Option<Wait> {
        if let Some(wait) = self.returned(context, world, step) {
            return Some(wait);
        }
        if step.request.is_some() || !is_of_a_rollout(step.action) {
            return None;
        }
        let stack = stack_of(world, &step.target)?;
        let whole = self.latest(&ServiceName::object(ObjectKind::Stack, stack));
        if let Some(whole) = whole.filter(|whole| whole.state == ActionState::Granted) {
            let reason = format!("the stack goes back first (action {})", whole.id);
            return Some(Wait { code: RETURNING, reason, ends_soon: true });
        }
        let retried = self.retried.get(&step.target).copied();
        let failure = stopped_by(&world.desired, stack, &step.target, &self.failures, retried)?;
        Some(failure.wait())
    }
}

/// The steps of a plan that do not start, or are not even proposed, because of their stack.
pub(crate) async fn stopped_steps(
    context: &Context,
    world: &World,
    plan: &Plan,
) -> Result<Vec<Waiting>, Error> {
    let targets = plan.steps.iter().map(|step| &step.target);
    let facts = Facts::of(context, world, targets).await?;
    let stopped = plan.steps.iter().filter_map(|step| {
        let wait = facts.stopped(context, world, step)?;
        let (target, code) = (Some(step.target.clone()), wait.code.to_owned());
        Some(Waiting { target, code, reason: wait.reason })
    });
    Ok(stopped.collect())
}

/// What a rollout consists of. A restart repairs, and what is only put on record changes nothing.
fn is_of_a_rollout(kind: ActionKind) -> bool {
    matches!(
        kind,
        ActionKind::DeployService
            | ActionKind::ScaleService
            | ActionKind::StopService
            | ActionKind::RemoveService
    )
}

/// The declared stack that a service is of, also of one that it does not declare any more.
fn stack_of<'a>(world: &'a World, name: &ServiceName) -> Option<&'a str> {
    if name.kind() != ObjectKind::Service || world.desired.stacks.is_empty() {
        return None;
    }
    world.stacks.stack_of(name).or_else(|| {
        let spec = world.snapshot.services.get(name)?.spec.value();
        let label = spec.get("Labels")?.get(labels::STACK_NAMESPACE)?.as_str()?;
        world.desired.stacks.get(label).map(|stack| stack.name.as_str())
    })
}

/// These stacks with all that they come after.
fn with_earlier<'a>(world: &'a World, stacks: BTreeSet<&str>) -> Vec<&'a DesiredStack> {
    let mut found: BTreeMap<&str, &DesiredStack> = BTreeMap::new();
    let mut open: Vec<&str> = stacks.into_iter().collect();
    while let Some(name) = open.pop() {
        let Some(stack) = world.desired.stacks.get(name) else { continue };
        if found.insert(&stack.name, stack).is_none() {
            open.extend(stack.after.iter().map(String::as_str));
        }
    }
    found.into_values().collect()
}

/// Whether the newest thing that the plan did to a service does not stand. `last` is its action.
fn failure(
    context: &Context,
    world: &World,
    stack: &DesiredStack,
    last: &Action,
) -> Option<Failure> {
    let name = &last.step.target;
    let live = world.live(name);
    let failed = |detail: String, is_fresh: bool| Failure {
        stack: stack.name.clone(),
        service: name.clone(),
        detail,
        at: last.updated_at,
        is_fresh,
    };
    let finding = || plan_key(&world.input(context), name);
    // The same would be tried again, or Swarm has stopped half-way through it.
    let does_not_stand = || match finding() {
        Finding::Step(step) => tries_again(last, &step, live),
        Finding::Waiting(waiting) => waiting.code == DEGRADED,
        Finding::Unchanged => false,
    };
    let update = live.and_then(|live| live.update.as_ref());
    let is_undone = update.is_some_and(|update| update.is_rollback() || update.is_paused());
    match last.state {
        ActionState::Failed => does_not_stand().then(|| failed(last.detail.clone(), true)),
        ActionState::Succeeded if is_undone => {
            does_not_stand().then(|| failed("Swarm undid it".to_owned(), true))
        }
        // A restart is no part of a rollout: it may come long after.
        _ if last.kind != ActionKind::DeployService => None,
        _ => {
            let live = live.filter(|live| live.tasks.running == 0 && live.tasks.failed > 0)?;
            let of = last.step.stack.as_ref()?;
            let is_of_this =
                world.stacks.digest(&stack.name, &context.digester)? == &of.declaration;
            let is_down = match finding() {
                Finding::Step(step) => step.class == DriftClass::Down,
                Finding::Waiting(waiting) => waiting.code == "DOWN",
                Finding::Unchanged => false,
            };
            let error = live.tasks.last_error().unwrap_or("no reason given");
            let is_fresh = world.now.duration_since(last.updated_at) < AFTERMATH;
            (is_of_this && is_down).then(|| failed(format!("no task runs: {error}"), is_fresh))
        }
    }
}

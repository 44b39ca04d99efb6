//! The gate as one pass, or one execution, sees it: the policy in force and what it counts in.

use std::sync::Arc;

use jiff::Timestamp;
use skep_core::action::{Action, ActionState};
use skep_core::gate::{
    Decision, Evidence, Facts, FleetView, LedgerView, Policy, Request, Unreadable, Verdict, decide,
};
use skep_core::identity::{ActionId, ServiceName};
use skep_core::plan::{Plan, Step};
use skep_store::{ActionFilter, DecisionRow, LedgerFilter};

use super::world::World;
use crate::controller::Context;
use crate::disruption::Turn;

/// Everything that a verdict is made from.
pub(crate) struct Gate {
    policy: Arc<Policy>,
    ledger: Result<LedgerView, Unreadable>,
    fleet: Result<FleetView, Unreadable>,
}

impl Gate {
    /// Reads what there is. What cannot be read counts against whatever needs it.
    pub(crate) async fn open(context: &Context, world: &World) -> Self {
        let policy = context.policy().await;
        let ledger = ledger(context, &policy).await;
        let fleet = fleet(context, world).await;
        Self { policy, ledger, fleet }
    }

    /// The same for one action that is about to start; those that took their turn before it and
    /// are not on record yet count as well.
    pub(crate) async fn open_for(context: &Context, world: &World, turn: &Turn) -> Self {
        // The turn was taken before anything is read: who took one earlier is either still in
        // line or on record by now.
        let mut gate = Self::open(context, world).await;
        if let Ok(fleet) = &mut gate.fleet {
            turn.before().iter().for_each(|name| fleet.disrupt(name));
        }
        gate
    }

    /// The verdict about a request.
    pub(crate) fn ask(&self, request: &Request<'_>) -> Verdict {
        decide(&self.policy, request, Evidence::of(&self.ledger, &self.fleet))
    }

    /// A decision as the ledger keeps it.
    pub(crate) fn row(
        &self,
        request: &Request<'_>,
        step: &Step,
        verdict: &Verdict,
        action: Option<ActionId>,
    ) -> DecisionRow {
        let evidence = Evidence::of(&self.ledger, &self.fleet);
        DecisionRow {
            action,
            kind: step.action,
            target: step.target.clone(),
            source: step.source,
            decision: verdict.decision().to_string(),
            tier: verdict.tier().as_str().to_owned(),
            rule: verdict.rule().to_string(),
            cause: verdict.cause().to_string(),
            reason: verdict.reason().to_owned(),
            facts: Some(Facts::of(request, evidence, verdict)),
            decided_at: request.now,
        }
    }

    /// Counts what was just allowed, so that the next verdict sees it.
    pub(crate) fn count(&mut self, request: &Request<'_>, action: &ActionId) {
        if let Ok(ledger) = &mut self.ledger {
            ledger.record(request.kind, request.target, request.now, Some(action.clone()));
        }
        if let (Ok(fleet), true) = (&mut self.fleet, request.disrupts) {
            fleet.disrupt(request.target);
        }
    }
}

/// What the gate would say about each step of a plan if they were proposed now, in order; nothing
/// is written down.
pub(crate) async fn preview(context: &Context, world: &World, plan: &Plan) -> Vec<Verdict> {
    let mut gate = Gate::open(context, world).await;
    let mut verdicts = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let request = Request::for_step(step, context.options.mode, world.now);
        let verdict = gate.ask(&request);
        // As a pass does: what it has just let run counts for the steps behind.
        if verdict.decision().is_allowed() && step.blocked.is_none() {
            gate.count(&request, &ActionId::new(step.id.as_str()));
        }
        verdicts.push(verdict);
    }
    verdicts
}

/// The allowed decisions that any limit of the policy could count.
async fn ledger(context: &Context, policy: &Policy) -> Result<LedgerView, Unreadable> {
    let since = policy.ledger_since(context.clock.now());
    let filter = LedgerFilter { since, allowed_only: true };
    let rows = context.store.decisions(&filter).await.map_err(|error| {
        tracing::error!(error = %error, "gate.ledger_unreadable");
        Unreadable
    })?;
    let mut view = LedgerView::default();
    for row in rows {
        view.record(row.kind.as_str(), row.target.as_str(), row.decided_at, row.action);
    }
    Ok(view)
}

/// How many services there are, and which of them are down or being changed.
async fn fleet(context: &Context, world: &World) -> Result<FleetView, Unreadable> {
    let states = vec![ActionState::Granted, ActionState::Executing, ActionState::RollingOut];
    let filter = ActionFilter { states, ..ActionFilter::default() };
    let open = context.store.actions(&filter).await.map_err(|error| {
        tracing::error!(error = %error, "gate.fleet_unreadable");
        Unreadable
    })?;
    let here = |action: &&Action| action.key.cluster == world.snapshot.cluster;
    let changing = open.iter().filter(here).filter(|action| is_disrupting(action, world.now));
    let down = world.owned.keys().filter(|name| is_down(world, name));
    let unavailable = changing.map(|action| &action.step.target).chain(down);
    let declared = &world.desired.services;
    let undeclared = world.owned.keys().filter(|name| !declared.contains_key(*name)).count();
    let services = u64::try_from(declared.len() + undeclared).unwrap_or(u64::MAX);
    Ok(FleetView::new(services, unavailable.map(|name| name.as_str().to_owned())))
}

/// A grant of a person's may wait for long; it counts when it starts. A rule's starts at once.
fn is_disrupting(action: &Action, now: Timestamp) -> bool {
    let is_under_way = action.state != ActionState::Granted || action.approval.is_none();
    is_under_way && Request::for_step(&action.step, action.mode, now).disrupts
}

/// Ours, wanted, and without a task that runs.
fn is_down(world: &World, name: &ServiceName) -> bool {
    let wanted = world.desired.services.get(name).is_some_and(|service| service.running);
    wanted && world.live(name).is_none_or(|live| live.tasks.running == 0)
}

/// Whether a verdict keeps things as they are instead of ending them: it passes, or the gate
/// could not see enough to decide.
pub(crate) fn leaves_standing(verdict: &Verdict) -> bool {
    let cause = verdict.cause();
    verdict.decision() == Decision::Deny && (cause.passes() || cause.is_blindness())
}

//! Stage 4, gate: ask for a verdict about every step, keep the queue equal to the plan, and file
//! what is new. Nothing is carried out here.

use std::collections::{BTreeMap, BTreeSet};

use skep_core::action::{Action, ActionEvent, ActionState, Source};
use skep_core::approval::{self, ApprovalStatus, PlannedNow, Proposal, binding, is_keyless};
use skep_core::gate::{Decision, Request, Verdict};
use skep_core::hold::Hold;
use skep_core::identity::{ActionId, ApprovalId, ObjectKey, PlanId, ServiceName};
use skep_core::plan::{Plan, Step};
use skep_store::{ActionFilter, ApprovalFilter, LedgerFilter, NewAction, ProposeOutcome};

use super::close::{close, supersede};
use super::gate::{Gate, leaves_standing};
use super::refuse::{denied, record, refusal};
use super::requests;
use super::scope::Scope;
use super::standing::{Standing, comes_back, held, last_planned, released, retried_at, standing};
use super::world::World;
use crate::Error;
use crate::controller::Context;
use crate::leader::Leadership;
use crate::report::{ActionReport, PassReport};
use crate::settle::landed::has_landed;
use crate::stacks::Facts;

/// What the gate is asked about.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) plan: &'a Plan,
    /// Only these keys of the plan.
    pub(crate) scope: &'a Scope,
    /// Keys that workers are busy with.
    pub(crate) in_flight: &'a BTreeSet<ObjectKey>,
}

/// Makes the queue equal to the plan, within the scope.
pub(crate) async fn propose(
    context: &Context,
    leadership: &Leadership,
    world: &World,
    asked: Asked<'_>,
    report: &mut PassReport,
) -> Result<(), Error> {
    let Asked { plan, scope, in_flight } = asked;
    let looked_at = |name: &ServiceName| scope.as_ref().is_none_or(|keys| keys.contains(name));
    if scope.is_none() {
        expire_requests(context, leadership, world).await?;
    } else if scope.as_ref().is_some_and(BTreeSet::is_empty) {
        return Ok(());
    }
    let latest = latest_actions(context, world, scope.as_ref()).await?;
    let mut gate = Gate::open(context, world).await;
    let mut storm_budget = storm_budget(context, world).await;
    let waiting = plan.waiting.iter().filter(|waiting| !waiting.is_remark());
    let holds = holds(context, world).await?;
    let targets = plan.steps.iter().map(|step| &step.target).filter(|name| looked_at(name));
    let stacks = Facts::of(context, world, targets).await?;
    let busy: Vec<&ServiceName> = waiting.filter_map(|waiting| waiting.target.as_ref()).collect();
    let mut proposals = Vec::new();
    let mut refused = Vec::new();
    let mut still_wanted: BTreeSet<&ServiceName> = BTreeSet::new();

    for step in plan.steps.iter().filter(|step| looked_at(&step.target)) {
        still_wanted.insert(&step.target);
        if in_flight.contains(&ObjectKey::service(&world.snapshot.cluster, &step.target)) {
            continue;
        }
        let last = latest.get(&step.target);
        // A person's request comes first; the plan looks again when it has ended.
        if last.is_some_and(|last| last.step.request.is_some() && last.state.is_open()) {
            continue;
        }
        // Its create has arrived after all: what looks like somebody else's is its own work.
        if last.is_some_and(|last| {
            last.state == ActionState::Granted && has_landed(last, world.live(&step.target))
        }) {
            continue;
        }
        if step.blocked.is_some() {
            if let Some(open) = last.filter(|action| is_idle(action)) {
                let now = PlannedNow { step: Some(step), rule: None, mode: context.options.mode };
                supersede(context, leadership, open, "it is blocked now", now).await?;
            }
            continue;
        }
        let hold = holds.get(&step.target);
        let kept = stacks.held(context, world, step);
        let kept = kept.or_else(|| hold.and_then(|hold| held(hold, last, step, world.now)));
        if let Some(waiting) = kept {
            if let Some(open) = last.filter(|action| is_idle(action)) {
                close(context, leadership, open, ActionEvent::Supersede, &waiting.reason).await?;
            }
            report.waiting.push(waiting);
            continue;
        }
        let own;
        let last = match last {
            // What was asked for by hand says nothing about what the plan says.
            Some(last) if last.step.request.is_some() => {
                if let Some(waiting) = released(last, step, hold) {
                    report.waiting.push(waiting);
                    continue;
                }
                own = last_planned(context, last).await?;
                own.as_ref()
            }
            last => last,
        };
        let request = Request::for_step(step, context.options.mode, world.now);
        let verdict = gate.ask(&request);
        // A freeze does not cost people what they asked for and decided: it waits.
        let stands = |last: &Action| {
            is_idle(last)
                && !is_keyless(&last.binding)
                && last.step.digest == step.digest
                && last.mode == context.options.mode
                && leaves_standing(&verdict)
        };
        if last.is_some_and(stands) {
            report.waiting.push(denied(step, &verdict));
            continue;
        }
        let bound = binding(step, verdict.rule(), context.options.mode);
        if let Some(last) = last {
            let retried_at = retried_at(hold);
            match standing(last, step, world, &bound, retried_at) {
                Standing::Keep => continue,
                Standing::Settled(waiting) => {
                    report.waiting.push(waiting);
                    continue;
                }
                Standing::Supersede(why) => {
                    let (rule, mode) = (Some(verdict.rule()), context.options.mode);
                    let now = PlannedNow { step: Some(step), rule, mode };
                    supersede(context, leadership, last, why, now).await?;
                }
                Standing::New => {
                    if let Some(waiting) =
                        comes_back(context, last, step, world, retried_at).await?
                    {
                        report.waiting.push(waiting);
                        continue;
                    }
                }
            }
        }
        let origin = Origin { plan: &plan.plan_id, actor: &context.options.holder };
        match file(context, origin, world, &gate, &request, step, &verdict) {
            Filed::New(new) => {
                context.refusals.forget(&step.target);
                if verdict.decision().is_allowed() {
                    if storm_budget == 0 {
                        report.deferred.push(described(step, &verdict, None));
                        continue;
                    }
                    storm_budget -= 1;
                    gate.count(&request, &new.action.id);
                }
                report.actions.push(described(step, &verdict, Some(&new)));
                proposals.push(*new);
            }
            Filed::Refused => {
                refused.extend(refusal(context, origin, world, &gate, &request, step, &verdict));
                report.waiting.push(denied(step, &verdict));
            }
        }
    }
    record(context, leadership, world, &refused).await?;

    // Requests for steps that are no longer in the plan. A service that is only waiting (a rollout
    // runs) keeps its request; what it was decided for is checked again before anything happens.
    for (name, open) in latest.iter().filter(|(_, action)| is_idle(action)) {
        let in_scope = context.options.only.as_ref().is_none_or(|only| only.contains(name));
        if !in_scope || in_flight.contains(&open.key) {
            continue;
        }
        if open.step.request.is_some() {
            if let Some(why) = requests::overtaken(context, world, open).await? {
                close(context, leadership, open, ActionEvent::Supersede, &why).await?;
            }
        } else if !still_wanted.contains(name) && !busy.contains(&name) {
            let now = PlannedNow { step: None, rule: None, mode: context.options.mode };
            supersede(context, leadership, open, "the plan no longer needs it", now).await?;
        }
    }

    if proposals.is_empty() {
        return Ok(());
    }
    let outcomes = context.store.propose(leadership.fence(), &proposals, world.now).await?;
    report.processed = outcomes.iter().filter(|o| **o == ProposeOutcome::Recorded).count();
    for (new, outcome) in proposals.iter().zip(&outcomes) {
        if *outcome == ProposeOutcome::Recorded {
            let action = &new.action;
            // A new action does not inherit its predecessor's delay.
            context.retries().reset(&action.step.target);
            context.metrics.count_action(action.kind.as_str(), action.state.as_str());
            tracing::info!(
                action.id = %action.id,
                action.kind = %action.kind,
                service.name = %action.step.target,
                plan.id = %action.plan,
                gate.decision = new.decision.decision,
                "action.proposed"
            );
        }
    }
    Ok(())
}

/// Ends requests that nobody decided in time; the same pass files them anew if they still hold.
async fn expire_requests(
    context: &Context,
    leadership: &Leadership,
    world: &World,
) -> Result<(), Error> {
    let pending =
        ApprovalFilter { status: Some(ApprovalStatus::Pending), ..ApprovalFilter::default() };
    for request in context.store.approvals(&pending).await? {
        if request.expires_at <= world.now {
            let action = match context.store.action(request.action.as_str()).await {
                Ok(action) => action,
                // One row that cannot be read must not keep all other keys from moving.
                Err(error @ skep_store::Error::Corrupt { .. }) => {
                    tracing::error!(action.id = %request.action, error = %error, "gate.unreadable");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let why = "nobody decided in time";
            close(context, leadership, &action, ActionEvent::Expire, why).await?;
        }
    }
    Ok(())
}

/// The newest action of each service of this swarm.
pub(super) async fn latest_actions(
    context: &Context,
    world: &World,
    scope: Option<&BTreeSet<ServiceName>>,
) -> Result<BTreeMap<ServiceName, Action>, Error> {
    let key = |name: &ServiceName| ObjectKey::service(&world.snapshot.cluster, name);
    let keys: Vec<ObjectKey> = scope.into_iter().flatten().map(key).collect();
    if scope.is_some() && keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let filter = ActionFilter { latest_per_key: true, keys, ..ActionFilter::default() };
    Ok(context
        .store
        .actions(&filter)
        .await?
        .into_iter()
        .filter(|action| action.key.cluster == world.snapshot.cluster)
        .map(|action| (ServiceName::new(action.key.name.as_str()), action))
        .collect())
}

/// What people said about services of this swarm.
async fn holds(context: &Context, world: &World) -> Result<BTreeMap<ServiceName, Hold>, Error> {
    let holds = context.store.holds(&world.snapshot.cluster).await?;
    Ok(holds.into_iter().map(|hold| (ServiceName::new(hold.key.name.as_str()), hold)).collect())
}

/// How many actions rules alone may still start within the current interval. Counted from the
/// ledger, so that a restart or a new leader does not begin again at the full number; none while
/// it cannot be read.
async fn storm_budget(context: &Context, world: &World) -> u32 {
    let interval = jiff::SignedDuration::try_from(context.options.interval)
        .unwrap_or(jiff::SignedDuration::MAX);
    let since = world.now.checked_sub(interval).unwrap_or(jiff::Timestamp::MIN);
    let filter = LedgerFilter { since, allowed_only: true };
    let Ok(allowed) = context.store.decisions(&filter).await else { return 0 };
    // What people ask for by hand is no storm.
    let started = allowed.iter().filter(|row| row.source != Source::Manual).count();
    context.options.max_actions.saturating_sub(u32::try_from(started).unwrap_or(u32::MAX))
}

fn is_idle(action: &Action) -> bool {
    matches!(action.state, ActionState::Pending | ActionState::Granted)
}

pub(crate) enum Filed {
    New(Box<NewAction>),
    Refused,
}

/// Where a proposal comes from.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) plan: &'a PlanId,
    pub(crate) actor: &'a str,
}

pub(crate) fn file(
    context: &Context,
    origin: Origin<'_>,
    world: &World,
    gate: &Gate,
    request: &Request<'_>,
    step: &Step,
    verdict: &Verdict,
) -> Filed {
    let id = ActionId::generate(context.random.as_ref());
    let key = ObjectKey::service(&world.snapshot.cluster, &step.target);
    let stack = world.stacks.rollout_of(&step.target, &context.digester);
    let step = &Step { stack, ..step.clone() };
    let proposal = Proposal {
        id: &id,
        key: &key,
        plan: origin.plan,
        step,
        verdict,
        mode: context.options.mode,
        actor: origin.actor,
        now: world.now,
    };
    let clocks = &context.options.clocks;
    let made = match verdict.decision() {
        Decision::Allow | Decision::AllowNotify => {
            approval::granted(&proposal, clocks).map(|action| (action, None))
        }
        Decision::QueueApproval => {
            let approval = ApprovalId::generate(context.random.as_ref());
            approval::request(&proposal, approval, clocks)
                .map(|(action, approval)| (action, Some(approval)))
        }
        Decision::Deny => return Filed::Refused,
    };
    match made {
        Ok((action, approval)) => {
            let decision = gate.row(request, step, verdict, Some(action.id.clone()));
            Filed::New(Box::new(NewAction { action, approval, decision, request: None }))
        }
        // The verdict was made a few lines above about this very step.
        Err(error) => {
            tracing::error!(error = %error, "gate.not_proposable");
            Filed::Refused
        }
    }
}

pub(crate) fn described(step: &Step, verdict: &Verdict, new: Option<&NewAction>) -> ActionReport {
    ActionReport {
        kind: step.action.to_string(),
        target: step.target.to_string(),
        reason: step.reason.clone(),
        decision: verdict.decision().to_string(),
        action_id: new.map(|new| new.action.id.to_string()),
        approval_id: new
            .and_then(|new| new.approval.as_ref())
            .map(|approval| approval.id.to_string()),
        state: new.map(|new| new.action.state.to_string()),
        execution: None,
    }
}

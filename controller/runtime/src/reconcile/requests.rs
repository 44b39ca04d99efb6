//! What people ask for by hand: each request becomes a step, is asked of the gate, and is filed
//! as an action like any other. A request about a service that is busy waits.

use std::collections::BTreeSet;

use skep_core::action::{Action, ActionEvent, ActionKind, ActionState};
use skep_core::approval::{FROM_BEFORE_KEYS, is_keyless};
use skep_core::gate::Request;
use skep_core::identity::{ActionId, ObjectKey, ObjectKind, PlanId, ServiceName};
use skep_core::plan::{Blocked, Requested, Step, plan_request};
use skep_core::request::{RequestState, RequestVerb, ServiceRequest};
use skep_store::{NewAction, RequestFilter, RequestOutcome};

use super::World;
use super::close::close;
use super::gate::Gate;
use super::propose::{Filed, Origin, described, file, latest_actions};
use super::refuse::{record, refusal};
use crate::controller::Context;
use crate::leader::Leadership;
use crate::report::PassReport;
use crate::{Error, contain, history, stacks};

/// Turns open requests into actions.
pub(crate) async fn answer(
    context: &Context,
    leadership: &Leadership,
    world: &World,
    in_flight: &BTreeSet<ObjectKey>,
    report: &mut PassReport,
) -> Result<(), Error> {
    let filter = RequestFilter { state: Some(RequestState::Open), ..RequestFilter::default() };
    let mut open = context.store.requests(&filter).await?;
    open.retain(|request| request.key.cluster == world.snapshot.cluster);
    if open.is_empty() {
        return Ok(());
    }
    let named = open.iter().map(|request| ServiceName::new(request.key.name.as_str())).collect();
    let latest = latest_actions(context, world, Some(&named)).await?;
    let mut gate = Gate::open(context, world).await;
    let mut asked = BTreeSet::new();
    let (mut filed, mut refused) = (Vec::new(), Vec::new());
    for request in &open {
        let name = ServiceName::new(request.key.name.as_str());
        let in_scope = context.options.only.as_ref().is_none_or(|only| only.contains(&name));
        if !in_scope || in_flight.contains(&request.key) || !asked.insert(&request.key) {
            continue;
        }
        match look(context, world, request, latest.get(&name)).await? {
            Answer::Later => {}
            Answer::Refused(detail) => {
                resolve(context, leadership, request, RequestOutcome::Refused(detail)).await?;
            }
            Answer::Waits(action) => {
                resolve(context, leadership, request, RequestOutcome::Filed(action)).await?;
            }
            Answer::Step(step) => {
                let now = Request::for_step(&step, context.options.mode, world.now);
                let verdict = gate.ask(&now);
                let plan = PlanId::new(step.digest.short(16));
                let origin = Origin { plan: &plan, actor: &request.actor };
                match file(context, origin, world, &gate, &now, &step, &verdict) {
                    Filed::New(mut new) => {
                        if let Some(open) = latest.get(&name).filter(|last| is_pending(last)) {
                            let why = "something else was asked for by hand";
                            close(context, leadership, open, ActionEvent::Supersede, why).await?;
                        }
                        new.request = Some(request.id.clone());
                        if verdict.decision().is_allowed() {
                            gate.count(&now, &new.action.id);
                        }
                        report.actions.push(described(&step, &verdict, Some(&new)));
                        filed.push(*new);
                    }
                    Filed::Refused => {
                        refused
                            .extend(refusal(context, origin, world, &gate, &now, &step, &verdict));
                        let rule = verdict.rule().label();
                        let why = verdict.reason();
                        let detail = format!("DENIED_BY_POLICY: denied by rule {rule}: {why}");
                        let outcome = RequestOutcome::Refused(detail);
                        resolve(context, leadership, request, outcome).await?;
                    }
                }
            }
        }
    }
    record(context, leadership, world, &refused).await?;
    if !filed.is_empty() {
        store(context, leadership, world, &filed, report).await?;
    }
    Ok(())
}

async fn store(
    context: &Context,
    leadership: &Leadership,
    world: &World,
    filed: &[NewAction],
    report: &mut PassReport,
) -> Result<(), Error> {
    // A key that has become busy in this moment leaves its request open for the next pass.
    context.store.propose(leadership.fence(), filed, world.now).await?;
    report.processed += filed.len();
    for new in filed {
        context.retries().reset(&new.action.step.target);
        tracing::info!(
            action.id = %new.action.id,
            action.kind = %new.action.kind,
            service.name = %new.action.step.target,
            actor = new.action.actor,
            gate.decision = new.decision.decision,
            "action.requested"
        );
    }
    Ok(())
}

async fn resolve(
    context: &Context,
    leadership: &Leadership,
    request: &ServiceRequest,
    outcome: RequestOutcome,
) -> Result<(), Error> {
    tracing::info!(
        service.name = %request.key.name,
        verb = %request.verb,
        outcome = ?outcome,
        "request.answered"
    );
    let now = context.clock.now();
    match context.store.resolve_request(leadership.fence(), &request.id, &outcome, now).await {
        Ok(()) | Err(skep_store::Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

enum Answer {
    /// The service is busy with something that was allowed already.
    Later,
    /// It cannot be done, or there is nothing to do: a code and why.
    Refused(String),
    /// The very same was asked for before and waits for a decision.
    Waits(ActionId),
    /// It can be done.
    Step(Box<Step>),
}

async fn look(
    context: &Context,
    world: &World,
    request: &ServiceRequest,
    last: Option<&Action>,
) -> Result<Answer, Error> {
    let busy = last.is_some_and(|last| last.state.is_open() && last.state != ActionState::Pending);
    if busy {
        return Ok(Answer::Later);
    }
    let name = ServiceName::new(request.key.name.as_str());
    let domain = world.contained.domain(Some(&world.desired), &name);
    if let Some(held) = world.contained.held(&name, domain) {
        return Ok(Answer::Refused(format!("{}: {}", held.code, held.reason)));
    }
    Ok(match replan(context, world, &name, &request.verb).await? {
        Requested::Step { mut step, .. } => {
            if let Some(why) = request.reason.as_deref().filter(|why| !why.is_empty()) {
                step.reason = format!("{} ({why})", step.reason);
            }
            let is_the_same = |last: &&Action| {
                is_pending(last)
                    && !is_keyless(&last.binding)
                    && last.step.digest == step.digest
                    && last.mode == context.options.mode
            };
            match last.filter(is_the_same) {
                Some(last) => Answer::Waits(last.id.clone()),
                None => Answer::Step(step),
            }
        }
        // Writing now would lose the rollout's way back.
        Requested::Refused(blocked) if blocked.code == "ROLLOUT_RUNNING" => Answer::Later,
        Requested::Nothing(what) => Answer::Refused(format!("NOTHING_TO_DO: {what}")),
        Requested::Refused(blocked) => {
            Answer::Refused(format!("{}: {}; {}", blocked.code, blocked.message, blocked.hint))
        }
    })
}

/// The step of a request, as things stand now.
pub(crate) async fn replan(
    context: &Context,
    world: &World,
    name: &ServiceName,
    verb: &RequestVerb,
) -> Result<Requested, Error> {
    if name.kind() == ObjectKind::Stack {
        return stacks::replan(context, world, name, verb).await;
    }
    let revision = match verb {
        RequestVerb::Rollback { revision } => {
            let key = ObjectKey::service(&world.snapshot.cluster, name);
            match history::spec_of(context.store.as_ref(), &context.sealer, &key, *revision).await {
                // One request that cannot be answered must not keep all other keys from moving.
                Err(error @ Error::Sealed(_)) => {
                    return Ok(Requested::Refused(Blocked {
                        code: "REVISION_UNREADABLE".to_owned(),
                        message: format!("revision {revision} cannot be opened: {error}"),
                        hint: format!("choose a newer one: skep service history {name}"),
                    }));
                }
                found => found?,
            }
        }
        _ => None,
    };
    let requested = plan_request(&world.input(context), name, verb, revision.as_ref());
    Ok(contain::protect_request(context, world, name, requested))
}

/// Why a request that waits for a decision, or to start, can no longer be what was asked for.
pub(super) async fn overtaken(
    context: &Context,
    world: &World,
    open: &Action,
) -> Result<Option<String>, Error> {
    let Some(verb) = &open.step.request else { return Ok(None) };
    if is_keyless(&open.binding) {
        return Ok(Some(format!("{FROM_BEFORE_KEYS}; ask again")));
    }
    // What has begun goes on to its end, which its members decide.
    if open.kind == ActionKind::RedeployStack && stacks::has_begun(context, open).await? {
        return Ok(None);
    }
    if let Some(why) = stacks::is_overtaken(context, world, open).await? {
        return Ok(Some(why));
    }
    // What was asked of a rehearsal is not for real, nor the other way round.
    if open.mode != context.options.mode {
        return Ok(Some("the actuator changed since it was asked for; ask again".to_owned()));
    }
    Ok(match replan(context, world, &open.step.target, verb).await? {
        Requested::Step { step, .. } if step.digest == open.step.digest => None,
        Requested::Step { .. } => {
            Some("the service has changed since it was asked for; ask again".to_owned())
        }
        Requested::Nothing(what) => Some(what),
        Requested::Refused(blocked) if blocked.code == "ROLLOUT_RUNNING" => None,
        Requested::Refused(blocked) => Some(blocked.message),
    })
}

fn is_pending(action: &Action) -> bool {
    action.state == ActionState::Pending
}

//! Stage 5, act: carry out one granted action, exactly as it was decided, once, or not at all.
//!
//! Read the object again, plan that key again, ask the gate again; only if all three still say
//! what was decided is the step bound to bytes, the intent stored, and the request sent.

use std::time::Duration;

use serde_json::Value;
use skep_core::action::{Action, ActionEvent, ActionKind, ActuatorMode, IntentPhase};
use skep_core::approval::{Moved, PlannedNow, RedeemError, redeem, redeem_member, what_moved};
use skep_core::desired::SecretValues;
use skep_core::gate::{Authorised, Cause, Decision, Request};
use skep_core::identity::{IntentId, ObjectKind, ServiceName};
use skep_core::observed::ObservedService;
use skep_core::plan::{BindError, Finding, Late, Operation, Requested, Step, bind, plan_key};
use skep_store::{Closing, Effects, Intent, IntentOutcome, OwnedObject, OwnershipChange};
use skep_swarm::{Error as EngineError, observe};

use super::gate::Gate;
use super::{World, objects, requests};
use crate::controller::Context;
use crate::leader::Leadership;
use crate::settle::landed::{self, has_landed};
use crate::{Error, contain, history, settle, stacks};

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The action has ended; the sentence says how.
    Ended(&'static str, String),
    /// It stays granted: what it waits for may come. No back-off. A code, and for what.
    Waiting(String, String),
    /// It stays granted or unknown: try again later, waiting longer each time.
    Retry(String),
    /// It stays granted or unknown: look again when so much time has passed, and not before.
    After(Duration, String),
}

/// The code of what waits for the policy's rate limit.
const RATE_LIMITED: &str = "RATE_LIMITED";
/// The code of what waits until the fleet can bear it.
const TOO_MUCH: &str = "TOO_MUCH_UNAVAILABLE";

fn waiting(code: &str, reason: &str) -> Attempt {
    Attempt::Waiting(code.to_owned(), reason.to_owned())
}

/// Carries out one granted action.
pub(crate) async fn carry_out(
    context: &Context,
    leadership: &Leadership,
    world: &World,
    action: &Action,
) -> Result<Attempt, Error> {
    if let Some(attempt) = stacks::carry_on(context, leadership, world, action).await? {
        return Ok(attempt);
    }
    let name = ServiceName::new(action.key.name.as_str());
    // Read the object again: what was decided must still be true at this moment.
    let world = if name.kind() == ObjectKind::Service {
        match read_by_name(context, name.as_str()).await {
            Ok(live) => world.with(name.clone(), live, context.clock.now()).decided_by(action),
            Err(error) => {
                return Ok(Attempt::Retry(format!("the service cannot be read: {error}")));
            }
        }
    } else if name.kind() == ObjectKind::Stack {
        // Each of its members is read again when it starts.
        world.clone()
    } else {
        match objects::read(context, &name).await {
            Ok(live) => world.with_object(&name, live, context.clock.now()),
            Err(error) => return Ok(Attempt::Retry(format!("{name} cannot be read: {error}"))),
        }
    };
    let closing = Closer { context, leadership, action };
    if action.key.cluster != world.snapshot.cluster {
        return closing.end(ActionEvent::Supersede, "it was decided for another swarm").await;
    }
    if let Some(live) = world.object(&name).filter(|live| objects::carries(live, &action.id))
        && objects::is_create(action)
        && context.options.mode == ActuatorMode::Swarm
    {
        return objects::record_late(context, leadership, action, live).await;
    }
    if let Some(live) = world.live(&name).filter(|live| has_landed(action, Some(live)))
        && context.options.mode == ActuatorMode::Swarm
    {
        return landed::record(context, leadership, action, live).await;
    }
    if let Some(held) = contain::held(context, action).await? {
        let why = format!("{}: {}", held.code, held.reason);
        return closing.end(ActionEvent::Supersede, why).await;
    }
    let (fresh, secrets) = match plan_again(context, &world, action).await? {
        Again::Step(step, secrets) => (*step, secrets),
        Again::Waiting(code, reason) => return Ok(Attempt::Waiting(code, reason)),
        Again::Over(reason) => {
            let now = PlannedNow { step: None, rule: None, mode: context.options.mode };
            return closing.supersede(reason, what_moved(action, now)).await;
        }
    };
    // Held until what this does is on record, so that nobody behind it overlooks it.
    let turn = context.disruption.turn(&name);
    let gate = Gate::open_for(context, &world, &turn).await;
    let now = context.clock.now();
    let request = Request::for_step(&fresh, context.options.mode, now).again_for(&action.id);
    let verdict = gate.ask(&request);
    let passes = matches!(verdict.cause(), Cause::RateLimit | Cause::UnavailabilityBudget);
    if verdict.decision() == Decision::Deny && passes {
        // It passes with time; a denial would be for good.
        let code = if verdict.cause() == Cause::RateLimit { RATE_LIMITED } else { TOO_MUCH };
        return Ok(waiting(code, verdict.reason()));
    }
    let redeemed = match stacks::whole_of(context, action).await? {
        Some(whole) => redeem_member(action, &whole, &fresh, &verdict, context.options.mode, now),
        None => redeem(action, &fresh, &verdict, context.options.mode, now),
    };
    let step = match redeemed {
        // Also what a person allowed starts only as fast as the fleet can bear it.
        Ok(step) => match verdict.held_back() {
            Some(why) => return Ok(waiting(TOO_MUCH, why)),
            None => step,
        },
        Err(error @ (RedeemError::OutsideWindow { .. } | RedeemError::Frozen { .. })) => {
            return Ok(waiting(error.code(), &error.to_string()));
        }
        Err(error @ RedeemError::NotGranted { .. }) => {
            return Ok(Attempt::Ended("lost", error.to_string()));
        }
        Err(error) => {
            let Some(event) = error.event() else {
                return Ok(Attempt::Retry(error.to_string()));
            };
            // Whoever approved it finds out what kept it from starting.
            let why = match verdict.cause() {
                Cause::Frozen => format!("{error}; meanwhile it was {}", verdict.reason()),
                _ => error.to_string(),
            };
            if event == ActionEvent::Supersede {
                let (rule, mode) = (Some(verdict.rule()), context.options.mode);
                let now = PlannedNow { step: Some(&fresh), rule, mode };
                return closing.supersede(why, what_moved(action, now)).await;
            }
            return closing.end(event, why).await;
        }
    };
    match context.options.mode {
        ActuatorMode::DryRun => {
            let step = step.into_inner();
            let detail =
                format!("dry-run: would {}({}): {}", step.action, step.target, step.reason);
            closing.end(ActionEvent::Rehearse, detail).await
        }
        ActuatorMode::Swarm if action.kind == ActionKind::RedeployStack => {
            stacks::file_members(context, leadership, &world, action).await
        }
        ActuatorMode::Swarm
            if action.kind.writes_nothing_to_the_engine() && name.kind() != ObjectKind::Service =>
        {
            objects::change_record(context, leadership, &world, action, step.into_inner()).await
        }
        ActuatorMode::Swarm if action.kind.writes_nothing_to_the_engine() => {
            change_record(context, leadership, &world, action, step).await
        }
        ActuatorMode::Swarm => {
            let secrets = secrets.as_ref().unwrap_or(&world.desired.secrets);
            send(context, leadership, &world, action, step, secrets).await
        }
    }
}

/// What the service's action would be now.
enum Again {
    /// This step; with the values behind its placeholders when no source declares them.
    Step(Box<Step>, Option<SecretValues>),
    /// It cannot be told yet: a code, and why.
    Waiting(String, String),
    /// There is nothing left to do, or it cannot be done any more.
    Over(String),
}

async fn plan_again(context: &Context, world: &World, action: &Action) -> Result<Again, Error> {
    let name = &action.step.target;
    let Some(verb) = &action.step.request else {
        return Ok(match plan_key(&world.input(context), name) {
            Finding::Step(step) => {
                let step = contain::protect_step(context, *step, world.live(name));
                Again::Step(Box::new(step), None)
            }
            Finding::Waiting(waiting) => Again::Waiting(waiting.code, waiting.reason),
            Finding::Unchanged => Again::Over("nothing differs any more".to_owned()),
        });
    };
    Ok(match requests::replan(context, world, name, verb).await? {
        Requested::Step { mut step, secrets } => {
            // A person, but for members of what a machine proposed as a whole.
            step.source = action.source;
            Again::Step(step, secrets)
        }
        Requested::Nothing(what) => Again::Over(what),
        Requested::Refused(blocked) if blocked.code == "ROLLOUT_RUNNING" => {
            Again::Waiting(blocked.code, blocked.message)
        }
        Requested::Refused(blocked) => Again::Over(blocked.message),
    })
}

/// The service of exactly this name, with its tasks.
pub(crate) async fn read_by_name(
    context: &Context,
    name: &str,
) -> Result<Option<ObservedService>, EngineError> {
    let engine = context.engine.as_ref();
    let found = match engine.inspect_service(name).await {
        Ok(found) => observe::service(found)?,
        Err(EngineError::NotFound { .. }) => return Ok(None),
        // The engine looks for an id, then for a name, then for the start of an id: a short name
        // that nobody has may be the start of several.
        Err(EngineError::Refused { message, .. }) if message.contains("is ambiguous") => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    // It may also be the start of one.
    if found.name.as_str() != name {
        return Ok(None);
    }
    Ok(observe::read_services(engine, &[found.id]).await?.into_iter().next())
}

struct Closer<'a> {
    context: &'a Context,
    leadership: &'a Leadership,
    action: &'a Action,
}

impl Closer<'_> {
    /// Ends an action that never reached the engine.
    async fn end(&self, event: ActionEvent, detail: impl Into<String>) -> Result<Attempt, Error> {
        self.close(event, detail.into(), None).await
    }

    /// Ends what was decided about something that is not planned any more.
    async fn supersede(&self, detail: String, moved: Moved) -> Result<Attempt, Error> {
        self.close(ActionEvent::Supersede, detail, Some(moved)).await
    }

    async fn close(
        &self,
        event: ActionEvent,
        detail: String,
        moved: Option<Moved>,
    ) -> Result<Attempt, Error> {
        let closing = Closing {
            action: self.action.id.clone(),
            revision: self.action.revision,
            event,
            actor: self.context.options.holder.clone(),
            detail,
            moved,
        };
        let now = self.context.clock.now();
        self.context.store.close_action(self.leadership.fence(), &closing, now).await?;
        let state = self.action.state.after(event).map_or("ended", |state| state.as_str());
        Ok(Attempt::Ended(state, closing.detail))
    }
}

/// Adopts or releases: only our own records change.
async fn change_record(
    context: &Context,
    leadership: &Leadership,
    world: &World,
    action: &Action,
    step: Authorised<Step>,
) -> Result<Attempt, Error> {
    let step = step.into_inner();
    let Some(live) = world.live(&step.target) else {
        return Ok(Attempt::Retry("the service is gone".to_owned()));
    };
    let now = context.clock.now();
    let (detail, effects) = if step.operation == Operation::Release {
        let detail = format!("{} is off record; nothing was written to Docker", step.target);
        let ownership = Some(OwnershipChange::Forget(action.key.clone()));
        (detail, Effects { ownership, ..Effects::default() })
    } else {
        let previous = match previous_spec(context, live).await {
            Ok(previous) => previous,
            Err(error) => return Ok(Attempt::Retry(error.to_string())),
        };
        let owned = OwnedObject {
            key: action.key.clone(),
            id: live.id.clone(),
            source: step.provenance.as_ref().map_or(step.source, |place| place.source),
            stack: world.desired.stack_of(&step.target).map(str::to_owned),
            since: now,
        };
        let effects = Effects {
            ownership: Some(OwnershipChange::Record(owned)),
            revision: history::adopted(context, action, live, previous.as_ref()),
            ..Effects::default()
        };
        let detail = format!(
            "{} is on record as ours with its spec saved; nothing was written to Docker",
            step.target
        );
        (detail, effects)
    };
    let outcome = IntentOutcome::Done { detail: detail.clone(), effects };
    let store = &context.store;
    let fence = leadership.fence();
    store.settle_without_write(fence, &action.id, action.revision, &outcome, now).await?;
    Ok(Attempt::Ended("succeeded", detail))
}

/// What the engine would roll the service back to.
async fn previous_spec(
    context: &Context,
    live: &ObservedService,
) -> Result<Option<Value>, EngineError> {
    let mut inspected = context.engine.inspect_service(live.id.as_str()).await?;
    Ok(inspected.get_mut("PreviousSpec").map(Value::take).filter(Value::is_object))
}

async fn send(
    context: &Context,
    leadership: &Leadership,
    world: &World,
    action: &Action,
    step: Authorised<Step>,
    secrets: &SecretValues,
) -> Result<Attempt, Error> {
    let late = Late {
        snapshot: &world.snapshot,
        live: world.live(&step.get().target),
        object: world.object(&step.get().target),
        secrets,
        action: &action.id,
        fleet: &context.options.fleet,
    };
    let request = match bind(step.get(), late) {
        Ok(request) => request,
        Err(
            error @ (BindError::NetworkMissing(_)
            | BindError::SecretMissing(_)
            | BindError::ConfigMissing(_)
            | BindError::ReferenceUnresolved(_)),
        ) => {
            if action.step.request.is_none() {
                return Ok(waiting("REFERENCE_MISSING", &error.to_string()));
            }
            // No plan notices that what a former revision names is gone; whoever asked for it
            // must not keep the service waiting for ever.
            let closing = Closer { context, leadership, action };
            return closing.end(ActionEvent::Supersede, error.to_string()).await;
        }
        Err(error @ (BindError::ObjectMoved | BindError::NothingToSend)) => {
            let closing = Closer { context, leadership, action };
            return closing.end(ActionEvent::Supersede, error.to_string()).await;
        }
    };
    // The database would refuse the intent as well; this saves the round trip and is counted.
    if !leadership.is_trusted() {
        context.metrics.writes_dropped.inc();
        return Err(Error::LeaseLost);
    }
    let now = context.clock.now();
    let (object, version) = request.update.clone().unzip();
    let phase = match &step.get().operation {
        Operation::Replace { .. } => IntentPhase::Remove,
        _ => IntentPhase::Write,
    };
    let intent = Intent {
        id: IntentId::generate(context.random.as_ref()),
        action: action.id.clone(),
        key: action.key.clone(),
        object,
        version,
        phase,
        body: request.body,
        created_at: now,
    };
    let is_restart = matches!(step.get().operation, Operation::Restart);
    match context.store.begin(leadership.fence(), action.revision, &intent, now).await {
        Ok(()) => {}
        Err(skep_store::Error::Conflict { current, .. }) => {
            return Ok(Attempt::Ended("lost", format!("somebody else was faster: {current}")));
        }
        Err(error) => return Err(error.into()),
    }
    tracing::info!(
        action.id = %action.id,
        service.name = %action.key.name,
        action.kind = %action.kind,
        restart = is_restart,
        "act.intent_stored"
    );
    drop(step.into_inner());
    settle::send_and_settle(context, leadership, action, &intent, settle::Sending::First).await
}

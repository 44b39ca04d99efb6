//! Networks, configs and secrets where acting on them differs from acting on services: how one is
//! read, adopted, and found to have been made by a request whose reply was lost.

use skep_core::action::{Action, IntentPhase};
use skep_core::canonical::canonical_json;
use skep_core::identity::{ActionId, IntentId, ServiceName};
use skep_core::labels;
use skep_core::observed::ObservedObject;
use skep_core::plan::{Operation, Step, declaring_stack};
use skep_store::{Effects, Intent, IntentOutcome, OwnedObject, OwnershipChange};
use skep_swarm::{Error as EngineError, objects};

use super::World;
use super::act::Attempt;
use crate::controller::Context;
use crate::leader::Leadership;
use crate::{Error, settle};

/// The network, config or secret of exactly this name.
pub(crate) async fn read(
    context: &Context,
    target: &ServiceName,
) -> Result<Option<ObservedObject>, EngineError> {
    let (kind, name) = (target.kind(), target.bare());
    match context.engine.inspect_object(kind, name).await {
        // What is found by the start of an id has another name.
        Ok(found) => Ok(Some(objects::object(kind, found)?).filter(|found| found.name == name)),
        Err(EngineError::NotFound { .. }) => Ok(None),
        Err(EngineError::Refused { message, .. }) if message.contains("is ambiguous") => Ok(None),
        Err(error) => Err(error),
    }
}

/// True when it carries this action's label: proof that the write arrived.
pub(crate) fn carries(live: &ObservedObject, action: &ActionId) -> bool {
    live.label(labels::ACTION) == Some(action.as_str())
}

pub(crate) fn is_create(action: &Action) -> bool {
    matches!(action.step.operation, Operation::CreateObject { .. })
}

/// What goes on record for an object that an action made.
pub(crate) fn owned(context: &Context, action: &Action, live: &ObservedObject) -> OwnershipChange {
    owned_by(context, action, live, None)
}

/// What goes on record for an object that a stack takes over, when that is one: its labels may say
/// another one.
fn owned_by(
    context: &Context,
    action: &Action,
    live: &ObservedObject,
    stack: Option<String>,
) -> OwnershipChange {
    let step = &action.step;
    OwnershipChange::Record(OwnedObject {
        key: action.key.clone(),
        id: live.id.clone(),
        source: step.provenance.as_ref().map_or(step.source, |place| place.source),
        stack,
        since: context.clock.now(),
    })
}

/// Puts a create on record that arrived after its action had gone back to the gate.
pub(crate) async fn record_late(
    context: &Context,
    leadership: &Leadership,
    action: &Action,
    live: &ObservedObject,
) -> Result<Attempt, Error> {
    let now = context.clock.now();
    let Operation::CreateObject { request, .. } = &action.step.operation else {
        return Ok(Attempt::Retry("it is no create".to_owned()));
    };
    let intent = Intent {
        id: IntentId::generate(context.random.as_ref()),
        action: action.id.clone(),
        key: action.key.clone(),
        object: None,
        version: None,
        phase: IntentPhase::Write,
        // Without the data, which is there already.
        body: canonical_json(request),
        created_at: now,
    };
    match context.store.begin(leadership.fence(), action.revision, &intent, now).await {
        Ok(()) => {}
        Err(skep_store::Error::Conflict { current, .. }) => {
            return Ok(Attempt::Ended("lost", format!("somebody else was faster: {current}")));
        }
        Err(error) => return Err(error.into()),
    }
    let effects = Effects { ownership: Some(owned(context, action, live)), ..Effects::default() };
    let detail = "found done: it arrived late".to_owned();
    let outcome = IntentOutcome::Done { detail, effects };
    settle::store(context, leadership, action, &intent, outcome).await
}

/// Adopts or releases: only our own records change.
pub(crate) async fn change_record(
    context: &Context,
    leadership: &Leadership,
    world: &World,
    action: &Action,
    step: Step,
) -> Result<Attempt, Error> {
    let Some(live) = world.object(&step.target) else {
        return Ok(Attempt::Retry(format!("{} is gone", step.target)));
    };
    let (detail, ownership) = if step.operation == Operation::Release {
        let detail = format!("{} is off record; nothing was written to Docker", step.target);
        (detail, OwnershipChange::Forget(action.key.clone()))
    } else {
        let detail = format!("{} is on record as ours; nothing was written to Docker", step.target);
        let stack = declaring_stack(&world.desired, &step.target).map(str::to_owned);
        (detail, owned_by(context, action, live, stack))
    };
    let effects = Effects { ownership: Some(ownership), ..Effects::default() };
    let outcome = IntentOutcome::Done { detail: detail.clone(), effects };
    let (fence, now) = (leadership.fence(), context.clock.now());
    let store = &context.store;
    store.settle_without_write(fence, &action.id, action.revision, &outcome, now).await?;
    Ok(Attempt::Ended("succeeded", detail))
}

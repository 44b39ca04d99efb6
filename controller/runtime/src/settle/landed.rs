//! A create that arrived after all. A request whose outcome was unknown is looked for by name;
//! where nothing was there, its action went back to the gate. What is there now under that name
//! and carries the action's label is its own work and nobody else's, however late it came.

use serde_json::Value;
use skep_core::action::{Action, ActuatorMode, IntentPhase};
use skep_core::canonical::canonical_json;
use skep_core::identity::IntentId;
use skep_core::labels;
use skep_core::observed::ObservedService;
use skep_core::plan::Operation;
use skep_store::Intent;

use super::{recorded, store};
use crate::Error;
use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::act::Attempt;

/// True when the service is what the action, which has not been carried out yet, was to create.
pub(crate) fn has_landed(action: &Action, live: Option<&ObservedService>) -> bool {
    let is_create = matches!(action.step.operation, Operation::Create { .. });
    let carries = |live: &ObservedService| {
        let spec = live.spec.value();
        let label = spec.get("Labels").and_then(|own| own.get(labels::ACTION));
        label.and_then(Value::as_str) == Some(action.id.as_str())
    };
    is_create && action.mode == ActuatorMode::Swarm && live.is_some_and(carries)
}

/// Puts it on record. The intent says what was written, for history; nothing is sent.
pub(crate) async fn record(
    context: &Context,
    leadership: &Leadership,
    action: &Action,
    live: &ObservedService,
) -> Result<Attempt, Error> {
    let now = context.clock.now();
    let intent = Intent {
        id: IntentId::generate(context.random.as_ref()),
        action: action.id.clone(),
        key: action.key.clone(),
        object: None,
        version: None,
        phase: IntentPhase::Write,
        body: canonical_json(&live.spec.value()),
        created_at: now,
    };
    match context.store.begin(leadership.fence(), action.revision, &intent, now).await {
        Ok(()) => {}
        Err(skep_store::Error::Conflict { current, .. }) => {
            return Ok(Attempt::Ended("lost", format!("somebody else was faster: {current}")));
        }
        Err(error) => return Err(error.into()),
    }
    let outcome = recorded(context, action, &intent, live, "found done: it arrived late");
    store(context, leadership, action, &intent, outcome).await
}

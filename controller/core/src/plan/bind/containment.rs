//! Binding of a kill and of the way back: fewer needs than any other write, so that nothing that
//! is missing on the swarm can stand in its way.

use serde_json::{Value, json};

use super::{ACTION_LABEL, BindError, BoundRequest};
use crate::canonical::canonical_json;
use crate::containment::apply_edits;
use crate::identity::{ActionId, FleetName};
use crate::labels;
use crate::observed::ObservedService;
use crate::plan::{Operation, Step, pointer};

/// The exact request: the live spec with exactly the step's edits and the label that proves whose
/// write it was.
///
/// # Errors
/// [`BindError::ObjectMoved`] when it is another service than the step's, or the step is no update.
pub fn bind_containment(
    step: &Step,
    live: &ObservedService,
    action: &ActionId,
    fleet: &FleetName,
) -> Result<BoundRequest, BindError> {
    let Operation::Update { edits } = &step.operation else { return Err(BindError::ObjectMoved) };
    if step.object.as_ref() != Some(&live.id) {
        return Err(BindError::ObjectMoved);
    }
    let mut spec = live.spec.value();
    apply_edits(&mut spec, edits);
    if !spec.get("Labels").is_some_and(Value::is_object) {
        pointer::set(&mut spec, "/Labels", json!({}));
    }
    pointer::set(&mut spec, ACTION_LABEL, json!(action.as_str()));
    if let Some(Value::Object(own)) = spec.get_mut("Labels") {
        own.insert(labels::FLEET.into(), json!(fleet.as_str()));
    }
    let update = Some((live.id.clone(), live.version));
    Ok(BoundRequest { update, body: canonical_json(&spec) })
}

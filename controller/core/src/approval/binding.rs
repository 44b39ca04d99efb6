//! What a permission holds for, as one digest.

use serde_json::json;

use crate::action::ActuatorMode;
use crate::canonical::Digest;
use crate::gate::RuleRef;
use crate::plan::Step;

/// Raise it when the fields below change: permissions of the older form are then superseded.
const VERSION: u32 = 1;

/// The digest that a permission is bound to: the step (its digest covers tenant, cluster, object,
/// patch, desired spec and image), the rule with its content, and the actuator mode.
///
/// Kind, target and object stand beside the step's digest, so that a mistake there cannot make
/// one object's permission fit another object.
#[must_use]
pub fn binding(step: &Step, rule: &RuleRef, mode: ActuatorMode) -> Digest {
    Digest::of_json(&json!({
        "version": VERSION,
        "step": step.digest,
        "action": step.action,
        "target": step.target,
        "object": step.object,
        "source": step.source,
        "rule": rule.to_string(),
        "mode": mode,
    }))
}

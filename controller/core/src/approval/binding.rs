//! What a permission holds for, as one digest.

use serde_json::json;

use crate::action::ActuatorMode;
use crate::canonical::Digest;
use crate::gate::RuleRef;
use crate::plan::Step;

/// Stands where an open action from before digests had a key had its binding.
const KEYLESS: &str = "keyless";

/// Why such an action does not start.
pub const FROM_BEFORE_KEYS: &str = "it was filed before digests had a key, and no permission from \
     then is used after the upgrade";

/// Raise it when the fields below change: permissions of the older form are then superseded.
const VERSION: u32 = 1;

/// The digest that a permission is bound to: the step (its digest covers tenant, cluster, object,
/// patch, desired spec and image), the rule with its content, and the actuator mode.
///
/// Kind, target and object stand beside the step's digest, so that a mistake there cannot make
/// one object's permission fit another object.
///
/// It needs no key of its own: the step's digest is the only part of it that depends on values, and
/// has one.
#[must_use]
pub fn binding(step: &Step, rule: &RuleRef, mode: ActuatorMode) -> Digest {
    binding_by(step, &rule.to_string(), mode)
}

/// The same, by the text of the rule as it is on record.
#[must_use]
pub fn binding_by(step: &Step, rule: &str, mode: ActuatorMode) -> Digest {
    Digest::of_json(&json!({
        "version": VERSION,
        "step": step.digest,
        "action": step.action,
        "target": step.target,
        "object": step.object,
        "source": step.source,
        "rule": rule,
        "mode": mode,
    }))
}

/// What stands in the place of a binding from before digests had a key: it fits nothing, so that
/// what it permitted is superseded.
#[must_use]
pub fn keyless() -> Digest {
    Digest::from_stored(KEYLESS)
}

/// True for [`keyless`].
#[must_use]
pub fn is_keyless(binding: &Digest) -> bool {
    binding.as_str() == KEYLESS
}

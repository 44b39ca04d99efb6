//! What the engine takes when a field is absent, filled in on both sides so that "not said" and
//! "said the default" are equal.

use serde_json::{Value, json};

use crate::plan::pointer;

/// Ten seconds, swarmkit's grace period.
const STOP_GRACE_PERIOD: i64 = 10_000_000_000;
/// Five seconds, swarmkit's restart delay and its monitor period.
const FIVE_SECONDS: i64 = 5_000_000_000;

/// Fills the defaults of every block that the engine fills.
pub(super) fn fill(spec: &mut Value) {
    let is_job = ["/Mode/ReplicatedJob", "/Mode/GlobalJob"]
        .iter()
        .any(|pointer| spec.pointer(pointer).is_some());
    mode(spec);
    for block in ["UpdateConfig", "RollbackConfig"] {
        // Jobs have no rollouts, but the engine keeps the block that one is given.
        if !is_job || spec.get(block).is_some_and(|block| !block.is_null()) {
            rollout(spec, block);
        }
    }
    default(spec, "/EndpointSpec/Mode", json!("vip"));
    default(spec, "/TaskTemplate/RestartPolicy/Condition", json!("any"));
    default(spec, "/TaskTemplate/RestartPolicy/Delay", json!(FIVE_SECONDS));
    default(spec, "/TaskTemplate/ContainerSpec/StopGracePeriod", json!(STOP_GRACE_PERIOD));
}

fn mode(spec: &mut Value) {
    if spec.pointer("/Mode/ReplicatedJob").is_some() {
        default(spec, "/Mode/ReplicatedJob/MaxConcurrent", json!(1));
        let concurrent =
            spec.pointer("/Mode/ReplicatedJob/MaxConcurrent").cloned().unwrap_or(json!(1));
        default(spec, "/Mode/ReplicatedJob/TotalCompletions", concurrent);
    } else if spec.pointer("/Mode/Global").is_none() && spec.pointer("/Mode/GlobalJob").is_none() {
        default(spec, "/Mode/Replicated/Replicas", json!(1));
    }
}

fn rollout(spec: &mut Value, key: &str) {
    // An absent block means one at a time; a block without the field means all at once, because
    // the engine reads the missing number as zero.
    let absent = spec.get(key).is_none_or(Value::is_null);
    default(spec, &format!("/{key}/Parallelism"), json!(i64::from(absent)));
    default(spec, &format!("/{key}/Delay"), json!(0));
    default(spec, &format!("/{key}/FailureAction"), json!("pause"));
    default(spec, &format!("/{key}/Monitor"), json!(FIVE_SECONDS));
    default(spec, &format!("/{key}/Order"), json!("stop-first"));
}

fn default(spec: &mut Value, pointer: &str, value: Value) {
    // What would be left out as saying nothing must not hide the default either.
    let unset = match spec.pointer(pointer) {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(children)) => children.is_empty(),
        // The engine reads a monitor period of zero as its default.
        Some(Value::Number(number)) => {
            number.as_f64() == Some(0.0) && (pointer.ends_with("/Monitor") || value.is_string())
        }
        Some(Value::Bool(true)) => false,
    };
    if unset {
        pointer::set(spec, pointer, value);
    }
}

//! What the engine adds to a spec before it keeps it.

use serde_json::{Map, Value, json};

/// Adds what is missing.
pub(super) fn defaults(spec: &mut Value) {
    fill(spec, "", &[("Labels", json!({}))]);
    fill(spec, "/TaskTemplate", &[("ForceUpdate", json!(0)), ("Runtime", json!("container"))]);
    fill(spec, "/TaskTemplate/ContainerSpec", &[("Isolation", json!("default"))]);
    let restart = [("Condition", json!("any")), ("MaxAttempts", json!(0))];
    fill(spec, "/TaskTemplate/RestartPolicy", &restart);
    let has_mode = spec.get("Mode").and_then(Value::as_object).is_some_and(|mode| !mode.is_empty());
    if !has_mode && let Some(spec) = spec.as_object_mut() {
        spec.insert("Mode".to_owned(), json!({"Replicated": {}}));
    }
    fill(spec, "/Mode/Replicated", &[("Replicas", json!(1))]);
    fill(spec, "/Mode/ReplicatedJob", &[("MaxConcurrent", json!(1))]);
    let concurrent = spec.pointer("/Mode/ReplicatedJob/MaxConcurrent").cloned();
    if let Some(concurrent) = concurrent {
        fill(spec, "/Mode/ReplicatedJob", &[("TotalCompletions", concurrent)]);
    }
    for config in ["/UpdateConfig", "/RollbackConfig"] {
        fill(
            spec,
            config,
            &[
                ("Parallelism", json!(0)),
                ("FailureAction", json!("pause")),
                ("MaxFailureRatio", json!(0)),
                ("Order", json!("stop-first")),
            ],
        );
    }
    fill(spec, "/EndpointSpec", &[("Mode", json!("vip"))]);
    let ports = spec.pointer_mut("/EndpointSpec/Ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        let fields = [("Protocol", json!("tcp")), ("PublishMode", json!("ingress"))];
        fill(port, "", &fields);
    }
}

/// Adds these fields to the object at a pointer, if it is there.
fn fill(value: &mut Value, pointer: &str, fields: &[(&str, Value)]) {
    let Some(Value::Object(object)) = value.pointer_mut(pointer) else { return };
    for (key, default) in fields {
        add(object, key, default);
    }
}

fn add(object: &mut Map<String, Value>, key: &str, default: &Value) {
    let is_missing = match object.get(key) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    if is_missing {
        object.insert(key.to_owned(), default.clone());
    }
}

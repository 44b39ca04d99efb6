//! Services name configs and secrets as they are declared; what stands behind a name may be a
//! later version with a hash in its own.

use std::collections::BTreeMap;

use serde_json::Value;

use super::version;
use crate::desired::Desired;
use crate::identity::ObjectKind;
use crate::plan::PlanInput;

/// The same declarations, with the services naming the versions that hold the declared content.
/// `None` when none has another name than the declared one.
#[must_use]
pub fn resolved(input: &PlanInput<'_>) -> Option<Desired> {
    let mut renamed: BTreeMap<(ObjectKind, &str), String> = BTreeMap::new();
    for object in input.desired.objects.values() {
        let current = version::current_name(input, object);
        if current != object.name {
            renamed.insert((object.kind, object.name.as_str()), current);
        }
    }
    if renamed.is_empty() {
        return None;
    }
    let mut desired = input.desired.clone();
    for service in desired.services.values_mut() {
        // Only a service of the stack that declares the object means that object.
        let of_stack = |kind: ObjectKind, name: &str| {
            let object = input.desired.objects.get(&(kind, name.to_owned()))?;
            let stack = input.desired.stacks.get(&object.stack);
            stack.is_none_or(|stack| stack.services.contains(&service.name)).then_some(())
        };
        let current = |kind: ObjectKind, name: &str| {
            of_stack(kind, name)?;
            renamed.get(&(kind, name)).cloned()
        };
        let spec = service.spec.value();
        let mut changed = spec.clone();
        rename(&mut changed, &current);
        if changed != spec {
            service.spec = changed.into();
        }
    }
    Some(desired)
}

fn rename(spec: &mut Value, current: &dyn Fn(ObjectKind, &str) -> Option<String>) {
    for (list, key, kind) in [
        ("/TaskTemplate/ContainerSpec/Secrets", "SecretName", ObjectKind::Secret),
        ("/TaskTemplate/ContainerSpec/Configs", "ConfigName", ObjectKind::Config),
    ] {
        let Some(Value::Array(entries)) = spec.pointer_mut(list) else { continue };
        for entry in entries {
            if let Some(Value::String(name)) = entry.get_mut(key)
                && let Some(now) = current(kind, name)
            {
                *name = now;
            }
        }
    }
    let at = "/TaskTemplate/ContainerSpec/Privileges/CredentialSpec/Config";
    if let Some(Value::String(name)) = spec.pointer_mut(at)
        && let Some(now) = current(ObjectKind::Config, name)
    {
        *name = now;
    }
}

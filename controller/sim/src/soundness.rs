//! What holds of every world at its end, whatever happened in it.

use skep_core::identity::ClusterId;
use skep_core::labels;
use skep_store::{ActionFilter, Actions as _, Ownership as _};

use crate::files::SECRET;
use crate::outcome::{REFERENCES, doubled, id_of, name_of, objects};
use crate::scenario::Scenario;
use crate::tap::Process;
use crate::world::{CLUSTER, World};

/// No write had its effect twice.
pub(crate) fn once_each(world: &World) -> Result<(), String> {
    let doubled = doubled(&world.swarm.journal());
    if doubled.is_empty() {
        Ok(())
    } else {
        Err(format!("done more than once: {}", doubled.join(", ")))
    }
}

/// Nothing that Skep made is off record, nothing on record is gone, no service and no way back of
/// one names what is gone, and no secret stands in the database.
pub(crate) async fn is_sound(world: &World) -> Result<(), String> {
    let objects = objects(world);
    let owned = world.store().owned(&ClusterId::new(CLUSTER)).await.unwrap();
    for (kind, object) in &objects {
        let (name, id) = (name_of(*kind, object), id_of(*kind, object));
        let is_recorded = owned.iter().any(|one| *id == one.id.as_str());
        let spec = object.get("Spec").unwrap_or(object);
        let is_made = spec["Labels"].get(labels::ACTION).is_some();
        if is_made && !is_recorded {
            return Err(format!("{kind:?} {name} was made by Skep and is not on record"));
        }
    }
    for service in world.swarm.services() {
        for (which, spec) in [("", &service["Spec"]), (", to go back,", &service["PreviousSpec"])] {
            for (list, key) in REFERENCES {
                let used = spec.pointer(list).and_then(serde_json::Value::as_array);
                let mut used = used.into_iter().flatten().map(|entry| &entry[key]);
                let is_there = |id: &serde_json::Value| {
                    objects.iter().any(|(kind, object)| id_of(*kind, object) == id)
                };
                if let Some(gone) = used.find(|id| !is_there(id)) {
                    let name = &spec["Name"];
                    return Err(format!("{name} uses{which} {key} {gone}, which is gone"));
                }
            }
        }
    }
    if world.holds(SECRET).await {
        Err("a secret stands in the database".to_owned())
    } else {
        Ok(())
    }
}

/// It has come to where the scenario leads: all is as declared.
pub(crate) async fn is_as_declared(world: &World, scenario: &Scenario) -> Result<(), String> {
    let Some(expected) = scenario.leaves else { return Ok(()) };
    let mut found = [0; 3];
    for (kind, _) in objects(world) {
        // Networks, configs and secrets follow services in the order of the kinds.
        found[kind as usize - 1] += 1;
    }
    if found != expected {
        return Err(format!("{found:?} networks, configs and secrets instead of {expected:?}"));
    }
    let onlooker = std::sync::Arc::new(Process::new(None));
    let planned = world.controller(&onlooker, |options| options).plan().await.unwrap();
    let steps: Vec<_> =
        planned.plan.steps.iter().map(|step| format!("{}: {}", step.action, step.target)).collect();
    if steps.is_empty() {
        return Ok(());
    }
    let actions = world.store().actions(&ActionFilter::default()).await.unwrap();
    let told = actions
        .iter()
        .rev()
        .map(|one| format!("{} {} {}: {}", one.key.name, one.kind, one.state, one.detail));
    let told: Vec<_> = told.collect();
    Err(format!("still planned: {steps:?} after {told:#?}"))
}

//! Order at execution: a service is deployed when what it depends on is as declared and runs.

use serde_json::Value;
use skep_core::action::{Action, ActionKind, ActuatorMode};
use skep_core::plan::Plan;

use crate::controller::Context;
use crate::reconcile::World;

/// Why a granted action has to wait for another service, if it has to.
pub(crate) fn waits_for(
    context: &Context,
    world: &World,
    plan: &Plan,
    action: &Action,
) -> Option<String> {
    // A rehearsal creates nothing that could be waited for; stopping, scaling and restarting need
    // nobody else.
    if context.options.mode == ActuatorMode::DryRun || action.kind != ActionKind::DeployService {
        return None;
    }
    let service = world.desired.services.get(&action.step.target)?;
    service.depends_on.iter().find_map(|dependency| {
        let wanted = world.desired.services.get(dependency)?;
        let differs = plan.steps.iter().any(|step| {
            // Adopting changes nothing on the swarm.
            step.target == *dependency && step.action != ActionKind::AdoptService
        });
        let live = world.snapshot.services.get(dependency);
        let runs = live.is_some_and(|live| live.tasks.running > 0);
        let replicas = wanted.spec.pointer("/Mode/Replicated/Replicas").and_then(Value::as_u64);
        if differs {
            Some(format!("waits for {dependency}, which is not as declared yet"))
        } else if wanted.running && replicas != Some(0) && !runs {
            Some(format!("waits for {dependency}, which has no running task yet"))
        } else {
            None
        }
    })
}

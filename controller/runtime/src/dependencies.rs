//! Order at execution: a service is deployed when what it depends on is as declared, runs, and
//! answers as far as that is known.

use std::collections::BTreeSet;
use std::sync::Arc;

use skep_core::action::{Action, ActionKind, ActuatorMode};
use skep_core::identity::ServiceName;
use skep_core::plan::missing_references;
use skep_core::readiness::State;

use crate::controller::Context;
use crate::reconcile::World;

/// Why a granted action has to wait.
pub(crate) struct Wait {
    /// For what, in one sentence.
    pub(crate) reason: String,
    /// True when it may end by itself soon, false when somebody has to do something first.
    pub(crate) ends_soon: bool,
}

/// Why a granted action has to wait for another service, if it has to. `active` are the services
/// with an action that is allowed or under way.
pub(crate) fn waits_for(
    context: &Context,
    world: &World,
    action: &Action,
    active: &BTreeSet<ServiceName>,
) -> Option<Wait> {
    // A rehearsal creates nothing that could be waited for; stopping, scaling and restarting need
    // nobody else.
    if context.options.mode == ActuatorMode::DryRun || action.kind != ActionKind::DeployService {
        return None;
    }
    let service = world.desired.services.get(&action.step.target)?;
    if let Some(missing) = missing_references(&world.snapshot, &service.spec.value()).next() {
        let is_active = active.contains(&missing);
        let reason = format!("waits for {missing}, which is not there yet");
        return Some(Wait { reason, ends_soon: is_active });
    }
    let readiness = Arc::clone(&context.readiness.borrow());
    service.depends_on.iter().find_map(|dependency| {
        let wanted = world.desired.services.get(dependency)?;
        let should_run = wanted.running && wanted.spec.mode().replicas() != Some(0);
        let live = world.snapshot.services.get(dependency);
        let is_active = active.contains(dependency);
        let (what, ends_soon) = match live {
            _ if is_active => ("is about to be changed", true),
            None if wanted.running => ("is not there yet", false),
            Some(live) if should_run && live.tasks.running == 0 => {
                ("has no running task yet", true)
            }
            // Unknown is no reason: what cannot be reached from here may be well.
            Some(_) if should_run && readiness.state(dependency) == State::NotReady => {
                ("runs and does not answer as an MCP server", true)
            }
            // What differs there and is not approved is no reason to hold this one back.
            None | Some(_) => return None,
        };
        Some(Wait { reason: format!("waits for {dependency}, which {what}"), ends_soon })
    })
}

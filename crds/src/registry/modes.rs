//! What fits which mode of a service.

use skep_yaml::{Location, Problem, Problems};

use super::document::ServiceDocument;
use super::scaling::ScalingChoice;
use super::{DesiredState, ServiceMode};

/// What is said that the mode of the service has no room for.
pub(super) fn problems(service: &ServiceDocument) -> Problems {
    let (mode, location) = match &service.mode {
        Some(mode) => (mode.value, &mode.location),
        None => (ServiceMode::Replicated, &service.name.location),
    };
    let counted = matches!(mode, ServiceMode::Replicated | ServiceMode::ReplicatedJob);
    let rollouts = service.update.is_some() || service.rollback.is_some();
    let scaled = matches!(service.scaling, Some(ScalingChoice::On(_)));
    let replicated = mode == ServiceMode::Replicated;
    let stopped = service.desired == Some(DesiredState::Stopped);
    let most = service.max_concurrent.as_ref();
    let found = [
        (service.replicas.is_some() && !counted, "replicas", "it has one task on each node"),
        (rollouts && mode.is_job(), "update or rollback", "the tasks of a job are not rolled out"),
        (scaled && !replicated, "scaling", "only replicated services are scaled"),
        (stopped && !replicated, "desired: stopped", "it cannot be scaled to zero"),
    ];
    let conflict = |location: &Location, word: &str, why: &str| Problem {
        location: location.clone(),
        path: String::new(),
        code: "CONFLICT",
        message: format!(
            "the service \"{}\" is {}, so it cannot have {word}: {why}",
            service.name.value,
            mode.as_str()
        ),
        hint: None,
    };
    found
        .into_iter()
        .filter(|(given, ..)| *given)
        .map(|(_, word, why)| conflict(location, word, why))
        .chain(
            most.filter(|_| mode != ServiceMode::ReplicatedJob).map(|most| {
                conflict(&most.location, "max_concurrent", "it is for a replicated-job")
            }),
        )
        .collect()
}

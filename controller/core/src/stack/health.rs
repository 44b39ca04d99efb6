//! Whether a service does what it is for, as far as its tasks and its answers tell.

use crate::desired::DesiredService;
use crate::observed::ObservedService;
use crate::readiness::State;
use crate::spec::ServiceMode;

/// What keeps a service from being healthy, as the end of a sentence that begins with its name.
///
/// The engine counts a task with a health check as running only when the check has passed, so
/// running is enough. A job is healthy when it has completed. What is declared not to run is never
/// waited for.
#[must_use]
pub fn unhealthy(
    wanted: &DesiredService,
    live: Option<&ObservedService>,
    answers: State,
) -> Option<String> {
    if !wanted.running {
        return None;
    }
    let Some(live) = live else { return Some("is not there yet".to_owned()) };
    let tasks = &live.tasks;
    let mode = live.spec.mode();
    if mode.is_job() {
        let is_done = tasks.completed > 0 && tasks.running == 0 && tasks.starting == 0;
        return (!is_done).then(|| because("has not completed yet", live));
    }
    if live.spec.lets_tasks_end() && tasks.failed == 0 && tasks.completed > 0 {
        return None;
    }
    let replicas = match mode {
        ServiceMode::Replicated { replicas } => replicas.unwrap_or(1),
        // As many as there are nodes that fit, which the engine alone knows: those it has begun.
        _ => u64::from(tasks.starting).saturating_add(u64::from(tasks.running)).max(1),
    };
    let running = u64::from(tasks.running);
    if running < replicas {
        let what = match running {
            0 => "has no running task yet".to_owned(),
            some => format!("runs {some} of {replicas} tasks"),
        };
        return Some(because(&what, live));
    }
    // Unknown is no reason: what cannot be reached from here may be well.
    let is_mute = replicas > 0 && answers == State::NotReady;
    is_mute.then(|| "runs and does not answer as an MCP server".to_owned())
}

/// With the last error, which tells more than the state.
fn because(what: &str, live: &ObservedService) -> String {
    match live.tasks.last_error() {
        Some(error) => format!("{what}: {error}"),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::observed::TaskSummary;
    use crate::plan::fixtures::World;

    fn said(mode: Value, tasks: TaskSummary) -> Option<String> {
        let mut world = World::new();
        let wanted = world.declare("a").clone();
        let live = world.deploy("a");
        live.spec = live.spec.changed(|spec| spec["Mode"] = mode);
        live.tasks = tasks;
        unhealthy(&wanted, Some(live), State::Unknown)
    }

    fn tasks(running: u32, starting: u32, completed: u32) -> TaskSummary {
        TaskSummary { running, starting, completed, ..TaskSummary::default() }
    }

    #[test]
    fn every_replica_has_to_run() {
        let mode = json!({"Replicated": {"Replicas": 2}});
        let said = |running| said(mode.clone(), tasks(running, 2 - running, 0));
        assert_eq!(said(0).as_deref(), Some("has no running task yet"));
        assert_eq!(said(1).as_deref(), Some("runs 1 of 2 tasks"));
        assert_eq!(said(2), None);
    }

    #[test]
    fn nothing_is_waited_for_that_should_not_run() {
        assert_eq!(said(json!({"Replicated": {"Replicas": 0}}), tasks(0, 0, 0)), None);
        let mut world = World::new();
        world.declare("a").running = false;
        let wanted = world.declare("a").clone();
        assert_eq!(unhealthy(&wanted, None, State::Unknown), None);
    }

    #[test]
    fn a_job_is_healthy_when_it_has_completed() {
        let said = |tasks| said(json!({"ReplicatedJob": {"TotalCompletions": 2}}), tasks);
        assert!(said(tasks(0, 0, 0)).is_some());
        assert!(said(tasks(1, 0, 1)).is_some(), "one is still at it");
        assert_eq!(said(tasks(0, 0, 2)), None);
    }

    #[test]
    fn a_global_service_waits_for_every_node_that_it_has_begun_on() {
        let said = |tasks| said(json!({"Global": {}}), tasks);
        assert!(said(tasks(0, 0, 0)).is_some());
        assert_eq!(said(tasks(1, 1, 0)).as_deref(), Some("runs 1 of 2 tasks"));
        assert_eq!(said(tasks(2, 0, 0)), None);
    }

    #[test]
    fn what_is_not_there_and_what_does_not_answer_is_not_healthy() {
        let mut world = World::new();
        let wanted = world.declare("a").clone();
        assert_eq!(unhealthy(&wanted, None, State::Ready).as_deref(), Some("is not there yet"));
        let live = world.deploy("a");
        live.tasks = tasks(2, 0, 0);
        assert!(unhealthy(&wanted, Some(live), State::NotReady).is_some());
        assert_eq!(unhealthy(&wanted, Some(live), State::Unknown), None);
    }
}

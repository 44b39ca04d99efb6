//! Counting the tasks of each service.
//!
//! The engine keeps several tasks for each replica: the one that runs, its predecessors, and
//! during a start-first rollout the next one. A replica counts once: as running if any of its
//! tasks runs and should, else as starting if one is on its way. Failures are counted as far as
//! the engine remembers them (five a replica by default).

use std::collections::BTreeMap;

use skep_core::identity::SwarmId;
use skep_core::observed::{ObservedService, TaskFailure, TaskSummary};
use skep_core::redact::redact;

use crate::engine::Task;

/// What one replica is doing. A service that runs once on each node has slot 0 everywhere.
type Replica = (u64, String);

/// The summaries of all services that have a task.
pub(crate) fn summaries(tasks: &[Task]) -> BTreeMap<SwarmId, TaskSummary> {
    let mut by_service: BTreeMap<&SwarmId, Vec<&Task>> = BTreeMap::new();
    for task in tasks {
        by_service.entry(&task.service).or_default().push(task);
    }
    by_service.into_iter().map(|(service, tasks)| (service.clone(), summary(&tasks))).collect()
}

/// The summary of one service, taken out of all of them.
pub(crate) fn of(
    service: &ObservedService,
    summaries: &mut BTreeMap<SwarmId, TaskSummary>,
) -> TaskSummary {
    let mut summary = summaries.remove(&service.id).unwrap_or_default();
    hide_secrets(service, &mut summary);
    summary
}

/// What the engine says about a failure may quote the command or the environment of the task; the
/// values that nobody may read are taken out.
pub(crate) fn hide_secrets(service: &ObservedService, summary: &mut TaskSummary) {
    if let Some(failure) = &mut summary.last_failure {
        failure.error = redact(&failure.error, service.spec.as_json().as_bytes());
    }
}

fn summary(tasks: &[&Task]) -> TaskSummary {
    let mut replicas: BTreeMap<Replica, bool> = BTreeMap::new();
    let mut failures: Vec<&Task> = Vec::new();
    let completed = tasks.iter().filter(|task| task.state == "complete").count();
    for task in tasks {
        if failed(task) {
            failures.push(task);
        }
        if !wanted(task) {
            continue;
        }
        let running = task.state == "running";
        // One that has ended and should still run is one that Swarm is about to replace.
        let to_be_replaced = task.desired_state == "running" && !running;
        if running || to_be_replaced || on_its_way(&task.state) {
            let node = if task.slot == 0 { task.node.clone() } else { String::new() };
            *replicas.entry((task.slot, node)).or_default() |= running;
        }
    }
    let count = |running| number(replicas.values().filter(|value| **value == running).count());
    TaskSummary {
        running: count(true),
        starting: count(false),
        failed: number(failures.len()),
        completed: number(completed),
        last_failure: failures.iter().max_by_key(|task| (task.since, &task.id)).map(|task| {
            TaskFailure {
                task: task.id.clone(),
                node: task.node.clone(),
                error: task.error.clone().unwrap_or_else(|| task.message.clone()),
                created_at: task.created_at,
                failed_at: task.since,
            }
        }),
    }
}

/// A job's tasks should reach `complete`; all others should be `running`, or `ready` while they
/// wait for their turn.
fn wanted(task: &Task) -> bool {
    matches!(task.desired_state.as_str(), "ready" | "running" | "complete")
}

fn on_its_way(state: &str) -> bool {
    matches!(
        state,
        "new"
            | "allocated"
            | "pending"
            | "assigned"
            | "accepted"
            | "preparing"
            | "ready"
            | "starting"
    )
}

fn failed(task: &Task) -> bool {
    matches!(task.state.as_str(), "failed" | "rejected" | "orphaned")
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn task(slot: u64, node: &str, state: &str, desired: &str, second: i64) -> Task {
        Task {
            id: SwarmId::new(format!("t{second}")),
            service: SwarmId::new("s"),
            slot,
            node: node.to_owned(),
            created_at: Timestamp::from_second(second).unwrap(),
            state: state.to_owned(),
            desired_state: desired.to_owned(),
            since: Timestamp::from_second(second).unwrap(),
            message: "started".to_owned(),
            error: (state == "failed").then(|| format!("exit {second}")),
        }
    }

    fn counts(tasks: &[Task]) -> (u32, u32, u32) {
        let summary = summaries(tasks).remove(&SwarmId::new("s")).unwrap();
        (summary.running, summary.starting, summary.failed)
    }

    #[test]
    fn a_failure_that_quotes_the_environment_is_told_without_it() {
        let mut failed = task(1, "n", "failed", "shutdown", 1);
        failed.error = Some("exec: \"--token=hunter2\": TOKEN hunter3 in env".to_owned());
        let reported = serde_json::json!({
            "ID": "s", "Version": {"Index": 1}, "UpdatedAt": "2026-01-01T00:00:00Z",
            "Spec": {"Name": "a", "TaskTemplate": {"ContainerSpec": {
                "Env": ["TOKEN=hunter3"], "Command": ["--token=hunter2"],
            }}},
        });
        let service = crate::observe::service(reported).unwrap();
        let summary = of(&service, &mut summaries(&[failed]));
        let told = "exec: \"--token=(masked)\": TOKEN (masked) in env";
        assert_eq!(summary.last_error(), Some(told));
    }

    #[test]
    fn a_crashing_replica_is_starting_and_its_failures_are_remembered() {
        let tasks = [
            task(1, "n", "failed", "shutdown", 1),
            task(1, "n", "failed", "shutdown", 3),
            task(1, "n", "ready", "ready", 4),
            task(2, "n", "running", "running", 2),
        ];
        assert_eq!(counts(&tasks), (1, 1, 2));
        let summary = summaries(&tasks).remove(&SwarmId::new("s")).unwrap();
        assert_eq!(summary.last_error(), Some("exit 3"));
    }

    #[test]
    fn a_start_first_rollout_takes_nothing_down() {
        let tasks =
            [task(1, "n", "running", "running", 1), task(1, "n", "preparing", "running", 2)];
        assert_eq!(counts(&tasks), (1, 0, 0));
    }

    #[test]
    fn a_task_on_a_lost_node_does_not_count_once_it_should_stop() {
        let tasks =
            [task(1, "lost", "running", "shutdown", 1), task(1, "n", "running", "running", 2)];
        assert_eq!(counts(&tasks), (1, 0, 0));
    }

    #[test]
    fn a_global_service_counts_once_on_each_node_and_a_job_while_it_runs() {
        let global = [task(0, "a", "running", "running", 1), task(0, "b", "running", "running", 1)];
        assert_eq!(counts(&global), (2, 0, 0));
        let job = [task(1, "a", "running", "complete", 1), task(2, "a", "complete", "complete", 1)];
        assert_eq!(counts(&job), (1, 0, 0));
    }

    #[test]
    fn a_refused_task_without_an_error_gives_its_message() {
        let summary = summaries(&[task(1, "", "rejected", "shutdown", 1)])
            .remove(&SwarmId::new("s"))
            .unwrap();
        assert_eq!(summary.last_error(), Some("started"));
    }
}

//! When a change is over. The engine accepts an update at once and replaces the tasks afterwards;
//! only when Swarm has ended that rollout is it known whether the change works.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::action::Action;
use crate::labels;
use crate::observed::{ObservedService, UpdateStatus};
use crate::plan::{Operation, Step};
use crate::spec::Spec;

/// How long after the engine accepted an update its picture may still lack what comes of it.
/// Swarm begins a rollout within milliseconds; a manager that lags shows it within a second or two.
pub const REPORTED_WITHIN: SignedDuration = SignedDuration::from_secs(5);

/// What has become of an accepted change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Swarm is still at it.
    Running {
        /// When the same picture would give another verdict; `None` when only another picture
        /// can.
        until: Option<Timestamp>,
    },
    /// It is over and the change stands; the sentence says how.
    Done(String),
    /// It is over and the change does not stand, or only in part; the sentence holds the error
    /// of the task that failed.
    Undone(String),
}

/// True when Swarm replaces tasks because of this step, which takes time and may fail. Labels and
/// the number of replicas change without, and so does everything about a service without tasks;
/// jobs have no rollouts. `live` is the service after the write, when it could be read.
#[must_use]
pub fn follows(step: &Step, live: Option<&ObservedService>) -> bool {
    let replaces_tasks = match &step.operation {
        Operation::Restart => true,
        Operation::Update { edits } => edits.iter().any(|edit| {
            ["/TaskTemplate/", "/EndpointSpec/"].iter().any(|part| edit.pointer.starts_with(part))
        }),
        // The tasks of a new service replace none.
        Operation::Create { .. } | Operation::Replace { .. } => false,
        // Swarm leaves credentials out when it compares tasks.
        Operation::RefreshCredentials | Operation::Adopt | Operation::Release => false,
        // No tasks, or none that follow.
        Operation::CreateObject { .. }
        | Operation::UpdateLabels { .. }
        | Operation::ReturnStack { .. }
        | Operation::Remove => false,
    };
    replaces_tasks && live.is_none_or(|live| rolls_out(&live.spec))
}

fn rolls_out(spec: &Spec) -> bool {
    let mode = spec.mode();
    !mode.is_job() && mode.replicas() != Some(0)
}

/// What has become of an action that the engine accepted when it was last changed. `live` is the
/// service under the action's name.
///
/// The action's label is the proof that the picture is newer than the write: Swarm's own rollback
/// and other writers take it away, and so does an older picture.
#[must_use]
pub fn judge(action: &Action, live: Option<&ObservedService>, now: Timestamp) -> Verdict {
    let same =
        |live: &&ObservedService| action.step.object.as_ref().is_none_or(|id| *id == live.id);
    let Some(live) = live.filter(same) else {
        return Verdict::Undone("the service was removed before its rollout ended".to_owned());
    };
    let is_fresh = now.duration_since(action.updated_at) < REPORTED_WITHIN;
    let wait = || Verdict::Running { until: action.updated_at.checked_add(REPORTED_WITHIN).ok() };
    let carries = carries(live, action);
    let Some(update) = &live.update else {
        return match (is_fresh, carries) {
            (true, _) => wait(),
            (false, true) => Verdict::Done("no task had to be replaced".to_owned()),
            (false, false) => overtaken(),
        };
    };
    if update.is_rolling() && (carries || update.is_rollback()) {
        return Verdict::Running { until: None };
    }
    if !carries && is_fresh {
        return wait();
    }
    match (carries, update.state.as_str()) {
        (true, "completed") => Verdict::Done("rolled out".to_owned()),
        (true, "rollback_completed") => Verdict::Done(
            "rolled out; a later change by another writer was rolled back to it".to_owned(),
        ),
        (true, "paused") => Verdict::Undone(format!("Swarm paused it: {}", why(live, update))),
        (false, "rollback_completed") => {
            Verdict::Undone(format!("Swarm rolled it back: {}", why(live, update)))
        }
        (_, "rollback_paused") => Verdict::Undone(format!(
            "Swarm began to roll it back and could not finish that: {}",
            why(live, update)
        )),
        (true, state) => Verdict::Undone(format!(
            "Swarm ended it in the unknown state {state:?}: {}",
            why(live, update)
        )),
        (false, _) => overtaken(),
    }
}

/// True when Swarm has begun a rollout of the service since the step was planned and has gone back
/// from it: the labels and the spec are those of before, so that nothing else would show that a
/// write whose reply was lost had arrived. Both times are the swarm's own.
#[must_use]
pub fn has_gone_back(step: &Step, live: &ObservedService) -> bool {
    let rollback = live.update.as_ref().filter(|update| update.is_rollback());
    let began = rollback.and_then(|update| update.started_at);
    follows(step, Some(live))
        && began.zip(step.observed_at).is_some_and(|(began, observed)| began > observed)
}

/// Why a rollout has failed that had not ended when its time was over. `live` is the service as
/// it is then.
#[must_use]
pub fn overdue(live: Option<&ObservedService>, timeout: Duration) -> String {
    let late = format!("timeout: Swarm had not ended the rollout after {timeout:?}");
    match live.and_then(|live| Some((live, live.update.as_ref()?))) {
        Some((live, update)) => format!("{late} ({}: {})", update.state, why(live, update)),
        None => late,
    }
}

fn overtaken() -> Verdict {
    Verdict::Done("another writer changed the service before its rollout ended".to_owned())
}

/// The error of the newest task of the rollout that failed, or the engine's own sentence.
fn why(live: &ObservedService, update: &UpdateStatus) -> String {
    let failure = live.tasks.last_failure.as_ref();
    match failure.filter(|failure| update.started_at.is_none_or(|at| failure.created_at >= at)) {
        Some(failure) => failure.to_string(),
        None if update.message.is_empty() => "no reason given".to_owned(),
        None => update.message.clone(),
    }
}

fn carries(live: &ObservedService, action: &Action) -> bool {
    let spec = live.spec.value();
    let label = spec.get("Labels").and_then(|own| own.get(labels::ACTION));
    label.and_then(Value::as_str) == Some(action.id.as_str())
}

/// A restart is another incident when a task lived, or was tried, this long after the last one.
const LASTING: SignedDuration = SignedDuration::from_mins(10);

/// True when a step would do again what `last` has tried: the same difference between what is
/// declared and what is there. Neither the time nor the object's id matters, because Swarm's own
/// rollback moves the one, and putting a former service back moves the other.
#[must_use]
pub fn tries_again(last: &Action, step: &Step, live: Option<&ObservedService>) -> bool {
    if last.step.operation == Operation::Restart && step.operation == Operation::Restart {
        return last.step.object == step.object && !is_new_incident(last, live);
    }
    let there = |step: &Step| -> Vec<(String, Value)> {
        step.changes.iter().map(|change| (change.path.clone(), change.before.clone())).collect()
    };
    last.step.action == step.action
        && last.step.operation == step.operation
        && there(&last.step) == there(step)
}

/// True when the service has done well for a while since it was restarted.
fn is_new_incident(restart: &Action, live: Option<&ObservedService>) -> bool {
    let failure = live.and_then(|live| live.tasks.last_failure.as_ref());
    failure.is_some_and(|failure| failure.failed_at.duration_since(restart.updated_at) > LASTING)
}

#[cfg(test)]
mod tests;

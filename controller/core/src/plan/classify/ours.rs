//! A service that is on record as ours and there: into which class a difference falls, and when
//! one without a difference is down.

use std::time::Duration;

use serde_json::Value;

use super::Finding;
use super::draft::Draft;
use super::spelled;
use crate::action::ActionKind;
use crate::image::ImageReference;
use crate::observed::ObservedService;
use crate::plan::diff::{Difference, REPLICAS};
use crate::plan::{Change, DriftClass, Edit, Operation, Risk, Step, Waiting};
use crate::spec::ServiceMode;

/// How long after its last change a service may be without a running task before it counts as
/// down: the engine needs a moment to make tasks for it, and to report them.
pub const DOWN_GRACE: Duration = Duration::from_secs(30);

impl Draft<'_> {
    /// There and on record.
    pub(super) fn ours(&self, live: &ObservedService, difference: Difference) -> Finding {
        let difference = spelled::as_declared(self.service, self.api(), difference);
        let name = &self.service.name;
        if let Some(update) = live.update.as_ref().filter(|update| update.is_rolling()) {
            return Finding::Waiting(Waiting::on(
                name,
                "ROLLOUT_RUNNING",
                format!("Swarm is busy with a rollout ({}); it is left alone", update.state),
            ));
        }
        if difference.changes.is_empty() {
            return self.without_difference(live);
        }
        if let Some(step) = self.replacement(live, &difference) {
            return self.finish(step, Some(live));
        }
        let replicas = difference.changes.iter().find(|change| change.path == REPLICAS);
        let step = match replicas {
            Some(change) if !self.service.running => {
                let reason =
                    format!("declared as stopped, {} replicas wanted", shown(&change.before));
                let only_replicas = Difference {
                    changes: vec![change.clone()],
                    edits: edit_of(&difference.edits, REPLICAS),
                };
                let mut step = self.update(
                    ActionKind::StopService,
                    DriftClass::ShouldBeStopped,
                    reason,
                    only_replicas,
                );
                step.risk = Risk::High;
                step
            }
            Some(change) if difference.changes.len() == 1 => {
                let reason = self.reason_of_scale(change);
                self.update(ActionKind::ScaleService, DriftClass::Replicas, reason, difference)
            }
            Some(_) | None => {
                let image = |change: &Change| change.path.ends_with("/ContainerSpec/Image");
                let class = if difference.changes.iter().any(image) {
                    DriftClass::Image
                } else {
                    DriftClass::Spec
                };
                let reason = reason_of_update(&difference.changes);
                self.update(ActionKind::DeployService, class, reason, difference)
            }
        };
        self.finish(step, Some(live))
    }

    fn without_difference(&self, live: &ObservedService) -> Finding {
        if let Some(waiting) = self.stopped_half_way(live).or_else(|| self.fails_to_start(live)) {
            return Finding::Waiting(waiting);
        }
        if let Some(reason) = self.reason_if_down(live) {
            let step =
                self.step(ActionKind::RestartService, DriftClass::Down, reason, Operation::Restart);
            return self.finish(step, Some(live));
        }
        if self.service.blocked.is_none() {
            return Finding::Unchanged;
        }
        // What can be compared is equal; that is not the same as being as declared.
        let reason = "whether it is as declared cannot be known now".to_owned();
        let nothing = Difference::default();
        let step = self.update(ActionKind::DeployService, DriftClass::Spec, reason, nothing);
        self.finish(step, Some(live))
    }

    /// A changed mode, which Swarm refuses to change in place: remove and create again.
    fn replacement(&self, live: &ObservedService, difference: &Difference) -> Option<Step> {
        let (from, to) = (live.spec.mode().word(), self.service.spec.mode().word());
        let is_compared = difference.changes.iter().any(|change| change.path.starts_with("/Mode/"));
        if from == to || !is_compared {
            return None;
        }
        let downtime = downtime(live);
        let reason = format!(
            "its mode changes from {from} to {to}, which Swarm cannot do in place: {downtime}"
        );
        let mut step = self.step(
            ActionKind::DeployService,
            DriftClass::Immutable,
            reason,
            Operation::Replace { edits: difference.edits.clone() },
        );
        step.changes.clone_from(&difference.changes);
        step.risk = Risk::High;
        step.confirm = Some(format!("replacing it means downtime: {downtime}"));
        Some(step)
    }

    /// The spec is as declared and the tasks are not: Swarm paused the rollout. Restarting would
    /// only begin it anew.
    fn stopped_half_way(&self, live: &ObservedService) -> Option<Waiting> {
        let update = live.update.as_ref().filter(|update| update.is_paused())?;
        let error = live.tasks.last_error().unwrap_or(&update.message);
        Some(Waiting::on(
            &self.service.name,
            "DEGRADED",
            format!(
                "Swarm paused the last rollout half-way ({error}); another declaration goes on, or: \
                 skep service restart {}",
                self.service.name
            ),
        ))
    }

    /// No task runs although Swarm goes on trying: seen, and left to Swarm.
    fn fails_to_start(&self, live: &ObservedService) -> Option<Waiting> {
        let tasks = &live.tasks;
        let is_failing = self.should_run(live) && tasks.starting > 0 && tasks.failed > 0;
        is_failing.then(|| {
            let error = tasks.last_error().unwrap_or("no reason given");
            let reason = format!(
                "no task runs; the last one ended with: {error}; Swarm goes on trying, so it is \
                 left alone"
            );
            Waiting::on(&self.service.name, "DOWN", reason)
        })
    }

    /// True when a task should run, none does, and the grace is over.
    fn should_run(&self, live: &ObservedService) -> bool {
        self.service.running
            && wants_tasks(live)
            && live.tasks.running == 0
            && !has_finished(live)
            && self.input.now.duration_since(live.updated_at).unsigned_abs() > DOWN_GRACE
    }

    /// A task that is on its way, and one that waits for its restart delay, means that Swarm is
    /// still trying. A restart would only begin that anew, and proposing one between two crashes
    /// would withdraw it at the next attempt.
    fn reason_if_down(&self, live: &ObservedService) -> Option<String> {
        let is_down = self.should_run(live) && live.tasks.starting == 0;
        is_down.then(|| match live.tasks.last_error() {
            Some(error) => format!("no task runs; the last one ended with: {error}"),
            None => "no task runs".to_owned(),
        })
    }

    fn reason_of_scale(&self, change: &Change) -> String {
        let (before, after) = (shown(&change.before), shown(&change.after));
        match self.service.autoscaled {
            Some(bounds) => format!(
                "replicas {before} outside of the scaling bounds {}-{}; the nearest is {after}",
                bounds.min, bounds.max
            ),
            None => format!("replicas {before} != declared {after}"),
        }
    }

    fn update(
        &self,
        action: ActionKind,
        class: DriftClass,
        reason: String,
        difference: Difference,
    ) -> Step {
        let operation = Operation::Update { edits: difference.edits };
        let mut step = self.step(action, class, reason, operation);
        step.changes = difference.changes;
        step
    }
}

/// What removing the service and creating it again means for those who use it.
fn downtime(live: &ObservedService) -> String {
    let tasks = match live.tasks.running {
        0 => String::new(),
        1 => "its task stops, ".to_owned(),
        many => format!("its {many} tasks stop, "),
    };
    let ports: Vec<String> = live.ports.iter().map(|port| port.published.to_string()).collect();
    let ports = match ports.as_slice() {
        [] => String::new(),
        [one] => format!("published port {one} goes away until the new tasks run, "),
        several => {
            format!("published ports {} go away until the new tasks run, ", several.join(", "))
        }
    };
    format!("the service is removed and created again: {tasks}{ports}its id changes")
}

/// Whether the engine should keep a task of this service running at all times.
fn wants_tasks(live: &ObservedService) -> bool {
    match live.spec.mode() {
        // A job that is done has no task; a restart would run it again.
        ServiceMode::ReplicatedJob | ServiceMode::GlobalJob => false,
        // Without a node that fits there is nothing to run; a failure shows that there was one.
        ServiceMode::Global => live.tasks.failed > 0,
        ServiceMode::Replicated { replicas } => replicas != Some(0),
    }
}

fn reason_of_update(changes: &[Change]) -> String {
    let leaf = |change: &Change| {
        change.path.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~")
    };
    match changes {
        [one] if one.path.ends_with("/Image") => {
            let short = |value: &Value| match value {
                Value::String(image) => ImageReference::parse(image).short(),
                other => shown(other),
            };
            format!("image {} -> {}", short(&one.before), short(&one.after))
        }
        [one] => format!("{} differs from what is declared", leaf(one)),
        several => {
            let mut names: Vec<String> = several.iter().take(4).map(leaf).collect();
            if several.len() > 4 {
                names.push(format!("{} more", several.len() - 4));
            }
            format!("{} fields differ from what is declared: {}", several.len(), names.join(", "))
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn edit_of(edits: &[Edit], pointer: &str) -> Vec<Edit> {
    edits.iter().filter(|edit| edit.pointer == pointer).cloned().collect()
}

/// True when its tasks ended without an error and its restart policy lets it be: it has done what
/// it was for.
fn has_finished(live: &ObservedService) -> bool {
    live.spec.lets_tasks_end() && live.tasks.failed == 0 && live.tasks.completed > 0
}

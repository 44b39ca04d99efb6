//! A service that is on record as ours and there: into which class a difference falls, and when
//! one without a difference is down.

use std::time::Duration;

use serde_json::Value;

use super::Finding;
use super::draft::Draft;
use crate::action::ActionKind;
use crate::image::ImageReference;
use crate::observed::ObservedService;
use crate::plan::diff::{Difference, REPLICAS};
use crate::plan::{Blocked, Change, DriftClass, Edit, Operation, Risk, Step, Waiting};
use crate::spec::ServiceMode;

/// How long after its last change a service may be without a running task before it counts as
/// down: the engine needs a moment to make tasks for it, and to report them.
pub const DOWN_GRACE: Duration = Duration::from_secs(30);

impl Draft<'_> {
    /// There and on record.
    pub(super) fn ours(&self, live: &ObservedService, difference: Difference) -> Finding {
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
        if let Some(step) = self.immutable(&difference.changes) {
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

    fn immutable(&self, changes: &[Change]) -> Option<Step> {
        let is_mode =
            |change: &&Change| change.path.starts_with("/Mode/") && change.path != REPLICAS;
        let change = changes.iter().find(is_mode)?;
        let mut step = self.step(
            ActionKind::DeployService,
            DriftClass::Immutable,
            format!("{} differs, and Swarm cannot change the mode of a service", change.path),
            Operation::Update { edits: Vec::new() },
        );
        step.changes = changes.to_vec();
        step.risk = Risk::High;
        step.blocked = Some(Blocked {
            code: "IMMUTABLE_FIELD".to_owned(),
            message: "the service would have to be removed and created again".to_owned(),
            hint: format!(
                "remove it yourself when its downtime suits (docker service rm {}); the next plan \
                 creates it",
                self.service.name
            ),
        });
        Some(step)
    }

    /// A task that is on its way, and one that waits for its restart delay, means that Swarm is
    /// still trying. A restart would only begin that anew, and proposing one between two crashes
    /// would withdraw it at the next attempt.
    fn reason_if_down(&self, live: &ObservedService) -> Option<String> {
        let is_down = self.service.running
            && wants_tasks(live)
            && live.tasks.running == 0
            && live.tasks.starting == 0
            && !has_finished(live)
            && self.input.now.duration_since(live.updated_at).unsigned_abs() > DOWN_GRACE;
        is_down.then(|| match &live.tasks.last_error {
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

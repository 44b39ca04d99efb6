//! From what is declared and what is there to steps: one service at a time, each into one class.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::diff::{self, Difference, Ignored, REPLICAS};
use super::normalise::{declared, normalise};
use super::{
    Blocked, Change, DriftClass, Edit, Masking, NetworkNames, Operation, Owned, PLANNER_VERSION,
    Plan, Risk, Step, Summary, Waiting, conflict, order,
};
use crate::action::{ActionKind, Source};
use crate::canonical::Digest;
use crate::desired::{Desired, DesiredService, SourceState};
use crate::identity::{ClusterId, ObjectKey, PlanId, ServiceName, StepId};
use crate::observed::{ObservedService, Snapshot};

/// How long after its last change a service may be without a running task before it counts as
/// down: pulling an image and starting take time, and Swarm is still trying.
pub const DOWN_GRACE: Duration = Duration::from_secs(30);

/// More than this many recorded services gone at once is not somebody's clean-up; see
/// [`vanished_budget`].
const VANISHED_AT_MOST: usize = 3;

/// Everything that planning looks at.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// What is declared.
    pub desired: &'a Desired,
    /// What is there.
    pub observed: &'a Snapshot,
    /// What is on record as ours on this swarm.
    pub owned: &'a Owned,
    /// The swarms that anything is on record for.
    pub known_clusters: &'a [ClusterId],
    /// How secret values are shown.
    pub masking: &'a Masking,
    /// The time of planning.
    pub now: Timestamp,
    /// Only these services, when given.
    pub only: Option<&'a BTreeSet<ServiceName>>,
}

/// The plan for the whole fleet. Pure: the same input gives the same bytes.
#[must_use]
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let names = NetworkNames::of(input.observed);
    let confirm = reason_to_confirm(input);
    let (mut steps, mut waiting, mut unchanged) = (Vec::new(), Vec::new(), 0);
    let wanted = |name: &ServiceName| input.only.is_none_or(|only| only.contains(name));
    for service in input.desired.services.values().filter(|service| wanted(&service.name)) {
        match classify(input, &names, service, confirm.as_deref()) {
            Finding::Unchanged => unchanged += 1,
            Finding::Step(step) => steps.push(*step),
            Finding::Waiting(reason) => waiting.push(reason),
        }
    }
    order::into_waves(&mut steps, input.desired);
    waiting.extend(sources_waiting(input.desired));
    waiting.extend(orphans(input).filter(|waiting| waiting.target.as_ref().is_none_or(wanted)));
    let digests: Vec<&str> = steps.iter().map(|step| step.digest.as_str()).collect();
    let digest = Digest::of_json(&json!({
        "planner": PLANNER_VERSION,
        "cluster": input.observed.cluster,
        "steps": digests,
    }));
    Plan {
        plan_id: PlanId::new(digest.short(16)),
        summary: Summary::count(&steps, unchanged),
        digest,
        cluster_id: input.observed.cluster.clone(),
        steps,
        waiting,
    }
}

/// The step of one service, planned alone: execution plans again with it and compares digests.
#[must_use]
pub fn plan_key(input: &PlanInput<'_>, name: &ServiceName) -> Option<Step> {
    let names = NetworkNames::of(input.observed);
    let service = input.desired.services.get(name)?;
    match classify(input, &names, service, reason_to_confirm(input).as_deref()) {
        Finding::Step(step) => Some(*step),
        Finding::Unchanged | Finding::Waiting(_) => None,
    }
}

enum Finding {
    Unchanged,
    Step(Box<Step>),
    Waiting(Waiting),
}

fn classify(
    input: &PlanInput<'_>,
    names: &NetworkNames,
    service: &DesiredService,
    confirm: Option<&str>,
) -> Finding {
    let draft = Draft { input, service, confirm };
    let Some(live) = input.observed.services.get(&service.name) else {
        return draft.missing(names);
    };
    let difference = diff::compare(
        &normalise(&live.spec, names),
        &normalise(&service.spec, names),
        &input.desired.secrets,
        input.masking,
        Ignored { pointers: &service.ignore, replicas: service.autoscaled },
    );
    if input.owned.get(&service.name) != Some(&live.id) {
        return draft.foreign(live, difference.changes);
    }
    draft.ours(live, difference)
}

struct Draft<'a> {
    input: &'a PlanInput<'a>,
    service: &'a DesiredService,
    confirm: Option<&'a str>,
}

impl Draft<'_> {
    fn missing(&self, names: &NetworkNames) -> Finding {
        // A service that should not run and is not there needs nothing.
        if !self.service.running {
            return Finding::Unchanged;
        }
        let changes = leaves(&declared(&self.service.spec, names), self.input);
        let at = format!("declared at {} and not on the swarm", self.service.provenance);
        let mut step = self.step(
            ActionKind::DeployService,
            DriftClass::Missing,
            at,
            Operation::Create { spec: self.service.spec.clone() },
        );
        step.risk = Risk::Low;
        step.changes = changes;
        if let Some(conflict) = conflict::published_port(self.input, self.service) {
            step.class = if conflict.foreign { DriftClass::Foreign } else { DriftClass::Missing };
            step.blocked = Some(conflict.blocked);
        } else if let Some(network) = conflict::missing_network(self.input, self.service) {
            step.blocked = Some(network);
        }
        self.finish(step, None)
    }

    fn foreign(&self, live: &ObservedService, changes: Vec<Change>) -> Finding {
        let recorded = self.input.owned.contains_key(&self.service.name);
        let reason = if recorded {
            "a service of this name exists, but it is not the one on record: it was replaced by \
             somebody else; adopting it puts it on record and writes nothing to Docker"
        } else {
            "a service of this name exists and is not on record as ours; adopting it puts it on \
             record and writes nothing to Docker"
        };
        let mut step = self.step(
            ActionKind::AdoptService,
            DriftClass::Foreign,
            reason.to_owned(),
            Operation::Adopt,
        );
        step.risk = Risk::Low;
        step.changes = changes;
        self.finish(step, Some(live))
    }

    fn ours(&self, live: &ObservedService, difference: Difference) -> Finding {
        let name = &self.service.name;
        if let Some(update) = live.update.as_ref().filter(|update| update.is_rolling()) {
            return Finding::Waiting(Waiting::on(
                name,
                "ROLLOUT_RUNNING",
                format!("Swarm is busy with a rollout ({}); it is left alone", update.state),
            ));
        }
        if difference.changes.is_empty() {
            return match self.reason_if_down(live) {
                Some(reason) => {
                    let step = self.step(
                        ActionKind::RestartService,
                        DriftClass::Down,
                        reason,
                        Operation::Restart,
                    );
                    self.finish(step, Some(live))
                }
                None => Finding::Unchanged,
            };
        }
        if let Some(step) = self.immutable(&difference.changes) {
            return self.finish(step, Some(live));
        }
        let replicas = difference.changes.iter().find(|change| change.path == REPLICAS);
        let mut step = match replicas {
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
                let reason = format!(
                    "replicas {} != declared {}",
                    shown(&change.before),
                    shown(&change.after)
                );
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
        if let Some(conflict) = conflict::published_port(self.input, self.service) {
            step.blocked = Some(conflict.blocked);
        } else if let Some(network) = conflict::missing_network(self.input, self.service) {
            step.blocked = Some(network);
        }
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

    fn reason_if_down(&self, live: &ObservedService) -> Option<String> {
        let wanted = live.spec.pointer(REPLICAS).and_then(Value::as_u64);
        let is_down = self.service.running
            && wanted != Some(0)
            && live.tasks.running == 0
            && live.tasks.failed > 0
            && self.input.now.duration_since(live.updated_at).unsigned_abs() > DOWN_GRACE;
        is_down.then(|| match &live.tasks.last_error {
            Some(error) => format!("no task runs; the last one ended with: {error}"),
            None => "no task runs".to_owned(),
        })
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

    fn step(
        &self,
        action: ActionKind,
        class: DriftClass,
        reason: String,
        operation: Operation,
    ) -> Step {
        let source = match action {
            ActionKind::RestartService | ActionKind::ScaleService | ActionKind::StopService => {
                Source::Reconciler
            }
            ActionKind::DeployService
            | ActionKind::RollbackService
            | ActionKind::RemoveService
            | ActionKind::AdoptService
            | ActionKind::ReleaseService => self.service.provenance.source,
        };
        Step {
            id: StepId::new(""),
            action,
            target: self.service.name.clone(),
            object: None,
            class,
            reason,
            wave: 1,
            risk: Risk::Medium,
            changes: Vec::new(),
            operation,
            blocked: self.service.blocked.clone(),
            confirm: None,
            source,
            domain: self.service.domain.clone(),
            provenance: Some(self.service.provenance.clone()),
            digest: Digest::of_bytes(b""),
        }
    }

    /// Completes a step: object, digest, id.
    fn finish(&self, mut step: Step, live: Option<&ObservedService>) -> Finding {
        step.object = live.map(|live| live.id.clone());
        if step.blocked.is_none() {
            step.blocked = self.service.blocked.clone();
        }
        if step.object.is_none() {
            step.confirm = self.confirm.map(str::to_owned);
        }
        step.digest = step_digest(&self.input.observed.cluster, &step, self.service);
        step.id = StepId::new(format!("{}-{}", step.digest.short(8), step.target));
        Finding::Step(Box::new(step))
    }
}

/// What an approval of a step holds for. Version, network ids and the action's id are bound late
/// and are no part of it; neither are wave, wording and what the live fields were before.
fn step_digest(cluster: &ClusterId, step: &Step, service: &DesiredService) -> Digest {
    let key = ObjectKey::service(cluster, &step.target);
    Digest::of_json(&json!({
        "planner": PLANNER_VERSION,
        "key": key,
        "object": step.object,
        "action": step.action,
        "operation": step.operation,
        "desired": service.spec,
    }))
}

fn reason_of_update(changes: &[Change]) -> String {
    let leaf = |change: &Change| {
        change.path.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~")
    };
    match changes {
        [one] if one.path.ends_with("/Image") => {
            format!("image {} -> {}", shown(&one.before), shown(&one.after))
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

fn leaves(canonical: &Value, input: &PlanInput<'_>) -> Vec<Change> {
    let nothing = json!({});
    diff::compare(&nothing, canonical, &input.desired.secrets, input.masking, Ignored::default())
        .changes
}

/// Creating what was on record a moment ago is right for one deleted service and wrong for a
/// restored manager, a stale one or another swarm. Beyond the budget a person looks first.
fn reason_to_confirm(input: &PlanInput<'_>) -> Option<String> {
    let known = input.known_clusters;
    if !known.is_empty() && !known.contains(&input.observed.cluster) {
        return Some(format!(
            "the store knows another swarm; this one ({}) has nothing on record",
            input.observed.cluster
        ));
    }
    let gone = input.owned.keys().filter(|name| !input.observed.services.contains_key(*name));
    let gone = gone.count();
    let budget = vanished_budget(input.owned.len());
    (gone > budget).then(|| {
        format!(
            "{gone} of {} recorded services are gone at once (more than {budget}): a restored or \
             stale manager looks like this",
            input.owned.len()
        )
    })
}

/// The smaller of three services and a fifth of the fleet, but at least one.
fn vanished_budget(recorded: usize) -> usize {
    (recorded / 5).clamp(1, VANISHED_AT_MOST)
}

fn sources_waiting(desired: &Desired) -> impl Iterator<Item = Waiting> + '_ {
    desired.sources.iter().filter(|source| source.state != SourceState::Ready).map(|source| {
        let reason = source.reason.as_deref().unwrap_or("no reason given");
        match source.state {
            SourceState::NeverLoaded => Waiting::overall(
                "SOURCE_NEVER_LOADED",
                format!("{}: what it declares is unknown: {reason}", source.name),
            ),
            SourceState::Stale | SourceState::Ready => Waiting::overall(
                "SOURCE_INVALID",
                format!("{}: its last good content stays in force: {reason}", source.name),
            ),
        }
    })
}

fn orphans<'a>(input: &'a PlanInput<'_>) -> impl Iterator<Item = Waiting> + 'a {
    let ready = input.desired.sources.iter().all(|source| source.state == SourceState::Ready);
    input
        .owned
        .iter()
        .filter(move |_| ready && !input.desired.sources.is_empty())
        .filter(|(name, id)| {
            !input.desired.services.contains_key(*name)
                && input.observed.services.get(*name).is_some_and(|live| live.id == **id)
        })
        .map(|(name, _)| {
            Waiting::on(
                name,
                "ORPHAN",
                "ours and no longer declared; it keeps running, nothing is removed by itself",
            )
        })
}

#[cfg(test)]
mod tests;

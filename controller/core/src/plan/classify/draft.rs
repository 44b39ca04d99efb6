//! How a step comes into being, whatever its class: its proposer, what blocks it, its digest.

use serde_json::{Value, json};

use super::Finding;
use crate::action::{ActionKind, Source};
use crate::canonical::Digest;
use crate::desired::DesiredService;
use crate::digester::{Digester, Purpose};
use crate::identity::{ClusterId, GroupKey, ObjectKey, StepId};
use crate::observed::{ApiVersion, ObservedService};
use crate::plan::diff::{self, Ignored};
use crate::plan::normalise::{complete_references, declared, ordered};
use crate::plan::{
    Change, DriftClass, NetworkNames, Operation, PLANNER_VERSION, PlanIndex, PlanInput, Risk, Step,
    conflict, image, kept, mask,
};
use crate::resolution::Resolution;

/// One service on its way to a finding.
pub(super) struct Draft<'a> {
    pub(super) input: &'a PlanInput<'a>,
    pub(super) index: &'a PlanIndex,
    pub(super) service: &'a DesiredService,
}

impl Draft<'_> {
    /// Declared and not there.
    pub(super) fn missing(&self) -> Finding {
        // A service that should not run and is not there needs nothing.
        if !self.service.running {
            return Finding::Unchanged;
        }
        let names = &self.index.names;
        let mut spec = self.service.spec.value();
        mask::strip(&mut spec, self.api());
        complete_references(&mut spec, names);
        // A stack is written in docker's order: with another one `docker stack deploy` of the same
        // file would restart the tasks.
        if self.service.provenance.source != Source::Gitops {
            ordered(&mut spec, names);
        }
        if let Some(resolved) =
            image::resolution(self.input, self.service).and_then(Resolution::resolved)
        {
            image::pin_spec(&mut spec, resolved);
        }
        let changes = leaves(&declared(&spec, names), self.input);
        let at = format!("declared at {} and not on the swarm", self.service.provenance);
        let mut step = self.step(
            ActionKind::DeployService,
            DriftClass::Missing,
            at,
            Operation::Create { spec },
        );
        step.risk = Risk::Low;
        step.changes = changes;
        self.finish(step, None)
    }

    /// There, and not on record as ours.
    pub(super) fn foreign(&self, live: &ObservedService, changes: Vec<Change>) -> Finding {
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

    pub(super) fn step(
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
            _ => self.service.provenance.source,
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
            blocked: None,
            notes: Vec::new(),
            confirm: None,
            source,
            domain: self.service.domain.clone(),
            provenance: Some(self.service.provenance.clone()),
            observed_at: None,
            request: None,
            difference: None,
            digest: Digest::of_bytes(b""),
            group: GroupKey::default(),
            stack: None,
        }
    }

    /// Completes a step: object, obstacles, digest, id.
    pub(super) fn finish(&self, mut step: Step, live: Option<&ObservedService>) -> Finding {
        step.object = live.map(|live| live.id.clone());
        step.observed_at = live.map(|live| live.updated_at);
        let mut desired = self.service.spec.value();
        // Its networks are names already.
        ordered(&mut desired, &NetworkNames::default());
        step.notes.extend(image::note(&step, image::resolution(self.input, self.service)));
        // Stopping, scaling and restarting change no environment, network or port, and adopting
        // changes nothing: what is missing there must not keep anybody from stopping a service.
        if step.action == ActionKind::DeployService && step.blocked.is_none() {
            self.block(&mut step, &desired);
        }
        if step.object.is_none() {
            step.confirm = self.index.confirm.clone();
        }
        let digester = self.input.digester;
        step.difference = Some(difference_digest(digester, &step, &desired));
        let content = content(&self.input.observed.cluster, &step, &desired, live);
        step.identify(digester, &content);
        Finding::Step(Box::new(step))
    }

    pub(super) fn api(&self) -> ApiVersion {
        self.input.observed.api_version
    }

    fn block(&self, step: &mut Step, desired: &Value) {
        if let Some(conflict) = conflict::published_port(self.input, self.index, self.service) {
            if conflict.foreign && step.class == DriftClass::Missing {
                step.class = DriftClass::Foreign;
            }
            step.blocked = Some(conflict.blocked);
        } else {
            step.blocked = mask::unsupported_mode(desired, self.api())
                .or_else(|| kept::unknown_word(desired))
                .or_else(|| self.index.objects.obstacle(&self.service.name, desired))
                .or_else(|| conflict::missing_network(self.input, self.index, self.service))
                .or_else(|| conflict::missing_file(self.input, self.index, desired))
                .or_else(|| self.service.blocked.clone());
        }
    }
}

/// What an approval of a step holds for. Version, network ids and the action's id are bound late
/// and are no part of it; neither are wave and wording. What the changed fields are now is part of
/// it: who approved "1.2 to 1.3" has not approved to undo a fix that is 1.4 meanwhile.
pub(super) fn content(
    cluster: &ClusterId,
    step: &Step,
    desired: &Value,
    live: Option<&ObservedService>,
) -> Value {
    let key = ObjectKey::service(cluster, &step.target);
    let mut content = json!({
        "planner": PLANNER_VERSION,
        "key": key,
        "object": step.object,
        "action": step.action,
        "operation": step.operation,
        "desired": desired,
    });
    // An update says what it changes; every restart looks the same. The counter makes the restart
    // of a restart another step, which a decision about the first one says nothing about.
    if step.operation == Operation::Restart
        && let Value::Object(content) = &mut content
    {
        let counter = live.map_or(0, |live| live.spec.restarts());
        content.insert("restart_of".into(), json!(counter));
    }
    if let (Operation::Update { .. } | Operation::Replace { .. }, Value::Object(content)) =
        (&step.operation, &mut content)
    {
        let before: Vec<_> = step.changes.iter().map(|c| (&c.path, &c.before)).collect();
        content.insert("before".into(), json!(before));
    }
    content
}

/// Which drift a step is about: what the owner declares, and where the swarm is different.
fn difference_digest(digester: &Digester, step: &Step, desired: &Value) -> Digest {
    let changes: Vec<_> = step.changes.iter().map(image::as_declared).collect();
    let content = json!({
        "object": step.object,
        "action": step.action,
        "desired": desired,
        "changes": changes,
    });
    digester.digest(Purpose::Difference, &content)
}

fn leaves(canonical: &Value, input: &PlanInput<'_>) -> Vec<Change> {
    let nothing = json!({});
    diff::compare(&nothing, canonical, &input.desired.secrets, input.masking, Ignored::default())
        .changes
}

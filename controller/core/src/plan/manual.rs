//! What a person asks for by hand, as a step like any other: it has a digest, goes to the gate,
//! and is planned again right before it runs.

mod object;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::bind::apply;
use super::classify::difference_after;
use super::diff::{self, Difference, Ignored, REPLICAS};
use super::normalise::{ListSection, normalise_for};
use super::{
    Blocked, Change, DriftClass, Edit, NetworkNames, Operation, PLANNER_VERSION, PlanInput, Risk,
    Step, pointer,
};
use crate::action::{ActionKind, Source};
use crate::canonical::Digest;
use crate::desired::SecretValues;
use crate::identity::{GroupKey, ObjectKey, ObjectKind, ServiceName, StepId};
use crate::observed::ObservedService;
use crate::request::RequestVerb;
use crate::spec::{ServiceMode, Spec};

/// What planning says about a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Requested {
    /// What would be done.
    Step {
        /// The step.
        step: Box<Step>,
        /// Values behind the step's placeholders, when no source declares them: those of an
        /// earlier revision.
        secrets: Option<SecretValues>,
    },
    /// It is as asked for already; the sentence says what is there.
    Nothing(String),
    /// It cannot be done.
    Refused(Blocked),
}

/// The step of a request about one service, network, config or secret. `revision` is the spec of the revision that a
/// rollback returns to, as it was sent then.
#[must_use]
pub fn plan_request(
    input: &PlanInput<'_>,
    name: &ServiceName,
    verb: &RequestVerb,
    revision: Option<&Value>,
) -> Requested {
    if !matches!(name.kind(), ObjectKind::Service | ObjectKind::Stack) {
        return object::plan_request(input, name, verb);
    }
    let Some(live) = input.live(name) else {
        return refused(
            "NOT_FOUND",
            format!("there is no service {name:?} on the swarm", name = name.as_str()),
            "skep service list",
        );
    };
    let asked = Asked { input, name, verb, live };
    let is_ours = input.owned.get(name) == Some(&live.id);
    if *verb == RequestVerb::Adopt {
        return if is_ours {
            Requested::Nothing("it is on record as ours already".to_owned())
        } else {
            asked.adopt()
        };
    }
    if !is_ours {
        return refused(
            "NOT_OURS",
            format!("service {:?} is not on record as ours", name.as_str()),
            &format!("take it over first: skep service adopt {name}"),
        );
    }
    if *verb != RequestVerb::Release
        && let Some(update) = live.update.as_ref().filter(|update| update.is_rolling())
    {
        return refused(
            "ROLLOUT_RUNNING",
            format!("Swarm is busy with a rollout of {name} ({})", update.state),
            "ask again when it has ended",
        );
    }
    match verb {
        RequestVerb::Adopt | RequestVerb::Release => asked.release(),
        RequestVerb::Restart => asked.restart(),
        RequestVerb::Scale { replicas } => asked.scale(*replicas),
        RequestVerb::Stop => asked.stop(),
        RequestVerb::Rollback { revision: number } => asked.rollback(*number, revision),
        RequestVerb::RefreshCredentials => asked.refresh_credentials(),
        RequestVerb::RollbackStack { .. } => refused(
            "NOT_A_STACK",
            format!("{name} is a service; a {verb} is about a whole stack"),
            "skep stack list",
        ),
        RequestVerb::Kill | RequestVerb::Resume => refused(
            "NOT_A_REQUEST",
            format!("{verb} is ordered and not asked for"),
            &format!("skep {verb} {name}"),
        ),
    }
}

/// The drift that the planner will see once the step's write is done: what a person accepts by
/// asking. `None` when there will be none.
fn drift_after(input: &PlanInput<'_>, step: &Step, secrets: &SecretValues) -> Option<Digest> {
    let live = input.live(&step.target)?;
    let Operation::Update { edits } = &step.operation else { return None };
    let mut after = live.clone();
    let names = NetworkNames::of(input.observed);
    after.spec = live.spec.changed(|spec| {
        apply(spec, edits, &names);
        reveal(spec, secrets);
    });
    difference_after(input, &step.target, &after)
}

/// Puts the values of the environment back, as they will be read from the engine.
fn reveal(spec: &mut Value, secrets: &SecretValues) {
    let Some(Value::Array(lines)) = spec.pointer_mut(ListSection::Env.pointer()) else { return };
    for line in lines {
        let real = line
            .as_str()
            .and_then(|line| line.split_once('='))
            .and_then(|(key, value)| Some(format!("{key}={}", secrets.resolve(value)?)));
        if let Some(real) = real {
            *line = Value::String(real);
        }
    }
}

struct Asked<'a> {
    input: &'a PlanInput<'a>,
    name: &'a ServiceName,
    verb: &'a RequestVerb,
    live: &'a ObservedService,
}

impl Asked<'_> {
    fn adopt(&self) -> Requested {
        let reason = match self.input.desired.services.get(self.name) {
            Some(service) => format!("asked for by hand; declared at {}", service.provenance),
            None => "asked for by hand; no source declares it".to_owned(),
        };
        self.step(ActionKind::AdoptService, Operation::Adopt, Risk::Low, reason, Vec::new())
    }

    fn release(&self) -> Requested {
        let reason = "asked for by hand; nothing is written to Docker, and Skep leaves it alone \
                      from then on";
        let kind = ActionKind::ReleaseService;
        self.step(kind, Operation::Release, Risk::Low, reason.to_owned(), Vec::new())
    }

    fn restart(&self) -> Requested {
        if self.live.spec.mode().is_job() {
            return refused(
                "IS_A_JOB",
                format!("{} is a job: restarting it would run it again", self.name),
                "run it again on purpose: docker service update --force",
            );
        }
        let reason = "asked for by hand".to_owned();
        self.step(ActionKind::RestartService, Operation::Restart, Risk::Medium, reason, Vec::new())
    }

    fn scale(&self, replicas: u64) -> Requested {
        let risk = if replicas == 0 { Risk::High } else { Risk::Medium };
        self.replicas(ActionKind::ScaleService, replicas, risk)
    }

    fn stop(&self) -> Requested {
        self.replicas(ActionKind::StopService, 0, Risk::High)
    }

    fn replicas(&self, kind: ActionKind, replicas: u64, risk: Risk) -> Requested {
        let Some(before) = replicas_of(self.live) else {
            return refused(
                "NOT_SCALABLE",
                format!("{} is no replicated service: it has no number of replicas", self.name),
                "constrain a global service to fewer nodes in its declaration",
            );
        };
        if before == replicas {
            return Requested::Nothing(format!("{replicas} replicas are wanted already"));
        }
        let edit = Edit { pointer: REPLICAS.to_owned(), value: Some(json!(replicas)) };
        let change =
            Change { path: REPLICAS.to_owned(), before: json!(before), after: json!(replicas) };
        let reason = format!("asked for by hand: replicas {before} -> {replicas}");
        let operation = Operation::Update { edits: vec![edit] };
        self.step(kind, operation, risk, reason, vec![change])
    }

    fn rollback(&self, number: u32, revision: Option<&Value>) -> Requested {
        let Some(revision) = revision else {
            return refused(
                "NOT_FOUND",
                format!("{} has no revision {number}", self.name),
                &format!("skep service history {}", self.name),
            );
        };
        let mut secrets = self.input.desired.secrets.clone();
        let target = hidden(revision, number, self.input, &mut secrets);
        let names = NetworkNames::of(self.input.observed);
        let api = self.input.observed.api_version;
        let declared = self.input.desired.services.get(self.name);
        let ignored = declared.map(|service| service.ignore.as_slice()).unwrap_or_default();
        let Difference { changes, edits } = diff::compare(
            &normalise_for(&self.live.spec.value(), &names, api),
            &normalise_for(&target, &names, api),
            &secrets,
            self.input.masking,
            Ignored { pointers: ignored },
        );
        if changes.is_empty() {
            return Requested::Nothing(format!("it runs as in revision {number} already"));
        }
        let (from, to) = (self.live.spec.mode().word(), Spec::from(target).mode().word());
        if from != to {
            return refused(
                "IMMUTABLE_FIELD",
                format!("revision {number} was a {to} service and this one is {from}"),
                "declare the mode that you want; the plan then replaces the service",
            );
        }
        let reason = format!("asked for by hand: back to revision {number}");
        let operation = Operation::Update { edits };
        let kind = ActionKind::RollbackService;
        match self.step(kind, operation, Risk::High, reason, changes) {
            Requested::Step { mut step, .. } => {
                step.difference = drift_after(self.input, &step, &secrets);
                Requested::Step { step, secrets: Some(secrets) }
            }
            other => other,
        }
    }

    fn refresh_credentials(&self) -> Requested {
        if self.live.spec.mode().is_job() {
            return refused(
                "IS_A_JOB",
                format!("{} is a job: any write would run it again", self.name),
                "the next change of its declaration hands over the credentials of then",
            );
        }
        let reason = "asked for by hand: the engine is given the registry credentials of now";
        let operation = Operation::RefreshCredentials;
        let kind = ActionKind::DeployService;
        self.step(kind, operation, Risk::Low, reason.to_owned(), Vec::new())
    }

    fn step(
        &self,
        action: ActionKind,
        operation: Operation,
        risk: Risk,
        reason: String,
        changes: Vec<Change>,
    ) -> Requested {
        let declared = self.input.desired.services.get(self.name);
        let mut step = Step {
            id: StepId::new(""),
            action,
            target: self.name.clone(),
            object: Some(self.live.id.clone()),
            class: DriftClass::Requested,
            reason,
            wave: 1,
            risk,
            changes,
            operation,
            blocked: None,
            notes: Vec::new(),
            confirm: None,
            source: Source::Manual,
            domain: declared.map_or("default", |service| service.domain.as_str()).to_owned(),
            provenance: declared.map(|service| service.provenance.clone()),
            observed_at: Some(self.live.updated_at),
            request: Some(self.verb.clone()),
            difference: None,
            digest: Digest::of_bytes(b""),
            group: GroupKey::default(),
            stack: None,
        };
        let content = self.content(&step);
        step.identify(self.input.digester, &content);
        step.difference = drift_after(self.input, &step, &SecretValues::default());
        Requested::Step { step: Box::new(step), secrets: None }
    }

    /// What an approval holds for: the request, what it changes from what, and the restart counter,
    /// so that a restart that somebody else has made meanwhile is not made twice.
    fn content(&self, step: &Step) -> Value {
        let before: BTreeMap<_, _> = step.changes.iter().map(|c| (&c.path, &c.before)).collect();
        json!({
            "planner": PLANNER_VERSION,
            "key": ObjectKey::service(&self.input.observed.cluster, &step.target),
            "object": step.object,
            "action": step.action,
            "operation": step.operation,
            "request": step.request,
            "before": before,
            "restart_of": self.live.spec.restarts(),
        })
    }
}

fn refused(code: &str, message: String, hint: &str) -> Requested {
    Requested::Refused(Blocked { code: code.to_owned(), message, hint: hint.to_owned() })
}

/// The number of replicas of a replicated service; the engine runs one where none is given.
fn replicas_of(live: &ObservedService) -> Option<u64> {
    match live.spec.mode() {
        ServiceMode::Replicated { replicas } => Some(replicas.unwrap_or(1)),
        ServiceMode::Global | ServiceMode::ReplicatedJob | ServiceMode::GlobalJob => None,
    }
}

/// The spec of a revision with a placeholder for every value of the environment: steps are shown
/// and sent, and what once came from a reference must not be in one.
fn hidden(
    revision: &Value,
    number: u32,
    input: &PlanInput<'_>,
    secrets: &mut SecretValues,
) -> Value {
    let mut spec = revision.clone();
    let at = ListSection::Env.pointer();
    let lines = spec.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default();
    let lines: Vec<Value> = lines
        .into_iter()
        .map(|line| match line.as_str().and_then(|line| line.split_once('=')) {
            Some((key, value)) => {
                let reference = format!("revision:{number}/{key}");
                let placeholder =
                    SecretValues::placeholder(&reference, &input.masking.fingerprint(value));
                secrets.insert(placeholder.clone(), value.to_owned());
                Value::String(format!("{key}={placeholder}"))
            }
            None => line,
        })
        .collect();
    if !lines.is_empty() {
        pointer::set(&mut spec, at, Value::Array(lines));
    }
    spec
}

#[cfg(test)]
mod tests;

//! Small policies and steps for the tests of the gate and of approvals.

use jiff::Timestamp;
use serde_json::{Value, json};
use skep_crds::policy::{PolicyFile, PolicyRule, load_strict};

use super::{LedgerView, Override, Policy, Request, Settings, Verdict, decide};
use crate::action::{ActionKind, ActuatorMode, Source};
use crate::canonical::Digest;
use crate::digester;
use crate::identity::{GroupKey, OverrideId, ServiceName, StepId, SwarmId};
use crate::plan::{DriftClass, Edit, Operation, Risk, Step};

/// Noon, UTC.
pub(crate) fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The rules of a policy file; its defaults may be among them.
pub(crate) fn file(text: &str) -> PolicyFile {
    match load_strict("policy.yml", text.as_bytes()) {
        Ok(file) => file,
        Err(problems) => panic!("{problems:?}"),
    }
}

pub(crate) fn policy(text: &str) -> Policy {
    compiled(&file(text))
}

/// A rule as a person stored it.
pub(crate) fn stored(rule: PolicyRule) -> Override {
    Override {
        id: OverrideId::new("0123abcd4567"),
        rule,
        reason: "release week".to_owned(),
        actor: "alice".to_owned(),
        created_at: noon(),
        expires_at: None,
        lifted: None,
    }
}

pub(crate) fn compiled(file: &PolicyFile) -> Policy {
    Policy::compile(file, Ok(&[]), Settings::default())
}

/// A step as the planner would make one, with a digest over what it does.
pub(crate) fn step(action: ActionKind, target: &str, operation: Operation) -> Step {
    let source = match action {
        ActionKind::RestartService | ActionKind::ScaleService | ActionKind::StopService => {
            Source::Reconciler
        }
        ActionKind::RedeployStack => Source::DeployWatch,
        kind if kind.is_about_a_service() => Source::Registry,
        _ => Source::Gitops,
    };
    let object = match &operation {
        Operation::Create { .. } | Operation::CreateObject { .. } => None,
        Operation::Update { .. }
        | Operation::Replace { .. }
        | Operation::Restart
        | Operation::RefreshCredentials
        | Operation::Adopt
        | Operation::Release
        | Operation::UpdateLabels { .. }
        | Operation::ReturnStack { .. }
        | Operation::Remove => Some(SwarmId::new("object1")),
    };
    let content = json!([action, target, object, operation]);
    let mut step = Step {
        id: StepId::new(""),
        action,
        target: ServiceName::new(target),
        object,
        class: DriftClass::Spec,
        reason: "for a test".to_owned(),
        wave: 1,
        risk: Risk::Medium,
        changes: Vec::new(),
        operation,
        blocked: None,
        notes: Vec::new(),
        confirm: None,
        source,
        domain: "default".to_owned(),
        provenance: None,
        observed_at: None,
        request: None,
        difference: None,
        digest: Digest::of_bytes(b""),
        group: GroupKey::default(),
        stack: None,
    };
    step.identify(&digester::for_tests(), &content);
    step
}

pub(crate) fn create(target: &str, spec: Value) -> Step {
    step(ActionKind::DeployService, target, Operation::Create { spec })
}

pub(crate) fn update(target: &str, edits: &[(&str, Option<Value>)]) -> Step {
    let edits = edits
        .iter()
        .map(|(pointer, value)| Edit { pointer: (*pointer).to_owned(), value: value.clone() })
        .collect();
    step(ActionKind::DeployService, target, Operation::Update { edits })
}

pub(crate) fn restart(target: &str) -> Step {
    step(ActionKind::RestartService, target, Operation::Restart)
}

/// The verdict about a step with an empty ledger.
pub(crate) fn verdict(policy: &Policy, step: &Step, mode: ActuatorMode, now: Timestamp) -> Verdict {
    decide(policy, &Request::for_step(step, mode, now), Ok(&LedgerView::default()))
}

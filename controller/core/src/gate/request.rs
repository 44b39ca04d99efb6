//! What the gate is asked: one kind of action on one target, by whom, and when.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::sensitive::{self, SensitiveField};
use crate::action::{ActionKind, ActuatorMode};
use crate::canonical::Digest;
use crate::identity::ActionId;
use crate::plan::{Operation, Step};

/// One question to the gate.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The word of the action's kind; the gate also knows kinds that change nothing.
    pub kind: &'a str,
    /// What it is about.
    pub target: &'a str,
    /// The domain of the target; `None` when it is not known, and then a rule that closes the
    /// target's domain may be meant.
    pub domain: Option<&'a str>,
    /// The word of the source; an unknown one is denied.
    pub source: &'a str,
    /// How it would be carried out; the verdict holds for this mode only.
    pub mode: ActuatorMode,
    /// The action's parameters.
    pub parameters: Parameters,
    /// Sensitive fields that it touches.
    pub sensitive: Vec<SensitiveField>,
    /// Why a person has to look whatever the rules allow.
    pub confirm: Option<&'a str>,
    /// Whether the target may be unavailable while it is carried out.
    pub disrupts: bool,
    /// The action that is decided again; its own row in the ledger does not count against it.
    pub action: Option<&'a ActionId>,
    /// The current time.
    pub now: Timestamp,
    /// The step that the verdict is about; a verdict about none redeems nothing.
    pub(super) step: Option<&'a Digest>,
}

/// Parameters by name.
#[derive(Clone, Default)]
pub struct Parameters {
    pub(super) values: BTreeMap<String, Value>,
    /// Whether a missing parameter is an error; a question about the rules leaves them out.
    pub(super) complete: bool,
}

// Values may be secret.
impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Parameters {
    /// All parameters of an action: what its kind needs must be there.
    #[must_use]
    pub fn complete(values: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self { values: values.into_iter().collect(), complete: true }
    }

    /// Some parameters: those that are not given are not checked.
    #[must_use]
    pub fn partial(values: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self { values: values.into_iter().collect(), complete: false }
    }
}

/// Kinds with one of these in their name cannot simply be undone. A deployment and a rollback
/// replace what ran; a restart, a scale and a stop do not.
const IRREVERSIBLE: &[&str] = &[
    "delete",
    "remove",
    "destroy",
    "drop",
    "purge",
    "wipe",
    "prune",
    "merge_promotion",
    "deploy",
    "rollback",
    "rotate",
    "decommission",
    "format",
];

impl<'a> Request<'a> {
    /// The question about a step of a plan.
    #[must_use]
    pub fn for_step(step: &'a Step, mode: ActuatorMode, now: Timestamp) -> Self {
        Self {
            kind: step.action.as_str(),
            target: step.target.as_str(),
            domain: Some(&step.domain),
            source: step.source.as_str(),
            mode,
            parameters: Parameters::complete(parameters(step)),
            sensitive: sensitive::find(step),
            confirm: step.confirm.as_deref(),
            disrupts: disrupts(step),
            action: None,
            now,
            step: Some(&step.digest),
        }
    }

    /// The same question again, at the execution of an action that was allowed before.
    #[must_use]
    pub fn again_for(mut self, action: &'a ActionId) -> Self {
        self.action = Some(action);
        self
    }

    /// A question about no step. Its verdict informs; it lets nothing run.
    #[must_use]
    pub fn without_step(
        kind: &'a str,
        target: &'a str,
        source: &'a str,
        mode: ActuatorMode,
        parameters: Parameters,
        now: Timestamp,
    ) -> Self {
        Self {
            kind,
            target: if target.is_empty() { "*" } else { target },
            domain: None,
            source,
            mode,
            parameters,
            sensitive: Vec::new(),
            confirm: None,
            disrupts: DISRUPTIVE.contains(&kind),
            action: None,
            now,
            step: None,
        }
    }

    pub(super) fn is_irreversible(&self) -> bool {
        let kind = self.kind.to_lowercase();
        IRREVERSIBLE.iter().any(|word| kind.contains(word))
    }
}

/// Kinds whose targets are usually unavailable for a moment.
const DISRUPTIVE: &[&str] = &[
    "deploy_service",
    "restart_service",
    "stop_service",
    "rollback_service",
    "remove_service",
    "redeploy_stack",
];

/// Whether tasks that run now may stop. Creating stops nothing, and neither does what is only on
/// record.
fn disrupts(step: &Step) -> bool {
    match step.operation {
        Operation::Create { .. }
        | Operation::RefreshCredentials
        | Operation::Adopt
        | Operation::Release
        | Operation::CreateObject { .. }
        | Operation::UpdateLabels { .. }
        // Its members count, one by one, when they start.
        | Operation::ReturnStack { .. } => false,
        Operation::Remove => step.action == ActionKind::RemoveService,
        Operation::Update { .. } | Operation::Replace { .. } | Operation::Restart => {
            DISRUPTIVE.contains(&step.action.as_str())
        }
    }
}

/// The parameters that a step's operation holds, by their names in the action format.
fn parameters(step: &Step) -> Vec<(String, Value)> {
    const NAMES: &[(&str, &str)] = &[
        ("replicas", "/Mode/Replicated/Replicas"),
        ("image", "/TaskTemplate/ContainerSpec/Image"),
    ];
    let at = |pointer: &str| match &step.operation {
        Operation::Create { spec } => spec.pointer(pointer).cloned(),
        Operation::Update { edits } | Operation::Replace { edits } => {
            edits.iter().find(|edit| edit.pointer == pointer).and_then(|edit| edit.value.clone())
        }
        Operation::Restart
        | Operation::RefreshCredentials
        | Operation::Adopt
        | Operation::Release
        | Operation::CreateObject { .. }
        | Operation::UpdateLabels { .. }
        | Operation::ReturnStack { .. }
        | Operation::Remove => None,
    };
    NAMES.iter().filter_map(|(name, pointer)| Some(((*name).to_owned(), at(pointer)?))).collect()
}

//! What a kill changes, and what was there before, exactly, so that it can be put back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::ContainmentVerb;
use crate::identity::{ActionId, ObjectKey, SwarmId};
use crate::plan::{Change, Edit, REPLICAS};
use crate::spec::{ServiceMode, Spec};

const MODE: &str = "/Mode";
const PLACEMENT: &str = "/TaskTemplate/Placement";
const CONSTRAINTS: &str = "/TaskTemplate/Placement/Constraints";

/// No node has this id: ids of nodes are 25 letters and digits.
const IMPOSSIBLE: &str = "node.id==killed-by-skep";

/// The edits that make a spec what it was before the kill. Exactly the fields that the kill
/// changes: whatever else is changed meanwhile stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FormerState(Vec<Edit>);

/// The former state of one service, as it is kept from before the first write of a kill until it
/// is back.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedState {
    /// The service.
    pub key: ObjectKey,
    /// The service's id: another one of this name was never killed.
    pub object: SwarmId,
    /// The domain that it was in.
    pub domain: String,
    /// What was there.
    pub former: FormerState,
    /// What was last written: a kill or the way back; `None` while nothing had to be written.
    pub last: Option<(ContainmentVerb, ActionId)>,
}

/// Whether no task of a service with this spec is to run because of a kill. A job never is.
#[must_use]
pub fn is_killed(spec: &Spec) -> bool {
    match spec.mode() {
        ServiceMode::Replicated { replicas } => replicas == Some(0),
        ServiceMode::Global => constraints(&spec.value()).contains(&json!(IMPOSSIBLE)),
        ServiceMode::ReplicatedJob | ServiceMode::GlobalJob => false,
    }
}

fn constraints(spec: &Value) -> Vec<Value> {
    spec.pointer(CONSTRAINTS).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The edits of a kill; `None` for a job, whose tasks cannot be kept from running by them.
pub(crate) fn kill(spec: &Spec) -> Option<Vec<Edit>> {
    let (pointer, value) = match spec.mode() {
        ServiceMode::Replicated { .. } => (REPLICAS, json!(0)),
        ServiceMode::Global => {
            let mut constraints = constraints(&spec.value());
            if !constraints.contains(&json!(IMPOSSIBLE)) {
                constraints.push(json!(IMPOSSIBLE));
            }
            (CONSTRAINTS, Value::Array(constraints))
        }
        ServiceMode::ReplicatedJob | ServiceMode::GlobalJob => return None,
    };
    Some(vec![Edit { pointer: pointer.to_owned(), value: Some(value) }])
}

impl FormerState {
    /// What a kill of a service with this spec would change; `None` for a job.
    #[must_use]
    pub fn of(spec: &Spec) -> Option<Self> {
        let value = spec.value();
        let edit = |pointer: &str, value| Edit { pointer: pointer.to_owned(), value };
        let edit = match spec.mode() {
            ServiceMode::Replicated { replicas: Some(replicas) } => {
                edit(REPLICAS, Some(json!(replicas)))
            }
            // Without a number the engine runs one; that is written in no other way.
            ServiceMode::Replicated { replicas: None } => edit(MODE, value.get("Mode").cloned()),
            ServiceMode::Global => match value.pointer(PLACEMENT).filter(|is| is.is_object()) {
                None => edit(PLACEMENT, value.pointer(PLACEMENT).cloned()),
                Some(placement) => edit(CONSTRAINTS, former_constraints(placement)),
            },
            ServiceMode::ReplicatedJob | ServiceMode::GlobalJob => return None,
        };
        Some(Self(vec![edit]))
    }

    /// The edits.
    #[must_use]
    pub fn edits(&self) -> &[Edit] {
        &self.0
    }

    /// Whether a spec is like this, as far as it says anything.
    #[must_use]
    pub fn holds(&self, spec: &Spec) -> bool {
        let mut after = spec.value();
        apply(&mut after, &self.0);
        after == spec.value()
    }
}

/// The constraints without ours: when the record was lost, what was there before is what is left.
fn former_constraints(placement: &Value) -> Option<Value> {
    let constraints = placement.get("Constraints")?;
    let Some(list) = constraints.as_array() else { return Some(constraints.clone()) };
    let ours = json!(IMPOSSIBLE);
    if !list.contains(&ours) {
        return Some(constraints.clone());
    }
    let others: Vec<Value> = list.iter().filter(|one| **one != ours).cloned().collect();
    (!others.is_empty()).then_some(Value::Array(others))
}

/// Applies the edits exactly: a removed field takes no empty parent along, because a parent may
/// mean something by being there.
pub(crate) fn apply(spec: &mut Value, edits: &[Edit]) {
    for edit in edits {
        let (parent, field) = edit.pointer.rsplit_once('/').unwrap_or_default();
        let Some(value) = &edit.value else {
            if let Some(Value::Object(fields)) = spec.pointer_mut(parent) {
                remove(fields, field);
            }
            continue;
        };
        crate::plan::pointer::set(spec, &edit.pointer, value.clone());
    }
}

fn remove(fields: &mut Map<String, Value>, field: &str) {
    // There was no placement; what somebody else has put into it meanwhile stays.
    if field == "Placement"
        && let Some(Value::Object(placement)) = fields.get_mut(field)
    {
        placement.remove("Constraints");
        if !placement.is_empty() {
            return;
        }
    }
    fields.remove(field);
}

/// What the edits change, for people.
pub(crate) fn changes(spec: &Value, edits: &[Edit]) -> Vec<Change> {
    let mut after = spec.clone();
    apply(&mut after, edits);
    let at = |spec: &Value, pointer: &str| spec.pointer(pointer).cloned().unwrap_or_default();
    edits
        .iter()
        .map(|edit| Change {
            path: edit.pointer.clone(),
            before: at(spec, &edit.pointer),
            after: at(&after, &edit.pointer),
        })
        .collect()
}

//! Requests about networks, configs and secrets, and removals of whatever kind.

use serde_json::{Map, Value, json};

use super::{BindError, BoundRequest, Late, ours};
use crate::canonical::canonical_json;
use crate::identity::ObjectKind;
use crate::labels;
use crate::plan::{Operation, Step};

pub(super) fn bind(step: &Step, late: Late<'_>) -> Result<BoundRequest, BindError> {
    let live = match step.target.kind() {
        ObjectKind::Service => late.live.map(|live| (&live.id, live.version)),
        _ => late.object.map(|live| (&live.id, live.version)),
    };
    let update = match (&step.object, live) {
        (None, None) => None,
        (Some(id), Some((live, version))) if id == live => Some((id.clone(), version)),
        _ => return Err(BindError::ObjectMoved),
    };
    let body = match (&step.operation, late.object) {
        (Operation::CreateObject { request, data }, None) => {
            let mut request = request.clone();
            let labels = request.get("Labels").and_then(Value::as_object).cloned();
            put_labels(&mut request, labels.unwrap_or_default(), step, late);
            if let Some(placeholder) = data {
                let missing = || BindError::ReferenceUnresolved(step.target.to_string());
                let data = late.secrets.resolve(placeholder).ok_or_else(missing)?;
                if let Some(request) = request.as_object_mut() {
                    request.insert("Data".to_owned(), json!(data));
                }
            }
            canonical_json(&request)
        }
        (Operation::UpdateLabels { labels: declared }, Some(live)) => {
            let mut spec = live.spec.clone();
            let mut all = declared.as_object().cloned().unwrap_or_default();
            // Still true: the content stays.
            if let Some(content) = live.label(labels::CONTENT) {
                all.insert(labels::CONTENT.to_owned(), json!(content));
            }
            put_labels(&mut spec, all, step, late);
            canonical_json(&spec)
        }
        (Operation::Remove, _) if update.is_some() => Vec::new(),
        (Operation::Adopt | Operation::Release, _) => return Err(BindError::NothingToSend),
        _ => return Err(BindError::ObjectMoved),
    };
    Ok(BoundRequest { update, body })
}

fn put_labels(request: &mut Value, mut labels: Map<String, Value>, step: &Step, late: Late<'_>) {
    ours(&mut labels, step, late);
    if let Some(request) = request.as_object_mut() {
        request.insert("Labels".to_owned(), Value::Object(labels));
    }
}

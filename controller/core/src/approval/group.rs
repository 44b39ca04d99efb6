//! Groups: requests whose change is the same apart from the service that it is made to, so that a
//! person looks once and decides for all of them.

use serde_json::{Map, Value, json};

use crate::digester::{Digester, Purpose};
use crate::identity::GroupKey;
use crate::image::ImageReference;
use crate::plan::{Change, IMAGE, Operation, Step};

/// Stands for the service's own name. No spec holds this character; where one does, it is doubled.
const MARK: &str = "\u{0}";

/// The key of the group that a step belongs to: equal for two steps exactly when they do the same,
/// for the same kind of reason, and their masked changes are equal once each service's own name,
/// and the repository of an image that stays in it, are left out.
///
/// Only what a person sees goes into it: a masked value counts by its keyed fingerprint. It goes
/// further than what a person sees, into messages that show no values, so it is keyed itself.
#[must_use]
pub(crate) fn group_key(digester: &Digester, step: &Step) -> GroupKey {
    let name = step.target.as_str();
    let changes: Vec<Value> = step.changes.iter().map(|change| nameless(change, name)).collect();
    let content = json!({
        "action": step.action,
        "class": step.class,
        "source": step.source,
        "operation": word(&step.operation),
        "request": step.request,
        // Who confirms one has not seen the reason of another.
        "confirm": step.confirm,
        "changes": changes,
    });
    GroupKey::new(digester.digest(Purpose::Group, &content).short(16))
}

fn word(operation: &Operation) -> &'static str {
    match operation {
        Operation::Create { .. } => "create",
        Operation::Update { .. } => "update",
        Operation::Replace { .. } => "replace",
        Operation::Restart => "restart",
        Operation::RefreshCredentials => "refresh_credentials",
        Operation::Adopt => "adopt",
        Operation::Release => "release",
        Operation::CreateObject { .. } => "create_object",
        Operation::UpdateLabels { .. } => "update_labels",
        Operation::ReturnStack { .. } => "return_stack",
        Operation::Remove => "remove",
    }
}

/// A change without the name of the service that it is made to.
fn nameless(change: &Change, name: &str) -> Value {
    let path = without(&change.path, name);
    if change.path == IMAGE
        && let (Some(before), Some(after)) = (change.before.as_str(), change.after.as_str())
    {
        let (before, after) = (ImageReference::parse(before), ImageReference::parse(after));
        // "1.2 to 1.3": each service's image is its own, and so are its digests.
        if before.repository == after.repository {
            return json!({"path": path, "from": tag(&before), "to": tag(&after)});
        }
    }
    json!({
        "path": path,
        "before": without_in(&change.before, name),
        "after": without_in(&change.after, name),
    })
}

fn tag(image: &ImageReference) -> Value {
    json!({"tag": image.tag, "pinned": image.digest.is_some()})
}

fn without_in(value: &Value, name: &str) -> Value {
    match value {
        Value::String(text) => Value::String(without(text, name)),
        Value::Array(items) => items.iter().map(|item| without_in(item, name)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (without(key, name), without_in(value, name)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The text with the name replaced where it stands as a word of its own: a service named `a` does
/// not own every letter a.
fn without(text: &str, name: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before: Option<char> = None;
    while let Some(next) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(name).filter(|_| !name.is_empty())
            && !before.is_some_and(char::is_alphanumeric)
            && !after.chars().next().is_some_and(char::is_alphanumeric)
        {
            out.push_str(MARK);
            out.push('n');
            rest = after;
            before = Some('-');
            continue;
        }
        out.push(next);
        if MARK.starts_with(next) {
            out.push(next);
        }
        before = Some(next);
        rest = rest.get(next.len_utf8()..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests;

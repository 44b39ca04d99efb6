//! Under which name a config or secret stands on the swarm. Its content cannot be changed, so
//! another content is another object. The first one has docker's name; each later one has a keyed
//! hash of its content behind it.

use serde_json::{Value, json};

use super::compare;
use crate::canonical::canonical_json;
use crate::desired::DesiredObject;
use crate::identity::{ObjectKind, ServiceName};
use crate::labels;
use crate::observed::ObservedObject;
use crate::plan::{Masking, PlanInput};

/// The longest name of a config or secret that the engine takes.
const LONGEST: usize = 64;
/// Hexadecimal digits of the hash.
const HASH: usize = 12;

/// How the content of what is there compares with what is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Equal,
    Different,
    /// A secret that we did not write: nobody can read it.
    Unverifiable,
}

/// A keyed digest over everything about a config or secret that cannot be changed; `None` while
/// its data is not known.
pub(super) fn content(input: &PlanInput<'_>, object: &DesiredObject) -> Option<String> {
    let data = match &object.data {
        Some(placeholder) => Some(input.desired.secrets.resolve(placeholder)?),
        None => None,
    };
    Some(digest(input.masking, &object.request, data))
}

fn digest(masking: &Masking, spec: &Value, data: Option<&str>) -> String {
    let said = |key: &str| spec.get(key).filter(|value| !value.is_null());
    let content = json!({
        "templating": said("Templating"),
        "driver": said("Driver"),
        "data": data,
    });
    let mut digest = masking.digest(&canonical_json(&content));
    digest.truncate(16);
    digest
}

/// What is there beside what is declared.
pub(super) fn compared(
    input: &PlanInput<'_>,
    object: &DesiredObject,
    wanted: &str,
    live: &ObservedObject,
) -> Content {
    if live.kind == ObjectKind::Config {
        let data = live.spec.get("Data").and_then(Value::as_str).unwrap_or_default();
        let is_equal = digest(input.masking, &live.spec, Some(data)) == wanted;
        return if is_equal { Content::Equal } else { Content::Different };
    }
    if let Some(written) = live.label(labels::CONTENT) {
        return if written == wanted { Content::Equal } else { Content::Different };
    }
    if version_of(&object.name, &live.name) == Some(wanted.get(..HASH).unwrap_or(wanted)) {
        return Content::Equal;
    }
    let differs = ["Templating", "Driver"]
        .iter()
        .any(|key| compare::differs(&live.spec, &object.request, key));
    match (differs, &object.data) {
        (true, _) => Content::Different,
        // A driver provides it; there is no data of ours.
        (false, None) => Content::Equal,
        (false, Some(_)) => Content::Unverifiable,
    }
}

/// The name under which the declared content is, or will be, on the swarm.
pub(super) fn current_name(input: &PlanInput<'_>, object: &DesiredObject) -> String {
    let plain = || object.name.clone();
    if object.kind == ObjectKind::Network {
        return plain();
    }
    let Some(wanted) = content(input, object) else { return plain() };
    let versioned = versioned(&object.name, &wanted);
    let is_there = || input.object(object.kind, &versioned).is_some();
    match input.object(object.kind, &object.name) {
        None if is_there() || has_versions(input, object) => versioned,
        None => plain(),
        Some(live) if !is_ours(input, live) => plain(),
        Some(live) => match compared(input, object, &wanted, live) {
            Content::Equal => plain(),
            Content::Different => versioned,
            // Where there are later ones, the plain one is known to be an old one.
            Content::Unverifiable if is_there() || has_versions(input, object) => versioned,
            Content::Unverifiable => plain(),
        },
    }
}

/// What a step about the declared content is about.
pub(in crate::plan) fn current_target(
    input: &PlanInput<'_>,
    object: &DesiredObject,
) -> ServiceName {
    ServiceName::object(object.kind, &current_name(input, object))
}

/// On record under this very id.
pub(super) fn is_ours(input: &PlanInput<'_>, live: &ObservedObject) -> bool {
    input.owned_objects.get(&live.target()) == Some(&live.id)
}

/// Versions of the object that are on record, there, and not the one with the declared content.
/// None while that one is not there itself.
pub(in crate::plan) fn owned_versions<'a>(
    input: &PlanInput<'a>,
    object: &DesiredObject,
) -> Vec<&'a ObservedObject> {
    let current = current_name(input, object);
    let is_current_there =
        input.object(object.kind, &current).is_some_and(|live| is_ours(input, live));
    if object.kind == ObjectKind::Network || !is_current_there {
        return Vec::new();
    }
    let names = input.owned_objects.keys().filter(|target| target.kind() == object.kind);
    let names = names.map(ServiceName::bare).filter(|name| {
        *name != current && (*name == object.name || version_of(&object.name, name).is_some())
    });
    names
        .filter_map(|name| input.object(object.kind, name))
        .filter(|live| is_ours(input, live))
        .collect()
}

fn has_versions(input: &PlanInput<'_>, object: &DesiredObject) -> bool {
    let of_kind = input.owned_objects.keys().filter(|target| target.kind() == object.kind);
    of_kind.map(ServiceName::bare).any(|name| version_of(&object.name, name).is_some())
}

/// The name of the object with this content. The base is cut, never the hash.
pub(super) fn versioned(base: &str, content: &str) -> String {
    let hash = content.get(..HASH).unwrap_or(content);
    let room = LONGEST - HASH - 1;
    let base: String = base.chars().take(room).collect();
    format!("{base}_{hash}")
}

/// The hash in a name, if it is a later version of the object with the plain name `base`.
pub(in crate::plan) fn version_of<'a>(base: &str, name: &'a str) -> Option<&'a str> {
    let hash = name.get(name.len().checked_sub(HASH)?..)?;
    let is_hash = hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (is_hash && versioned(base, hash) == name).then_some(hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_version_is_recognised_and_fits(base in "[a-z][a-z0-9_.-]{0,70}", hash in "[0-9a-f]{16}") {
            let name = versioned(&base, &hash);
            prop_assert!(name.len() <= LONGEST, "{name}");
            prop_assert!(name.ends_with(&hash[..HASH]));
            prop_assert_eq!(version_of(&base, &name), Some(&hash[..HASH]));
            prop_assert_eq!(version_of(&base, &base[..base.len().min(51)]), None);
        }
    }

    #[test]
    fn another_objects_name_is_no_version() {
        assert_eq!(version_of("web_app", "web_app_two_0123456789ab"), None);
        assert_eq!(version_of("web_app", "web_app"), None);
        assert_eq!(version_of("web_app", "web_app_0123456789AB"), None);
    }
}

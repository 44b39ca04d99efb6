//! Fields that the engine's API version does not have. The engine drops them from what it is
//! sent and never shows them, so they are left out of the comparison and never written, and the
//! plan says so: otherwise the same write would be planned for ever.
//!
//! The versions are those of moby's `adjustForAPIVersion` and of the fields' introduction.

use serde_json::Value;

use super::{Blocked, Waiting};
use crate::identity::ServiceName;
use crate::observed::ApiVersion;
use crate::spec::Spec;

/// The code of the note about a field that is left out.
pub(super) const FIELD_UNSUPPORTED: &str = "FIELD_UNSUPPORTED";

/// A field that not every engine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masked {
    /// The canonical pointer; `*` stands for every entry of a list.
    pub pointer: &'static str,
    /// The API version that has it; `None` when no version keeps it in a service.
    pub since: Option<ApiVersion>,
}

const fn since(minor: u32, pointer: &'static str) -> Masked {
    Masked { pointer, since: Some(ApiVersion { major: 1, minor }) }
}

const fn never(pointer: &'static str) -> Masked {
    Masked { pointer, since: None }
}

/// Every such field, the newest first.
pub const MASKED: &[Masked] = &[
    never("/TaskTemplate/ContainerSpec/Mounts/*/Consistency"),
    never("/TaskTemplate/ContainerSpec/Mounts/*/ImageOptions"),
    never("/TaskTemplate/ContainerSpec/Mounts/*/ClusterOptions"),
    never("/TaskTemplate/ContainerSpec/Mounts/*/BindOptions/CreateMountpoint"),
    never("/TaskTemplate/ContainerSpec/Mounts/*/BindOptions/ReadOnlyNonRecursive"),
    never("/TaskTemplate/ContainerSpec/Mounts/*/BindOptions/ReadOnlyForceRecursive"),
    since(52, "/TaskTemplate/Resources/SwapBytes"),
    since(52, "/TaskTemplate/Resources/MemorySwappiness"),
    since(46, "/TaskTemplate/ContainerSpec/OomScoreAdj"),
    since(46, "/TaskTemplate/ContainerSpec/Mounts/*/TmpfsOptions/Options"),
    since(45, "/TaskTemplate/ContainerSpec/Mounts/*/VolumeOptions/Subpath"),
    since(44, "/TaskTemplate/ContainerSpec/Privileges/Seccomp"),
    since(44, "/TaskTemplate/ContainerSpec/Privileges/AppArmor"),
    since(44, "/TaskTemplate/ContainerSpec/Privileges/NoNewPrivileges"),
    since(44, "/TaskTemplate/ContainerSpec/Healthcheck/StartInterval"),
    since(41, "/TaskTemplate/ContainerSpec/CapabilityAdd"),
    since(41, "/TaskTemplate/ContainerSpec/CapabilityDrop"),
    since(41, "/TaskTemplate/ContainerSpec/Ulimits"),
    since(41, "/TaskTemplate/Resources/Limits/Pids"),
    since(41, "/Mode/ReplicatedJob"),
    since(41, "/Mode/GlobalJob"),
    since(40, "/TaskTemplate/ContainerSpec/Sysctls"),
    since(40, "/TaskTemplate/ContainerSpec/Privileges/CredentialSpec/Config"),
    since(40, "/TaskTemplate/ContainerSpec/Configs/*/Runtime"),
    since(40, "/TaskTemplate/Placement/MaxReplicas"),
];

impl Masked {
    fn is_missing_from(&self, api: ApiVersion) -> bool {
        self.since.is_none_or(|since| api < since)
    }

    /// A mode cannot be left out: the service would be of another kind.
    fn is_mode(&self) -> bool {
        self.pointer.starts_with("/Mode/")
    }
}

/// Takes out what an engine of this API version does not have; works on the engine's form of a
/// spec and on the canonical one.
pub(super) fn strip(spec: &mut Value, api: ApiVersion) {
    for field in MASKED.iter().filter(|field| field.is_missing_from(api) && !field.is_mode()) {
        take(spec, field.pointer);
    }
}

/// Which rows of the table a spec says something in: one bit for each.
pub(crate) fn said(spec: &Value) -> u32 {
    let says = |field: &Masked| !field.is_mode() && has(spec, field.pointer);
    MASKED
        .iter()
        .enumerate()
        .filter(|(_, field)| says(field))
        .fold(0, |bits, (row, _)| bits | 1 << row)
}

/// What is said in these rows and an engine of this API version does not have.
fn unsupported(said: u32, api: ApiVersion) -> impl Iterator<Item = &'static Masked> {
    let rows = MASKED.iter().enumerate();
    rows.filter(move |(row, field)| said & 1 << row != 0 && field.is_missing_from(api))
        .map(|(_, field)| field)
}

/// The note about the fields of a service that are left out, when there are any.
pub(super) fn note(name: &ServiceName, spec: &Spec, api: ApiVersion) -> Option<Waiting> {
    let said: Vec<String> = unsupported(spec.masked(), api)
        .map(|field| match field.since {
            Some(since) => format!("{} (API {since})", field.pointer),
            None => format!("{} (no API version keeps it)", field.pointer),
        })
        .collect();
    (!said.is_empty()).then(|| {
        Waiting::on(
            name,
            FIELD_UNSUPPORTED,
            format!(
                "declared, and left out because the engine (API {api}) does not have it: {}",
                said.join(", ")
            ),
        )
    })
}

/// Why a service of this mode cannot be on such an engine.
pub(super) fn unsupported_mode(spec: &Value, api: ApiVersion) -> Option<Blocked> {
    let mode = MASKED
        .iter()
        .find(|field| field.is_mode() && field.is_missing_from(api) && has(spec, field.pointer))?;
    let since = mode.since?;
    Some(Blocked {
        code: FIELD_UNSUPPORTED.to_owned(),
        message: format!("the engine (API {api}) does not have {}", mode.pointer),
        hint: format!("update the engine to one with API {since} or newer, or change the mode"),
    })
}

/// The tokens of the table need no unescaping.
fn first_token(pointer: &str) -> Option<(&str, &str)> {
    let tokens = pointer.strip_prefix('/')?;
    let end = tokens.find('/').unwrap_or(tokens.len());
    tokens.split_at_checked(end)
}

fn take(value: &mut Value, at: &str) {
    let Some((first, rest)) = first_token(at) else { return };
    match value {
        Value::Object(map) if first == "*" => map.values_mut().for_each(|item| take(item, rest)),
        Value::Array(items) if first == "*" => items.iter_mut().for_each(|item| take(item, rest)),
        Value::Object(map) if rest.is_empty() => {
            map.remove(first);
        }
        Value::Object(map) => {
            if let Some(child) = map.get_mut(first) {
                take(child, rest);
            }
        }
        _ => {}
    }
}

/// Whether anything is said there; what is empty, zero or `false` says nothing.
fn has(value: &Value, at: &str) -> bool {
    has_below(value, at, zero_says_something(at))
}

/// No swap and no swapping are not the same as not said.
fn zero_says_something(pointer: &str) -> bool {
    pointer.starts_with("/TaskTemplate/Resources/Swap") || pointer.ends_with("/MemorySwappiness")
}

fn has_below(value: &Value, at: &str, zero: bool) -> bool {
    let Some((first, rest)) = first_token(at) else {
        return match value {
            Value::Null | Value::Bool(false) => false,
            Value::Bool(true) => true,
            Value::Number(number) => zero || number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(_) => true,
        };
    };
    match value {
        Value::Object(map) if first == "*" => map.values().any(|item| has_below(item, rest, zero)),
        Value::Array(items) if first == "*" => items.iter().any(|item| has_below(item, rest, zero)),
        Value::Object(map) => map.get(first).is_some_and(|child| has_below(child, rest, zero)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn api(minor: u32) -> ApiVersion {
        ApiVersion { major: 1, minor }
    }

    fn fields(spec: &Value, api: ApiVersion) -> Vec<Masked> {
        unsupported(said(spec), api).copied().collect()
    }

    #[test]
    fn a_bit_for_each_row_is_enough() {
        assert!(MASKED.len() <= 32);
    }

    /// The versions below which moby's `adjustForAPIVersion` strips a field, as one reads them in
    /// `daemon/server/router/swarm/helpers.go`, by the end of the field's pointer.
    #[test]
    fn the_table_is_that_of_the_engine() {
        let engine = BTreeMap::from([
            (52, vec!["SwapBytes", "MemorySwappiness"]),
            (46, vec!["OomScoreAdj", "TmpfsOptions/Options"]),
            (44, vec!["Seccomp", "AppArmor", "NoNewPrivileges", "StartInterval"]),
            (
                41,
                vec![
                    "CapabilityAdd",
                    "CapabilityDrop",
                    "Ulimits",
                    "Limits/Pids",
                    "ReplicatedJob",
                    "GlobalJob",
                ],
            ),
            (40, vec!["Sysctls", "CredentialSpec/Config", "Runtime", "MaxReplicas"]),
        ]);
        for (minor, fields) in &engine {
            for field in fields {
                let row = MASKED.iter().find(|row| row.pointer.ends_with(field));
                assert_eq!(row.and_then(|row| row.since), Some(api(*minor)), "{field}");
            }
        }
        // Not stripped, but unknown before: the subpath of a volume.
        let known = engine.values().flatten().count() + 1;
        assert_eq!(MASKED.iter().filter(|row| row.since.is_some()).count(), known);
    }

    #[test]
    fn a_field_is_taken_out_below_its_version_and_stays_from_it_on() {
        for row in MASKED.iter().filter(|row| !row.is_mode()) {
            let mut spec = json!(null);
            let engine_form = row.pointer.replace("/*", "");
            super::super::pointer::set(&mut spec, &engine_form, json!("x"));
            if row.pointer.contains("/*") {
                let (list, rest) = row.pointer.split_once("/*").unwrap();
                let mut entry = json!(null);
                super::super::pointer::set(&mut entry, rest, json!("x"));
                super::super::pointer::set(&mut spec, list, json!([entry]));
            }
            let since = row.since.map_or(99, |since| since.minor);
            assert_eq!(fields(&spec, api(since - 1)), [*row], "{}", row.pointer);
            let mut stripped = spec.clone();
            strip(&mut stripped, api(since - 1));
            assert!(fields(&stripped, api(since - 1)).is_empty(), "{}", row.pointer);
            if row.since.is_some() {
                let mut kept = spec.clone();
                strip(&mut kept, api(since));
                assert_eq!(kept, spec, "{}", row.pointer);
            }
        }
    }

    #[test]
    fn a_mode_is_never_taken_out() {
        let job = json!({"Mode": {"GlobalJob": {}}});
        let mut stripped = job.clone();
        strip(&mut stripped, api(40));
        assert_eq!(stripped, job);
        assert_eq!(unsupported_mode(&job, api(40)).unwrap().code, FIELD_UNSUPPORTED);
        assert_eq!(unsupported_mode(&job, api(41)), None);
    }
}

//! Reading a policy file, twice.
//!
//! The *strict* reading is for people: it lists what is wrong. The *lenient* one is for the gate,
//! which must have a policy at any time: what is broken in the file gets its safest meaning, and
//! nothing that is broken ever opens something. Both give the same policy for a file without
//! problems.

use std::sync::{Arc, OnceLock};

use skep_yaml::{Kind, Location, Mapping, Node, Problems, Resolved, Resolver};

use super::document::PolicyDocument;
use super::{
    BlastRadius, HOUR_S, MaintenanceWindow, PolicyDefaults, PolicyFile, PolicyOptions, PolicyRule,
    RateLimit, Tier,
};
use crate::format::{read_document, read_root};

/// The policy that holds when no file is named, or the named one cannot be read.
pub const SHIPPED_DEFAULT: &str = include_str!("../../../policies/default.yml");

/// A policy that can be used whatever the file said, and what is wrong with the file.
#[derive(Clone, Debug, PartialEq)]
pub struct LenientPolicy {
    /// The policy.
    pub policy: PolicyFile,
    /// What is wrong with the file; each such thing was read as its safest meaning.
    pub problems: Problems,
    /// Whether the file as a whole was of no use, so that the shipped default holds instead.
    pub fell_back: bool,
}

/// The policy that is shipped and holds by default.
pub fn shipped_default() -> PolicyFile {
    static SHIPPED: OnceLock<PolicyFile> = OnceLock::new();
    SHIPPED
        .get_or_init(|| {
            load_strict("policies/default.yml", SHIPPED_DEFAULT.as_bytes()).unwrap_or_else(|_| {
                // A test holds the shipped file to the format; without rules all wait for people.
                PolicyFile {
                    defaults: PolicyDefaults::default(),
                    options: PolicyOptions::default(),
                    ramp_eligible: Vec::new(),
                    rules: Vec::new(),
                }
            })
        })
        .clone()
}

/// Reads a policy file as it should be.
///
/// # Errors
/// Every problem of the file.
pub fn load_strict(file: &str, bytes: &[u8]) -> Result<PolicyFile, Problems> {
    read_document::<PolicyDocument>(skep_yaml::parse(file, bytes)).map(Into::into)
}

/// Reads a policy file so that a policy results in any case.
///
/// - A file that is no YAML, no mapping, or has no list of rules: the shipped default.
/// - An unknown or missing tier: `approval_required`.
/// - A window that cannot be read: never open.
/// - A rate or blast block that cannot be read, or allows less than one: nothing by itself.
/// - A rule whose kind or target cannot be read forbids what reaches it: skipping it could let a
///   more open rule answer in its place.
/// - A key given twice: the stricter value.
pub fn load_lenient(file: &str, bytes: &[u8]) -> LenientPolicy {
    let parsed = skep_yaml::parse(file, bytes);
    let broken = parsed.problems.iter().any(|problem| problem.code != "DUPLICATE_KEY");
    let (_, found) = read_root::<PolicyDocument>(&parsed.file, parsed.root.as_deref());
    let read = match &parsed.root {
        Some(root) if !broken => policy(&parsed.file, root),
        _ => None,
    };
    let mut problems = parsed.problems;
    problems.append(found);
    problems.sort();
    let fell_back = read.is_none();
    LenientPolicy { policy: read.unwrap_or_else(shipped_default), problems, fell_back }
}

/// What a mapping says under a key.
#[derive(Clone, Copy)]
enum Given<'a> {
    Absent,
    Once(&'a Node),
    /// More than once: what the file meant is not known.
    Twice,
}

fn given<'a>(mapping: &'a Mapping, key: &str) -> Given<'a> {
    if mapping.duplicates.iter().any(|entry| entry.key == key) {
        return Given::Twice;
    }
    mapping.get(key).map_or(Given::Absent, Given::Once)
}

fn policy(file: &Arc<str>, root: &Node) -> Option<PolicyFile> {
    let Kind::Mapping(map) = &root.kind else { return None };
    let Given::Once(rules) = given(map, "rules") else { return None };
    let Kind::Sequence(rules) = &rules.kind else { return None };
    Some(PolicyFile {
        defaults: defaults(given(map, "defaults")),
        options: options(given(map, "options")),
        ramp_eligible: texts(given(map, "ramp_eligible")).unwrap_or_default(),
        rules: rules.iter().map(|node| rule(file, node)).collect(),
    })
}

fn defaults(given_defaults: Given<'_>) -> PolicyDefaults {
    let known = PolicyDefaults::default();
    let map = match given_defaults {
        Given::Absent => return known,
        Given::Once(Node { kind: Kind::Mapping(map), .. }) => map,
        Given::Once(_) | Given::Twice => {
            return PolicyDefaults {
                tier: Tier::ApprovalRequired,
                rate_limit: NO_RATE,
                blast_radius: NO_BLAST,
            };
        }
    };
    PolicyDefaults {
        tier: tier(map),
        rate_limit: rate_limit(given(map, "rate_limit")).unwrap_or(known.rate_limit),
        blast_radius: blast_radius(given(map, "blast_radius")).unwrap_or(known.blast_radius),
    }
}

fn options(given_options: Given<'_>) -> PolicyOptions {
    let map = match given_options {
        Given::Absent => return PolicyOptions::default(),
        Given::Once(Node { kind: Kind::Mapping(map), .. }) => map,
        // Nothing is known and everything is watched.
        Given::Once(_) | Given::Twice => {
            return PolicyOptions {
                watch_scale_down: true,
                known_tools: Some(Vec::new()),
                known_targets: Some(Vec::new()),
            };
        }
    };
    let list = |key| match given(map, key) {
        Given::Absent => None,
        found @ (Given::Once(_) | Given::Twice) => Some(texts(found).unwrap_or_default()),
    };
    PolicyOptions {
        watch_scale_down: match given(map, "watch_scale_down") {
            Given::Absent => false,
            Given::Once(node) => value(node) != Some(Resolved::Bool(false)),
            Given::Twice => true,
        },
        known_tools: list("known_tools"),
        known_targets: list("known_targets"),
    }
}

fn rule(file: &Arc<str>, node: &Node) -> PolicyRule {
    let start = node.span.start;
    let location = Some(Location { file: file.clone(), line: start.line, column: start.column });
    let closed = PolicyRule {
        name: None,
        kind: "*".to_owned(),
        target: "*".to_owned(),
        tier: Tier::Forbidden,
        rate_limit: None,
        blast_radius: None,
        maintenance_window: None,
        priority: 0,
        fields: Vec::new(),
        location,
    };
    let Kind::Mapping(map) = &node.kind else { return closed };
    let name = match given(map, "name") {
        Given::Once(node) => text(node),
        Given::Absent | Given::Twice => None,
    };
    let (Some(kind), Some(target)) = (glob(given(map, "kind")), glob(given(map, "target"))) else {
        return PolicyRule { name, ..closed };
    };
    PolicyRule {
        name,
        kind,
        target,
        tier: tier(map),
        rate_limit: rate_limit(given(map, "rate_limit")),
        blast_radius: blast_radius(given(map, "blast_radius")),
        maintenance_window: match given(map, "maintenance_window") {
            Given::Absent => None,
            Given::Once(node) => Some(
                text(node)
                    .and_then(|text| MaintenanceWindow::parse(&text))
                    .unwrap_or(MaintenanceWindow::Never),
            ),
            Given::Twice => Some(MaintenanceWindow::Never),
        },
        priority: match given(map, "priority") {
            Given::Once(node) => match value(node) {
                Some(Resolved::Int(number)) => i64::try_from(number).unwrap_or(0),
                _ => 0,
            },
            Given::Absent | Given::Twice => 0,
        },
        fields: texts(given(map, "fields")).unwrap_or_default(),
        ..closed
    }
}

/// The strictest of the tiers that the mapping names.
fn tier(map: &Mapping) -> Tier {
    map.entries
        .iter()
        .chain(&map.duplicates)
        .filter(|entry| entry.key == "tier")
        .map(|entry| {
            text(&entry.value).and_then(|word| Tier::parse(&word)).unwrap_or(Tier::ApprovalRequired)
        })
        .max()
        .unwrap_or(Tier::ApprovalRequired)
}

/// A kind or a target: everything when it is not there, `None` when it cannot be read.
fn glob(given: Given<'_>) -> Option<String> {
    match given {
        Given::Absent => Some("*".to_owned()),
        Given::Once(node) => text(node).filter(|text| !text.trim().is_empty()),
        Given::Twice => None,
    }
}

const NO_RATE: RateLimit = RateLimit { max: 0, window_s: HOUR_S };
const NO_BLAST: BlastRadius = BlastRadius { max_targets: 0, window_s: HOUR_S };

fn rate_limit(given: Given<'_>) -> Option<RateLimit> {
    match limit(given, "max") {
        Limit::Absent => None,
        Limit::Broken => Some(NO_RATE),
        Limit::Read { most, window_s } => Some(RateLimit { max: most, window_s }),
    }
}

fn blast_radius(given: Given<'_>) -> Option<BlastRadius> {
    match limit(given, "max_targets") {
        Limit::Absent => None,
        Limit::Broken => Some(NO_BLAST),
        Limit::Read { most, window_s } => Some(BlastRadius { max_targets: most, window_s }),
    }
}

enum Limit {
    Absent,
    Broken,
    Read { most: u32, window_s: u64 },
}

fn limit(given_limit: Given<'_>, most: &str) -> Limit {
    let map = match given_limit {
        Given::Absent => return Limit::Absent,
        Given::Once(Node { kind: Kind::Mapping(map), .. }) => map,
        Given::Once(_) | Given::Twice => return Limit::Broken,
    };
    let count = match given(map, most) {
        Given::Once(node) => count(node).and_then(|count| u32::try_from(count).ok()),
        Given::Absent | Given::Twice => None,
    };
    let window_s = match given(map, "window_s") {
        Given::Absent => Some(HOUR_S),
        Given::Once(node) => count_up(node),
        Given::Twice => None,
    };
    match (count, window_s) {
        (Some(most), Some(window_s)) => Limit::Read { most, window_s },
        _ => Limit::Broken,
    }
}

/// A whole number above zero.
fn count(node: &Node) -> Option<u64> {
    let Resolved::Int(number) = value(node)? else { return None };
    u64::try_from(number).ok().filter(|number| *number > 0)
}

/// A time in seconds; a fraction makes it longer, which is the stricter side.
fn count_up(node: &Node) -> Option<u64> {
    if let Resolved::Float(number) = value(node)? {
        if !(f64::MIN_POSITIVE..=1e12).contains(&number) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the bounds are checked above"
        )]
        return Some(number.ceil() as u64);
    }
    count(node)
}

/// A list of texts, all of them readable.
fn texts(given: Given<'_>) -> Option<Vec<String>> {
    match given {
        Given::Once(Node { kind: Kind::Sequence(items), .. }) => {
            items.iter().map(|item| text(item)).collect()
        }
        Given::Absent | Given::Once(_) | Given::Twice => None,
    }
}

/// A scalar as it was written; `None` for nothing.
fn text(node: &Node) -> Option<String> {
    match (&node.kind, value(node)?) {
        (_, Resolved::Null) => None,
        (Kind::Scalar(scalar), _) => Some(scalar.raw.clone()),
        (Kind::Mapping(_) | Kind::Sequence(_), _) => None,
    }
}

fn value(node: &Node) -> Option<Resolved> {
    match &node.kind {
        Kind::Scalar(scalar) => Some(Resolver::Strict.resolve(scalar)),
        Kind::Mapping(_) | Kind::Sequence(_) => None,
    }
}

#[cfg(test)]
mod tests;

//! Reading a policy file, twice.
//!
//! The *strict* reading is for people: it lists what is wrong. The *lenient* one is for the gate,
//! which must have a policy at any time: what is broken in the file gets its safest meaning, and
//! nothing that is broken ever opens something. Both give the same policy for a file without
//! problems.

mod limits;

use std::sync::{Arc, OnceLock};

use skep_yaml::{Kind, Location, Mapping, Node, Problems, Resolved, Resolver};

use self::limits::{NO_BLAST, NO_RATE, blast_radius, budgets, rate_limit};
use super::document::PolicyDocument;
use super::{
    Budgets, MaintenanceWindow, Mode, PolicyDefaults, PolicyFile, PolicyOptions, PolicyRule, Tier,
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
                    budgets: Budgets::default(),
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
/// - A rule whose kind, target or domain cannot be read forbids what reaches it: skipping it could let a
///   more open rule answer in its place.
/// - A mode that cannot be read: the rule is enforced, and asks a person where it would have
///   allowed.
/// - A budget that cannot be read: nothing by itself.
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
        budgets: budgets(given(map, "budgets")),
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
        domain: "*".to_owned(),
        mode: Mode::Enforce,
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
    let globs = ["kind", "target", "domain"].map(|key| glob(given(map, key)));
    let [Some(kind), Some(target), Some(domain)] = globs else {
        return PolicyRule { name, ..closed };
    };
    let mode = mode(given(map, "mode"));
    let tier = tier(map);
    PolicyRule {
        name,
        kind,
        target,
        domain,
        mode: mode.unwrap_or(Mode::Enforce),
        // Who misspells the mode of an automatic rule may have meant to switch it off.
        tier: if mode.is_none() { tier.max(Tier::ApprovalRequired) } else { tier },
        rate_limit: rate_limit(given(map, "rate_limit")),
        blast_radius: blast_radius(given(map, "blast_radius")),
        maintenance_window: match given(map, "maintenance_window") {
            Given::Absent => None,
            Given::Once(node) => Some(
                text(node)
                    .and_then(|text| MaintenanceWindow::parse(&text))
                    .unwrap_or(MaintenanceWindow::NEVER),
            ),
            Given::Twice => Some(MaintenanceWindow::NEVER),
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

/// The mode of a rule; `None` when it cannot be read.
fn mode(given: Given<'_>) -> Option<Mode> {
    match given {
        Given::Absent => Some(Mode::Enforce),
        Given::Once(node) => text(node).and_then(|word| Mode::parse(&word)),
        Given::Twice => None,
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

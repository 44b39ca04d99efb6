//! The way back from live services to a stack file that means exactly these services.
//!
//! Networks, secrets and configs are there, so the file names them as external. Values of the
//! environment go into a file of variables beside it. What a stack file cannot say is found by
//! loading the file again and comparing; it is told, not left out in silence.

mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value, json};

use crate::labels;
use crate::observed::{ObservedService, Snapshot};
use crate::plan::NetworkNames;

/// A stack as its file says it.
#[derive(Clone, PartialEq)]
pub struct ImportedStack {
    /// What the stack file holds, in the order of its keys.
    pub file: Value,
    /// `NAME=value` lines for the file of variables, by name.
    pub variables: BTreeMap<String, String>,
    /// What the file could not say.
    pub warnings: Vec<String>,
}

// Values of the environment may be secrets.
impl fmt::Debug for ImportedStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImportedStack({} variables hidden)", self.variables.len())
    }
}

/// The live services of a stack, by the names that a stack file would give them.
#[must_use]
pub fn services_of<'a>(snapshot: &'a Snapshot, stack: &str) -> Vec<(String, &'a ObservedService)> {
    let prefix = format!("{stack}_");
    let of = |service: &&ObservedService| {
        let spec = service.spec.value();
        let label = spec.pointer("/Labels").and_then(|all| all.get(labels::STACK_NAMESPACE));
        label.and_then(Value::as_str) == Some(stack)
    };
    let named = snapshot.services.values().filter(of).filter_map(|service| {
        // Docker makes no others.
        Some((service.name.as_str().strip_prefix(&prefix)?.to_owned(), service))
    });
    named.collect()
}

/// A stack file of these services.
#[must_use]
pub fn compose(services: &[(String, &ObservedService)], snapshot: &Snapshot) -> ImportedStack {
    let names = NetworkNames::of(snapshot);
    let names_by_id =
        snapshot.configs.iter().map(|(name, id)| (id.as_str().to_owned(), name.clone()));
    let mut used = Used { config_names: names_by_id.collect(), ..Used::default() };
    let mut out = Map::new();
    for (name, live) in services {
        let spec = live.spec.value();
        out.insert(name.clone(), service::service(name, &spec, &names, &mut used));
    }
    let mut file = Map::new();
    file.insert("services".to_owned(), Value::Object(out));
    for (section, names) in [
        ("networks", &used.networks),
        ("volumes", &used.volumes),
        ("secrets", &used.secrets),
        ("configs", &used.configs),
    ] {
        if names.is_empty() {
            continue;
        }
        let entries: Map<String, Value> = names
            .iter()
            .map(|(key, name)| (key.clone(), json!({"external": true, "name": escaped(name)})))
            .collect();
        file.insert(section.to_owned(), Value::Object(entries));
    }
    // Volumes are made by the nodes, with options that a mount says.
    for (key, options) in used.volume_options {
        let place = file.get_mut("volumes").and_then(|all| all.get_mut(&key));
        if let Some(place) = place {
            *place = options;
        }
    }
    ImportedStack {
        file: Value::Object(file),
        variables: used.variables,
        warnings: used.warnings.into_iter().collect(),
    }
}

/// What services use, by the names in the file.
#[derive(Default)]
struct Used {
    networks: BTreeMap<String, String>,
    volumes: BTreeMap<String, String>,
    volume_options: BTreeMap<String, Value>,
    secrets: BTreeMap<String, String>,
    configs: BTreeMap<String, String>,
    /// Names of all configs by id.
    config_names: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
    warnings: BTreeSet<String>,
}

impl Used {
    /// The name of a variable for a value of the environment.
    fn variable(&mut self, service: &str, key: &str, value: &str) -> String {
        let plain = |text: &str| -> String {
            let fine =
                |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
            text.chars().map(fine).collect()
        };
        // A digit may not come first, and no variable may have the name of a key: docker gives an
        // empty key the variable of its name.
        let base = format!("STACK_{}_{}", plain(service), plain(key));
        let mut name = base.clone();
        let mut number = 2;
        while self.variables.get(&name).is_some_and(|known| known != value) {
            name = format!("{base}_{number}");
            number += 1;
        }
        self.variables.insert(name.clone(), value.to_owned());
        name
    }
}

/// A key of the file for a name on the swarm.
fn key_of(name: &str, known: &mut BTreeMap<String, String>) -> String {
    let fine = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }
    };
    let base: String = name.chars().map(fine).collect();
    let mut key = base.clone();
    let mut number = 2;
    while known.get(&key).is_some_and(|other| other != name) {
        key = format!("{base}_{number}");
        number += 1;
    }
    known.insert(key.clone(), name.to_owned());
    key
}

/// A text in which nothing is a variable.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

//! From a stack to what the engine is asked for, as `docker stack deploy` asks: names with the
//! stack's before them, docker's labels, and one request for each network, secret, config and
//! service. All that can be wrong here are names that became too long: everything else was refused
//! when the stack was loaded.
//!
//! References are symbolic: services name networks, secrets and configs, whose ids are looked up
//! when something is written.

mod container;
mod declare;
mod mounts;
mod objects;
mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use skep_crds::Problems;
use skep_crds::stack::Loaded;
use skep_crds::value::{MAX_SERVICE_NAME, Name};

pub use self::declare::{DeclaredStack, StackAbout, declare};
use crate::labels;

/// What a stack asks the engine for.
pub struct EngineStack {
    /// Networks to be made, in the order of their names.
    pub networks: Vec<NamedRequest>,
    /// Names of networks that must exist already, with what they are called in the file.
    pub external_networks: BTreeMap<String, String>,
    /// Secrets to be made.
    pub secrets: Vec<FileObject>,
    /// Configs to be made.
    pub configs: Vec<FileObject>,
    /// Service specs, by the names of the services in the file.
    pub services: BTreeMap<String, Value>,
}

/// A request with the name of what it is about.
#[derive(Clone, PartialEq)]
pub struct NamedRequest {
    /// What it is called in the file.
    pub key: String,
    /// The name on the swarm.
    pub name: String,
    /// The engine's request.
    pub request: Value,
}

/// A secret or a config.
#[derive(Clone, PartialEq)]
pub struct FileObject {
    /// What it is called in the file.
    pub key: String,
    /// The name on the swarm.
    pub name: String,
    /// The engine's spec without the data.
    pub spec: Value,
    /// The data; that of a secret with a driver is empty.
    pub data: Vec<u8>,
}

impl std::fmt::Debug for EngineStack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Requests hold values of variables, which may be secrets.
        f.debug_struct("EngineStack")
            .field("networks", &self.networks)
            .field("secrets", &self.secrets)
            .field("configs", &self.configs)
            .field("services", &self.services.keys())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for NamedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NamedRequest({})", self.name)
    }
}

impl std::fmt::Debug for FileObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileObject({}, {} bytes hidden)", self.name, self.data.len())
    }
}

/// What `docker stack deploy` would ask for, given this name of the stack.
///
/// # Errors
/// Names that are too long with that of the stack before them.
pub fn stack(name: &Name, loaded: &Loaded) -> Result<EngineStack, Problems> {
    let scope = Scope { name: name.as_str(), stack: &loaded.stack };
    let (networks, external_networks) = objects::networks(&scope);
    let services = &loaded.stack.services;
    let asked = EngineStack {
        networks,
        external_networks,
        secrets: objects::secrets(&scope, &loaded.contents),
        configs: objects::configs(&scope, &loaded.contents),
        services: services
            .iter()
            .map(|(name, declared)| (name.clone(), service::service(&scope, name, declared)))
            .collect(),
    };
    let problems = too_long(&scope, loaded);
    if problems.is_empty() { Ok(asked) } else { Err(problems) }
}

/// The longest name of a secret or a config that Swarm takes.
const LONGEST_FILE_NAME: usize = 64;

fn too_long(scope: &Scope<'_>, loaded: &Loaded) -> Problems {
    let stack = scope.stack;
    let services = stack
        .services
        .keys()
        .map(|key| ("services", key, scope.named(key, None), MAX_SERVICE_NAME));
    let secrets = stack.secrets.iter().map(|(key, secret)| {
        ("secrets", key, scope.named(key, Some(&secret.name)), LONGEST_FILE_NAME)
    });
    let configs = stack.configs.iter().map(|(key, config)| {
        ("configs", key, scope.named(key, Some(&config.name)), LONGEST_FILE_NAME)
    });
    services
        .chain(secrets)
        .chain(configs)
        .filter(|(_, _, name, longest)| name.chars().count() > *longest)
        .map(|(section, key, name, longest)| {
            let message = format!(
                "the name {name} has {} characters, at most {longest} fit",
                name.chars().count()
            );
            let hint = "shorten it, or the name of the stack";
            loaded.places.problem(&format!("{section}.{key}"), "BAD_NAME", message, hint)
        })
        .collect()
}

/// The network of services that name none.
const DEFAULT_NETWORK: &str = "default";

/// The stack with its name.
struct Scope<'a> {
    name: &'a str,
    stack: &'a skep_crds::stack::Stack,
}

impl Scope<'_> {
    /// A name of the stack's own, or the one that was given.
    fn named(&self, key: &str, given: Option<&String>) -> String {
        match given {
            Some(given) if !given.is_empty() => given.clone(),
            _ => format!("{}_{key}", self.name),
        }
    }

    /// Labels with that of the stack.
    fn labels(&self, own: &BTreeMap<String, String>) -> Map<String, Value> {
        let mut all: Map<String, Value> =
            own.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        all.insert(labels::STACK_NAMESPACE.to_owned(), json!(self.name));
        all
    }
}

/// An object of the fields that say something.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let said = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(said.collect())
}

/// A text that is not empty.
fn text(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!(text))
}

/// `true`, or nothing.
fn flag(set: bool) -> Option<Value> {
    set.then_some(Value::Bool(true))
}

/// A number that is not zero.
fn number(number: i64) -> Option<Value> {
    (number != 0).then(|| json!(number))
}

/// A list that is not empty.
fn list(items: Vec<Value>) -> Option<Value> {
    (!items.is_empty()).then_some(Value::Array(items))
}

/// Texts that are not none.
fn texts(items: &[String]) -> Option<Value> {
    (!items.is_empty()).then(|| json!(items))
}

/// Pairs that are not none.
fn pairs(items: &BTreeMap<String, String>) -> Option<Value> {
    (!items.is_empty()).then(|| json!(items))
}

//! A service spec, kept small: its JSON as bytes, a hash that tells two apart without parsing
//! them, and the few facts that planning asks for again and again.
//!
//! A parsed [`Value`] takes several times the memory of its text, and most specs are only ever
//! compared with themselves. A spec never changes in place: whoever changes one makes another.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::canonical::canonical_json;
use crate::observed::PublishedPort;
use crate::plan;

/// A service spec in the engine's JSON. Cloning copies a pointer.
#[derive(Clone)]
pub struct Spec(Arc<Content>);

struct Content {
    hash: SpecHash,
    facts: Facts,
    /// See [`Spec::masked`]; read when somebody asks.
    masked: OnceLock<u32>,
    json: Box<str>,
}

/// The first 128 bits of the SHA-256 of a spec's bytes. Two specs with one hash are equal; equal
/// specs that were written differently may have two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpecHash([u8; 16]);

impl SpecHash {
    /// The bytes, for a hash over several things.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How many tasks a service is to have, and whether they are to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceMode {
    /// So many; without a number the engine runs one.
    Replicated {
        /// The number, if the spec says one.
        replicas: Option<u64>,
    },
    /// One on each node.
    Global,
    /// So many that are to end.
    ReplicatedJob,
    /// One on each node that is to end.
    GlobalJob,
}

impl ServiceMode {
    /// True when its tasks are to end.
    #[must_use]
    pub fn is_job(self) -> bool {
        matches!(self, Self::ReplicatedJob | Self::GlobalJob)
    }

    /// The mode in the words of docker's own command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Replicated { .. } => "replicated",
            Self::Global => "global",
            Self::ReplicatedJob => "replicated-job",
            Self::GlobalJob => "global-job",
        }
    }

    /// The number of replicas that the spec says.
    #[must_use]
    pub fn replicas(self) -> Option<u64> {
        match self {
            Self::Replicated { replicas } => replicas,
            Self::Global | Self::ReplicatedJob | Self::GlobalJob => None,
        }
    }
}

impl Spec {
    /// A spec from the engine's own text.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn from_json(json: impl Into<Box<str>>) -> Result<Self, serde_json::Error> {
        let json = json.into();
        let facts = match serde_json::from_str::<Wire<'_>>(&json) {
            Ok(wire) => wire.facts(),
            // One of the fields is of a kind that no engine gives it: read field by field.
            Err(_) => Facts::of(&Value::Object(serde_json::from_str(&json)?)),
        };
        Ok(Self::new(json, facts))
    }

    fn new(json: Box<str>, facts: Facts) -> Self {
        let mut hash = [0; 16];
        for (to, from) in hash.iter_mut().zip(Sha256::digest(json.as_bytes())) {
            *to = from;
        }
        Self(Arc::new(Content { hash: SpecHash(hash), facts, masked: OnceLock::new(), json }))
    }

    /// The spec as a value of its own. Parses: not for loops over the fleet.
    #[must_use]
    pub fn value(&self) -> Value {
        // It was read once already, or was written by us.
        serde_json::from_str(&self.0.json).unwrap_or_default()
    }

    /// The spec after a change.
    #[must_use]
    pub fn changed(&self, change: impl FnOnce(&mut Value)) -> Self {
        let mut value = self.value();
        change(&mut value);
        value.into()
    }

    /// The text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0.json
    }

    /// The hash of the text.
    #[must_use]
    pub fn hash(&self) -> SpecHash {
        self.0.hash
    }

    /// How many tasks it asks for.
    #[must_use]
    pub fn mode(&self) -> ServiceMode {
        self.0.facts.mode
    }

    /// The image that it names.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        self.0.facts.image.as_deref()
    }

    /// The counter that a restart raises by one.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.0.facts.restarts
    }

    /// True when a task that has ended without an error is not started again.
    #[must_use]
    pub fn lets_tasks_end(&self) -> bool {
        self.0.facts.lets_tasks_end
    }

    /// The fields that not every engine has and that it says something in, as bits.
    pub(crate) fn masked(&self) -> u32 {
        *self.0.masked.get_or_init(|| plan::said(&self.value()))
    }

    /// The ports that it asks for by number.
    #[must_use]
    pub fn ports(&self) -> &[PublishedPort] {
        &self.0.facts.ports
    }
}

impl From<Value> for Spec {
    fn from(value: Value) -> Self {
        let facts = Facts::of(&value);
        let masked = plan::said(&value);
        // Canonical JSON is made of strings and ASCII.
        let json = String::from_utf8(canonical_json(&value)).unwrap_or_default();
        let spec = Self::new(json.into(), facts);
        let _it_is_new = spec.0.masked.set(masked);
        spec
    }
}

impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.hash == other.0.hash
    }
}

impl PartialEq<Value> for Spec {
    fn eq(&self, other: &Value) -> bool {
        self.value() == *other
    }
}

// Specs hold values of the environment; a stray `{:?}` must not print them.
impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spec({} bytes hidden)", self.0.json.len())
    }
}

/// What is read out of a spec once.
#[derive(Debug, PartialEq)]
struct Facts {
    mode: ServiceMode,
    image: Option<Box<str>>,
    restarts: u64,
    lets_tasks_end: bool,
    ports: Box<[PublishedPort]>,
}

impl Facts {
    fn of(spec: &Value) -> Self {
        let at = |pointer: &str| spec.pointer(pointer).filter(|value| !value.is_null());
        let mode = if at("/Mode/ReplicatedJob").is_some() {
            ServiceMode::ReplicatedJob
        } else if at("/Mode/GlobalJob").is_some() {
            ServiceMode::GlobalJob
        } else if at("/Mode/Global").is_some() {
            ServiceMode::Global
        } else {
            let replicas = at("/Mode/Replicated/Replicas").and_then(Value::as_u64);
            ServiceMode::Replicated { replicas }
        };
        let condition = at("/TaskTemplate/RestartPolicy/Condition").and_then(Value::as_str);
        let ports = at("/EndpointSpec/Ports").and_then(Value::as_array);
        let port = |entry: &Value| {
            let text = |key: &str| entry.get(key).and_then(Value::as_str);
            port(
                entry.get("PublishedPort").and_then(Value::as_u64),
                text("Protocol"),
                text("PublishMode"),
            )
        };
        Self {
            mode,
            image: at("/TaskTemplate/ContainerSpec/Image").and_then(Value::as_str).map(Box::from),
            restarts: at("/TaskTemplate/ForceUpdate").and_then(Value::as_u64).unwrap_or(0),
            lets_tasks_end: lets_tasks_end(condition),
            ports: ports.map(Vec::as_slice).unwrap_or_default().iter().filter_map(port).collect(),
        }
    }
}

fn lets_tasks_end(condition: Option<&str>) -> bool {
    matches!(condition, Some("none" | "on-failure"))
}

/// Zero is a port that Swarm chooses, or that host mode leaves to the node.
fn port(number: Option<u64>, protocol: Option<&str>, mode: Option<&str>) -> Option<PublishedPort> {
    let said = |text: Option<&str>, default: &str| {
        text.filter(|text| !text.is_empty()).unwrap_or(default).to_owned()
    };
    Some(PublishedPort {
        published: u16::try_from(number?).ok().filter(|port| *port > 0)?,
        protocol: said(protocol, "tcp"),
        ingress: said(mode, "ingress") == "ingress",
    })
}

/// The fields of [`Facts`], read past everything else.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Wire<'a> {
    mode: Option<Mode>,
    #[serde(borrow)]
    task_template: Option<TaskTemplate<'a>>,
    #[serde(borrow)]
    endpoint_spec: Option<EndpointSpec<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Mode {
    replicated: Option<Replicated>,
    global: Option<serde::de::IgnoredAny>,
    replicated_job: Option<serde::de::IgnoredAny>,
    global_job: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Replicated {
    replicas: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct TaskTemplate<'a> {
    force_update: Option<u64>,
    #[serde(borrow)]
    container_spec: Option<ContainerSpec<'a>>,
    #[serde(borrow)]
    restart_policy: Option<RestartPolicy<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerSpec<'a> {
    image: Option<&'a str>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RestartPolicy<'a> {
    condition: Option<&'a str>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct EndpointSpec<'a> {
    #[serde(borrow)]
    ports: Option<Vec<Port<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Port<'a> {
    published_port: Option<u64>,
    protocol: Option<&'a str>,
    publish_mode: Option<&'a str>,
}

impl Wire<'_> {
    fn facts(self) -> Facts {
        let mode = self.mode.unwrap_or_default();
        let task = self.task_template.unwrap_or_default();
        let ports = self.endpoint_spec.unwrap_or_default().ports.unwrap_or_default();
        Facts {
            mode: match mode {
                Mode { replicated_job: Some(_), .. } => ServiceMode::ReplicatedJob,
                Mode { global_job: Some(_), .. } => ServiceMode::GlobalJob,
                Mode { global: Some(_), .. } => ServiceMode::Global,
                Mode { replicated, .. } => ServiceMode::Replicated {
                    replicas: replicated.and_then(|replicated| replicated.replicas),
                },
            },
            image: task.container_spec.and_then(|container| container.image).map(Box::from),
            restarts: task.force_update.unwrap_or(0),
            lets_tasks_end: lets_tasks_end(task.restart_policy.and_then(|policy| policy.condition)),
            ports: ports
                .iter()
                .filter_map(|entry| port(entry.published_port, entry.protocol, entry.publish_mode))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_spec_is_what_it_was_made_from_and_does_not_show_it() {
        let value = json!({"Name": "a", "Unknown": {"Kept": [1, 2.5, null]}, "Env": "canary"});
        let spec = Spec::from(value.clone());
        assert_eq!(spec.value(), value);
        assert_eq!(Spec::from_json(spec.as_json()).unwrap(), spec);
        assert!(!format!("{spec:?}").contains("canary"));
        assert_ne!(spec.changed(|value| value["Name"] = json!("b")), spec);
        assert!(Spec::from_json("[1]").is_err() && Spec::from_json("{").is_err());
    }

    fn scalar() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0_u64..70_000).prop_map(Value::from),
            Just(json!(-1)),
            Just(json!("on-failure")),
            Just(json!("udp\n")),
            Just(json!("host")),
            Just(json!("")),
            Just(json!({})),
            Just(json!([])),
        ]
    }

    proptest! {
        /// Both ways of reading give the same facts, also of fields of the wrong kind.
        #[test]
        fn facts_do_not_depend_on_how_the_spec_was_read(
            mode in prop::option::of((prop::sample::select(
                vec!["Replicated", "Global", "ReplicatedJob", "GlobalJob"]), scalar())),
            replicas in scalar(), restarts in scalar(), condition in scalar(),
            image in scalar(), port in scalar(), protocol in scalar(), publish in scalar(),
        ) {
            let mut spec = json!({
                "Mode": {"Replicated": {"Replicas": replicas}},
                "TaskTemplate": {
                    "ContainerSpec": {"Image": image},
                    "ForceUpdate": restarts, "RestartPolicy": {"Condition": condition},
                },
                "EndpointSpec": {"Ports": [{
                    "PublishedPort": port, "Protocol": protocol, "PublishMode": publish,
                }]},
            });
            if let Some((mode, content)) = mode {
                spec["Mode"] = json!({mode: content});
            }
            let (from_value, from_text) =
                (Spec::from(spec.clone()), Spec::from_json(spec.to_string()).unwrap());
            prop_assert_eq!(&from_value.0.facts, &from_text.0.facts);
        }
    }
}

//! Networks, secrets and configs: names, what uses them, and compare-and-set of their labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use skep_core::identity::ObjectKind;

use super::FakeSwarm;
use super::service::text;
use super::state::State;
use crate::engine::EventObject;

/// A status and the engine's sentence.
pub type Refusal = (u16, String);

/// One network, secret or config.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) spec: Value,
    pub(super) version: u64,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

impl Object {
    pub(super) fn name(&self) -> &str {
        text(&self.spec, "/Name")
    }

    /// As the engine reports it.
    pub(super) fn reported(&self, kind: &str, id: &str) -> Value {
        let mut spec = self.spec.clone();
        let Some(shown) = spec.as_object_mut() else { return Value::Null };
        if kind == "networks" {
            shown.insert("Id".to_owned(), json!(id));
            shown.insert("Created".to_owned(), json!(self.created_at));
            return spec;
        }
        if kind == "secrets" {
            shown.remove("Data");
        }
        json!({"ID": id, "Version": {"Index": self.version}, "CreatedAt": self.created_at,
            "UpdatedAt": self.updated_at, "Spec": spec})
    }
}

/// As the paths of the API say.
pub(super) fn plural(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Service => "services",
        ObjectKind::Network => "networks",
        ObjectKind::Config => "configs",
        ObjectKind::Secret => "secrets",
        ObjectKind::Stack => "stacks",
    }
}

/// All of one kind, by id.
pub(super) type Objects = BTreeMap<String, Object>;

/// All of them by kind, cheap to keep.
#[derive(Debug, Clone, Default)]
pub(super) struct Kinds(Arc<BTreeMap<&'static str, Objects>>);

impl Kinds {
    pub(super) fn of(&self, kind: &str) -> &Objects {
        static NONE: Objects = Objects::new();
        self.0.get(kind).unwrap_or(&NONE)
    }

    fn of_mut(&mut self, kind: &'static str) -> &mut Objects {
        Arc::make_mut(&mut self.0).entry(kind).or_default()
    }
}

/// `networks`, `secrets` or `configs`, as the paths of the API say.
fn singular(kind: &str) -> &str {
    kind.strip_suffix('s').unwrap_or(kind)
}

/// What others do with them, and what is there.
impl FakeSwarm {
    /// All of one kind as the engine reports them, by name, without any fault. `kind` is
    /// `networks`, `secrets` or `configs`.
    #[must_use]
    pub fn objects(&self, kind: &'static str) -> Vec<Value> {
        let state = self.up_to_now();
        let mut all: Vec<_> = state.objects.of(kind).iter().collect();
        all.sort_by_key(|(_, object)| object.name());
        all.into_iter().map(|(id, object)| object.reported(kind, id)).collect()
    }

    /// Makes one; gives its id. `kind` is `networks`, `secrets` or `configs`.
    ///
    /// # Errors
    /// As the engine refuses.
    pub fn make(&self, kind: &'static str, spec: &Value) -> Result<String, Refusal> {
        self.up_to_now().make(kind, spec)
    }

    /// Replaces the spec of a secret or config if its Version is still this one.
    ///
    /// # Errors
    /// As the engine refuses.
    pub fn relabel(
        &self,
        kind: &'static str,
        id: &str,
        version: u64,
        spec: &Value,
    ) -> Result<(), Refusal> {
        self.up_to_now().relabel(kind, id, version, spec)
    }

    /// The Version of one.
    #[must_use]
    pub fn version_of(&self, kind: &'static str, id: &str) -> Option<u64> {
        self.at_once().objects.of(kind).get(id).map(|object| object.version)
    }

    /// Removes one.
    ///
    /// # Errors
    /// As the engine refuses.
    pub fn unmake(&self, kind: &'static str, id: &str) -> Result<(), Refusal> {
        self.up_to_now().unmake(kind, id)
    }
}

impl State {
    pub(super) fn make(&mut self, kind: &'static str, spec: &Value) -> Result<String, Refusal> {
        let name = text(spec, "/Name").to_owned();
        if let Some(why) = refuses_name(kind, &name) {
            return Err((400, format!("rpc error: code = InvalidArgument desc = {why}")));
        }
        if self.objects.of(kind).values().any(|object| object.name() == name) {
            return Err((
                409,
                match kind {
                    "networks" => format!("network with name {name} already exists"),
                    _ => {
                        let what = singular(kind);
                        format!(
                            "rpc error: code = AlreadyExists desc = {what} {name} already exists"
                        )
                    }
                },
            ));
        }
        self.keep_view();
        let (id, version) = (self.new_id(), self.next_index());
        let mut spec = spec.clone();
        if kind == "networks" {
            fill_network(&mut spec, version);
        } else if let Some(spec) = spec.as_object_mut() {
            spec.entry("Labels").or_insert_with(|| json!({}));
        }
        let object = Object { spec, version, created_at: self.now, updated_at: self.now };
        self.objects.of_mut(kind).insert(id.clone(), object);
        self.feed.say(event_object(kind), "create", &id, &name, self.now);
        Ok(id)
    }

    pub(super) fn relabel(
        &mut self,
        kind: &'static str,
        id: &str,
        version: u64,
        spec: &Value,
    ) -> Result<(), Refusal> {
        let what = singular(kind);
        let Some(object) = self.objects.of(kind).get(id) else {
            return Err((404, format!("{what} {id} not found")));
        };
        // The engine looks at what is asked for before it looks at the Version.
        let keeps = |key: &str| spec.get(key).is_none_or(|new| object.spec.get(key) == Some(new));
        if !keeps("Name") || !keeps("Data") {
            let message = "rpc error: code = InvalidArgument desc = only updates to Labels are \
                           allowed";
            return Err((400, message.to_owned()));
        }
        if object.version != version {
            return Err((
                500,
                "rpc error: code = Unknown desc = update out of sequence".to_owned(),
            ));
        }
        let name = object.name().to_owned();
        self.keep_view();
        let (index, now) = (self.next_index(), self.now);
        if let Some(object) = self.objects.of_mut(kind).get_mut(id) {
            if let (Some(stored), Some(labels)) = (object.spec.as_object_mut(), spec.get("Labels"))
            {
                stored.insert("Labels".to_owned(), labels.clone());
            }
            (object.version, object.updated_at) = (index, now);
        }
        self.feed.say(event_object(kind), "update", id, &name, self.now);
        Ok(())
    }

    pub(super) fn unmake(&mut self, kind: &'static str, id: &str) -> Result<(), Refusal> {
        let what = singular(kind);
        let found = self.objects.of(kind).get(id).map(|object| object.name().to_owned());
        let Some(name) = found else { return Err((404, format!("{what} {id} not found"))) };
        let users: Vec<&str> = self
            .services
            .values()
            .filter(|service| uses(&service.spec, kind, id))
            .map(|service| if kind == "networks" { service.id.as_str() } else { service.name() })
            .collect();
        if !users.is_empty() {
            return Err((
                400,
                match kind {
                    "networks" => format!(
                        "rpc error: code = FailedPrecondition desc = network {id} is in use by \
                     service {}",
                        users.join(", ")
                    ),
                    _ => format!(
                        "rpc error: code = InvalidArgument desc = {what} '{name}' is in use by the \
                     following service: {}",
                        users.join(", ")
                    ),
                },
            ));
        }
        self.keep_view();
        self.next_index();
        self.objects.of_mut(kind).remove(id);
        self.feed.say(event_object(kind), "remove", id, &name, self.now);
        Ok(())
    }

    /// The networks that every swarm has.
    pub(super) fn make_standing_networks(&mut self) {
        for (name, scope) in
            [("ingress", "swarm"), ("host", "swarm"), ("bridge", "swarm"), ("none", "local")]
        {
            let id = self.new_id();
            let spec = json!({"Name": name, "Scope": scope, "Driver": name, "Labels": {}});
            let (created_at, updated_at) = (self.now, self.now);
            let object = Object { spec, version: 1, created_at, updated_at };
            self.objects.of_mut("networks").insert(id, object);
        }
    }
}

/// Why the engine takes no such name of a secret or config.
fn refuses_name(kind: &str, name: &str) -> Option<&'static str> {
    if kind == "networks" {
        return None;
    }
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() {
        Some("name must be provided")
    } else if name.len() > 64
        || !name.chars().all(is_allowed)
        || !ends(name.chars().next())
        || !ends(name.chars().last())
    {
        Some(
            "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end \
             character must be [a-zA-Z0-9]",
        )
    } else {
        None
    }
}

/// What the engine says of a network that nobody asked for, once it has found an address range.
fn fill_network(spec: &mut Value, number: u64) {
    let Some(spec) = spec.as_object_mut() else { return };
    spec.insert("Scope".to_owned(), json!("swarm"));
    spec.entry("Driver").or_insert_with(|| json!("overlay"));
    for key in ["Internal", "Attachable", "Ingress"] {
        spec.entry(key).or_insert(Value::Bool(false));
    }
    let options = spec.entry("Options").or_insert_with(|| json!({}));
    if let Some(options) = options.as_object_mut() {
        let list = "com.docker.network.driver.overlay.vxlanid_list";
        options.insert(list.to_owned(), json!((4096 + number).to_string()));
    }
    spec.entry("Labels").or_insert(Value::Null);
    let ipam = spec.entry("IPAM").or_insert_with(|| json!({}));
    if let Some(ipam) = ipam.as_object_mut() {
        ipam.entry("Driver").or_insert_with(|| json!("default"));
        ipam.entry("Options").or_insert(Value::Null);
        let range = |end: &str| format!("10.0.{}.{end}", number % 256);
        ipam.entry("Config")
            .or_insert_with(|| json!([{"Subnet": range("0/24"), "Gateway": range("1")}]));
    }
}

fn event_object(kind: &str) -> EventObject {
    match kind {
        "networks" => EventObject::Network,
        "secrets" => EventObject::Secret,
        _ => EventObject::Config,
    }
}

/// True when a service's spec names the object by id.
fn uses(spec: &Value, kind: &str, id: &str) -> bool {
    let (list, key) = match kind {
        "networks" => ("/TaskTemplate/Networks", "Target"),
        "secrets" => ("/TaskTemplate/ContainerSpec/Secrets", "SecretID"),
        _ => ("/TaskTemplate/ContainerSpec/Configs", "ConfigID"),
    };
    let references = spec.pointer(list).and_then(Value::as_array);
    references
        .is_some_and(|all| all.iter().any(|one| one.get(key).and_then(Value::as_str) == Some(id)))
}

//! What the engine refuses, in its own words and in its own order: the form of the spec, what it
//! refers to, ports, names.

use serde_json::Value;

use super::objects::Refusal;
use super::service::{number, text};
use super::state::State;

/// Swarm's limit for the names of services.
const LONGEST_NAME: usize = 63;

fn invalid(why: &str) -> Refusal {
    (400, format!("rpc error: code = InvalidArgument desc = {why}"))
}

impl State {
    /// Why a create is refused, if it is.
    pub(super) fn refuses_create(&self, spec: &Value) -> Option<Refusal> {
        self.refuses_in_daemon(spec)
            .or_else(|| refuses_spec(spec))
            .or_else(|| self.refuses_ports(spec, None))
            .or_else(|| self.refuses_references(spec))
            .or_else(|| {
                let name = text(spec, "/Name");
                self.id_of(name).map(|_| {
                    let message = format!(
                        "rpc error: code = AlreadyExists desc = name conflicts with an existing \
                         object: service {name} already exists"
                    );
                    (409, message)
                })
            })
    }

    /// Why an update is refused, if it is. The Version is what is looked at last.
    pub(super) fn refuses_update(&self, id: &str, version: u64, spec: &Value) -> Option<Refusal> {
        let unimplemented =
            |why: &str| (501, format!("rpc error: code = Unimplemented desc = {why}"));
        if let Some(refusal) = self.refuses_in_daemon(spec) {
            return Some(refusal);
        }
        let Some(live) = self.services.get(id) else {
            return Some((404, format!("service {id} not found")));
        };
        refuses_spec(spec)
            .or_else(|| self.refuses_ports(spec, Some(id)))
            .or_else(|| self.refuses_references(spec))
            .or_else(|| {
                let changes_mode = mode_word(&live.spec) != mode_word(spec);
                changes_mode.then(|| unimplemented("service mode change is not allowed"))
            })
            .or_else(|| {
                let renames = live.name() != text(spec, "/Name");
                renames.then(|| unimplemented("renaming services is not supported"))
            })
            .or_else(|| {
                let message = "rpc error: code = Unknown desc = update out of sequence";
                (live.version != version).then(|| (500, message.to_owned()))
            })
    }

    /// What the daemon looks at before a manager does.
    fn refuses_in_daemon(&self, spec: &Value) -> Option<Refusal> {
        self.refuses_networks(spec).or_else(|| {
            if !spec.pointer("/TaskTemplate/ContainerSpec").is_some_and(Value::is_object) {
                return Some((400, "mismatched Runtime and *Spec fields".to_owned()));
            }
            let modes = spec.get("Mode").and_then(Value::as_object).map_or(0, serde_json::Map::len);
            (modes > 1).then(|| (400, "must specify only one service mode".to_owned()))
        })
    }

    fn refuses_references(&self, spec: &Value) -> Option<Refusal> {
        self.refuses_files(spec, "secret", "Secrets", "SecretID", "SecretName")
            .or_else(|| self.refuses_files(spec, "config", "Configs", "ConfigID", "ConfigName"))
    }

    fn refuses_networks(&self, spec: &Value) -> Option<Refusal> {
        let known = self.objects.of("networks");
        let networks = spec.pointer("/TaskTemplate/Networks").and_then(Value::as_array);
        networks.into_iter().flatten().map(|network| text(network, "/Target")).find_map(|target| {
            let is_known =
                known.contains_key(target) || known.values().any(|one| one.name() == target);
            // No refusal in form: the daemon has no status for it.
            (!is_known).then(|| (500, format!("network {target} not found")))
        })
    }

    fn refuses_files(
        &self,
        spec: &Value,
        what: &str,
        list: &str,
        id: &str,
        name: &str,
    ) -> Option<Refusal> {
        let known = self.objects.of(if what == "secret" { "secrets" } else { "configs" });
        let files = spec.pointer(&format!("/TaskTemplate/ContainerSpec/{list}"));
        files.and_then(Value::as_array).into_iter().flatten().find_map(|file| {
            let (id, name) = (file.get(id), file.get(name));
            let (Some(id), Some(name)) = (id.and_then(Value::as_str), name.and_then(Value::as_str))
            else {
                return Some(invalid(&format!("malformed {what} reference")));
            };
            let is_known = known.get(id).is_some_and(|object| object.name() == name);
            (!is_known).then(|| invalid(&format!("{what} not found: {name}")))
        })
    }

    fn refuses_ports(&self, spec: &Value, own: Option<&str>) -> Option<Refusal> {
        let others = self.services.values().filter(|other| Some(other.id.as_str()) != own);
        ports(spec).find_map(|port| {
            others.clone().find_map(|other| {
                let taken = ports(&other.spec).find(|taken| taken.clashes(&port))?;
                let how = if taken.ingress { "an ingress port" } else { "a host-published port" };
                Some(invalid(&format!(
                    "port '{}' is already in use by service '{}' ({}) as {how}",
                    taken.published,
                    other.name(),
                    other.id
                )))
            })
        })
    }
}

/// What a spec is refused for by itself.
fn refuses_spec(spec: &Value) -> Option<Refusal> {
    refuses_name(text(spec, "/Name")).or_else(|| refuses_constraints(spec)).or_else(|| {
        let image = text(spec, "/TaskTemplate/ContainerSpec/Image");
        image.is_empty().then(|| invalid("ContainerSpec: image reference must be provided"))
    })
}

fn mode_word(spec: &Value) -> &str {
    let mode = spec.get("Mode").and_then(Value::as_object);
    mode.and_then(|mode| mode.keys().next()).map_or("Replicated", String::as_str)
}

fn refuses_name(name: &str) -> Option<Refusal> {
    // A service without one gets one.
    if name.is_empty() {
        return None;
    }
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if !name.chars().all(is_inner)
        || !is_outer(name.chars().next())
        || !is_outer(name.chars().last())
    {
        return Some(invalid("name must be valid as a DNS name component"));
    }
    (name.len() > LONGEST_NAME).then(|| invalid("name must be 63 characters or fewer"))
}

fn refuses_constraints(spec: &Value) -> Option<Refusal> {
    let constraints = spec.pointer("/TaskTemplate/Placement/Constraints").and_then(Value::as_array);
    let has_operator = |text: &str| text.contains("==") || text.contains("!=");
    let is_wrong = |one: &Value| !one.as_str().is_some_and(has_operator);
    constraints.is_some_and(|all| all.iter().any(is_wrong)).then(|| {
        let why = "constraint expected one operator from ==, !=";
        (500, format!("rpc error: code = Unknown desc = {why}"))
    })
}

/// A port as far as it can stand in another one's way.
#[derive(PartialEq, Eq)]
struct Port {
    published: u64,
    protocol: String,
    ingress: bool,
}

impl Port {
    /// Two host-mode ports may be on different nodes.
    fn clashes(&self, other: &Self) -> bool {
        self.published == other.published
            && self.protocol == other.protocol
            && (self.ingress || other.ingress)
    }
}

fn ports(spec: &Value) -> impl Iterator<Item = Port> {
    let word = |port: &Value, key: &str, default: &str| match text(port, key) {
        "" => default.to_owned(),
        word => word.to_owned(),
    };
    let list = spec.pointer("/EndpointSpec/Ports").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(move |port| {
        let published = number(port, "/PublishedPort").filter(|port| *port > 0)?;
        let protocol = word(port, "/Protocol", "tcp");
        Some(Port {
            published,
            protocol,
            ingress: word(port, "/PublishMode", "ingress") == "ingress",
        })
    })
}

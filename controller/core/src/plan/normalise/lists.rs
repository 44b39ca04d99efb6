//! Lists of the engine's spec that are maps by meaning: which field is the key, and how one entry
//! is found, written and removed in the engine's own form.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::NetworkNames;
use crate::plan::pointer::{escape, is_within};

/// A list that is compared entry by entry, by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plan) enum ListSection {
    /// `KEY=value` lines, by key.
    Env,
    /// Mounts, by target.
    Mounts,
    /// Secrets, by the file that they appear as.
    Secrets,
    /// Configs, by the file that they appear as.
    Configs,
    /// Resource limits of processes, by name.
    Ulimits,
    /// Networks, by network name.
    Networks,
    /// Published ports, by target, protocol and published port.
    Ports,
    /// Resources that nodes declare themselves, by kind.
    GenericResources,
}

impl ListSection {
    pub(in crate::plan) const ALL: [Self; 8] = [
        Self::Env,
        Self::Mounts,
        Self::Secrets,
        Self::Configs,
        Self::Ulimits,
        Self::Networks,
        Self::Ports,
        Self::GenericResources,
    ];

    /// Where the list stands, in the engine's form and in the canonical one.
    pub(in crate::plan) fn pointer(self) -> &'static str {
        match self {
            Self::Env => "/TaskTemplate/ContainerSpec/Env",
            Self::Mounts => "/TaskTemplate/ContainerSpec/Mounts",
            Self::Secrets => "/TaskTemplate/ContainerSpec/Secrets",
            Self::Configs => "/TaskTemplate/ContainerSpec/Configs",
            Self::Ulimits => "/TaskTemplate/ContainerSpec/Ulimits",
            Self::Networks => "/TaskTemplate/Networks",
            Self::Ports => "/EndpointSpec/Ports",
            Self::GenericResources => "/TaskTemplate/Resources/Reservations/GenericResources",
        }
    }

    /// The canonical pointer of one entry.
    pub(in crate::plan) fn entry_pointer(self, key: &str) -> String {
        format!("{}/{}", self.pointer(), escape(key))
    }

    /// The keys of a list's entries in the engine's form; `None` for an entry without one.
    ///
    /// Ports for which the engine is to choose the published one may be there several times; the
    /// second gets `#2` behind its key, and so on.
    pub(in crate::plan) fn keys(
        self,
        entries: &[Value],
        networks: &NetworkNames,
    ) -> Vec<Option<String>> {
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let numbered = |key: String| {
            let times = seen.entry(key.clone()).or_insert(0);
            *times += 1;
            if *times > 1 && key.ends_with("->0") { format!("{key}#{times}") } else { key }
        };
        let keys = entries.iter().map(|entry| self.key(entry, networks));
        if self == Self::Ports {
            let mut numbered = numbered;
            keys.map(|key| key.map(&mut numbered)).collect()
        } else {
            keys.collect()
        }
    }

    /// The key of one entry in the engine's form; `None` for an entry without one.
    fn key(self, entry: &Value, networks: &NetworkNames) -> Option<String> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let file = |value: &str| entry.pointer(value).and_then(Value::as_str).map(str::to_owned);
        match self {
            Self::Env => {
                let line = entry.as_str()?;
                Some(line.split_once('=').map_or(line, |(key, _)| key).to_owned())
            }
            Self::Mounts => text("Target").map(str::to_owned),
            Self::Secrets => file("/File/Name").or_else(|| text("SecretName").map(str::to_owned)),
            // A config that is no file but for the runtime, such as a credential spec.
            Self::Configs if entry.get("Runtime").is_some_and(|runtime| !runtime.is_null()) => {
                text("ConfigName").map(|name| format!("runtime:{name}"))
            }
            Self::Configs => file("/File/Name").or_else(|| text("ConfigName").map(str::to_owned)),
            Self::Ulimits => text("Name").map(str::to_owned),
            Self::Networks => text("Target").map(|target| networks.name(target).to_owned()),
            Self::Ports => {
                let number = |name: &str| entry.get(name).and_then(Value::as_u64).unwrap_or(0);
                let protocol = text("Protocol").filter(|word| !word.is_empty()).unwrap_or("tcp");
                Some(format!(
                    "{}/{}->{}",
                    number("TargetPort"),
                    protocol.to_ascii_lowercase(),
                    number("PublishedPort")
                ))
            }
            Self::GenericResources => {
                let kind = |of: &str| entry.pointer(of).and_then(Value::as_str);
                kind("/DiscreteResourceSpec/Kind").map(str::to_owned).or_else(|| {
                    let named = kind("/NamedResourceSpec/Kind")?;
                    let value = kind("/NamedResourceSpec/Value").unwrap_or_default();
                    Some(format!("{named}={value}"))
                })
            }
        }
    }

    /// The canonical form of one entry.
    pub(super) fn entry(self, entry: &Value, networks: &NetworkNames) -> Value {
        let mut entry = entry.clone();
        if self == Self::Env {
            // `K` (inherit) and `K=` (empty) are different things.
            return match entry.as_str().and_then(|line| line.split_once('=')) {
                Some((_, value)) => json!(value),
                None => json!(true),
            };
        }
        let Value::Object(map) = &mut entry else { return entry };
        match self {
            Self::Networks => {
                if let Some(Value::String(target)) = map.get_mut("Target") {
                    *target = networks.name(target).to_owned();
                }
                if let Some(Value::Array(aliases)) = map.get_mut("Aliases") {
                    aliases.sort_by_key(ToString::to_string);
                    aliases.dedup();
                }
            }
            Self::Ports => {
                lowercase(map, "Protocol");
                lowercase(map, "PublishMode");
                default(map, "Protocol", "tcp");
                default(map, "PublishMode", "ingress");
            }
            Self::Secrets => reference(map, "SecretID", "SecretName"),
            Self::Configs => reference(map, "ConfigID", "ConfigName"),
            Self::Mounts => mount(map),
            Self::Ulimits => {
                // The engine reads a missing limit as zero, and zero is a limit.
                for limit in ["Soft", "Hard"] {
                    if map.get(limit).is_none_or(Value::is_null) {
                        map.insert(limit.to_owned(), json!(0));
                    }
                }
            }
            Self::Env | Self::GenericResources => {}
        }
        entry
    }

    /// Sorts the entries by key; a stable sort, because with equal keys the last one counts.
    pub(super) fn sort(self, entries: &mut [Value], networks: &NetworkNames) {
        if self == Self::Ports {
            // Ports that the engine chooses have equal keys and no last one.
            entries.sort_by_cached_key(|entry| (self.key(entry, networks), entry.to_string()));
        } else {
            entries.sort_by_cached_key(|entry| self.key(entry, networks));
        }
    }

    /// Where a new entry is put into a list: where docker would have it, if the list is in docker's
    /// order. It sorts these lists, and a list in another order is another one to the engine.
    pub(in crate::plan) fn place(
        self,
        entries: &[Value],
        new: &Value,
        networks: &NetworkNames,
    ) -> usize {
        let rank = |entry: &Value| -> Option<(u64, String)> {
            let text = |key: &str| entry.get(key)?.as_str().map(str::to_owned);
            match self {
                Self::Env => entry.as_str().map(|line| (0, line.to_owned())),
                Self::Secrets => text("SecretName").map(|name| (0, name)),
                Self::Configs => text("ConfigName").map(|name| (0, name)),
                Self::Ulimits => text("Name").map(|name| (0, name)),
                Self::Networks => {
                    text("Target").map(|target| (0, networks.name(&target).to_owned()))
                }
                Self::Ports => {
                    let published = entry.get("PublishedPort").and_then(Value::as_u64);
                    Some((published.unwrap_or(0), String::new()))
                }
                Self::Mounts | Self::GenericResources => None,
            }
        };
        let Some(of_new) = rank(new) else { return entries.len() };
        let before =
            entries.iter().rposition(|entry| rank(entry).is_none_or(|of_entry| of_entry <= of_new));
        before.map_or(0, |at| at + 1)
    }

    /// Turns the list of a spec into a map, in place.
    pub(super) fn into_map(self, spec: &mut Value, networks: &NetworkNames) {
        let Some(slot) = spec.pointer_mut(self.pointer()) else { return };
        let Value::Array(entries) = slot else { return };
        let mut map = Map::new();
        for (entry, key) in entries.iter().zip(self.keys(entries, networks)) {
            if let Some(key) = key {
                map.insert(key, self.entry(entry, networks));
            }
        }
        *slot = Value::Object(map);
    }

    /// The engine's form of one entry, from its canonical value.
    pub(in crate::plan) fn engine_entry(self, key: &str, value: &Value) -> Value {
        match (self, value) {
            (Self::Env, Value::String(text)) => json!(format!("{key}={text}")),
            (Self::Env, _) => json!(key),
            _ => value.clone(),
        }
    }

    /// A written entry with the id of the secret or config that the entry before it named, when
    /// both name the same one: the engine refuses a reference without its id.
    pub(in crate::plan) fn with_id_of(self, before: &Value, mut entry: Value) -> Value {
        let (name, id) = match self {
            Self::Secrets => ("SecretName", "SecretID"),
            Self::Configs => ("ConfigName", "ConfigID"),
            Self::Env
            | Self::Mounts
            | Self::Ulimits
            | Self::Networks
            | Self::Ports
            | Self::GenericResources => return entry,
        };
        if let (Value::Object(map), Some(known)) = (&mut entry, before.get(id))
            && map.get(name) == before.get(name)
        {
            map.insert(id.to_owned(), known.clone());
        }
        entry
    }
}

/// The list that a canonical pointer lies in, and the key of its entry.
pub(in crate::plan) fn section_of(pointer: &str) -> Option<(ListSection, String)> {
    ListSection::ALL.into_iter().find_map(|section| {
        let rest = is_within(pointer, section.pointer())
            .then(|| pointer.strip_prefix(section.pointer()))
            .flatten()?;
        let token = rest.strip_prefix('/')?.split('/').next()?;
        Some((section, token.replace("~1", "/").replace("~0", "~")))
    })
}

fn default(map: &mut Map<String, Value>, key: &str, value: &str) {
    let unset = map.get(key).and_then(Value::as_str).is_none_or(str::is_empty);
    if unset {
        map.insert(key.to_owned(), json!(value));
    }
}

fn lowercase(map: &mut Map<String, Value>, key: &str) {
    if let Some(Value::String(word)) = map.get_mut(key) {
        word.make_ascii_lowercase();
    }
}

fn reference(map: &mut Map<String, Value>, id: &str, name: &str) {
    // The id is bound late; the name is what people declare.
    map.remove(id);
    if map.get("Runtime").is_some_and(|runtime| !runtime.is_null()) {
        // An empty object that says everything by being there.
        map.insert("Runtime".into(), json!({}));
        return;
    }
    let file = map.entry("File").or_insert(Value::Null);
    if file.is_null() {
        *file = Value::Object(Map::new());
    }
    let name = map.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(Value::Object(file)) = map.get_mut("File") {
        default(file, "Name", &name);
        default(file, "UID", "0");
        default(file, "GID", "0");
        if file.get("Mode").is_none_or(Value::is_null) {
            file.insert("Mode".into(), json!(0o444));
        }
    }
}

fn mount(map: &mut Map<String, Value>) {
    lowercase(map, "Type");
    // The engine's first word.
    default(map, "Type", "bind");
    if let Some(Value::Object(bind)) = map.get_mut("BindOptions") {
        lowercase(bind, "Propagation");
        if bind.get("NonRecursive").and_then(Value::as_bool) == Some(true) {
            default(bind, "Propagation", "rprivate");
        }
    }
}

//! The networks that a service joins.

use std::collections::BTreeMap;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use skep_yaml::{Cursor, Kind};

use super::container::Options;
use crate::format::{Format, mapping};

/// One network that a service joins.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct NetworkAttachment {
    /// The network's name in the swarm.
    pub name: String,
    /// More names of the service on that network.
    pub aliases: Vec<String>,
    /// Options for the network's driver.
    pub driver_opts: BTreeMap<String, String>,
}

mapping! {
    /// How a service joins one network.
    pub(crate) struct AttachmentDocument {
        /// More names of the service on that network.
        aliases: Option<Vec<NetworkName>>,
        /// Options for the network's driver.
        driver_opts: Option<Options>,
    }
}

/// A network's name, or an alias on one.
pub(crate) struct NetworkName;

const PATTERN: &str = "^[a-zA-Z0-9][a-zA-Z0-9_.-]*$";

impl Format for NetworkName {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.text()?;
        if is_name(&text) {
            return Some(text);
        }
        let hint = "letters, digits, and _ . - after the first";
        at.refuse_with("BAD_NAME", "not a network name", hint);
        None
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": 64 })
    }
}

fn is_name(text: &str) -> bool {
    let word = |char: char| char.is_ascii_alphanumeric();
    text.starts_with(word)
        && text.len() <= 64
        && text.chars().all(|char| word(char) || "_.-".contains(char))
}

/// A list of names, or a mapping from names to `{aliases: […]}`; sorted by name when read.
pub(crate) struct Networks;

impl Format for Networks {
    type Value = Vec<NetworkAttachment>;

    fn read(at: &Cursor<'_>) -> Option<Self::Value> {
        let mut networks: Vec<NetworkAttachment> = Vec::new();
        let mut complete = true;
        if let Kind::Mapping(_) = at.node().kind {
            let map = at.map()?;
            for (entry, value) in map.entries() {
                if !is_name(&entry.key) {
                    map.refuse_key(entry, "BAD_NAME", "not a network name", None);
                    complete = false;
                    continue;
                }
                let nothing = AttachmentDocument { aliases: None, driver_opts: None };
                let read =
                    if value.is_null() { Some(nothing) } else { AttachmentDocument::read(&value) };
                match read {
                    Some(read) => networks.push(NetworkAttachment {
                        name: entry.key.clone(),
                        aliases: read.aliases.unwrap_or_default(),
                        driver_opts: read.driver_opts.unwrap_or_default(),
                    }),
                    None => complete = false,
                }
            }
        } else {
            for item in at.list()? {
                match NetworkName::read(&item) {
                    Some(name) if networks.iter().any(|network| network.name == name) => {
                        let message = format!("the network \"{name}\" is named twice");
                        item.refuse("DUPLICATE_NAME", message);
                        complete = false;
                    }
                    Some(name) => networks.push(NetworkAttachment {
                        name,
                        aliases: Vec::new(),
                        driver_opts: BTreeMap::new(),
                    }),
                    None => complete = false,
                }
            }
        }
        networks.sort_by(|one, other| one.name.cmp(&other.name));
        complete.then_some(networks)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let name = NetworkName::schema(generator);
        let attachment = AttachmentDocument::schema(generator);
        json_schema!({
            "anyOf": [
                { "type": "array", "items": name, "uniqueItems": true },
                {
                    "type": "object",
                    "propertyNames": { "pattern": PATTERN },
                    "additionalProperties": { "anyOf": [attachment, { "type": "null" }] },
                },
            ],
        })
    }
}

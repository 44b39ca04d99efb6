//! What a task's container is given besides image, command and environment.

use std::collections::BTreeMap;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use skep_yaml::{Cursor, Kind, Resolved};

use super::files::FileReference;
use crate::format::{Format, Whole, mapping};
use crate::value::{Duration, pairs, pairs_schema, scalar_text};

/// Options of the container; what is not said is the image's or the engine's own.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct Container {
    /// Replaces the image's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// User, or `user:group`.
    pub user: Option<String>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// Host name; may be one of Swarm's templates.
    pub hostname: Option<String>,
    /// More groups of the user.
    pub group_add: Vec<String>,
    /// Whether a small init process reaps children.
    pub init: Option<bool>,
    /// Whether there is a terminal.
    pub tty: bool,
    /// Whether standard input stays open.
    pub stdin_open: bool,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// The signal that asks for the end.
    pub stop_signal: Option<String>,
    /// Time between that signal and the hard end.
    pub stop_grace_period: Option<Duration>,
    /// Kernel capabilities added, in the engine's spelling.
    pub cap_add: Vec<String>,
    /// Kernel capabilities taken away, in the engine's spelling.
    pub cap_drop: Vec<String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Domains that short names are looked up in.
    pub dns_search: Vec<String>,
    /// Options of the resolver.
    pub dns_opt: Vec<String>,
    /// More lines of /etc/hosts, as `address name`.
    pub extra_hosts: Vec<String>,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Limits of each process, by name.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Labels of the containers, unlike those of the service.
    pub labels: BTreeMap<String, String>,
    /// Secrets of the swarm that appear as files.
    pub secrets: Vec<FileReference>,
    /// Configs of the swarm that appear as files.
    pub configs: Vec<FileReference>,
}

/// A limit of each process; -1 means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// What a process starts with.
    pub soft: i64,
    /// Up to where it may raise that.
    pub hard: i64,
}

mapping! {
    /// A limit of each process.
    pub(crate) struct UlimitDocument {
        /// What a process starts with; -1 means no limit.
        soft: Whole<i64, -1, { i64::MAX }>,
        /// Up to where it may raise that; -1 means no limit.
        hard: Whole<i64, -1, { i64::MAX }>,
    }
}

/// A mapping of names to one number, or to soft and hard.
pub(crate) struct Ulimits;

impl Format for Ulimits {
    type Value = BTreeMap<String, Ulimit>;

    fn read(at: &Cursor<'_>) -> Option<Self::Value> {
        let map = at.map()?;
        let mut limits = BTreeMap::new();
        let mut complete = true;
        for (entry, value) in map.entries() {
            let fine = |char: char| char.is_ascii_lowercase();
            if entry.key.is_empty() || !entry.key.chars().all(fine) {
                let hint = Some("such as nofile or nproc".to_owned());
                map.refuse_key(entry, "BAD_NAME", "not the name of a limit", hint);
                complete = false;
                continue;
            }
            let limit = if value.scalar().is_some() {
                value.integer(-1..=i64::MAX).map(|both| Ulimit { soft: both, hard: both })
            } else {
                UlimitDocument::read(&value).map(|read| Ulimit { soft: read.soft, hard: read.hard })
            };
            match limit {
                Some(limit) => {
                    limits.insert(entry.key.clone(), limit);
                }
                None => complete = false,
            }
        }
        complete.then_some(limits)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let both = UlimitDocument::schema(generator);
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[a-z]+$" },
            "additionalProperties": { "anyOf": [{ "type": "integer", "minimum": -1 }, both] },
        })
    }
}

/// A text or a number, such as the name or the number of a group.
pub(crate) struct Word;

impl Format for Word {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = scalar_text(at, "a text")?;
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            at.refuse("BLANK", "expected a text of one line, not blank");
            return None;
        }
        Some(text)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"] })
    }
}

/// One text, or a list of them.
pub(crate) struct OneOrMany;

impl Format for OneOrMany {
    type Value = Vec<String>;

    fn read(at: &Cursor<'_>) -> Option<Vec<String>> {
        if at.scalar().is_some() {
            return Word::read(at).map(|word| vec![word]);
        }
        Vec::<Word>::read(at)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let (one, many) = (Word::schema(generator), Vec::<Word>::schema(generator));
        json_schema!({ "anyOf": [one, many] })
    }
}

/// A kernel capability, with or without `CAP_`, in any case; read in the engine's spelling.
pub(crate) struct Capability;

impl Format for Capability {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.filled_text()?.to_ascii_uppercase();
        let bare = text.strip_prefix("CAP_").unwrap_or(&text);
        if bare.is_empty() || !bare.chars().all(|char| char.is_ascii_uppercase() || char == '_') {
            at.refuse_with("BAD_NAME", "not a capability", "such as NET_ADMIN, or ALL");
            return None;
        }
        Some(if bare == "ALL" { bare.to_owned() } else { format!("CAP_{bare}") })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z_]+$", "examples": ["NET_ADMIN"] })
    }
}

/// Lines of /etc/hosts: a list of `name:address`, or a mapping of names to addresses.
pub(crate) struct ExtraHosts;

impl Format for ExtraHosts {
    type Value = Vec<String>;

    fn read(at: &Cursor<'_>) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        let mut complete = true;
        let mut add = |at: &Cursor<'_>, name: &str, address: &str| {
            let blank = |text: &str| text.is_empty() || text.contains(char::is_whitespace);
            if blank(name) || address.parse::<std::net::IpAddr>().is_err() {
                at.refuse_with("BAD_HOST", "not a name with an address", "such as db:10.0.0.5");
                return false;
            }
            lines.push(format!("{address} {name}"));
            true
        };
        if let Kind::Mapping(_) = at.node().kind {
            for (entry, value) in at.map()?.entries() {
                let address = value.filled_text();
                complete &= address.is_some_and(|address| add(&value, &entry.key, &address));
            }
        } else {
            for item in at.list()? {
                let Some(text) = item.filled_text() else {
                    complete = false;
                    continue;
                };
                let (name, address) = text.split_once([':', '=']).unwrap_or((&text, ""));
                complete &= add(&item, name, address);
            }
        }
        complete.then_some(lines)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "array", "items": { "type": "string", "pattern": "^[^\\s:=]+[:=].+$" } },
                { "type": "object", "additionalProperties": { "type": "string" } },
            ],
        })
    }
}

/// Names with values that are not secrets by nature, such as kernel parameters.
pub(crate) struct Options;

impl Format for Options {
    type Value = BTreeMap<String, String>;

    fn read(at: &Cursor<'_>) -> Option<Self::Value> {
        let mut options = BTreeMap::new();
        let mut complete = true;
        for (key, value) in pairs(at, "option")? {
            if key.trim().is_empty() || key.chars().any(char::is_control) {
                value.at.refuse("BAD_KEY", "an option needs a name");
                complete = false;
            } else if let Some(text) = value.text() {
                options.insert(key, text);
            } else {
                complete = false;
            }
        }
        complete.then_some(options)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        pairs_schema()
    }
}

/// Permissions of a file: octal, as `chmod` takes them.
pub(crate) struct FileMode;

impl Format for FileMode {
    type Value = u32;

    fn read(at: &Cursor<'_>) -> Option<u32> {
        // 0440 is the number 440 by the rules of YAML: only what was written tells.
        let raw = match at.resolved() {
            Some(Resolved::Text(text)) => text,
            _ => at.scalar().map(|scalar| scalar.raw.clone()).unwrap_or_default(),
        };
        let digits = raw.strip_prefix("0o").or_else(|| raw.strip_prefix('0'));
        let mode = match digits {
            Some("") => Some(0),
            Some(digits) => u32::from_str_radix(digits, 8).ok(),
            None => None,
        };
        let mode = mode.filter(|mode| *mode <= 0o7777 && !raw.contains('+'));
        if mode.is_none() {
            let hint = "write it in octal with a leading zero, such as 0440";
            at.refuse_with("BAD_MODE", "not the permissions of a file", hint);
        }
        mode
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": "^0o?[0-7]{0,4}$" },
                { "type": "integer", "minimum": 0 },
            ],
            "examples": ["0440"],
        })
    }
}

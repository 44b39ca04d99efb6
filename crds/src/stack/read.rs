//! Reading a stack file: each kind is declared once, as a list of keys with types, and from that
//! come its reader, the version that each key needs, how it is merged and how it is written.

use std::cell::{Cell, RefCell};

use serde_json::{Map, Value};
use skep_yaml::{Cursor, Entry, Kind, MapCursor, Node, Problem, Problems, Resolved, Resolver};
use skep_yaml::{Style, did_you_mean};

/// The newest version of the format.
pub(crate) const NEWEST: u32 = 13;

/// What reading depends on beside the file.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The file's version is 3.this.
    pub(crate) minor: u32,
    /// What is worth a warning.
    warnings: RefCell<Problems>,
    /// How many ports may still be published.
    ports: Cell<usize>,
}

/// The most ports that one file may publish. A short text can be a range of all of them.
const MOST_PORTS: usize = 65_536;

impl Rules {
    pub(crate) fn new(minor: u32) -> Self {
        Self { minor, warnings: RefCell::default(), ports: Cell::new(MOST_PORTS) }
    }

    /// Takes ports from the budget; false when there are not so many left.
    pub(crate) fn publish(&self, ports: usize) -> bool {
        let left = self.ports.get();
        self.ports.set(left.saturating_sub(ports));
        ports <= left
    }

    pub(crate) fn into_warnings(self) -> Problems {
        self.warnings.into_inner()
    }

    /// Notes something about a value.
    pub(crate) fn warn(&self, at: &Cursor<'_>, code: &'static str, message: String, hint: &str) {
        self.warnings.borrow_mut().push(Problem {
            location: at.location(),
            path: at.path(),
            code,
            message,
            hint: (!hint.is_empty()).then(|| hint.to_owned()),
        });
    }
}

/// Whether the value came from a variable, so that no message may show it.
pub(crate) fn is_hidden(at: &Cursor<'_>) -> bool {
    at.scalar().is_some_and(|scalar| scalar.style == Style::Substituted)
}

/// A value that can be read from a stack file.
pub(crate) trait Read: Sized {
    /// Reads it, or notes what is wrong and gives `None`.
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self>;
}

/// A key of a kind.
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// The first version 3.this that has it.
    pub(crate) since: u32,
    /// What it says.
    pub(crate) about: &'static str,
}

/// Which keys a kind takes beside its own.
pub(crate) struct Others {
    /// Keys that begin with `x-`, from version 3.this on.
    pub(crate) extras: Option<u32>,
    /// Whether other keys are passed over, as docker does.
    pub(crate) ignored: bool,
    /// Which other keys are told about elsewhere.
    pub(crate) told: Option<fn(&str) -> bool>,
}

/// Declares a kind.
macro_rules! kind {
    (
        $(#[$meta:meta])*
        $name:ident $(extras $extras:literal)? $(ignores $ignores:literal)? $(told $told:path)? {
            $( $(#[doc = $doc:literal])* $key:literal $(($since:literal))? $field:ident: $type:ty, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Default, PartialEq, serde::Serialize)]
        pub struct $name {
            $(
                $(#[doc = $doc])*
                #[serde(rename = $key, skip_serializing_if = "crate::stack::merge::Zero::is_zero")]
                pub $field: $type,
            )+
            $(
                #[doc = concat!("What `x-…` keys say; they are allowed since 3.", $extras, ".")]
                #[serde(flatten)]
                pub extras: crate::stack::values::Extras,
            )?
        }

        impl $name {
            /// Its own keys.
            pub(crate) const KEYS: &'static [crate::stack::read::Key] = &[
                $( crate::stack::read::Key {
                    name: $key,
                    since: crate::stack::read::first(&[$($since,)? 0]),
                    about: concat!($($doc),*),
                }, )+
            ];

            /// Its fields from a mapping; what could not be read is as if it were not there.
            pub(crate) fn fields(
                map: &skep_yaml::MapCursor<'_>,
                rules: &crate::stack::read::Rules,
            ) -> Self {
                let others = crate::stack::read::Others {
                    extras: None $(.or(Some($extras)))?,
                    ignored: false $(|| $ignores)?,
                    told: None $(.or(Some($told as fn(&str) -> bool)))?,
                };
                crate::stack::read::check_keys(map, Self::KEYS, &others, rules);
                Self {
                    $( $field: map
                        .optional($key)
                        .and_then(|at| crate::stack::read::Read::read(&at, rules))
                        .unwrap_or_default(), )+
                    $( extras: crate::stack::values::Extras::from_map(map, rules.minor >= $extras), )?
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                // Any value may be that of a secret variable.
                f.write_str(concat!(stringify!($name), " { .. }"))
            }
        }

        impl crate::stack::merge::Zero for $name {
            fn is_zero(&self) -> bool {
                *self == Self::default()
            }
        }

        impl crate::stack::merge::Merge for $name {
            fn merge(&mut self, later: Self) {
                $( crate::stack::merge::Merge::merge(&mut self.$field, later.$field); )+
                $(
                    // For the kinds that have it.
                    const _: u32 = $extras;
                    crate::stack::merge::Merge::merge(&mut self.extras, later.extras);
                )?
            }
        }
    };
}
pub(crate) use kind;

/// A kind that is a mapping and nothing else.
macro_rules! mapping_only {
    ($($name:ident),+) => {
        $(impl crate::stack::read::Read for $name {
            fn read(at: &skep_yaml::Cursor<'_>, rules: &crate::stack::read::Rules) -> Option<Self> {
                Some(Self::fields(&at.map()?, rules))
            }
        })+
    };
}
pub(crate) use mapping_only;

/// The first number of a list.
pub(crate) const fn first(numbers: &[u32]) -> u32 {
    match numbers {
        [first, ..] => *first,
        [] => 0,
    }
}

/// Notes keys that the kind does not have, or does not have yet.
pub(crate) fn check_keys(map: &MapCursor<'_>, keys: &[Key], others: &Others, rules: &Rules) {
    for (entry, value) in map.entries() {
        let name = entry.key.as_str();
        if let Some(key) = keys.iter().find(|key| key.name == name) {
            if key.since > rules.minor {
                too_new(map, entry, key.since, rules);
            }
        } else if name.starts_with("x-")
            && let Some(since) = others.extras
        {
            if since > rules.minor {
                too_new(map, entry, since, rules);
            }
        } else if others.told.is_some_and(|told| told(name)) {
            // A better message than this one would be.
        } else if others.ignored {
            let message = format!("docker passes over the key \"{}\" here", shown(name));
            rules.warn(&value, "IGNORED_KEY", message, "take it out, it has no effect");
        } else {
            let names = keys.iter().map(|key| key.name);
            let hint = did_you_mean(name, names.clone()).map_or_else(
                || format!("known keys: {}", names.collect::<Vec<_>>().join(", ")),
                |word| format!("did you mean \"{word}\"?"),
            );
            let message = format!("unknown key \"{}\"", shown(name));
            map.refuse_key(entry, "UNKNOWN_KEY", message, Some(hint));
        }
    }
}

fn too_new(map: &MapCursor<'_>, entry: &Entry, since: u32, rules: &Rules) {
    let message = format!(
        "the key \"{}\" needs version 3.{since}, and the file says 3.{}",
        entry.key, rules.minor
    );
    let hint = format!("take `version` out, or write version: \"3.{since}\"");
    map.refuse_key(entry, "NEEDS_NEWER_VERSION", message, Some(hint));
}

/// A key in a message: not more of it than a name, since a value may stand where a key is meant.
fn shown(key: &str) -> String {
    let name = key.split_once('=').map_or(key, |(name, _)| name);
    name.chars().take(60).flat_map(char::escape_debug).collect()
}

/// A node as JSON, as docker's reader understands it; for what nobody looks into.
pub(crate) fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Mapping(mapping) => Value::Object(
            mapping
                .entries
                .iter()
                .map(|entry| (entry.key.clone(), json(&entry.value)))
                .collect::<Map<_, _>>(),
        ),
        Kind::Sequence(items) => Value::Array(items.iter().map(|item| json(item)).collect()),
        Kind::Scalar(scalar) => match Resolver::Docker.resolve(scalar) {
            Resolved::Null => Value::Null,
            Resolved::Bool(value) => value.into(),
            Resolved::Int(value) => i64::try_from(value)
                .map(Value::from)
                .or_else(|_| u64::try_from(value).map(Value::from))
                .unwrap_or_else(|_| scalar.raw.clone().into()),
            Resolved::Float(value) => serde_json::Number::from_f64(value)
                .map_or_else(|| scalar.raw.clone().into(), Value::Number),
            Resolved::Timestamp(text) | Resolved::Text(text) => text.into(),
        },
    }
}

impl Read for String {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        at.text()
    }
}

impl Read for bool {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        at.boolean()
    }
}

impl<T: Read> Read for Option<T> {
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
        T::read(at, rules).map(Some)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
        let items = at.list()?;
        Some(items.iter().filter_map(|item| T::read(item, rules)).collect())
    }
}

//! The difference between two canonical specs: what a person reads, and the edits that make the
//! live spec equal to the desired one.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;

use super::normalise::{NetworkNames, normalise, section_of};
use super::pointer::{self, escape, is_within};
use super::{Change, Edit};
use crate::desired::SecretValues;
use crate::image::ImageReference;
use crate::labels;
use crate::secrecy::{behind, holds_secret, looks_secret};

/// How secret values appear in changes: as a keyed fingerprint, so that two values can be told
/// apart without either being shown or guessed.
#[derive(Clone)]
pub struct Masking {
    key: Vec<u8>,
}

impl std::fmt::Debug for Masking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Masking")
    }
}

impl Masking {
    /// Masks with the installation's key.
    #[must_use]
    pub fn new(key: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into() }
    }

    /// Eight hexadecimal digits of a keyed hash of the value.
    #[must_use]
    pub fn fingerprint(&self, value: &str) -> String {
        let mut digest = self.digest(value.as_bytes());
        digest.truncate(8);
        digest
    }

    /// A keyed digest of bytes, as 64 hexadecimal digits: equal for equal bytes, and useless for
    /// testing guesses without the key.
    #[must_use]
    pub fn digest(&self, bytes: &[u8]) -> String {
        use std::fmt::Write as _;
        // HMAC takes keys of any length; the error type exists for other constructions.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return String::new() };
        mac.update(bytes);
        mac.finalize().into_bytes().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn masked(&self, pointer: &str, value: &Value, secrets: &SecretValues) -> Value {
        let key = pointer.rsplit('/').next().unwrap_or_default();
        self.masked_under(key, is_within(pointer, ENV), value, secrets)
    }

    fn mask(&self, text: &str, secrets: &SecretValues) -> Value {
        let real = secrets.resolve(text).unwrap_or(text);
        Value::String(format!("(masked {})", self.fingerprint(real)))
    }

    /// Masks every value of the environment, and elsewhere what looks like a secret: options of
    /// log and volume drivers, labels and arguments hold passwords and tokens more often than
    /// they should.
    fn masked_under(&self, key: &str, all: bool, value: &Value, secrets: &SecretValues) -> Value {
        match value {
            Value::String(text) if all || looks_secret(key) || holds_secret(text) => {
                self.mask(text, secrets)
            }
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| (key.clone(), self.masked_under(key, all, value, secrets)))
                .collect(),
            Value::Array(items) => {
                // An argument may be the value of the flag before it.
                let before = std::iter::once("")
                    .chain(items.iter().map(|item| item.as_str().unwrap_or_default()));
                let masked = |(item, before): (&Value, &str)| match item {
                    Value::String(text) if behind(before, text).is_some() => {
                        self.mask(text, secrets)
                    }
                    item => self.masked_under(key, all, item, secrets),
                };
                items.iter().zip(before).map(masked).collect()
            }
            // A variable that is inherited from the engine's environment has no value.
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

const ENV: &str = "/TaskTemplate/ContainerSpec/Env";
pub(crate) const IMAGE: &str = "/TaskTemplate/ContainerSpec/Image";
pub(crate) const REPLICAS: &str = "/Mode/Replicated/Replicas";
const INIT: &str = "/TaskTemplate/ContainerSpec/Init";

/// Blocks that the engine reads as a whole: a part of one, written alone, would give the rest
/// zero instead of the default, and an empty one is refused. An edit therefore replaces the block.
const WHOLE_BLOCKS: &[&str] = &[
    "/UpdateConfig",
    "/RollbackConfig",
    "/TaskTemplate/RestartPolicy",
    "/TaskTemplate/LogDriver",
    "/TaskTemplate/ContainerSpec/Healthcheck",
    "/TaskTemplate/ContainerSpec/Privileges/CredentialSpec",
];

/// What the comparison leaves alone.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ignored<'a> {
    pub(super) pointers: &'a [String],
}

impl Ignored<'_> {
    fn covers(&self, pointer: &str) -> bool {
        self.pointers.iter().any(|ignored| is_within(pointer, ignored))
    }

    /// The desired value of an object that is written as a whole, with the ignored parts of it
    /// as they are in the live spec.
    fn keep(&self, at: &str, desired: &Value, live: &Value) -> Value {
        let mut value = desired.clone();
        for ignored in self.pointers {
            let Some(below) = ignored.strip_prefix(at).filter(|rest| rest.starts_with('/')) else {
                continue;
            };
            // A list without keys is one value; nothing in it can be kept on its own.
            let parent = ignored.rsplit_once('/').and_then(|(parent, _)| live.pointer(parent));
            match live.pointer(ignored) {
                Some(leaf) if parent.is_some_and(Value::is_object) => {
                    pointer::set(&mut value, below, leaf.clone());
                }
                Some(_) => {}
                None => pointer::remove(&mut value, below),
            }
        }
        value
    }
}

/// A difference: for the reader and for the writer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Difference {
    pub(super) changes: Vec<Change>,
    pub(super) edits: Vec<Edit>,
}

/// What differs between two specs in the engine's form, for people: values masked, placeholders
/// compared by what stands behind them.
#[must_use]
pub fn diff_between(
    before: &Value,
    after: &Value,
    networks: &NetworkNames,
    secrets: &SecretValues,
    masking: &Masking,
) -> Vec<Change> {
    let (before, after) = (normalise(before, networks), normalise(after, networks));
    compare(&before, &after, secrets, masking, Ignored::default()).changes
}

/// Compares two canonical specs.
pub(super) fn compare(
    live: &Value,
    desired: &Value,
    secrets: &SecretValues,
    masking: &Masking,
    ignored: Ignored<'_>,
) -> Difference {
    let mut walk = Walk { secrets, masking, ignored, out: Difference::default() };
    walk.compare("", Some(live), Some(desired));
    let mut edits: BTreeMap<String, Option<Value>> = BTreeMap::new();
    for edit in std::mem::take(&mut walk.out.edits) {
        match whole(&edit.pointer) {
            Some(block) if !edits.contains_key(&block) => {
                let value = whole_block(&block, live, desired, ignored);
                edits.insert(block, value);
            }
            Some(_) => {}
            None => {
                edits.insert(edit.pointer, edit.value);
            }
        }
    }
    walk.out.edits = edits.into_iter().map(|(pointer, value)| Edit { pointer, value }).collect();
    walk.out
}

/// The block or the list entry that is written as a whole when this changes.
fn whole(pointer: &str) -> Option<String> {
    WHOLE_BLOCKS
        .iter()
        .find(|block| is_within(pointer, block))
        .map(|block| (*block).to_owned())
        .or_else(|| section_of(pointer).map(|(section, key)| section.entry_pointer(&key)))
}

fn whole_block(block: &str, live: &Value, desired: &Value, ignored: Ignored<'_>) -> Option<Value> {
    let declared = desired.pointer(block);
    // An entry comes as it is declared, and takes what is ignored in it with it when it goes.
    let is_entry = section_of(block).is_some();
    if is_entry && (declared.is_none() || live.pointer(block).is_none()) {
        return declared.cloned();
    }
    let nothing = Value::Object(Map::new());
    let kept = ignored.keep(block, declared.unwrap_or(&nothing), live);
    (declared.is_some() || kept != nothing).then_some(kept)
}

/// Labels by which docker's own commands find a stack that was adopted: nobody declares them, and
/// without them `docker stack ps` and `rm` would lose the service.
fn is_docker_stack_label(pointer: &str) -> bool {
    ["/Labels/", "/TaskTemplate/ContainerSpec/Labels/"]
        .iter()
        .filter_map(|labels| pointer.strip_prefix(labels))
        .any(|key| key.starts_with(labels::STACK_PREFIX))
}

/// `Init: false` is what docker's client sends when nobody asked for an init. The engine keeps it
/// apart from "not said", where its own default counts; who declares `false` gets it written.
fn is_unasked(pointer: &str, live: Option<&Value>) -> bool {
    pointer == INIT && live == Some(&Value::Bool(false))
}

struct Walk<'a> {
    secrets: &'a SecretValues,
    masking: &'a Masking,
    ignored: Ignored<'a>,
    out: Difference,
}

impl Walk<'_> {
    fn compare(&mut self, pointer: &str, live: Option<&Value>, desired: Option<&Value>) {
        if self.ignored.covers(pointer) || self.are_equal(pointer, live, desired) {
            return;
        }
        if desired.is_none() && (is_docker_stack_label(pointer) || is_unasked(pointer, live)) {
            return;
        }
        // An entry that comes or goes is one change, whatever it says.
        let is_half = (live.is_none() || desired.is_none())
            && section_of(pointer)
                .is_some_and(|(section, key)| pointer.len() == section.entry_pointer(&key).len());
        let empty = Map::new();
        let objects = match (live, desired) {
            (Some(Value::Object(live)), Some(Value::Object(desired))) => Some((live, desired)),
            (Some(Value::Object(live)), None) => Some((live, &empty)),
            (None, Some(Value::Object(desired))) => Some((&empty, desired)),
            _ => None,
        };
        match objects {
            // An empty object that only one side has says something by being there: `Global: {}`.
            Some((live, desired)) if !(is_half || live.is_empty() && desired.is_empty()) => {
                let mut keys: Vec<&String> = live.keys().chain(desired.keys()).collect();
                keys.sort();
                keys.dedup();
                for key in keys {
                    let child = format!("{pointer}/{}", escape(key));
                    self.compare(&child, live.get(key), desired.get(key));
                }
            }
            _ => self.note(pointer, live, desired),
        }
    }

    fn are_equal(&self, pointer: &str, live: Option<&Value>, desired: Option<&Value>) -> bool {
        match (live, desired) {
            (Some(Value::String(live)), Some(Value::String(desired))) => {
                if pointer == IMAGE {
                    ImageReference::parse(desired).is_met_by(&ImageReference::parse(live))
                } else {
                    live == self.secrets.resolve(desired).unwrap_or(desired)
                }
            }
            (live, desired) => live == desired,
        }
    }

    fn note(&mut self, pointer: &str, live: Option<&Value>, desired: Option<&Value>) {
        let shown = |value: Option<&Value>| match value {
            Some(value) => self.masking.masked(pointer, value, self.secrets),
            None => Value::Null,
        };
        let change =
            Change { path: pointer.to_owned(), before: shown(live), after: shown(desired) };
        self.out.changes.push(change);
        self.out.edits.push(Edit { pointer: pointer.to_owned(), value: desired.cloned() });
    }
}

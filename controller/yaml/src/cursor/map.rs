//! Reading a mapping key by key.

use super::Cursor;
use crate::decode::Decode;
use crate::path::Step;
use crate::problem::{Problem, did_you_mean};
use crate::resolve::shorten;
use crate::tree::{Entry, Mapping};

/// A mapping under a cursor.
#[derive(Clone, Debug)]
pub struct MapCursor<'a> {
    pub(super) at: Cursor<'a>,
    pub(super) mapping: &'a Mapping,
}

impl<'a> MapCursor<'a> {
    /// The mapping as a node.
    pub const fn cursor(&self) -> &Cursor<'a> {
        &self.at
    }

    /// The value of a key, if it is there.
    pub fn optional(&self, key: &str) -> Option<Cursor<'a>> {
        let entry = self.mapping.entries.iter().find(|entry| entry.key == key)?;
        Some(self.child(entry))
    }

    /// The value of a key that must be there.
    pub fn required(&self, key: &str) -> Option<Cursor<'a>> {
        let found = self.optional(key);
        if found.is_none() {
            self.at.refuse("MISSING_KEY", format!("the key \"{key}\" is missing"));
        }
        found
    }

    /// A field: the value of its key, or what it is when the key is not there.
    pub fn field<T: Decode>(&self, key: &str) -> Option<T> {
        match self.optional(key) {
            Some(value) => T::decode(&value),
            None => {
                let missing = T::missing();
                if missing.is_none() {
                    self.at.refuse("MISSING_KEY", format!("the key \"{key}\" is missing"));
                }
                missing
            }
        }
    }

    /// Notes every key that is not in `known`.
    pub fn deny_unknown(&self, known: &[&str]) {
        for entry in &self.mapping.entries {
            if known.contains(&entry.key.as_str()) {
                continue;
            }
            // Looking for a near word costs more than all the rest.
            if self.at.sink.problems.borrow().is_full() {
                return;
            }
            let hint = did_you_mean(&entry.key, known.iter().copied()).map_or_else(
                || format!("known keys: {}", known.join(", ")),
                |word| format!("did you mean \"{word}\"?"),
            );
            self.refuse_key(
                entry,
                "UNKNOWN_KEY",
                format!("unknown key \"{}\"", shorten(&entry.key)),
                Some(hint),
            );
        }
    }

    /// Notes that a key is wrong, at the key.
    pub fn refuse_key(
        &self,
        entry: &Entry,
        code: &'static str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.at.sink.push(Problem {
            location: self.at.sink.location(entry.key_span.start),
            path: self.at.path.join(Step::Key(entry.key.clone())).to_string(),
            code,
            message: message.into(),
            hint,
        });
    }

    /// Every entry with a cursor on its value, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = (&'a Entry, Cursor<'a>)> + use<'a, '_> {
        self.mapping.entries.iter().map(|entry| (entry, self.child(entry)))
    }

    /// Whether a key was given twice.
    pub const fn has_duplicates(&self) -> bool {
        !self.mapping.duplicates.is_empty()
    }

    /// Keys that were given more than once.
    pub fn duplicate_keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.mapping.duplicates.iter().map(|entry| entry.key.as_str())
    }

    fn child(&self, entry: &'a Entry) -> Cursor<'a> {
        Cursor {
            sink: self.at.sink,
            node: &entry.value,
            path: self.at.path.join(Step::Key(entry.key.clone())),
        }
    }
}

//! Texts, lists and mappings in the notations that stack files have for them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use skep_yaml::{Cursor, Kind, MapCursor, Resolved};

use super::merge::{Merge, Zero, replace};
use super::read::{Read, Rules, json};
use super::shell;

/// A newtype that is written as what it wraps.
macro_rules! wrapper {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Default, PartialEq, Serialize)]
            #[serde(transparent)]
            pub struct $name(pub $inner);

            impl std::fmt::Debug for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str(concat!(stringify!($name), "(..)"))
                }
            }

            impl Zero for $name {
                fn is_zero(&self) -> bool {
                    self.0.is_zero()
                }
            }
        )+
    };
}

wrapper! {
    /// A list of texts, each once.
    Uniques(Vec<String>);
    /// Names of services that should run first.
    Dependencies(Vec<String>);
    /// One text, or a list of texts, each once.
    Texts(Vec<String>);
    /// Texts or numbers, as texts.
    Numbers(Vec<String>);
    /// Words of a command: a list, or one text that is split as a shell splits it.
    Words(Vec<String>);
    /// The test of a health check: a list, or one text for a shell.
    Test(Vec<String>);
    /// `name:address` pairs, from a list or a mapping.
    Hosts(Vec<String>);
    /// Names and texts, from a mapping or a list of `name=text`.
    Pairs(BTreeMap<String, String>);
    /// Options: a mapping of texts or numbers.
    Options(BTreeMap<String, String>);
    /// Options of a log driver, which may also be empty.
    LogOptions(BTreeMap<String, String>);
    /// Variables: a mapping or a list; `null` takes the value that is around when it is read.
    Environment(BTreeMap<String, Option<String>>);
    /// What `x-…` keys say.
    Extras(BTreeMap<String, Value>);
}

impl Read for Uniques {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        texts(at, true).map(Self)
    }
}

impl Read for Dependencies {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        if let Kind::Mapping(_) = at.node().kind {
            at.refuse_with(
                "WRONG_TYPE",
                "conditions are not part of the format for stacks",
                "write a list of names: depends_on: [db, cache]",
            );
            return None;
        }
        texts(at, true).map(Self)
    }
}

impl Read for Texts {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        if at.scalar().is_some() {
            return at.text().map(|text| Self(vec![text]));
        }
        texts(at, true).map(Self)
    }
}

impl Read for Numbers {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        let items = at.list()?;
        Some(Self(items.iter().filter_map(|item| text_or_number(item, false)).collect()))
    }
}

impl Read for Words {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        if at.scalar().is_none() {
            return texts(at, false).map(Self);
        }
        match shell::split(&at.text()?) {
            Ok(words) => Some(Self(words)),
            Err(why) => {
                let message = match why {
                    shell::Unfinished::Quote => "a quote is opened and not closed",
                    shell::Unfinished::Escape => "nothing follows the backslash at the end",
                };
                at.refuse_with(
                    "BAD_COMMAND",
                    message,
                    "write a list of words: [\"sh\", \"-c\", \"…\"]",
                );
                None
            }
        }
    }
}

impl Read for Test {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        if at.scalar().is_some() {
            return at.text().map(|text| Self(vec!["CMD-SHELL".to_owned(), text]));
        }
        texts(at, false).map(Self)
    }
}

impl Read for Hosts {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        let lines = match &at.node().kind {
            Kind::Mapping(_) => {
                let map = at.map()?;
                let mut lines: Vec<String> = map
                    .entries()
                    .filter(|(_, value)| !value.is_null())
                    .filter_map(|(entry, value)| {
                        Some(format!("{}:{}", entry.key, text_or_number(&value, false)?))
                    })
                    .collect();
                lines.sort();
                lines
            }
            Kind::Sequence(_) | Kind::Scalar(_) => {
                let items = at.list()?;
                let lines = texts(at, true)?;
                lines.iter().zip(&items).filter_map(|(line, at)| host(line, at)).collect()
            }
        };
        Some(Self(lines.iter().map(|line| without_brackets(line)).collect()))
    }
}

/// `name=address` and `name:address` are the same; an `=` is looked for first.
fn host(line: &str, at: &Cursor<'_>) -> Option<String> {
    let pair = line.split_once('=').or_else(|| line.split_once(':'));
    if pair.is_none() {
        let hint = "write NAME:ADDRESS, such as \"db:10.0.0.5\"";
        at.refuse_with("BAD_HOST", "no address stands behind the name", hint);
    }
    pair.map(|(name, address)| format!("{name}:{address}"))
}

/// `[::1]` is `::1`.
fn without_brackets(line: &str) -> String {
    let (name, address) = line.split_once(':').unwrap_or((line, ""));
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    format!("{name}:{}", bare.filter(|bare| !bare.is_empty()).unwrap_or(address))
}

impl Read for Pairs {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        let pairs = pairs(at, true)?.into_iter();
        Some(Self(pairs.map(|(key, value)| (key, value.unwrap_or_default())).collect()))
    }
}

impl Read for Environment {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        Some(Self(pairs(at, true)?.into_iter().collect()))
    }
}

impl Read for Options {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        options(at, false).map(Self)
    }
}

impl Read for LogOptions {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        options(at, true).map(Self)
    }
}

fn options(at: &Cursor<'_>, nothing: bool) -> Option<BTreeMap<String, String>> {
    let map = at.map()?;
    let read = map
        .entries()
        .filter_map(|(entry, value)| Some((entry.key.clone(), text_or_number(&value, nothing)?)));
    Some(read.collect())
}

impl Extras {
    /// The keys of a mapping that begin with `x-`, where they are allowed.
    pub(crate) fn from_map(map: &MapCursor<'_>, allowed: bool) -> Self {
        if !allowed {
            return Self::default();
        }
        let own = map.entries().filter(|(entry, _)| entry.key.starts_with("x-"));
        Self(own.map(|(entry, value)| (entry.key.clone(), json(value.node()))).collect())
    }
}

/// A list of texts.
pub(super) fn texts(at: &Cursor<'_>, unique: bool) -> Option<Vec<String>> {
    let items = at.list()?;
    let read: Vec<Option<String>> = items.iter().map(Cursor::text).collect();
    if unique {
        refuse_repeated(&items, &read);
    }
    Some(read.into_iter().flatten().collect())
}

/// Docker refuses lists in which the same thing stands twice.
pub(super) fn refuse_repeated<T: PartialEq>(items: &[Cursor<'_>], values: &[Option<T>]) {
    for (index, (at, value)) in items.iter().zip(values).enumerate() {
        let before = values.get(..index).unwrap_or_default();
        if value.is_some() && before.contains(value) {
            at.refuse_with(
                "DUPLICATE_ITEM",
                "the same stands here twice",
                "take one of the two out",
            );
        }
    }
}

/// A text, or a number as docker prints it. A truth value is refused, as docker does: what the
/// program wants to read is not known.
pub(super) fn text_or_number(at: &Cursor<'_>, nothing: bool) -> Option<String> {
    match at.resolved() {
        Some(Resolved::Null) if nothing => Some(String::new()),
        Some(Resolved::Float(value)) if !value.is_finite() => {
            at.refuse_with("WRONG_TYPE", "expected a text or a number", "write it in quotes");
            None
        }
        Some(Resolved::Bool(value)) => {
            let hint = format!("write it in quotes: \"{value}\"");
            at.refuse_with(
                "WRONG_TYPE",
                format!("expected a text or a number, found {}", at.found()),
                hint,
            );
            None
        }
        Some(Resolved::Null) | None => {
            at.expected("a text or a number");
            None
        }
        Some(value) => Some(value.go_text()),
    }
}

/// Names with values, from a mapping or a list; a name alone has none.
fn pairs(at: &Cursor<'_>, unique: bool) -> Option<Vec<(String, Option<String>)>> {
    if at.scalar().is_some() {
        // What was found is not repeated: it may be KEY=secret.
        at.refuse("WRONG_TYPE", "expected a mapping, or a list of KEY=VALUE");
        return None;
    }
    if let Kind::Mapping(_) = at.node().kind {
        let map = at.map()?;
        let read = map.entries().filter_map(|(entry, value)| {
            if value.is_null() {
                return Some((entry.key.clone(), None));
            }
            Some((entry.key.clone(), Some(text_or_number(&value, false)?)))
        });
        return Some(read.collect());
    }
    let items = at.list()?;
    let lines: Vec<Option<String>> = items.iter().map(quiet_text).collect();
    if unique {
        refuse_repeated(&items, &lines);
    }
    let split = |line: String| match line.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (line, None),
    };
    Some(lines.into_iter().flatten().map(split).collect())
}

/// A text; what stands there instead is not repeated, since it may be a secret.
fn quiet_text(at: &Cursor<'_>) -> Option<String> {
    match at.resolved() {
        Some(Resolved::Text(text)) => Some(text),
        _ => {
            at.refuse_with("WRONG_TYPE", "expected KEY=VALUE as a text", "write it in quotes");
            None
        }
    }
}

macro_rules! lists_grow {
    ($($name:ident),+) => {
        $(impl Merge for $name {
            fn merge(&mut self, later: Self) {
                self.0.merge(later.0);
            }
        })+
    };
}
lists_grow!(Uniques, Dependencies, Texts, Numbers, Test, Hosts);

macro_rules! keys_are_merged {
    ($($name:ident),+) => {
        $(impl Merge for $name {
            fn merge(&mut self, later: Self) {
                self.0.extend(later.0);
            }
        })+
    };
}
keys_are_merged!(Pairs, Options, LogOptions);

impl Merge for Words {
    fn merge(&mut self, later: Self) {
        replace(self, later);
    }
}

impl Merge for Environment {
    /// A later value that is empty does not replace one that is not.
    fn merge(&mut self, later: Self) {
        for (key, value) in later.0 {
            let here = self.0.entry(key).or_default();
            if here.as_deref().unwrap_or_default().is_empty()
                || value.as_deref().is_some_and(|value| !value.is_empty())
            {
                *here = value;
            }
        }
    }
}

impl Merge for Extras {
    fn merge(&mut self, later: Self) {
        for (key, value) in later.0 {
            match self.0.get_mut(&key) {
                Some(here) => merge_json(here, value),
                None => {
                    self.0.insert(key, value);
                }
            }
        }
    }
}

fn merge_json(here: &mut Value, later: Value) {
    match (here, later) {
        (Value::Object(here), Value::Object(later)) => {
            for (key, value) in later {
                match here.get_mut(&key) {
                    Some(here) => merge_json(here, value),
                    None => {
                        here.insert(key, value);
                    }
                }
            }
        }
        (Value::Array(here), Value::Array(later)) => here.extend(later),
        (here, later) => *here = later,
    }
}

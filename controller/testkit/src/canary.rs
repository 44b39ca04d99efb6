//! Planted secrets, and the search for them in everything that leaves a process.
//!
//! A test plants one value for each place where a secret can enter and searches every channel on
//! which it could leave. Each value has a random part of its own: a hit says which secret it is,
//! and nothing that is compiled in can be mistaken for one. Only the random part is searched for,
//! so that a value that was cut or glued to another text is found as well, in every [`Form`] in
//! which programs write bytes down.

mod form;

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::fs;
use std::hash::BuildHasher as _;
use std::path::Path;

use aho_corasick::AhoCorasick;

pub use self::form::Form;
use crate::Error;

/// How many hits of one secret in one form on one kind of channel are told.
const MOST_TOLD: usize = 5;

/// How many characters of a hit's surroundings are told.
const SURROUNDINGS: usize = 48;

/// Planted secrets.
#[derive(Debug)]
pub struct Canaries {
    secrets: Vec<Secret>,
    /// One pattern for each form of each secret, and what it is.
    patterns: AhoCorasick,
    meanings: Vec<(usize, Form)>,
}

#[derive(Debug)]
struct Secret {
    place: String,
    value: String,
}

/// A secret where it must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Where the secret was planted.
    pub place: String,
    /// Where it was found.
    pub channel: String,
    /// How it is written there.
    pub form: Form,
    /// What stands around it.
    pub around: String,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, channel, form, around } = self;
        write!(f, "the {place} is in {channel} ({form}): {around}")
    }
}

impl Canaries {
    /// Makes a secret for each of these places, for example `environment value`. The values are
    /// made of letters, digits and hyphens, so that they can be written anywhere as they are.
    ///
    /// # Errors
    /// When there are too many to search for at once.
    pub fn plant(places: &[&str]) -> Result<Self, Error> {
        let random = || format!("{:016x}", RandomState::new().hash_one("canary"));
        let planted = places.iter().map(|place| {
            let (word, random) = (place.replace(' ', "-"), random());
            (
                Secret { place: (*place).to_owned(), value: format!("canary-{word}-{random}") },
                random,
            )
        });
        Self::of(planted.collect())
    }

    /// The same with a secret whose value something else decides, such as a key of a given
    /// length.
    ///
    /// # Errors
    /// As [`Self::plant`].
    pub fn and(mut self, place: &str, value: &str) -> Result<Self, Error> {
        let known = |secret: Secret| {
            let unique = secret.value.rsplit('-').next().unwrap_or_default().to_owned();
            (secret, unique)
        };
        let mut planted: Vec<_> = self.secrets.drain(..).map(known).collect();
        let given = Secret { place: place.to_owned(), value: value.to_owned() };
        planted.push((given, value.to_owned()));
        Self::of(planted)
    }

    fn of(planted: Vec<(Secret, String)>) -> Result<Self, Error> {
        let mut meanings = Vec::new();
        let mut texts = Vec::new();
        for (index, (_, unique)) in planted.iter().enumerate() {
            for (form, text) in form::forms(unique) {
                meanings.push((index, form));
                texts.push(text);
            }
        }
        let patterns = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(&texts)
            .map_err(|error| Error::Canaries { why: error.to_string() })?;
        let secrets = planted.into_iter().map(|(secret, _)| secret).collect();
        Ok(Self { secrets, patterns, meanings })
    }

    /// The value that was planted in a place; empty for a place that has none.
    #[must_use]
    pub fn value(&self, place: &str) -> &str {
        let secret = self.secrets.iter().find(|secret| secret.place == place);
        secret.map_or("", |secret| &secret.value)
    }

    /// Every value, with its place.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.secrets.iter().map(|secret| (secret.place.as_str(), secret.value.as_str()))
    }

    /// The secrets in these bytes; one hit for each secret and form.
    #[must_use]
    pub fn hits(&self, channel: &str, bytes: &[u8]) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        for found in self.patterns.find_overlapping_iter(bytes) {
            let Some((index, form)) = self.meanings.get(found.pattern().as_usize()) else {
                continue;
            };
            let Some(secret) = self.secrets.get(*index) else { continue };
            if hits.iter().any(|hit| hit.place == secret.place && hit.form == *form) {
                continue;
            }
            let from = found.start().saturating_sub(SURROUNDINGS);
            let to = found.end().saturating_add(SURROUNDINGS).min(bytes.len());
            let around = String::from_utf8_lossy(bytes.get(from..to).unwrap_or_default());
            hits.push(Hit {
                place: secret.place.clone(),
                channel: channel.to_owned(),
                form: *form,
                around: around.escape_debug().to_string(),
            });
        }
        hits
    }

    /// A search of many channels.
    #[must_use]
    pub fn search(&self) -> Search<'_> {
        Search { canaries: self, searched: BTreeMap::new(), hits: Vec::new() }
    }
}

/// What was searched, and what was found.
#[derive(Debug)]
pub struct Search<'a> {
    canaries: &'a Canaries,
    searched: BTreeMap<String, usize>,
    hits: Vec<Hit>,
}

impl Search<'_> {
    /// Searches these bytes. `what` is the kind of channel, `which` tells two of a kind apart.
    pub fn bytes(&mut self, what: &str, which: &str, bytes: &[u8]) {
        *self.searched.entry(what.to_owned()).or_default() += bytes.len();
        let channel = if which.is_empty() { what.to_owned() } else { format!("{what} {which}") };
        for hit in self.canaries.hits(&channel, bytes) {
            // A leak in a log line would otherwise be told once for each line.
            let told = self.hits.iter().filter(|told| {
                told.place == hit.place && told.form == hit.form && told.channel.starts_with(what)
            });
            if told.count() < MOST_TOLD {
                self.hits.push(hit);
            }
        }
    }

    /// Searches what a value's `Debug` says.
    pub fn debug(&mut self, what: &str, which: &str, value: &dyn fmt::Debug) {
        self.bytes(what, which, format!("{value:?}\n{value:#?}").as_bytes());
    }

    /// Searches names and contents of all files below a folder, except of those paths.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn files(&mut self, what: &str, folder: &Path, except: &[&Path]) -> Result<(), Error> {
        let entries = fs::read_dir(folder).map_err(Error::file("read", folder))?;
        for entry in entries {
            let path = entry.map_err(Error::file("read", folder))?.path();
            if except.contains(&path.as_path()) {
                continue;
            }
            self.bytes(what, "(a name)", path.as_os_str().as_encoded_bytes());
            if path.is_dir() {
                self.files(what, &path, except)?;
            } else if path.is_file() {
                let bytes = fs::read(&path).map_err(Error::file("read", &path))?;
                self.bytes(what, &path.display().to_string(), &bytes);
            }
        }
        Ok(())
    }

    /// How many bytes of each kind of channel were searched: an empty channel proves nothing.
    #[must_use]
    pub fn searched(&self, what: &str) -> usize {
        self.searched.get(what).copied().unwrap_or_default()
    }

    /// What was found.
    #[must_use]
    pub fn hits(&self) -> &[Hit] {
        &self.hits
    }
}

impl fmt::Display for Search<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, bytes) in &self.searched {
            writeln!(f, "searched {bytes} bytes of {what}")?;
        }
        self.hits.iter().try_for_each(|hit| writeln!(f, "{hit}"))
    }
}

#[cfg(test)]
mod tests;

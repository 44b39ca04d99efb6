//! The way back from a live service to a registry entry that means exactly this service.
//!
//! The words of the registry are proposed from the canonical spec; the entry is then read and
//! planned by the same code as any registry, and what still differs goes into `spec:`, or, where
//! that cannot say it either, into `ignore:` with a warning. So an imported service plans as
//! nothing but *adopt*, or the import says what it could not take.

mod compose;
mod container;
mod environment;
mod hidden;
mod naming;
mod patch;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};
use skep_crds::registry::{Entry, Registry, RegistryFile, Service, to_yaml};
use skep_crds::value::{EnvValue, JsonPointer};

pub use self::compose::{ImportedStack, compose, services_of};
pub use self::naming::{Naming, names};
use self::words::Words;
use crate::desired::{Desired, DesiredService, ResolvedReference, SecretValues, connector};
use crate::digester::Digester;
use crate::image::ImageReference;
use crate::observed::{ObservedService, Snapshot};
use crate::plan::{
    Change, Finding, Fresh, Holdings, Masking, NetworkNames, Owned, PlanInput, normalise, plan_key,
};
use crate::resolution::Resolutions;

const ENV: &str = "/TaskTemplate/ContainerSpec/Env";
const IMAGE: &str = "/TaskTemplate/ContainerSpec/Image";

/// How a service is taken into a registry.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its names there.
    pub naming: &'a Naming,
    /// The folder, as an absolute path, in which the files with its secrets will be.
    pub references: &'a str,
}

/// A service as a registry says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The entry.
    pub entry: Entry,
    /// What the references of its environment need.
    pub secrets: Vec<SecretFile>,
    /// What it could not say.
    pub warnings: Vec<String>,
}

/// The content of a file that a reference names.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// The file, as the reference names it.
    pub path: String,
    /// The value of the variable.
    pub value: String,
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretFile({})", self.path)
    }
}

/// Why a service cannot be taken into a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no service of containers, such as a plugin.
    #[error("it runs no container image")]
    NoImage,
    /// The entry cannot be read back, whatever is left out.
    #[error("no registry entry says it: {0}")]
    Unreadable(String),
    /// The entry differs from the service, whatever is left out.
    #[error("an entry for it would differ at {0}")]
    Differs(String),
}

/// What is collected on the way.
#[derive(Debug, Default)]
struct Found {
    secrets: Vec<SecretFile>,
    warnings: Vec<String>,
    ignore: Vec<String>,
}

impl Found {
    fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Leaves a field alone; a pointer that cannot be written is that of what it lies in.
    fn ignore(&mut self, pointer: &str) {
        let mut at = pointer;
        while JsonPointer::parse(at).is_none() {
            let Some((above, _)) = at.rsplit_once('/') else { return };
            at = above;
        }
        if !self.ignore.iter().any(|known| known == at) {
            self.ignore.push(at.to_owned());
        }
    }
}

/// The registry entry of a live service. Pure: the same service gives the same entry.
///
/// # Errors
/// When nothing that a registry can say means this service.
pub fn import(
    live: &ObservedService,
    snapshot: &Snapshot,
    request: Request<'_>,
) -> Result<Imported, Error> {
    let spec = &live.spec.value();
    let mut canonical = normalise(spec, &NetworkNames::of(snapshot));
    let mut found = Found::default();
    for pointer in hidden::take(&mut canonical) {
        found.ignore(&pointer);
        found.warn(format!(
            "{pointer} looks like a secret and is in no variable; it is ignored, not written"
        ));
    }
    let words = propose(&canonical, request, &mut found)?;
    let values: BTreeMap<String, String> =
        found.secrets.iter().map(|file| (file.path.clone(), file.value.clone())).collect();
    let mut draft = Draft { live, snapshot, values, words, patch: Value::Null };
    draft.readable(&found.ignore)?;
    draft.complete(spec, &canonical, &mut found)?;
    found.ignore.sort();
    let used: Vec<String> = draft.references();
    found.secrets.retain(|file| used.contains(&file.path));
    let entry = draft.entry(&found.ignore);
    Ok(Imported { entry, secrets: found.secrets, warnings: found.warnings })
}

fn propose(spec: &Value, request: Request<'_>, found: &mut Found) -> Result<Entry, Error> {
    let image = spec.pointer(IMAGE).and_then(Value::as_str).ok_or(Error::NoImage)?;
    let mut image = ImageReference::parse(image);
    if image.tag.is_some() {
        // What the tag pointed to is found out anew when something is changed.
        image.digest = None;
    }
    let mut out = Words::default();
    let Naming { name, stack, swarm_name } = request.naming;
    out.put("name", Some(json!(name)));
    out.put("stack", stack.as_ref().map(|stack| json!(stack)));
    out.put("swarm_name", swarm_name.as_ref().map(|name| json!(name)));
    out.put("image", Some(json!(image.to_string())));
    words::mode(&mut out, spec);
    let mut late = Words::default();
    let port = environment::words(&mut late, spec, request.references, found);
    let is_env = |(word, _): &(String, Value)| word == "env";
    let (env, addresses): (Entry, Entry) = late.0.into_iter().partition(is_env);
    out.0.extend(addresses);
    words::ports(&mut out, spec, port);
    out.0.extend(env);
    if let Some(container) = spec.pointer("/TaskTemplate/ContainerSpec") {
        container::words(&mut out, container);
    }
    words::around(&mut out, spec);
    Ok(out.0)
}

/// More fields than any spec has that no word says.
const MOST_ROUNDS: usize = 1_000;

/// What an entry is nothing without.
const NEEDED: [&str; 4] = ["name", "stack", "swarm_name", "image"];

/// An entry on its way.
struct Draft<'a> {
    live: &'a ObservedService,
    snapshot: &'a Snapshot,
    /// By the path of the reference.
    values: BTreeMap<String, String>,
    words: Entry,
    patch: Value,
}

impl Draft<'_> {
    fn entry(&self, ignore: &[String]) -> Entry {
        let mut entry = self.words.clone();
        if !self.patch.is_null() {
            entry.push(("spec".to_owned(), self.patch.clone()));
        }
        if !ignore.is_empty() {
            entry.push(("ignore".to_owned(), json!(ignore)));
        }
        entry
    }

    fn references(&self) -> Vec<String> {
        let env = self.words.iter().find(|(word, _)| word == "env");
        let values =
            env.and_then(|(_, env)| env.as_object()).into_iter().flat_map(|env| env.values());
        values.filter_map(|value| Some(value.as_str()?.strip_prefix("file:")?.to_owned())).collect()
    }

    /// Reads the entry as any registry is read.
    fn read(&self, ignore: &[String]) -> Result<Service, skep_crds::Problems> {
        let text = to_yaml("", &[self.entry(ignore)]);
        let file = RegistryFile { name: "import", bytes: text.as_bytes() };
        let registry = Registry::read(&[file], None)?;
        registry.services.into_iter().next().ok_or_else(skep_crds::Problems::new)
    }

    /// Takes away words that the reader refuses, one by one; what they would have said is left
    /// over for the patch.
    fn readable(&mut self, ignore: &[String]) -> Result<(), Error> {
        loop {
            let Err(problems) = self.read(ignore) else { return Ok(()) };
            let without = |index: usize| {
                let mut words = self.words.clone();
                words.remove(index);
                let draft =
                    Draft { words, values: BTreeMap::new(), patch: self.patch.clone(), ..*self };
                draft.read(ignore).map_or_else(|problems| problems.len(), |_| 0)
            };
            let droppable = (0..self.words.len()).filter(|index| {
                self.words.get(*index).is_some_and(|(word, _)| !NEEDED.contains(&word.as_str()))
            });
            let best = droppable.map(|index| (without(index), index)).min();
            match best {
                Some((left, index)) if left < problems.len() => {
                    self.words.remove(index);
                }
                _ => {
                    let first = problems.iter().next().map(|problem| problem.message.clone());
                    return Err(Error::Unreadable(first.unwrap_or_default()));
                }
            }
        }
    }

    /// Says in the patch what the words do not, until nothing differs.
    fn complete(
        &mut self,
        spec: &Value,
        canonical: &Value,
        found: &mut Found,
    ) -> Result<(), Error> {
        // Each round settles a field for good, by the patch or by ignoring it.
        let mut tried: Vec<String> = Vec::new();
        loop {
            let (changes, desired) = self.differences(&found.ignore)?;
            let Some(change) = changes.first() else { return Ok(()) };
            let at = change.path.clone();
            if found.ignore.contains(&at) || tried.len() > MOST_ROUNDS {
                return Err(Error::Differs(at));
            }
            let (place, value) =
                patch::part(&at, spec, canonical, &desired.spec.value(), self.snapshot);
            let sayable = !tried.contains(&at) && self.say(&place, &value, &found.ignore);
            if !sayable {
                found.ignore(&at);
                found.warn(format!("a registry cannot say {at}, so it is ignored"));
            }
            tried.push(at);
        }
    }

    /// Adds to the patch, giving up words that say the same; false when the reader refuses it.
    fn say(&mut self, place: &str, value: &Value, ignore: &[String]) -> bool {
        let before = (self.words.clone(), self.patch.clone());
        patch::add(&mut self.patch, place, value);
        if self.readable(ignore).is_ok()
            && before
                .0
                .iter()
                .filter(|word| !self.words.contains(word))
                .all(|(word, _)| word != "env")
        {
            return true;
        }
        (self.words, self.patch) = before;
        false
    }

    /// What planning says about the entry beside the live service, not on record as ours.
    fn differences(&self, ignore: &[String]) -> Result<(Vec<Change>, DesiredService), Error> {
        let service = self.read(ignore).map_err(|problems| {
            let first = problems.iter().next().map(|problem| problem.message.clone());
            Error::Unreadable(first.unwrap_or_default())
        })?;
        let mut secrets = SecretValues::default();
        let resolve = |value: &EnvValue| match value {
            EnvValue::FromFile(path) => match self.values.get(path) {
                Some(value) => {
                    Ok(ResolvedReference { value: value.clone(), fingerprint: String::new() })
                }
                None => Err("unknown".to_owned()),
            },
            EnvValue::Literal(_) | EnvValue::FromEnv(_) | EnvValue::Unset => {
                Err("no reference".to_owned())
            }
        };
        let service = connector(&service, &resolve, &mut secrets);
        let name = service.name.clone();
        let desired = Desired {
            services: BTreeMap::from([(name.clone(), service.clone())]),
            secrets,
            ..Desired::default()
        };
        // Where it differs is read here, and nothing else of the step.
        let digester =
            Digester::new(&[0; 32]).map_err(|error| Error::Unreadable(error.to_string()))?;
        let finding = plan_key(
            &PlanInput {
                desired: &desired,
                observed: self.snapshot,
                owned: &Owned::new(),
                owned_objects: &Owned::new(),
                holdings: &Holdings::NONE,
                plugins: None,
                known_clusters: &[],
                masking: &Masking::new(Vec::new()),
                digester: &digester,
                now: self.live.updated_at,
                fresh: Some(Fresh { name: &name, live: Some(self.live) }),
                only: None,
                index: None,
                images: &Resolutions::NEVER,
            },
            &name,
        );
        match finding {
            Finding::Step(step) => Ok((step.changes, service)),
            Finding::Unchanged | Finding::Waiting(_) => Ok((Vec::new(), service)),
        }
    }
}

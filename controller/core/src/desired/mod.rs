//! What the owners declared, ready to be compared: final names, complete specs, and where each
//! line came from.

mod connector;
mod objects;
mod stack;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::connector::{ResolvedReference, connector};
pub use self::objects::{DesiredObject, DesiredStack, External};
pub use self::stack::{
    DeclaredStack, EngineStack, FileObject, NamedRequest, StackAbout, declare, stack,
};
use crate::action::Source;
use crate::identity::{ObjectKind, ServiceName};
use crate::plan::Blocked;
use crate::spec::Spec;

/// Where a declaration stands, so that every step can name its author's line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The kind of source.
    pub source: Source,
    /// The file, as the user named it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// The git commit, when the file came from git.
    pub commit: Option<String>,
    /// Who wrote that commit.
    #[serde(default)]
    pub author: Option<String>,
}

impl Provenance {
    /// The place with the commit and whose it is; none for what came from no repository.
    #[must_use]
    pub fn committed(&self) -> Option<String> {
        let commit = self.commit.as_ref()?;
        let author = self.author.as_ref().map(|author| format!(" by {author}"));
        Some(format!("{self} at commit {commit}{}", author.unwrap_or_default()))
    }

    /// The commit and who wrote it, for people; `None` when the file is from no repository.
    #[must_use]
    pub fn shown_commit(&self) -> Option<String> {
        let commit = self.commit.as_deref()?;
        let short = commit.get(..10).unwrap_or(commit);
        let author = self.author.as_deref().map(|author| format!(" by {author}"));
        Some(format!("commit {short}{}", author.unwrap_or_default()))
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One service as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredService {
    /// The final Swarm name.
    pub name: ServiceName,
    /// The name in its source, for example the connector's.
    pub declared_name: String,
    /// The domain that containment and reports group by.
    pub domain: String,
    /// Where it is declared.
    pub provenance: Provenance,
    /// The complete service spec in the engine's JSON, with network, config and secret *names*
    /// where the engine wants ids, and [`SecretValues`] placeholders where a value is a reference.
    pub spec: Spec,
    /// False when the owner wants it not to run; the spec then asks for zero replicas.
    pub running: bool,
    /// Set when the number of replicas belongs to the autoscaler, within these bounds.
    pub autoscaled: Option<ScalingBounds>,
    /// Where it is asked whether it speaks MCP.
    pub mcp: McpEndpoint,
    /// Services that must be there before this one.
    pub depends_on: Vec<ServiceName>,
    /// JSON pointers into the canonical spec that the diff leaves alone.
    pub ignore: Vec<String>,
    /// Set when the declaration cannot be carried out yet, for example an unset reference.
    pub blocked: Option<Blocked>,
    /// Keys of the environment whose reference has no value now. The spec has no line for them,
    /// and the diff leaves the lines that are there alone.
    pub unresolved: Vec<String>,
}

/// Where a service is asked whether it speaks MCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum McpEndpoint {
    /// At a port that the swarm publishes.
    Published {
        /// The published port.
        port: u16,
        /// The HTTP path.
        path: String,
    },
    /// Nowhere.
    Unasked {
        /// Why, for people.
        reason: &'static str,
    },
}

/// Between which numbers of replicas a service may be scaled; `max` is never below `min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalingBounds {
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
}

impl ScalingBounds {
    /// The number of replicas within the bounds that is nearest to the given one.
    #[must_use]
    pub fn nearest(self, replicas: u64) -> u64 {
        replicas.max(self.min.into()).min(self.max.into())
    }
}

/// Everything declared by all sources that have ever loaded.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// By final name.
    pub services: BTreeMap<ServiceName, DesiredService>,
    /// Networks, configs and secrets, by kind and by the name that docker would give.
    pub objects: BTreeMap<(ObjectKind, String), DesiredObject>,
    /// Stacks by name.
    pub stacks: BTreeMap<String, DesiredStack>,
    /// The values behind the placeholders in the specs.
    pub secrets: SecretValues,
    /// How each source stands; a source that never loaded makes absence mean nothing.
    pub sources: Vec<SourceStatus>,
}

impl Desired {
    /// The stack that declares a service; `None` for one that no stack declares.
    #[must_use]
    pub fn stack_of(&self, service: &ServiceName) -> Option<&str> {
        let mut stacks = self.stacks.values();
        stacks.find(|stack| stack.services.contains(service)).map(|stack| stack.name.as_str())
    }
}

/// How a source stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// The source's name: the files it reads.
    pub name: String,
    /// Its state.
    pub state: SourceState,
    /// Why, when it is not ready.
    pub reason: Option<String>,
    /// The commit that the content is from, when it came from git.
    #[serde(default)]
    pub commit: Option<String>,
}

/// Whether what a source says can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Read and valid.
    Ready,
    /// Unreadable or invalid now; its last good content stays in force.
    Stale,
    /// Never read: what it declares is unknown, not empty.
    NeverLoaded,
}

/// Values that stand behind placeholders, kept out of specs, steps, digests and the store.
///
/// A placeholder names the reference and a keyed fingerprint of the value, so that a changed
/// secret changes the step's digest without being in it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretValues(BTreeMap<String, String>);

impl SecretValues {
    /// Remembers a value under its placeholder.
    pub fn insert(&mut self, placeholder: String, value: String) {
        self.0.insert(placeholder, value);
    }

    /// The value behind a placeholder; `None` for ordinary text.
    #[must_use]
    pub fn resolve(&self, text: &str) -> Option<&str> {
        self.0.get(text).map(String::as_str)
    }

    /// Every placeholder with its value, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }

    /// The placeholder for a reference such as `env:TOKEN` with a keyed fingerprint of its value.
    #[must_use]
    pub fn placeholder(reference: &str, fingerprint: &str) -> String {
        format!("{PLACEHOLDER_PREFIX}{reference}#{fingerprint}")
    }
}

impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretValues({} hidden)", self.0.len())
    }
}

/// Starts with a control character, so that no value written by a person can be taken for one.
const PLACEHOLDER_PREFIX: &str = "\u{1}skep-ref:";

/// True for text made by [`SecretValues::placeholder`].
#[must_use]
pub fn is_placeholder(text: &str) -> bool {
    text.starts_with(PLACEHOLDER_PREFIX)
}

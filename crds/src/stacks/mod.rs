//! The stacks file: which stacks a fleet has, where their stack files come from, and how they are
//! looked after. What the stack files themselves say is [`crate::stack`]'s.
//!
//! [`Stacks::read`] gives either stacks that fit together, or every problem of the file.

mod build;
mod document;
mod fields;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use skep_yaml::{Location, Problems};

pub(crate) use document::StacksDocument;

use crate::stack::lint::Levels;
use crate::value::{Duration, EnvValue, Name};

/// Every stack that a fleet declares, in the order of names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stacks {
    /// The stacks; names are unique, and dependencies free of circles.
    pub stacks: Vec<StackDeclaration>,
}

/// One stack.
#[derive(Clone, Debug, PartialEq)]
pub struct StackDeclaration {
    /// Its name: what docker calls the namespace.
    pub name: Name,
    /// The stack files, in the order in which they add to each other, relative to the source.
    pub files: Vec<String>,
    /// Where they come from.
    pub source: Origin,
    /// The variables of the stack files.
    pub variables: StackVariables,
    /// Whether what is no longer declared may be removed.
    pub prune: bool,
    /// The group that pause and kill can name.
    pub domain: String,
    /// Stacks that are changed before this one: those that it names, and those of lower waves.
    pub depends_on: Vec<Name>,
    /// What happens when a change of it fails.
    pub on_failure: OnFailure,
    /// How a large first rollout of it is paced.
    pub rollout: FirstRollout,
    /// The hardening rules that the stack is held against; `None` for none.
    pub lint: Option<Levels>,
    /// How often a source that cannot be watched is asked.
    pub interval: Duration,
    /// Where it is declared.
    pub location: Location,
}

/// What happens when a change of a stack fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// What has not started yet waits for a person or for another declaration.
    #[default]
    Stop,
    /// The same, and the services that were changed return to their revisions before, as one
    /// action.
    Rollback,
}

/// How a large first rollout of a stack is paced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstRollout {
    /// One service, then five, then the rest, each when those before are healthy.
    #[default]
    Staged,
    /// All services of a wave.
    AtOnce,
}

/// Where stack files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A folder of this machine, relative to that of the stacks file.
    Folder(String),
    /// A repository.
    Git(Box<GitOrigin>),
}

/// A git repository, and what is taken from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitOrigin {
    /// `https://…`, `ssh://…`, `user@host:path` or `file://…`.
    pub url: String,
    /// What is checked out.
    pub revision: Revision,
    /// The folder of the repository that file names begin at; empty for its root.
    pub folder: String,
    /// How the server is told who asks.
    pub credentials: Option<GitCredentials>,
    /// The only hosts that the URL may name; empty for any.
    pub allowed_hosts: Vec<String>,
    /// Networks whose addresses may be asked although they are not public.
    pub allowed_networks: Vec<String>,
    /// With some, only commits that these have signed count.
    pub signers: Option<GitSigners>,
    /// How the forge is told what a pull request would change.
    pub comments: Option<GitComments>,
}

/// How comments are written below pull requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitComments {
    /// A token that may comment, as a reference.
    pub token: EnvValue,
    /// The address of the forge's API, when it is not where such a forge has it.
    pub api: Option<String>,
}

/// Files with the keys of those whose commits count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSigners {
    /// SSH keys, in the form of `allowed_signers`.
    pub ssh: Option<String>,
    /// OpenPGP keys, in their text form.
    pub openpgp: Option<String>,
}

/// Which commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revision {
    /// The newest of the branch that the server names as its default.
    Head,
    /// The newest of a branch.
    Branch(String),
    /// That of a tag.
    Tag(String),
    /// This one, by its whole name.
    Commit(String),
}

/// Credentials of a repository; the secret itself is never in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitCredentials {
    /// The user.
    pub username: Option<String>,
    /// A password or token, as a reference.
    pub password: Option<EnvValue>,
    /// The file with a private key for ssh.
    pub ssh_key: Option<String>,
    /// The file with the keys of known ssh servers.
    pub known_hosts: Option<String>,
}

/// The variables of the stack files of one stack. Nothing else is put in by the controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackVariables {
    /// Files of `NAME=value` lines, relative to the source; a later one wins.
    pub files: Vec<String>,
    /// Single ones; they win over files.
    pub values: BTreeMap<String, EnvValue>,
}

impl Stacks {
    /// Reads a stacks file.
    ///
    /// # Errors
    /// Every problem of it, with its place.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, Problems> {
        build::stacks(skep_yaml::parse(name, bytes))
    }

    /// The stack of this name.
    pub fn get(&self, name: &str) -> Option<&StackDeclaration> {
        self.stacks.iter().find(|stack| stack.name.as_str() == name)
    }
}

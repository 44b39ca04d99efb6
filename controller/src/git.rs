//! Repositories of stacks, read through git.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use skep_core::ports::SecretSource;
use skep_core::push::Provider;
use skep_crds::stack::Files as StackFiles;
use skep_crds::stacks::{GitCredentials, GitOrigin, Revision};
use skep_crds::value::EnvValue;
use skep_git::{
    Access, Before, Credentials, Error, Files, Folder, History, HostPattern, Limits, Programs,
    Reader, Reference, RemoteUrl, Signers, Source, SystemResolver,
};
use skep_runtime::Repositories;
use skep_sources::{Checkout, Commit, Replaced, resolve};

/// Reads repositories with the programs of this machine, and keeps what was fetched in a folder.
#[derive(Debug)]
pub(crate) struct GitRepositories {
    search_path: OsString,
    root: PathBuf,
}

impl GitRepositories {
    /// Keeps what was fetched below this folder.
    pub(crate) fn new(search_path: OsString, root: PathBuf) -> Self {
        Self { search_path, root }
    }
}

#[async_trait]
impl Repositories for GitRepositories {
    async fn checkout(
        &self,
        _: &str,
        origin: &GitOrigin,
        before: Option<&Commit>,
    ) -> Result<Checkout, String> {
        self.read(&source(origin)?, origin, &self.root, Limits::default(), before).await
    }

    async fn proposal(
        &self,
        _: &str,
        origin: &GitOrigin,
        forge: Provider,
        number: u64,
    ) -> Result<Checkout, String> {
        let reference = match forge {
            Provider::GitLab => Reference::MergeRequest(number),
            Provider::Forgejo | Provider::Gitea | Provider::GitHub => {
                Reference::PullRequest(number)
            }
        };
        let history = History::Last(NonZeroU32::MIN);
        let source = Source { reference, history, ..source(origin)? };
        // Apart from what is in force, whose repository a stranger must not fill; and gone again
        // once it is read, as each proposal would leave one.
        let root = self.root.join("proposals");
        let checkout = self.read(&source, origin, &root, FOR_PROPOSALS, None).await;
        let _removed_with_the_next = tokio::fs::remove_dir_all(&root).await;
        checkout
    }
}

/// What one look at a proposal may cost: strangers make them.
const FOR_PROPOSALS: Limits = Limits {
    time: Duration::from_secs(60),
    transfer: 64 << 20,
    disk: 128 << 20,
    files: 5_000,
    file: 1 << 20,
    total: 8 << 20,
};

impl GitRepositories {
    async fn read(
        &self,
        source: &Source,
        origin: &GitOrigin,
        root: &Path,
        limits: Limits,
        before: Option<&Commit>,
    ) -> Result<Checkout, String> {
        let access = access(origin, &source.url)?;
        let root = std::path::absolute(root).map_err(|error| error.to_string())?;
        let programs = Programs::in_path(self.search_path.clone());
        let resolver = Arc::new(SystemResolver);
        let reader =
            Reader::new(programs, root, access, limits, resolver).map_err(|error| said(&error))?;
        let base = before.and_then(Commit::base);
        let known = base.as_ref().and_then(before_of);
        let snapshot = reader.read(source, known.as_ref()).await.map_err(|error| said(&error))?;
        if snapshot.relation.is_rewrite() {
            tracing::warn!(url = %source.url, relation = %snapshot.relation, "git.history_rewritten");
        }
        let author = &snapshot.commit.author;
        let commit = Commit {
            id: snapshot.commit.id.as_str().to_owned(),
            author: format!("{} <{}>", author.name, author.email),
            subject: snapshot.commit.subject.clone(),
            made_at: Some(snapshot.commit.committer.at),
            replaces: base.filter(|_| snapshot.relation.is_rewrite()),
        };
        Ok(Checkout::new(commit, Arc::new(OfCommit(snapshot.files))))
    }
}

/// What was used before, in git's words; nothing when it is not the name of a commit.
fn before_of(base: &Replaced) -> Option<Before> {
    let Ok(Reference::Commit(commit)) = Reference::commit(&base.id) else { return None };
    Some(Before { commit, at: base.made_at })
}

/// The error with its causes and what to do.
fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

struct OfCommit(Files);

impl StackFiles for OfCommit {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.read(path).map(<[u8]>::to_vec).map_err(|error| error.to_string())
    }
}

fn source(origin: &GitOrigin) -> Result<Source, String> {
    let url = RemoteUrl::parse(&origin.url).map_err(|error| error.to_string())?;
    let reference = match &origin.revision {
        Revision::Head => Ok(Reference::Default),
        Revision::Branch(name) => Reference::branch(name),
        Revision::Tag(name) => Reference::tag(name),
        Revision::Commit(id) => Reference::commit(id),
    };
    let folder = Folder::parse(&origin.folder).map_err(|error| error.to_string())?;
    let signers = origin.signers.as_ref().map(|signers| Signers {
        ssh: signers.ssh.as_ref().map(file),
        openpgp: signers.openpgp.as_ref().map(file),
    });
    Ok(Source {
        reference: reference.map_err(|error| error.to_string())?,
        folder,
        credentials: origin.credentials.as_ref().map_or(Credentials::None, credentials),
        signers,
        ..Source::new(url)
    })
}

/// Only the host of the address, and a folder only when the stack names it.
pub(crate) fn access(origin: &GitOrigin, url: &RemoteUrl) -> Result<Access, String> {
    let hosts = origin.allowed_hosts.iter().map(|text| HostPattern::parse(text));
    let networks = origin.allowed_networks.iter().map(|text| text.parse());
    Ok(Access {
        hosts: hosts.collect::<Result<_, _>>().map_err(|error| error.to_string())?,
        networks: networks
            .collect::<Result<_, ipnet::AddrParseError>>()
            .map_err(|error| error.to_string())?,
        folders: url.folder().into_iter().collect(),
    })
}

fn credentials(given: &GitCredentials) -> Credentials {
    if let (Some(key), Some(hosts)) = (&given.ssh_key, &given.known_hosts) {
        return Credentials::Key { key: file(key), known_hosts: file(hosts) };
    }
    match &given.password {
        Some(password) => Credentials::Password {
            // With a token most servers take any name.
            user: given.username.clone().unwrap_or_else(|| "git".to_owned()),
            password: Arc::new(Referenced(password.clone())),
        },
        None => Credentials::None,
    }
}

fn file(path: &String) -> Arc<dyn SecretSource> {
    Arc::new(WholeFile(PathBuf::from(path)))
}

/// A value behind a reference.
struct Referenced(EnvValue);

impl SecretSource for Referenced {
    fn reveal(&self) -> Result<String, String> {
        resolve(&self.0)
    }
}

/// A file as it is, line breaks included: keys end with one.
struct WholeFile(PathBuf);

impl SecretSource for WholeFile {
    fn reveal(&self) -> Result<String, String> {
        let failed = |why: String| format!("the file {}: {why}", self.0.display());
        let bytes = skep_sources::read_file(&self.0, skep_sources::MAX_FILE_BYTES)
            .map_err(|error| failed(error.reason()))?;
        String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8".to_owned()))
    }
}

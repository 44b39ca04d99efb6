//! Reading a repository: look at the server, fetch what is new, check who signed it, and take the
//! files out of the objects. There is no work tree, so there are no hooks, filters or links on
//! disk that could do or say anything.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::access::Access;
use crate::cache::{Held, RunFolder};
use crate::dial::{Dialer, Resolve};
use crate::environment::{self, Variables};
use crate::error::Error;
use crate::listing::{self, Seen};
use crate::network::{Network, Way, is_plain};
use crate::objects::Objects;
use crate::program::{self, Ended, Run, Trouble};
use crate::programs::Programs;
use crate::reference::{CommitId, Reference};
use crate::relation::Relation;
use crate::said;
use crate::signature::{self, CheckError, Signature, Workshop};
use crate::snapshot::Snapshot;
use crate::source::{History, Limits, Source};

/// The commit that was used before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// The commit.
    pub commit: CommitId,
    /// When it was made.
    pub at: Timestamp,
}

/// What a server has under a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The commit, or for a tag with a message the object behind it.
    pub commit: CommitId,
    /// The default branch, when the server says it.
    pub default_branch: Option<String>,
}

/// What reads repositories.
#[derive(Clone)]
pub struct Reader {
    programs: Programs,
    root: PathBuf,
    access: Arc<Access>,
    limits: Limits,
    dialer: Dialer,
}

/// Where the fetched commit stands in the kept repository.
const KEPT: &str = "refs/skep/head";
/// The most that is read of a server's list of references.
const LIST: u64 = 1 << 20;
/// The most that git says about itself.
const SMALL: u64 = 64 << 10;

/// A kept repository that is not as it was left. It is thrown away and fetched once more.
pub(crate) enum Stop {
    /// The error is final.
    Error(Error),
    /// The kept repository is damaged.
    Damaged(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Reader {
    /// A reader that keeps what it fetched below a folder of its own.
    ///
    /// # Errors
    /// [`Error::Cache`] when the folder's name has characters that ssh's configuration cannot
    /// hold, or is not absolute.
    pub fn new(
        programs: Programs,
        root: PathBuf,
        access: Access,
        limits: Limits,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, Error> {
        if !root.is_absolute() || !is_plain(&root) {
            let why = "it must be absolute, in UTF-8, and without quotes, backslashes, line breaks";
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
            return Err(Error::Cache { path: root.display().to_string(), source });
        }
        let access = Arc::new(access);
        let dialer = Dialer::new(Arc::clone(&access), resolver);
        Ok(Self { programs, root, access, limits, dialer })
    }

    /// Asks the server what the reference stands for now. Fetches nothing.
    ///
    /// Dropping the future ends everything that it started.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn look(&self, source: &Source) -> Result<Head, Error> {
        self.check(source)?;
        self.within(source, async {
            let held = self.hold(source).await?;
            let visit = self.visit(source, &held).await?;
            visit.look().await
        })
        .await
    }

    /// Reads the files at the newest commit of the reference.
    ///
    /// Dropping the future ends everything that it started.
    ///
    /// # Errors
    /// See [`Error`]. None of them says anything about what is wanted: whoever has an older
    /// snapshot keeps it.
    pub async fn read(&self, source: &Source, before: Option<&Before>) -> Result<Snapshot, Error> {
        self.check(source)?;
        self.within(source, async {
            let held = self.hold(source).await?;
            let reason = match self.visit(source, &held).await?.read(before).await {
                Ok(snapshot) => return Ok(snapshot),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Damaged(reason)) => reason,
            };
            tracing::warn!(source.url = %source.url, reason, "git.kept_repository_damaged");
            held.wipe().map_err(|source| self.unusable(source))?;
            match self.visit(source, &held).await?.read(before).await {
                Ok(snapshot) => Ok(snapshot),
                Err(Stop::Error(error)) => Err(error),
                Err(Stop::Damaged(said)) => {
                    Err(Error::Failed { url: source.url.to_string(), said })
                }
            }
        })
        .await
    }

    fn check(&self, source: &Source) -> Result<(), Error> {
        let refused = |refusal| Error::Refused { url: source.url.to_string(), refusal };
        source.check().map_err(refused)?;
        self.access.check(&source.url).map_err(refused)
    }

    async fn within<T>(
        &self,
        source: &Source,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.limits.time, work).await {
            Ok(done) => done,
            Err(_elapsed) => {
                Err(Error::TimedOut { url: source.url.to_string(), after: self.limits.time })
            }
        }
    }

    fn unusable(&self, source: std::io::Error) -> Error {
        Error::Cache { path: self.root.display().to_string(), source }
    }

    async fn hold(&self, source: &Source) -> Result<Held, Error> {
        Held::wait(&self.root, source).await.map_err(|source| self.unusable(source))
    }

    async fn visit<'a>(&'a self, source: &'a Source, held: &'a Held) -> Result<Visit<'a>, Error> {
        let run = RunFolder::create(held.run()).map_err(|source| self.unusable(source))?;
        let Self { access, dialer, limits, programs, .. } = self;
        let way = Way { source, access, dialer, limits, programs, run: &run };
        let network = way.ready().await?;
        let mut local = environment::strict(run.path(), &programs.search_path);
        local.extend(environment::as_variables(&environment::settings()));
        Ok(Visit { reader: self, source, held, run, network, local })
    }
}

/// One visit of one server. Its field order is the order of its end: connections, then files.
struct Visit<'a> {
    reader: &'a Reader,
    source: &'a Source,
    held: &'a Held,
    network: Network,
    /// The environment of programs that talk to nobody.
    local: Variables,
    run: RunFolder,
}

impl Visit<'_> {
    fn url(&self) -> String {
        self.source.url.to_string()
    }

    async fn look(&self) -> Result<Head, Error> {
        let reference = &self.source.reference;
        if let Reference::Commit(id) = reference {
            // It can only be what it is; whether the server has it shows when it is fetched.
            return Ok(Head { commit: id.clone(), default_branch: None });
        }
        let name = reference.on_the_server();
        let mut arguments = words(["ls-remote", "--quiet", "--symref", "--"]);
        arguments.extend([self.network.address.clone(), "HEAD".to_owned()].map(OsString::from));
        arguments.extend([name.clone(), format!("{name}^{{}}")].map(OsString::from));
        let ended = self.git(&arguments, &self.network.environment, LIST, None).await?;
        if !ended.status.success() {
            return Err(self.refused_by_server(&ended));
        }
        let Seen { commit, default_branch, head } = listing::parse(&ended.output, &name);
        match commit {
            Some(commit) => Ok(Head { commit, default_branch }),
            None if head.is_none() => Err(self.nothing_there(&arguments).await?),
            None => {
                let reference = reference.clone();
                Err(Error::ReferenceMissing { url: self.url(), reference, default_branch })
            }
        }
    }

    /// Why a server has nothing. git takes any page for an old server that has no references;
    /// only one that speaks the protocol has said that there are none.
    async fn nothing_there(&self, arguments: &[OsString]) -> Result<Error, Error> {
        let mut environment = self.network.environment.clone();
        environment::set(&mut environment, "GIT_TRACE_PACKET", "1");
        let ended = self.git(arguments, &environment, LIST, None).await?;
        if String::from_utf8_lossy(&ended.said).contains("packet:") {
            return Ok(Error::Empty { url: self.url() });
        }
        let said = "it answers, but not in the protocol of git".to_owned();
        Ok(Error::NotGit { url: self.url(), said })
    }

    async fn read(&self, before: Option<&Before>) -> Result<Snapshot, Stop> {
        let head = self.look().await?;
        let repository = self.held.repository(head.commit.as_str().len());
        let objects = Objects {
            program: &self.reader.programs.git,
            environment: self.in_repository(&self.local, &repository),
            url: self.url(),
            limits: &self.reader.limits,
        };
        let is_new = !repository.exists();
        let kept = if is_new { None } else { objects.commit_of(KEPT).await? };
        if kept.as_ref() != Some(&head.commit) {
            self.fetch(&repository, is_new).await?;
        }
        let Some(id) = objects.commit_of(KEPT).await? else {
            let reference = self.source.reference.clone();
            return Err(Error::NotACommit { url: self.url(), reference }.into());
        };
        let stored = objects.commit(&id).await?;
        let signature = self.signature(&stored).await?;
        let relation = match before {
            None => Relation::First,
            Some(before) if before.commit == id => Relation::Same,
            Some(before) => {
                let ancestry = objects.ancestry(&before.commit, &id).await?;
                crate::relation::relation(ancestry, before.at, stored.commit.committer.at)
            }
        };
        let files = objects.files(&id, &stored.tree, self.source.folder.as_ref()).await?;
        Ok(Snapshot { commit: stored.commit, signature, relation, files })
    }

    async fn fetch(&self, repository: &Path, is_new: bool) -> Result<(), Stop> {
        let limits = &self.reader.limits;
        if !is_new && program::size(repository.to_owned()).await > limits.disk / 2 {
            // Nothing is ever thrown out of it, so it starts anew before it is full.
            return Err(Stop::Damaged("it has grown to half of its limit".to_owned()));
        }
        if is_new {
            let format = if repository.ends_with("sha256.git") { "sha256" } else { "sha1" };
            let format = format!("--object-format={format}");
            let init = words(["init", "--quiet", "--bare", "--template=", &format]);
            let environment = self.in_repository(&self.local, repository);
            let ended = self.git(&init, &environment, SMALL, None).await?;
            if !ended.status.success() {
                return Err(Stop::Damaged(said::shown(&ended.said, &[])));
            }
        }
        let mut fetch = words([
            "fetch",
            "--quiet",
            "--force",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--no-show-forced-updates",
        ]);
        if let History::Last(count) = self.source.history {
            fetch.push(format!("--depth={count}").into());
        }
        let wanted = format!("+{}:{KEPT}", self.source.reference.on_the_server());
        fetch.extend(["--".to_owned(), self.network.address.clone(), wanted].map(OsString::from));
        let environment = self.in_repository(&self.network.environment, repository);
        let fills = Some((repository, limits.disk));
        let ended = self.git(&fetch, &environment, SMALL, fills).await;
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => {
                if matches!(error, Error::TooLarge { .. }) {
                    // What is there is of no use and in the way.
                    self.held.wipe().map_err(|source| self.reader.unusable(source))?;
                }
                return Err(error.into());
            }
        };
        if ended.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.said);
        let is_local = said.contains("refs/skep/") || said.contains(&*repository.to_string_lossy());
        if is_local && !is_new {
            return Err(Stop::Damaged(said::shown(&ended.said, &self.network.secrets)));
        }
        Err(self.refused_by_server(&ended).into())
    }

    async fn signature(&self, stored: &crate::commit::Stored) -> Result<Signature, Error> {
        let Some(signers) = &self.source.signers else { return Ok(Signature::NotChecked) };
        let reveal = |source: &Option<Arc<dyn skep_core::ports::SecretSource>>| {
            let Some(source) = source else { return Ok(None) };
            let what = "the list of signers";
            let failed = |reason| Error::Secret { url: self.url(), what, reason };
            source.reveal().map(Some).map_err(failed)
        };
        let (ssh, openpgp) = (reveal(&signers.ssh)?, reveal(&signers.openpgp)?);
        let workshop = Workshop {
            folder: self.run.path(),
            programs: &self.reader.programs,
            environment: &self.local,
            within: self.reader.limits.time,
        };
        let checked = signature::check(stored, ssh.as_deref(), openpgp.as_deref(), &workshop).await;
        checked.map_err(|error| match error {
            CheckError::Problem(problem) => {
                let commit = stored.commit.id.to_string();
                Error::Signature { url: self.url(), commit, problem }
            }
            CheckError::Run(program, trouble) => self.trouble(program, trouble),
            CheckError::File(source) => self.reader.unusable(source),
        })
    }

    fn in_repository(&self, environment: &Variables, repository: &Path) -> Variables {
        let mut environment = environment.clone();
        environment::set(&mut environment, "GIT_DIR", repository);
        environment
    }

    async fn git(
        &self,
        arguments: &[OsString],
        environment: &Variables,
        most_output: u64,
        fills: Option<(&Path, u64)>,
    ) -> Result<Ended, Error> {
        let run = Run {
            program: &self.reader.programs.git,
            arguments: arguments.to_vec(),
            environment,
            input: Vec::new(),
            most_output,
            within: self.reader.limits.time,
            fills,
        };
        run.ended().await.map_err(|trouble| self.trouble("git", trouble))
    }

    fn trouble(&self, program: &str, trouble: Trouble) -> Error {
        trouble_of(program, trouble, self.url(), &self.reader.limits)
    }

    /// Why a command that talked to the server failed.
    fn refused_by_server(&self, ended: &Ended) -> Error {
        let url = self.url();
        // The forwarder knows it first-hand; git only knows that nothing came.
        if let Some(problem) = self.network.forwarder.as_ref().and_then(|one| one.problem()) {
            return Error::Dial { url, problem };
        }
        let said = said::shown(&ended.said, &self.network.secrets);
        said::error(&url, &self.source.reference, said)
    }
}

/// The error behind a program that did not run to its end.
pub(crate) fn trouble_of(program: &str, trouble: Trouble, url: String, limits: &Limits) -> Error {
    let after: Duration = limits.time;
    match trouble {
        Trouble::Start(source) => Error::Program { program: program.to_owned(), source },
        Trouble::TimedOut => Error::TimedOut { url, after },
        Trouble::TooMuchOutput => {
            let limit = "what is read at once".to_owned();
            Error::TooLarge { url, what: "a list of git", limit }
        }
        Trouble::TooFull => {
            let limit = format!("{} bytes on disk", limits.disk);
            Error::TooLarge { url, what: "the repository", limit }
        }
    }
}

fn words<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.into_iter().map(OsString::from).collect()
}

//! One stack among the sources: when its files are read, and the commit that was fetched last.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use skep_core::action::Source as ActionSource;
use skep_core::desired::{
    DeclaredStack, Provenance, SourceState, SourceStatus, StackAbout, declare,
};
use skep_core::ports::Random;
use skep_core::push::{PullRequest, Push, Watched, WatchedReference, concerns, goes_into};
use skep_crds::stacks::{GitOrigin, Origin, Revision, StackDeclaration};
use skep_sources::{Checkout, Error as ReadError, LoadedStack, StackSource};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::kept::Kept;
use super::merge::Merge;
use super::repositories::Repositories;
use super::{Refresh, Stamp, stamp};
use crate::Error;
use crate::updates::jittered;

/// How long a command waits for a repository that has not answered yet.
const PATIENCE: Duration = Duration::from_secs(130);

/// A stack with what is watched of it.
pub(super) struct Stacked {
    kept: Kept<StackSource>,
    pub(super) stamp: Stamp,
    /// What the files that were read name; a changed one is a changed declaration.
    named: Vec<PathBuf>,
    fetched: Option<Fetched>,
    fetching: Option<Fetching>,
    /// When the repository is asked the next time.
    due: Instant,
    /// Somebody wants to know what the source says now, and has not been told yet.
    is_wanted: bool,
    /// Somebody wanted to know it while the repository was being asked: that answer may be too old.
    is_wanted_again: bool,
    /// When the question was asked that is being answered, and the one that was answered last.
    asking_at: Timestamp,
    asked_at: Option<Timestamp>,
}

/// What a repository answered.
type Fetched = Result<Checkout, String>;

/// A repository that is being asked; no longer when this is dropped.
struct Fetching {
    answer: watch::Receiver<Option<Fetched>>,
    task: AbortOnDropHandle<()>,
}

impl Fetching {
    fn has_answered(&self) -> bool {
        self.answer.borrow().is_some() || self.task.is_finished()
    }

    /// Its answer, or that there is none.
    async fn answer(mut self) -> Fetched {
        let answered = self.answer.wait_for(Option::is_some);
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer.clone().unwrap_or_else(|| Err(STOPPED.to_owned())),
            Ok(Err(_)) => Err(STOPPED.to_owned()),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }
}

const STOPPED: &str = "the fetch was stopped";

/// A stack and where its files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackOrigin {
    /// Its name.
    pub name: String,
    /// The place, for people.
    pub shown: String,
    /// The repository, when it is one.
    pub repository: Option<GitOrigin>,
}

impl StackOrigin {
    /// The name of the stack among the sources.
    #[must_use]
    pub fn source_name(&self) -> String {
        source_name(&self.name)
    }
}

/// The name that the content of a stack is kept by.
pub(super) fn source_name(stack: &str) -> String {
    format!("stack {stack}")
}

impl Stacked {
    pub(super) fn new(source: StackSource) -> Self {
        let name = source_name(source.declaration().name.as_str());
        Self {
            kept: Kept::new(name, source),
            stamp: Vec::new(),
            named: Vec::new(),
            fetched: None,
            fetching: None,
            due: Instant::now(),
            is_wanted: false,
            is_wanted_again: false,
            asking_at: Timestamp::MIN,
            asked_at: None,
        }
    }

    pub(super) fn declaration(&self) -> &StackDeclaration {
        self.kept.source().declaration()
    }

    pub(super) fn origin(&self) -> StackOrigin {
        let source = self.kept.source();
        let declaration = source.declaration();
        let shown = match &declaration.source {
            Origin::Folder(folder) if folder.is_empty() || folder == "." => {
                declaration.files.join(", ")
            }
            Origin::Folder(folder) => format!("{folder}: {}", declaration.files.join(", ")),
            Origin::Git(git) => match &git.revision {
                Revision::Head => git.url.clone(),
                Revision::Branch(name) | Revision::Tag(name) | Revision::Commit(name) => {
                    format!("{} {name}", git.url)
                }
            },
        };
        StackOrigin {
            name: declaration.name.to_string(),
            shown,
            repository: source.repository().cloned(),
        }
    }

    /// Declared in another way than before: what was fetched is perhaps of another place.
    pub(super) fn redeclare(&mut self, source: StackSource) {
        if source.repository() != self.kept.source().repository() {
            self.fetched = None;
            self.fetching = None;
            self.asked_at = None;
            self.due = Instant::now();
        }
        self.kept.set_source(source);
    }

    /// Reads the source as soon as possible. A repository that is being asked is asked once more:
    /// many wishes at once are two questions at most.
    pub(super) fn sync(&mut self) {
        self.is_wanted = true;
        if self.fetching.is_some() {
            self.is_wanted_again = true;
        } else {
            self.due = Instant::now();
        }
        // Files of this machine are read again whatever their times.
        self.stamp = Vec::new();
    }

    /// Whether everybody who wanted to know what the source says now can be told.
    pub(super) const fn has_answered(&self) -> bool {
        !self.is_wanted
    }

    /// The commit in force.
    pub(super) fn commit(&self) -> Option<&str> {
        self.kept.value().and_then(|value| value.commit()).map(|commit| commit.id.as_str())
    }

    /// Whether a push would change what the source says.
    pub(super) fn is_concerned_by(&self, push: &Push) -> bool {
        self.watched_repository().is_some_and(|watched| concerns(push, &watched))
    }

    /// Whether a proposal would change what the source says.
    pub(super) fn is_proposed_to(&self, proposal: &PullRequest) -> bool {
        self.watched_repository().is_some_and(|watched| goes_into(proposal, &watched))
    }

    pub(super) fn source(&self) -> &StackSource {
        self.kept.source()
    }

    pub(super) fn value(&self) -> Option<&Arc<LoadedStack>> {
        self.kept.value()
    }

    fn watched_repository(&self) -> Option<Watched<'_>> {
        let origin = self.kept.source().repository()?;
        let reference = match &origin.revision {
            Revision::Head => WatchedReference::Default,
            Revision::Branch(name) => WatchedReference::Branch(name),
            Revision::Tag(name) => WatchedReference::Tag(name),
            Revision::Commit(_) => WatchedReference::Commit,
        };
        let folder = Some(origin.folder.as_str()).filter(|folder| !folder.is_empty());
        Some(Watched { url: &origin.url, reference, folder })
    }

    /// Whether there is something to do without any file having changed.
    pub(super) fn is_due(&self) -> bool {
        self.kept.source().repository().is_some()
            && match &self.fetching {
                Some(fetching) => fetching.has_answered(),
                None => Instant::now() >= self.due,
            }
    }

    pub(super) fn watched(&self) -> Vec<PathBuf> {
        // A folder that is not known is told when it is read.
        let mut paths = self.kept.source().paths().unwrap_or_default();
        paths.extend(self.named.iter().cloned());
        paths
    }

    /// Takes the history of the repository for what it is, although it was rewritten: this
    /// commit of it has dropped nothing.
    pub(super) fn accept_history(&mut self, commit: &str) {
        if let Some(Ok(checkout)) = &mut self.fetched
            && checkout.commit.id == commit
        {
            checkout.commit.replaces = None;
        }
    }

    /// What was kept before a restart.
    pub(super) async fn import(&mut self, refresh: &Refresh<'_>) -> Result<(), Error> {
        self.kept.import(refresh).await
    }

    /// Begins to ask the repository when it is time.
    pub(super) fn fetch(
        &mut self,
        repositories: &Arc<dyn Repositories>,
        answered: &Arc<Notify>,
        now: Timestamp,
    ) {
        let Some(origin) = self.kept.source().repository().cloned() else { return };
        if self.fetching.is_some() || Instant::now() < self.due {
            return;
        }
        let repositories = Arc::clone(repositories);
        let stack = self.declaration().name.to_string();
        let before = self.kept.value().and_then(|value| value.commit()).cloned();
        let answered = Arc::clone(answered);
        let (answer, receiver) = watch::channel(None);
        let task = tokio::spawn(async move {
            let fetched = repositories.checkout(&stack, &origin, before.as_ref()).await;
            answer.send_replace(Some(fetched));
            // One permit is kept for whoever does not wait yet.
            answered.notify_one();
        });
        self.asking_at = now;
        self.fetching = Some(Fetching { answer: receiver, task: AbortOnDropHandle::new(task) });
    }

    /// Takes what the repository answered. Only who has nothing to go on waits for it, and who
    /// looks by hand.
    async fn collect(&mut self, waits: bool, random: &dyn Random) {
        let Some(fetching) = self.fetching.take() else { return };
        if !fetching.has_answered() && !waits {
            self.fetching = Some(fetching);
            return;
        }
        self.fetched = Some(fetching.answer().await);
        self.asked_at = Some(self.asking_at);
        if std::mem::take(&mut self.is_wanted_again) {
            self.due = Instant::now();
            return;
        }
        self.is_wanted = false;
        let interval = self.declaration().interval.as_nanos();
        let interval = Duration::from_nanos(u64::try_from(interval).unwrap_or(0));
        self.due = Instant::now() + jittered(interval, random.bits128());
    }

    pub(super) async fn refresh(
        &mut self,
        refresh: &Refresh<'_>,
        is_patient: bool,
        merge: &mut Merge<'_>,
    ) -> Result<(), Error> {
        let is_leading = refresh.fence.is_some();
        let waits = is_patient || !is_leading || !self.kept.has_value();
        self.collect(waits, refresh.random).await;
        let (source, paths) = (self.kept.source().clone(), self.watched());
        let fetched = self.fetched.clone();
        let read = tokio::task::spawn_blocking(move || {
            let stamp = stamp(&paths);
            let read = match (source.repository(), fetched) {
                (None, _) => source.load(),
                (Some(_), Some(Ok(checkout))) => source.load_from(&checkout),
                (Some(origin), other) => {
                    let reason = match other {
                        Some(Err(reason)) => reason,
                        _ => "it has not answered yet".to_owned(),
                    };
                    Err(ReadError::Repository { url: origin.url.clone(), reason })
                }
            };
            (stamp, read)
        });
        let Ok((stamp, read)) = read.await else { return Err(Error::Stopped) };
        if is_leading {
            self.stamp = stamp;
        }
        if self.kept.source().repository().is_none() {
            self.is_wanted = false;
        }
        // The first answer is on its way: until then what was kept is as good as it gets.
        let is_waiting = self.kept.has_value() && self.fetched.is_none() && self.fetching.is_some();
        if is_waiting {
            self.declare_kept(merge);
            return Ok(());
        }
        let read = self.kept.accept(read, refresh).await?;
        self.declare(read.status, read.value.as_ref(), merge);
        Ok(())
    }

    fn declare_kept(&mut self, merge: &mut Merge<'_>) {
        let value = self.kept.value().cloned();
        let status = SourceStatus {
            name: self.kept.name.clone(),
            state: SourceState::Stale,
            reason: Some("its repository has not answered yet".to_owned()),
            commit: value.as_ref().and_then(|value| value.commit()).map(|one| one.id.clone()),
        };
        self.declare(status, value.as_ref(), merge);
    }

    fn declare(
        &mut self,
        status: SourceStatus,
        value: Option<&Arc<LoadedStack>>,
        merge: &mut Merge<'_>,
    ) {
        if let Some(loaded) = value
            && self.kept.source().repository().is_none()
        {
            self.named = loaded.bundle.files.iter().map(|file| PathBuf::from(&file.path)).collect();
        }
        self.declare_as(status, value.map(Arc::as_ref), merge);
    }

    /// Declares what these files say.
    pub(super) fn declare_as(
        &self,
        mut status: SourceStatus,
        value: Option<&LoadedStack>,
        merge: &mut Merge<'_>,
    ) {
        let after: Vec<String> =
            self.declaration().depends_on.iter().map(ToString::to_string).collect();
        let Some(loaded) = value else {
            merge.stack(status, None, after);
            return;
        };
        match declared(self.declaration(), loaded, merge) {
            Ok(mut declared) => {
                declared.stack.taken_at = self.kept.taken_at();
                declared.stack.asked_at = self.asked_at;
                let replaced = loaded.commit().and_then(|commit| commit.replaces.as_ref());
                declared.stack.rewritten = replaced.map(|commit| commit.id.clone());
                merge.stack(status, Some(declared), after);
            }
            Err(problems) => {
                status.state = SourceState::Stale;
                status.reason = Some(problems.to_string());
                merge.stack(status, None, after);
            }
        }
    }
}

fn declared(
    declaration: &StackDeclaration,
    loaded: &LoadedStack,
    merge: &mut Merge<'_>,
) -> Result<DeclaredStack, skep_crds::Problems> {
    let place = &declaration.location;
    let about = StackAbout {
        name: &declaration.name,
        domain: &declaration.domain,
        declared_at: Provenance {
            source: ActionSource::Gitops,
            file: place.file.to_string(),
            line: place.line,
            column: place.column,
            commit: None,
            author: None,
        },
        commit: loaded.commit().map(|commit| (commit.id.as_str(), commit.author.as_str())),
        prune: declaration.prune,
        on_failure: declaration.on_failure,
        rollout: declaration.rollout,
    };
    let masking = merge.masking;
    declare(&about, &loaded.loaded, masking, merge.secrets())
}

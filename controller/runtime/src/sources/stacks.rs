//! The stacks of a fleet: which there are, from stacks files, and each with its own files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use skep_core::desired::{SourceState, SourceStatus};
use skep_core::push::Push;
use skep_crds::stacks::StackDeclaration;
use skep_sources::{StackSource, StacksSource};
use tokio::sync::Notify;

use super::kept::Kept;
use super::merge::Merge;
use super::repositories::{NoRepositories, Repositories};
use super::stack::{StackOrigin, Stacked, source_name};
use super::{Refresh, Stamp, stamp};
use crate::Error;

/// Every stack.
pub(super) struct StackSet {
    files: Vec<Listed>,
    /// Stacks by name.
    stacks: BTreeMap<String, Stacked>,
    /// Those of them that no file declares.
    local: Vec<String>,
    repositories: Arc<dyn Repositories>,
    /// Told whenever a repository has answered.
    pub(super) answered: Arc<Notify>,
    /// Whether a repository that is being asked is waited for, although something is known of it.
    pub(super) is_patient: bool,
}

/// Stacks whose sources are asked again.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Which, each with the commit in force.
    pub(crate) stacks: BTreeMap<String, Option<String>>,
    /// Names that no stack has.
    pub(crate) unknown: Vec<String>,
}

/// A stacks file.
struct Listed {
    kept: Kept<StacksSource>,
    stamp: Stamp,
}

impl Default for StackSet {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            stacks: BTreeMap::new(),
            local: Vec::new(),
            repositories: Arc::new(NoRepositories),
            answered: Arc::default(),
            is_patient: false,
        }
    }
}

impl StackSet {
    pub(super) fn declare(&mut self, files: Vec<PathBuf>, repositories: Arc<dyn Repositories>) {
        self.repositories = repositories;
        self.files.extend(files.into_iter().map(|path| {
            let name = path.display().to_string();
            Listed { kept: Kept::new(name, StacksSource::new(path)), stamp: Vec::new() }
        }));
    }

    pub(super) fn add(&mut self, stacks: Vec<StackSource>) {
        for source in stacks {
            let name = source.declaration().name.to_string();
            self.local.push(name.clone());
            self.stacks.insert(name, Stacked::new(source));
        }
    }

    /// Of these stacks, or of all of them when none is named: which there are, each with the
    /// commit in force, and which there are not.
    pub(super) fn sync_named(&mut self, names: &[String]) -> Asked {
        let mut asked = Asked::default();
        for name in names.iter().filter(|name| !self.stacks.contains_key(*name)) {
            asked.unknown.push(name.clone());
        }
        self.sync_where(&mut asked, |name, _| {
            names.is_empty() || names.iter().any(|wanted| wanted == name)
        });
        asked
    }

    /// The stacks that a push concerns, each with the commit in force.
    pub(super) fn sync_pushed(&mut self, push: &Push) -> Asked {
        let mut asked = Asked::default();
        self.sync_where(&mut asked, |_, stack| stack.is_concerned_by(push));
        asked
    }

    fn sync_where(&mut self, asked: &mut Asked, is_meant: impl Fn(&str, &Stacked) -> bool) {
        for (name, stack) in &mut self.stacks {
            if is_meant(name, stack) {
                asked.stacks.insert(name.clone(), stack.commit().map(str::to_owned));
                stack.sync();
            }
        }
    }

    /// Forgets what was read, so that what was kept in the store is taken up and every source asked.
    pub(super) fn begin_anew(&mut self) {
        for stack in self.stacks.values_mut() {
            *stack = Stacked::new(stack.source().clone());
        }
    }

    /// Whether everybody who wanted to know what this stack says can be told. One that is gone
    /// says nothing more.
    pub(super) fn has_answered(&self, stack: &str) -> bool {
        self.stacks.get(stack).is_none_or(Stacked::has_answered)
    }

    /// Every stack, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = &Stacked> {
        self.stacks.values()
    }

    /// What reads repositories.
    pub(super) fn repositories(&self) -> Arc<dyn Repositories> {
        Arc::clone(&self.repositories)
    }

    pub(super) fn accept_history(&mut self, stack: &str, commit: &str) {
        if let Some(stack) = self.stacks.get_mut(stack) {
            stack.accept_history(commit);
        }
    }

    pub(super) fn origins(&self) -> Vec<StackOrigin> {
        self.stacks.values().map(Stacked::origin).collect()
    }

    pub(super) fn is_due(&self) -> bool {
        self.stacks.values().any(Stacked::is_due)
    }

    /// Files with what they were like at the last refresh.
    pub(super) fn watched(&self) -> Vec<(Vec<PathBuf>, Stamp)> {
        let files = self
            .files
            .iter()
            .map(|listed| (vec![listed.kept.source().path().to_owned()], listed.stamp.clone()));
        let stacks = self.stacks.values().map(|stack| (stack.watched(), stack.stamp.clone()));
        files.chain(stacks).collect()
    }

    pub(super) async fn refresh(
        &mut self,
        refresh: &Refresh<'_>,
        merge: &mut Merge<'_>,
    ) -> Result<(), Error> {
        self.list(refresh, merge).await?;
        // All are asked before the first is waited for, with what was kept of each: whether a
        // history was rewritten shows beside that.
        for stack in self.stacks.values_mut() {
            stack.import(refresh).await?;
            stack.fetch(&self.repositories, &self.answered, refresh.now);
        }
        for stack in self.stacks.values_mut() {
            stack.refresh(refresh, self.is_patient, merge).await?;
        }
        Ok(())
    }

    /// Reads the stacks files, and adds and takes away stacks as they say.
    async fn list(&mut self, refresh: &Refresh<'_>, merge: &mut Merge<'_>) -> Result<(), Error> {
        let mut declared: BTreeMap<String, StackSource> = BTreeMap::new();
        let mut complete = true;
        for listed in &mut self.files {
            listed.kept.import(refresh).await?;
            let source = listed.kept.source().clone();
            let read = tokio::task::spawn_blocking(move || {
                (stamp(&[source.path().to_owned()]), source.load())
            });
            let Ok((stamp, read)) = read.await else { return Err(Error::Stopped) };
            if refresh.fence.is_some() {
                listed.stamp = stamp;
            }
            let mut read = listed.kept.accept(read, refresh).await?;
            let path = listed.kept.source().path().to_owned();
            let stacks = read.value.iter().flat_map(|loaded| &loaded.stacks.stacks);
            complete &= read.value.is_some();
            for stack in stacks {
                let name = stack.name.to_string();
                match declared.get(&name).map(StackSource::declaration) {
                    Some(first) => twice(&mut read.status, stack, first),
                    None => {
                        declared.insert(name, StackSource::declared(stack.clone(), &path));
                    }
                }
            }
            merge.status(read.status);
        }
        // A file that was never read may declare any of them.
        if complete {
            let local = &self.local;
            self.stacks.retain(|name, _| declared.contains_key(name) || local.contains(name));
        }
        for (name, source) in declared {
            // What is given by hand stands for what is declared under its name.
            if self.local.contains(&name) {
                continue;
            }
            match self.stacks.get_mut(&name) {
                Some(stack) if stack.declaration() != source.declaration() => {
                    stack.redeclare(source);
                }
                Some(_) => {}
                None => {
                    self.stacks.insert(name, Stacked::new(source));
                }
            }
        }
        Ok(())
    }
}

fn twice(status: &mut SourceStatus, stack: &StackDeclaration, first: &StackDeclaration) {
    status.state = SourceState::Stale;
    status.reason = Some(format!(
        "{}: the {} is declared at {} already",
        stack.location,
        source_name(stack.name.as_str()),
        first.location
    ));
}

//! The stacks of a fleet: which there are, from stacks files, and each with its own files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use skep_core::desired::{SourceState, SourceStatus};
use skep_crds::stacks::StackDeclaration;
use skep_sources::{StackSource, StacksSource};

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
    /// Whether a repository that is being asked is waited for, although something is known of it.
    pub(super) is_patient: bool,
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

    pub(super) fn sync(&mut self, stack: &str) -> bool {
        let found = self.stacks.get_mut(stack);
        let is_known = found.is_some();
        if let Some(stack) = found {
            stack.sync();
        }
        is_known
    }

    pub(super) fn accept_history(&mut self, stack: &str, commit: &str) {
        if let Some(stack) = self.stacks.get_mut(stack) {
            stack.accept_history(commit);
        }
    }

    pub(super) fn sync_all(&mut self) {
        self.stacks.values_mut().for_each(Stacked::sync);
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
            stack.fetch(&self.repositories, refresh.now);
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

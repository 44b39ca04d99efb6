//! What is declared: reads the sources, keeps their last good content across restarts, and turns
//! it into desired services and objects.
//!
//! # Guarantees
//! - A source that is broken keeps its last good content, and the others go on.
//! - What was never loaded is unknown: it is listed as such, and is not taken for empty.
//! - A final name belongs to one source. A source that claims the name of another one's is refused
//!   as a whole, with both places.

mod kept;
mod merge;
mod proposed;
mod registry;
mod repositories;
mod stack;
mod stacks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use skep_core::desired::Desired;
use skep_core::digester::Digester;
use skep_core::plan::Masking;
use skep_core::ports::Random;
use skep_core::push::Push;
use skep_sources::StackSource;
use skep_store::{Fence, Store};
use tokio::sync::Notify;

use self::merge::Merge;
use self::registry::Registered;
pub use self::repositories::{NoRepositories, Repositories};
pub use self::stack::StackOrigin;
pub(crate) use self::stacks::Asked;
use self::stacks::StackSet;
use crate::Error;

/// The sources of a fleet.
pub struct SourceSet {
    registry: Option<Registered>,
    stacks: StackSet,
}

impl std::fmt::Debug for SourceSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceSet").finish_non_exhaustive()
    }
}

/// What a refresh works with.
pub(crate) struct Refresh<'a> {
    pub(crate) store: &'a dyn Store,
    /// With one, new content is stored as the last good one.
    pub(crate) fence: Option<&'a Fence>,
    pub(crate) masking: &'a Masking,
    pub(crate) digester: &'a Digester,
    pub(crate) now: Timestamp,
    /// Spreads out when repositories are asked.
    pub(crate) random: &'a dyn Random,
}

impl SourceSet {
    /// A registry from these files with this overlay and these profiles; without files nothing
    /// is declared, and nothing follows from that.
    #[must_use]
    pub fn new(files: Vec<PathBuf>, overlay: Option<PathBuf>, profiles: Vec<String>) -> Self {
        let registry = (!files.is_empty()).then(|| Registered::new(files, overlay, profiles));
        Self { registry, stacks: StackSet::default() }
    }

    /// From now on whoever looks waits for repositories that are being asked: a pass by hand comes
    /// only once.
    pub(crate) const fn wait_for_repositories(&mut self) {
        self.stacks.is_patient = true;
    }

    /// Also the stacks of these files, whose repositories are read through `repositories`.
    #[must_use]
    pub fn with_stacks(mut self, files: Vec<PathBuf>, repositories: Arc<dyn Repositories>) -> Self {
        self.stacks.declare(files, repositories);
        self
    }

    /// Also these stacks, which no file declares.
    #[must_use]
    pub fn with_local_stacks(mut self, stacks: Vec<StackSource>) -> Self {
        self.stacks.add(stacks);
        self
    }

    /// Asks the sources of these stacks again as soon as possible; of all stacks when none is
    /// named.
    pub(crate) fn sync(&mut self, stacks: &[String]) -> Asked {
        self.stacks.sync_named(stacks)
    }

    /// Asks the sources that a push concerns again as soon as possible, and no others.
    pub(crate) fn sync_pushed(&mut self, push: &Push) -> Asked {
        self.stacks.sync_pushed(push)
    }

    /// Begins as a process does that has just started. Whoever led until now may have read a newer
    /// commit than this process, which only followed.
    pub(crate) fn begin_anew(&mut self) {
        self.stacks.begin_anew();
    }

    /// Whether a stack's source has said what it says now, if anybody wanted to know.
    pub(crate) fn has_answered(&self, stack: &str) -> bool {
        self.stacks.has_answered(stack)
    }

    /// Told whenever a repository has answered.
    pub(crate) fn answered(&self) -> Arc<Notify> {
        Arc::clone(&self.stacks.answered)
    }

    /// Takes the history of a stack's repository for what it is at this commit, although it was
    /// rewritten.
    pub(crate) fn accept_history(&mut self, stack: &str, commit: &str) {
        self.stacks.accept_history(stack, commit);
    }

    /// Every stack, with where its files come from.
    pub(crate) fn stacks(&self) -> Vec<StackOrigin> {
        self.stacks.origins()
    }

    /// True when a file has another time or size than at the last refresh, or a repository is to
    /// be asked or has answered.
    pub(crate) async fn has_changed(&self) -> bool {
        if self.stacks.is_due() {
            return true;
        }
        let registry = self.registry.as_ref().map(Registered::watched);
        let expected = self.registry.as_ref().map(|registry| registry.stamp.clone());
        let stacks = self.stacks.watched();
        let changed = tokio::task::spawn_blocking(move || {
            registry.map(|paths| stamp(&paths)) != expected
                || stacks.iter().any(|(paths, before)| stamp(paths) != *before)
        });
        changed.await.unwrap_or(true)
    }

    /// Reads the sources again.
    ///
    /// # Errors
    /// When the store cannot be read or written. A broken source is no error.
    pub(crate) async fn refresh(&mut self, refresh: &Refresh<'_>) -> Result<Arc<Desired>, Error> {
        let mut merge = Merge::new(refresh.masking);
        if let Some(registry) = &mut self.registry {
            registry.refresh(refresh, &mut merge).await?;
        }
        self.stacks.refresh(refresh, &mut merge).await?;
        Ok(Arc::new(merge.into_desired()))
    }
}

/// Time and size of files; none for one that cannot be looked at.
type Stamp = Vec<Option<(SystemTime, u64)>>;

fn stamp(paths: &[PathBuf]) -> Stamp {
    let one = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    paths.iter().map(one).collect()
}

#[cfg(test)]
mod tests;

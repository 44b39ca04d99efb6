//! The files that declare things; they outlive processes and crashes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use skep_runtime::{NoRepositories, SourceSet};
use tempfile::TempDir;

/// What a stack of the simulated worlds is declared by.
const STACKS: &str = "stacks.yml";

/// What secrets hold here; it may stand in no row.
pub(crate) const SECRET: &str = "canary-in-a-secret";

/// A folder of files.
#[derive(Debug)]
pub struct Files {
    folder: TempDir,
    count: AtomicU64,
}

impl Files {
    /// An empty folder.
    ///
    /// # Panics
    /// When there is no space.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { folder: TempDir::new().unwrap(), count: AtomicU64::new(0) })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the registry.
    pub fn declare(&self, services: &str) {
        self.write("registry.yml", &format!("version: 1\nservices:\n{services}"));
    }

    /// Replaces the policy.
    pub fn policy(&self, text: &str) {
        self.write("policy.yml", text);
    }

    /// Replaces a file of a stack: YAML, or what a config or secret holds.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn put(&self, name: &str, text: &str) {
        if name.ends_with(".yml") {
            self.write(name, text);
        } else {
            std::fs::write(self.path(name), text).unwrap();
        }
    }

    /// A file of the same length at the same moment would look unchanged.
    fn write(&self, name: &str, text: &str) {
        let count = self.count.fetch_add(1, Ordering::SeqCst);
        let padding = "#".repeat(usize::try_from(count % 997).unwrap() + 1);
        std::fs::write(self.path(name), format!("{padding}\n{text}")).unwrap();
    }

    /// What a process reads: the stacks where there are some, the registry where there is one.
    pub(crate) fn sources(&self) -> SourceSet {
        let (registry, stacks) = (self.path("registry.yml"), self.path(STACKS));
        let has_stacks = stacks.exists();
        let registries = if has_stacks && !registry.exists() { vec![] } else { vec![registry] };
        let sources = SourceSet::new(registries, None, Vec::new());
        let stacks = has_stacks.then_some(stacks).into_iter().collect();
        sources.with_stacks(stacks, Arc::new(NoRepositories))
    }
}

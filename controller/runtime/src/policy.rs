//! The policy in force: the shipped one or a file that is read again when it changes, with what
//! people stored in front of it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use jiff::Timestamp;
use skep_core::gate::{Policy, Settings, Unreadable};
use skep_crds::policy::{PolicyFile, load_lenient, shipped_default};
use skep_store::{OverrideFilter, Store};

/// Where the policy comes from.
#[derive(Debug)]
pub struct PolicySource {
    path: Option<PathBuf>,
    settings: Settings,
    file: Mutex<Option<File>>,
    cached: Mutex<Option<Cached>>,
}

/// A file as it was last read.
#[derive(Debug, Clone)]
struct File {
    stamp: Stamp,
    policy: Arc<PolicyFile>,
}

type Stamp = Option<(SystemTime, u64)>;

/// A policy, and what it holds for.
#[derive(Debug, Clone)]
struct Cached {
    stamp: Stamp,
    counter: i64,
    /// When the first of its overrides expires.
    until: Option<Timestamp>,
    policy: Arc<Policy>,
}

impl PolicySource {
    /// The shipped policy: everything that changes something waits for a person.
    #[must_use]
    pub fn shipped(settings: Settings) -> Self {
        Self { path: None, settings, file: Mutex::new(None), cached: Mutex::new(None) }
    }

    /// A file. It is read again when its time or size changes; while it cannot be read the
    /// shipped policy holds, which allows nothing by itself.
    #[must_use]
    pub fn file(path: PathBuf, settings: Settings) -> Self {
        Self { path: Some(path), ..Self::shipped(settings) }
    }

    /// The policy in force now. Every decision asks for it: what another process has stored in
    /// the meantime is seen by a counter that moves with it. While the stored overrides cannot be
    /// read the policy denies everything, because one of them may be a freeze.
    pub async fn current(&self, store: &dyn Store, now: Timestamp) -> Arc<Policy> {
        let File { stamp, policy: file } = self.read_file();
        let blind = |error: &skep_store::Error| {
            tracing::error!(error = %error, "policy.overrides_unreadable");
            Arc::new(Policy::compile(&file, Err(Unreadable), self.settings))
        };
        let counter = match store.overrides_counter().await {
            Ok(counter) => counter,
            Err(error) => return blind(&error),
        };
        let fits = |known: &Cached| {
            known.stamp == stamp
                && known.counter == counter
                && known.until.is_none_or(|until| now < until)
        };
        if let Some(known) = lock(&self.cached).as_ref().filter(|known| fits(known)) {
            return Arc::clone(&known.policy);
        }
        // Read after the counter: what comes in between is read again, never missed.
        let filter = OverrideFilter { not_ended_by: Some(now) };
        let overrides = match store.overrides(&filter).await {
            Ok(overrides) => overrides,
            Err(error) => return blind(&error),
        };
        let policy = Arc::new(Policy::compile(&file, Ok(&overrides), self.settings));
        for problem in policy.problems() {
            tracing::warn!(problem, "policy.problem");
        }
        let until = overrides.iter().filter_map(|one| one.expires_at).min();
        *lock(&self.cached) = Some(Cached { stamp, counter, until, policy: Arc::clone(&policy) });
        policy
    }

    /// The file as it is now.
    fn read_file(&self) -> File {
        let stamp = self.path.as_ref().and_then(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        });
        let mut known = lock(&self.file);
        if let Some(known) = known.as_ref().filter(|known| known.stamp == stamp) {
            return known.clone();
        }
        let file = File { stamp, policy: Arc::new(self.load()) };
        *known = Some(file.clone());
        file
    }

    fn load(&self) -> PolicyFile {
        let Some(path) = &self.path else { return shipped_default() };
        let name = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => {
                let loaded = load_lenient(&name, &bytes);
                for problem in loaded.problems.iter() {
                    tracing::warn!(policy.file = name, problem = %problem, "policy.problem");
                }
                loaded.policy
            }
            Err(error) => {
                tracing::error!(policy.file = name, error = %error, "policy.unreadable");
                shipped_default()
            }
        }
    }
}

/// A poisoned lock only means that another thread ended inside; the value is whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

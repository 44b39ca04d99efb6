//! The policy in force: the shipped one, or a file that is read again when it changes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use skep_core::gate::{Policy, Settings};
use skep_crds::policy::{PolicyFile, load_lenient, shipped_default};

/// Where the policy comes from.
#[derive(Debug)]
pub struct PolicySource {
    path: Option<PathBuf>,
    settings: Settings,
    cached: Mutex<Option<Cached>>,
}

#[derive(Debug, Clone)]
struct Cached {
    stamp: Option<(SystemTime, u64)>,
    policy: Arc<Policy>,
}

impl PolicySource {
    /// The shipped policy: everything that changes something waits for a person.
    #[must_use]
    pub fn shipped(settings: Settings) -> Self {
        Self { path: None, settings, cached: Mutex::new(None) }
    }

    /// A file. It is read again when its time or size changes; while it cannot be read the
    /// shipped policy holds, which allows nothing by itself.
    #[must_use]
    pub fn file(path: PathBuf, settings: Settings) -> Self {
        Self { path: Some(path), settings, cached: Mutex::new(None) }
    }

    /// The policy in force now.
    pub fn current(&self) -> Arc<Policy> {
        let stamp = self.path.as_ref().and_then(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        });
        // A poisoned lock only means that another thread ended inside; the value is whole.
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cached.as_ref().filter(|known| known.stamp == stamp) {
            return Arc::clone(&known.policy);
        }
        let policy = Arc::new(Policy::compile(&self.read(), Ok(&[]), self.settings));
        for problem in policy.problems() {
            tracing::warn!(problem, "policy.problem");
        }
        *cached = Some(Cached { stamp, policy: Arc::clone(&policy) });
        policy
    }

    fn read(&self) -> PolicyFile {
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

//! Credentials for registries, from where docker keeps them.

mod config;
mod helper;

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use skep_swarm::RegistryAuth;
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::config::{ConfigFile, Place, key_of};

/// A helper's answer is used again for this long: a rollout of a whole fleet must not start one
/// process per service, and a rotated password must not wait.
const HELPER_ANSWER: Duration = Duration::from_secs(30);
/// Far above any real file.
const LARGEST_FILE: u64 = 1 << 20;

/// Docker's own place for its configuration: `$DOCKER_CONFIG/config.json`, else
/// `~/.docker/config.json`.
pub fn default_path(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let folder = match variable("DOCKER_CONFIG") {
        Some(folder) => folder,
        None => variable("HOME")?.join(".docker"),
    };
    Some(folder.join("config.json"))
}

/// Docker's configuration file, read again whenever it changes.
#[derive(Debug)]
pub struct Credentials {
    path: Option<PathBuf>,
    /// Somebody has named the file: that it is missing is worth a word.
    is_named: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stamp: Option<Stamp>,
    config: Arc<ConfigFile>,
    told_missing: bool,
    answers: HashMap<String, (Option<RegistryAuth>, Instant)>,
}

type Stamp = (SystemTime, u64);

impl Credentials {
    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        Self { path: None, is_named: false, state: Mutex::default() }
    }

    /// The file that somebody has named.
    #[must_use]
    pub fn named(path: PathBuf) -> Self {
        Self { path: Some(path), is_named: true, state: Mutex::default() }
    }

    /// The file at docker's own place, which need not exist.
    #[must_use]
    pub fn of_docker(path: Option<PathBuf>) -> Self {
        Self { path, is_named: false, state: Mutex::default() }
    }

    /// The credentials for a registry, for example `ghcr.io` or `docker.io`. Without any, the
    /// registry is asked anonymously. Problems are logged, without content.
    pub async fn of(&self, registry: &str) -> Option<RegistryAuth> {
        let path = self.path.as_deref()?;
        // Held while a helper runs: others wait for its answer instead of starting it again.
        let mut state = self.state.lock().await;
        self.refresh(&mut state, path);
        let config = Arc::clone(&state.config);
        let key = key_of(registry);
        match config.place(key) {
            Place::Nowhere => None,
            Place::File(auth) => Some(auth),
            Place::Helper(name) => {
                let now = Instant::now();
                if let Some((auth, until)) = state.answers.get(key)
                    && now < *until
                {
                    return auth.clone();
                }
                let auth = match helper::get(name, key, helper::Limits::default()).await {
                    Ok(auth) => auth,
                    Err(error) => {
                        tracing::warn!(
                            credentials.helper = name,
                            image.registry = registry,
                            error = %error,
                            "credentials.helper_failed"
                        );
                        None
                    }
                };
                state.answers.insert(key.to_owned(), (auth.clone(), now + HELPER_ANSWER));
                auth
            }
        }
    }

    fn refresh(&self, state: &mut State, path: &Path) {
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                let is_news = state.stamp.is_some() || !state.told_missing;
                if is_news && (self.is_named || error.kind() != std::io::ErrorKind::NotFound) {
                    tracing::warn!(
                        credentials.file = %path.display(),
                        error = %error,
                        "credentials.unreadable"
                    );
                }
                *state = State { told_missing: true, ..State::default() };
                return;
            }
        };
        let stamp = metadata.modified().ok().map(|modified| (modified, metadata.len()));
        if stamp.is_some() && stamp == state.stamp {
            return;
        }
        let config = read(path).unwrap_or_else(|problem| {
            tracing::warn!(
                credentials.file = %path.display(),
                problem,
                "credentials.unreadable"
            );
            ConfigFile::default()
        });
        *state = State { stamp, config: Arc::new(config), ..State::default() };
    }
}

fn read(path: &Path) -> Result<ConfigFile, String> {
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST_FILE).read_to_end(&mut text))
        .map_err(|error| error.to_string())?;
    config::parse(&text)
}

#[cfg(test)]
mod tests;

//! What is declared: reads the sources, keeps their last good content across restarts, and turns
//! it into desired services.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use skep_core::desired::{
    Desired, DesiredService, ResolvedReference, SecretValues, SourceState, SourceStatus, connector,
};
use skep_core::digester::{Digester, Purpose};
use skep_core::identity::ServiceName;
use skep_core::plan::Masking;
use skep_crds::registry::Registry;
use skep_crds::value::EnvValue;
use skep_sources::{LastGood, RegistrySource, SourceState as ReadState};
use skep_store::{Fence, LastGoodContent, Store};

use crate::Error;

/// The most that a referenced file may hold: a token or a certificate, not a data set.
const MAX_REFERENCE_BYTES: u64 = 64 * 1024;

/// What values are told apart by, so that none is shown or stored.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    pub(crate) masking: &'a Masking,
    pub(crate) digester: &'a Digester,
}

/// The sources of a fleet.
#[derive(Debug)]
pub struct SourceSet {
    registry: Option<Registered>,
}

#[derive(Debug)]
struct Registered {
    name: String,
    paths: Vec<PathBuf>,
    /// Files that values refer to; a changed one is a changed declaration.
    referenced: Vec<PathBuf>,
    last_good: LastGood,
    imported: bool,
    stamp: Stamp,
    said: Option<ReadState>,
}

type Stamp = Vec<Option<(SystemTime, u64)>>;

impl SourceSet {
    /// A registry from these files with this overlay and these profiles; without files nothing
    /// is declared, and nothing follows from that.
    #[must_use]
    pub fn new(files: Vec<PathBuf>, overlay: Option<PathBuf>, profiles: Vec<String>) -> Self {
        if files.is_empty() {
            return Self { registry: None };
        }
        let shown: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let paths = files.iter().cloned().chain(overlay.iter().cloned()).collect();
        let source = RegistrySource::new(files, overlay, profiles);
        Self {
            registry: Some(Registered {
                name: shown.join(", "),
                paths,
                referenced: Vec::new(),
                last_good: LastGood::new(source),
                imported: false,
                stamp: Vec::new(),
                said: None,
            }),
        }
    }

    /// True when a file has another time or size than at the last refresh.
    pub(crate) async fn has_changed(&self) -> bool {
        let Some(registered) = &self.registry else { return false };
        let paths = registered.watched();
        let now = tokio::task::spawn_blocking(move || stamp(&paths)).await.unwrap_or_default();
        now != registered.stamp
    }

    /// Reads the sources again. With a fence, new content is stored as the last good one.
    ///
    /// # Errors
    /// When the store cannot be read or written. A broken source is no error.
    pub(crate) async fn refresh(
        &mut self,
        store: &dyn Store,
        fence: Option<&Fence>,
        keys: Keys<'_>,
        now: Timestamp,
    ) -> Result<Arc<Desired>, Error> {
        let Some(registered) = &mut self.registry else {
            return Ok(Arc::new(Desired::default()));
        };
        registered.import(store).await?;
        let (source, paths) = (registered.last_good.source().clone(), registered.watched());
        // The time is taken first: a file that changes while it is read is read once more.
        let read = tokio::task::spawn_blocking(move || (stamp(&paths), source.load())).await;
        let Ok((stamp, read)) = read else { return Err(Error::Stopped) };
        // Who only looks must not hide a change from the leader, who waits for another stamp.
        if fence.is_some() {
            registered.stamp = stamp;
        }
        let refreshed = registered.last_good.accept(read);
        registered.say(&refreshed.state);
        if let Some(fence) = fence
            && refreshed.state == ReadState::Ready
        {
            registered.keep(store, fence, keys.digester, now).await?;
        }
        if let Some(loaded) = &refreshed.value {
            registered.referenced = referenced_files(&loaded.registry);
        }
        let (state, reason) = match refreshed.state {
            ReadState::Ready => (SourceState::Ready, None),
            ReadState::Stale { reason, .. } => (SourceState::Stale, Some(reason)),
            ReadState::NeverLoaded { reason, .. } => (SourceState::NeverLoaded, Some(reason)),
        };
        let status = SourceStatus { name: registered.name.clone(), state, reason };
        let mut desired = Desired { sources: vec![status], ..Desired::default() };
        if let Some(loaded) = &refreshed.value {
            (desired.services, desired.secrets) = declared(&loaded.registry, keys.masking);
        }
        Ok(Arc::new(desired))
    }
}

impl Registered {
    fn watched(&self) -> Vec<PathBuf> {
        self.paths.iter().chain(&self.referenced).cloned().collect()
    }

    async fn import(&mut self, store: &dyn Store) -> Result<(), Error> {
        if self.imported {
            return Ok(());
        }
        if let Some(content) = store.last_good(&self.name).await?
            && let Err(error) = self.last_good.import(&content.content)
        {
            tracing::warn!(source.name = self.name, error = %error, "source.last_good_unusable");
        }
        self.imported = true;
        Ok(())
    }

    async fn keep(
        &mut self,
        store: &dyn Store,
        fence: &Fence,
        digester: &Digester,
        now: Timestamp,
    ) -> Result<(), Error> {
        let content = match self.last_good.export() {
            Ok(Some(content)) => content,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::warn!(source.name = self.name, error = %error, "source.not_stored");
                return Ok(());
            }
        };
        let digest = digester.digest_bytes(Purpose::Content, &content).to_string();
        if store.last_good(&self.name).await?.is_some_and(|stored| stored.digest == digest) {
            return Ok(());
        }
        let source = self.name.clone();
        let kept = LastGoodContent { source, digest, content, loaded_at: now };
        Ok(store.put_last_good(fence, &kept).await?)
    }

    /// Logs each change of state once.
    fn say(&mut self, state: &ReadState) {
        if self.said.as_ref() == Some(state) {
            return;
        }
        match state {
            ReadState::Ready => tracing::info!(source.name = self.name, "source.ready"),
            ReadState::Stale { reason, code } => tracing::error!(
                source.name = self.name,
                error.code = code,
                reason,
                "source.invalid_last_good_kept"
            ),
            ReadState::NeverLoaded { reason, code } => tracing::error!(
                source.name = self.name,
                error.code = code,
                reason,
                "source.never_loaded"
            ),
        }
        self.said = Some(state.clone());
    }
}

fn referenced_files(registry: &Registry) -> Vec<PathBuf> {
    let values = registry.services.iter().flat_map(|service| service.env.iter());
    values
        .filter_map(|(_, value)| match value {
            EnvValue::FromFile(path) => Some(PathBuf::from(path)),
            EnvValue::Literal(_) | EnvValue::FromEnv(_) | EnvValue::Unset => None,
        })
        .collect()
}

fn stamp(paths: &[PathBuf]) -> Stamp {
    let one = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    paths.iter().map(one).collect()
}

fn declared(
    registry: &Registry,
    masking: &Masking,
) -> (BTreeMap<ServiceName, DesiredService>, SecretValues) {
    let mut secrets = SecretValues::default();
    let resolve = |value: &EnvValue| resolve(value, masking);
    // Dependencies name connectors; from here on only final Swarm names are used.
    let final_names: BTreeMap<&str, ServiceName> = registry
        .services
        .iter()
        .map(|one| (one.name.as_str(), ServiceName::new(one.swarm_name.as_str())))
        .collect();
    let services = registry
        .services
        .iter()
        .map(|one| {
            let mut service = connector(one, &resolve, &mut secrets);
            for dependency in &mut service.depends_on {
                if let Some(name) = final_names.get(dependency.as_str()) {
                    *dependency = name.clone();
                }
            }
            (service.name.clone(), service)
        })
        .collect();
    (services, secrets)
}

fn resolve(value: &EnvValue, masking: &Masking) -> Result<ResolvedReference, String> {
    let value = match value {
        EnvValue::Literal(text) => text.clone(),
        EnvValue::FromEnv(name) => match std::env::var(name) {
            Ok(text) if !text.is_empty() => text,
            Ok(_) => return Err(format!("the environment variable {name} is empty")),
            Err(_) => return Err(format!("the environment variable {name} is not set")),
        },
        EnvValue::FromFile(path) => read_reference(path)?,
        EnvValue::Unset => return Err("it has no value".to_owned()),
    };
    Ok(ResolvedReference { fingerprint: masking.fingerprint(&value), value })
}

fn read_reference(path: &str) -> Result<String, String> {
    let metadata =
        std::fs::metadata(path).map_err(|error| format!("the file {path}: {}", error.kind()))?;
    if !metadata.is_file() || metadata.len() > MAX_REFERENCE_BYTES {
        return Err(format!(
            "the file {path} is not a regular file of at most {MAX_REFERENCE_BYTES} bytes"
        ));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the file {path}: {}", error.kind()))?;
    // Editors end files with a line break that no token has.
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.trim_end_matches('\r'));
    if text.is_empty() {
        return Err(format!("the file {path} is empty"));
    }
    Ok(text.to_owned())
}

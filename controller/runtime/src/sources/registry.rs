//! The connector registry as a source.

use std::collections::BTreeMap;
use std::path::PathBuf;

use skep_core::desired::{ResolvedReference, connector};
use skep_core::identity::ServiceName;
use skep_core::plan::Masking;
use skep_crds::registry::Registry;
use skep_crds::value::EnvValue;
use skep_sources::{RegistrySource, resolve};

use super::kept::Kept;
use super::merge::Merge;
use super::{Refresh, Stamp, stamp};
use crate::Error;

/// The registry with what is watched of it.
pub(super) struct Registered {
    paths: Vec<PathBuf>,
    /// Files that values refer to; a changed one is a changed declaration.
    referenced: Vec<PathBuf>,
    kept: Kept<RegistrySource>,
    pub(super) stamp: Stamp,
}

impl Registered {
    pub(super) fn new(
        files: Vec<PathBuf>,
        overlay: Option<PathBuf>,
        profiles: Vec<String>,
    ) -> Self {
        let shown: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let paths = files.iter().cloned().chain(overlay.iter().cloned()).collect();
        let source = RegistrySource::new(files, overlay, profiles);
        let kept = Kept::new(shown.join(", "), source);
        Self { paths, referenced: Vec::new(), kept, stamp: Vec::new() }
    }

    pub(super) fn watched(&self) -> Vec<PathBuf> {
        self.paths.iter().chain(&self.referenced).cloned().collect()
    }

    pub(super) fn value(&self) -> Option<&skep_sources::Loaded> {
        self.kept.value().map(std::sync::Arc::as_ref)
    }

    pub(super) async fn refresh(
        &mut self,
        refresh: &Refresh<'_>,
        merge: &mut Merge<'_>,
    ) -> Result<(), Error> {
        self.kept.import(refresh).await?;
        let (source, paths) = (self.kept.source().clone(), self.watched());
        // The time is taken first: a file that changes while it is read is read once more.
        let read = tokio::task::spawn_blocking(move || (stamp(&paths), source.load())).await;
        let Ok((stamp, read)) = read else { return Err(Error::Stopped) };
        // Who only looks must not hide a change from the leader, who waits for another stamp.
        if refresh.fence.is_some() {
            self.stamp = stamp;
        }
        let read = self.kept.accept(read, refresh).await?;
        merge.status(read.status);
        if let Some(loaded) = &read.value {
            self.referenced = referenced_files(&loaded.registry);
            declare(&loaded.registry, refresh.masking, merge);
        }
        Ok(())
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

pub(super) fn declare(registry: &Registry, masking: &Masking, merge: &mut Merge<'_>) {
    let resolve = |value: &EnvValue| {
        let value = resolve(value)?;
        Ok(ResolvedReference { fingerprint: masking.fingerprint(&value), value })
    };
    // Dependencies name connectors; from here on only final Swarm names are used.
    let final_names: BTreeMap<&str, ServiceName> = registry
        .services
        .iter()
        .map(|one| (one.name.as_str(), ServiceName::new(one.swarm_name.as_str())))
        .collect();
    for one in &registry.services {
        let mut service = connector(one, &resolve, merge.secrets());
        for dependency in &mut service.depends_on {
            if let Some(name) = final_names.get(dependency.as_str()) {
                *dependency = name.clone();
            }
        }
        merge.service(service);
    }
}

//! The connector registry: which connectors a fleet has, and how each one runs.
//!
//! A registry comes from one or several files, an overlay, and a choice of profiles:
//! [`Registry::read`] takes their content and gives either a registry in which everything fits
//! together, or every problem of every file.

mod build;
mod check;
mod container;
mod document;
mod engine_spec;
mod fields;
mod files;
mod health;
mod mcp;
mod modes;
mod mount;
mod network;
mod placement;
mod ports;
mod resources;
mod rollout;
mod scaling;
mod write;

use std::collections::BTreeMap;

use serde::Serialize;
use skep_yaml::{Location, Problem, Problems, did_you_mean};

pub use build::RegistryFile;
pub use container::{Container, Ulimit};
pub(crate) use document::RegistryDocument;
pub use engine_spec::SpecPatch;
pub use files::FileReference;
pub use health::{Health, Probe};
pub use mcp::Mcp;
pub use mount::{Mount, MountSource, Propagation};
pub use network::NetworkAttachment;
pub use placement::{Logging, Placement, ServiceMode};
pub use ports::{EndpointMode, Protocol, PublishMode, PublishedPort};
pub use resources::{Limits, Reservations, Resources};
pub use rollout::{FailureAction, Restart, RestartCondition, Rollout, RolloutOrder};
pub use scaling::Scaling;
pub use write::{Entry, to_yaml};

use crate::value::{Environment, ImageReference, JsonPointer, Name};

/// `Debug` that says what it is and nothing of what it holds: people write passwords into
/// arguments, labels and options.
macro_rules! opaque {
    ($($name:ty),+) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(hidden)"))
            }
        }
    )+};
}

opaque!(Container, Health, Probe, Logging, NetworkAttachment);

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("swarm_name", &self.swarm_name)
            .field("image", &self.image)
            .field("env", &self.env)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

/// The domain of a connector that names none.
pub const DEFAULT_DOMAIN: &str = "default";

/// Everything that the registry files say, checked as a whole, in the order of names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registry {
    /// The connectors, sorted by name; names, Swarm names, host ports and packages are unique.
    pub services: Vec<Service>,
}

/// One connector with all defaults filled in.
#[derive(Clone, PartialEq)]
pub struct Service {
    /// Its name in the registry.
    pub name: Name,
    /// Name of the Swarm service.
    pub swarm_name: Name,
    /// The stack that the Swarm service belongs to.
    pub stack: Option<Name>,
    /// The group that pause and kill can name.
    pub domain: Name,
    /// Profiles that it belongs to.
    pub profiles: Vec<Name>,
    /// The package that it comes from.
    pub package: Option<String>,
    /// The program in the package.
    pub console_script: Option<String>,
    /// How it is spoken to.
    pub transport: String,
    /// The address that it listens on in its container.
    pub host: String,
    /// The port that it listens on in its container.
    pub container_port: u16,
    /// The port that the swarm publishes for it.
    pub host_port: Option<u16>,
    /// The image, with `version` applied.
    pub image: ImageReference,
    /// What `version` said.
    pub version: Option<String>,
    /// Whether it should run.
    pub desired: DesiredState,
    /// How many tasks, unless scaling owns that.
    pub replicas: u32,
    /// How replicas follow the load.
    pub scaling: Option<Scaling>,
    /// Environment variables.
    pub env: Environment,
    /// Arguments for the image's program; `None` leaves the image's own.
    pub command: Option<Vec<String>>,
    /// Networks, sorted by name.
    pub networks: Vec<NetworkAttachment>,
    /// Mounts; each target once.
    pub mounts: Vec<Mount>,
    /// On which nodes tasks may run.
    pub constraints: Vec<String>,
    /// Limits and reservations.
    pub resources: Resources,
    /// Health check; `None` leaves the image's own.
    pub health: Option<Health>,
    /// How it is asked whether it speaks MCP.
    pub mcp: Mcp,
    /// Labels of the Swarm service.
    pub labels: BTreeMap<String, String>,
    /// How changes roll out.
    pub update: Option<Rollout>,
    /// How changes roll back.
    pub rollback: Option<Rollout>,
    /// What happens to a task that ended.
    pub restart: Option<Restart>,
    /// Connectors of this registry that are changed before this one; free of cycles.
    pub depends_on: Vec<Name>,
    /// Fields of the service spec that others own.
    pub ignore: Vec<JsonPointer>,
    /// How the number of tasks follows.
    pub mode: ServiceMode,
    /// Most tasks of a replicated job at once; `None` means all.
    pub max_concurrent: Option<u32>,
    /// Options of the container.
    pub container: Container,
    /// Published ports besides `host_port`.
    pub ports: Vec<PublishedPort>,
    /// How clients find the tasks.
    pub endpoint_mode: Option<EndpointMode>,
    /// How tasks are spread, besides constraints.
    pub placement: Placement,
    /// Where the output goes.
    pub logging: Option<Logging>,
    /// What there is no word for, merged over all of the above.
    pub spec: Option<SpecPatch>,
    /// Where the connector is declared.
    pub location: Location,
}

/// Whether a connector should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DesiredState {
    /// With its replicas.
    Running,
    /// With none.
    Stopped,
}

impl Registry {
    /// Reads registry files and an overlay.
    ///
    /// # Errors
    /// Every problem of every file, in the order of the files.
    pub fn read(
        files: &[RegistryFile<'_>],
        overlay: Option<&RegistryFile<'_>>,
    ) -> Result<Self, Problems> {
        build::registry(files, overlay)
    }

    /// The connector of a name.
    pub fn get(&self, name: &str) -> Option<&Service> {
        let index = self.services.binary_search_by(|service| service.name.as_str().cmp(name));
        index.ok().and_then(|index| self.services.get(index))
    }

    /// Every profile that a connector names, sorted.
    pub fn profiles(&self) -> Vec<&Name> {
        let mut profiles: Vec<_> =
            self.services.iter().flat_map(|service| &service.profiles).collect();
        profiles.sort();
        profiles.dedup();
        profiles
    }

    /// The connectors of these profiles; all of them when no profile is given. A dependency on a
    /// connector outside of the choice is not waited for.
    ///
    /// # Errors
    /// A problem for each profile that no connector names.
    pub fn select(mut self, profiles: &[String]) -> Result<Self, Problems> {
        if profiles.is_empty() {
            return Ok(self);
        }
        let known: Vec<String> = self.profiles().iter().map(ToString::to_string).collect();
        let unknown: Problems = profiles
            .iter()
            .filter(|profile| !known.contains(profile))
            .map(|profile| unknown_profile(profile, &known))
            .collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        self.services.retain(|service| {
            service.profiles.iter().any(|own| profiles.iter().any(|chosen| chosen == own.as_str()))
        });
        let kept: Vec<Name> = self.services.iter().map(|service| service.name.clone()).collect();
        for service in &mut self.services {
            service.depends_on.retain(|name| kept.binary_search(name).is_ok());
        }
        Ok(self)
    }
}

fn unknown_profile(profile: &str, known: &[String]) -> Problem {
    let hint = did_you_mean(profile, known.iter().map(String::as_str)).map_or_else(
        || match known {
            [] => "the registry names no profiles".to_owned(),
            known => format!("known profiles: {}", known.join(", ")),
        },
        |word| format!("did you mean \"{word}\"? known profiles: {}", known.join(", ")),
    );
    Problem {
        location: Location::whole_file("--profile"),
        path: String::new(),
        code: "UNKNOWN_PROFILE",
        message: format!("no service belongs to the profile \"{}\"", profile.escape_debug()),
        hint: Some(hint),
    }
}

#[cfg(test)]
mod tests;

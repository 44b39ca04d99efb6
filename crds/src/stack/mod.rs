//! Stack files: the Compose format that `docker stack deploy` reads, versions 3.0 to 3.13.
//!
//! [`load`] reads one or several files into a [`Stack`] that means what docker means by them:
//! variables are put in, short forms become long ones, paths are absolute, and the files are merged.
//! Nothing here touches the file system or the environment: files come through [`Files`], variables
//! as [`Variables`].
//!
//! # Guarantees
//! Every problem is found in one go, with file, line, column and what to do. What docker refuses is
//! refused; what it drops without a word is warned of. No message shows the value of a variable or
//! of a line of an environment file.

mod amounts;
mod build;
mod check;
mod cluster;
mod deploy;
mod env_file;
mod interpolate;
mod keys;
pub mod lint;
mod load;
mod merge;
mod mounts;
mod objects;
mod paths;
mod places;
mod ports;
mod read;
mod reference;
mod references;
mod resolve;
mod service;
mod shell;
mod template;
mod values;
mod variables;

use std::collections::BTreeMap;

use serde::Serialize;

pub use self::amounts::{Count, Cpus, FileMode, Number, PortNumber, Ratio, Size, Time};
pub use self::build::Build;
pub use self::deploy::{
    Deploy, Discrete, GenericResource, Limits, Order, Placement, Preference, Reservations,
    Resources, RestartPolicy, Rollout,
};
pub use self::env_file::{BadLine, parse as parse_env_file};
pub use self::load::{Contents, Files, Loaded, Source, load};
pub use self::mounts::{BindOptions, Mount, Mounts, TmpfsOptions, VolumeOptions};
pub use self::objects::{Config, External, Ipam, Network, Pool, Secret, Volume};
pub use self::places::Places;
pub use self::ports::{Port, Ports};
pub use self::reference::{KeyReference, Place, reference};
pub use self::references::{FileReference, FileReferences};
pub use self::service::{
    Attachment, Attachments, CredentialSpec, Dropped, HealthCheck, Logging, MaybeText, Service,
    Ulimit, Ulimits,
};
pub use self::values::{
    Dependencies, Environment, Extras, Hosts, LogOptions, Numbers, Options, Pairs, Test, Texts,
    Uniques, Words,
};
pub use self::variables::Variables;

/// What stack files declare, read, resolved and merged. It is written as `docker stack config`
/// writes it.
#[derive(Clone, Default, PartialEq, Serialize)]
pub struct Stack {
    /// The version of the format.
    pub version: String,
    /// The services, by their names in the file.
    pub services: BTreeMap<String, Service>,
    /// The networks.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, Network>,
    /// The volumes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Volume>,
    /// The secrets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Secret>,
    /// The configs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub configs: BTreeMap<String, Config>,
    /// What `x-…` keys of the first file say.
    #[serde(flatten)]
    pub extras: Extras,
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("services", &self.services.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! Every key of the format, for the reference.

use super::load::TOP;
use super::read::Key;
use super::{
    Attachment, BindOptions, Build, Config, CredentialSpec, Deploy, FileReference, GenericResource,
    HealthCheck, Ipam, Limits, Logging, Mount, Network, Placement, Pool, Port, Preference,
    Reservations, Resources, RestartPolicy, Rollout, Secret, Service, TmpfsOptions, Volume,
    VolumeOptions,
};

/// The keys at one place.
#[derive(Debug)]
pub struct Place {
    /// Where: `*` is a name that people choose, `[]` an item of a list; empty at the top.
    pub path: &'static str,
    /// The keys.
    pub keys: Vec<KeyReference>,
}

/// A key.
#[derive(Debug)]
pub struct KeyReference {
    /// Its name.
    pub name: &'static str,
    /// The first version 3.this that has it.
    pub since: u32,
    /// What it says.
    pub about: &'static str,
}

const PLACES: &[(&str, &[Key])] = &[
    ("", TOP),
    ("services.*", Service::KEYS),
    ("services.*.build", Build::KEYS),
    ("services.*.configs[]", FileReference::KEYS),
    ("services.*.credential_spec", CredentialSpec::KEYS),
    ("services.*.deploy", Deploy::KEYS),
    ("services.*.deploy.placement", Placement::KEYS),
    ("services.*.deploy.placement.preferences[]", Preference::KEYS),
    ("services.*.deploy.resources", Resources::KEYS),
    ("services.*.deploy.resources.limits", Limits::KEYS),
    ("services.*.deploy.resources.reservations", Reservations::KEYS),
    ("services.*.deploy.resources.reservations.generic_resources[]", GenericResource::KEYS),
    ("services.*.deploy.restart_policy", RestartPolicy::KEYS),
    ("services.*.deploy.rollback_config", Rollout::KEYS),
    ("services.*.deploy.update_config", Rollout::KEYS),
    ("services.*.healthcheck", HealthCheck::KEYS),
    ("services.*.logging", Logging::KEYS),
    ("services.*.networks.*", Attachment::KEYS),
    ("services.*.ports[]", Port::KEYS),
    ("services.*.secrets[]", FileReference::KEYS),
    ("services.*.volumes[]", Mount::KEYS),
    ("services.*.volumes[].bind", BindOptions::KEYS),
    ("services.*.volumes[].tmpfs", TmpfsOptions::KEYS),
    ("services.*.volumes[].volume", VolumeOptions::KEYS),
    ("networks.*", Network::KEYS),
    ("networks.*.ipam", Ipam::KEYS),
    ("networks.*.ipam.config[]", Pool::KEYS),
    ("volumes.*", Volume::KEYS),
    ("secrets.*", Secret::KEYS),
    ("configs.*", Config::KEYS),
];

/// Every key, place by place.
pub fn reference() -> Vec<Place> {
    let key =
        |key: &Key| KeyReference { name: key.name, since: key.since, about: key.about.trim() };
    PLACES.iter().map(|(path, keys)| Place { path, keys: keys.iter().map(key).collect() }).collect()
}

//! `build`, which Swarm passes over: read and shown, so that files may have it.

use skep_yaml::{Cursor, Kind};

use super::read::{Read, Rules, kind};
use super::values::{Environment, Hosts, Pairs, Texts};

kind! {
    /// How an image would be built.
    Build ignores true {
        /// The folder.
        "context" context: String,
        /// The file in it.
        "dockerfile" dockerfile: String,
        /// Arguments.
        "args" args: Environment,
        /// Labels of the image.
        "labels" (3) labels: Pairs,
        /// Images to begin with.
        "cache_from" (2) cache_from: Texts,
        /// More hosts.
        "extra_hosts" (9) extra_hosts: Hosts,
        /// The network.
        "network" (4) network: String,
        /// The stage.
        "target" (4) target: String,
    }
}

/// The version from which on docker takes any key here.
const OPEN_SINCE: u32 = 11;

impl Read for Build {
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
        if let Kind::Mapping(_) = at.node().kind {
            let map = at.map()?;
            if rules.minor < OPEN_SINCE {
                let known: Vec<&str> =
                    Self::KEYS.iter().map(|key| key.name).chain(["shm_size"]).collect();
                map.deny_unknown(&known);
            }
            // Nothing in it has an effect, so there is nothing to warn of one by one.
            return Some(Self::fields(&map, &Rules::new(rules.minor)));
        }
        Some(Self { context: at.text()?, ..Self::default() })
    }
}

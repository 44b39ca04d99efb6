//! What a stack file declares beside services: networks, volumes, secrets, configs.

use serde::{Serialize, Serializer};
use skep_yaml::{Cursor, Kind, Resolved};

use super::merge::{Merge, Zero};
use super::read::{Read, Rules, kind, mapping_only};
use super::values::{Options, Pairs};

kind! {
    /// A network.
    Network extras 7 {
        /// Its name on the swarm; left out, that of the stack stands before it.
        "name" (5) name: String,
        /// Its driver; left out, `overlay`.
        "driver" driver: String,
        /// Options of the driver.
        "driver_opts" driver_opts: Options,
        /// How addresses are given.
        "ipam" ipam: Ipam,
        /// Whether it exists already and is not the stack's.
        "external" external: External,
        /// Whether nothing leads out of it.
        "internal" internal: bool,
        /// Whether containers that are no tasks may join.
        "attachable" (2) attachable: bool,
        /// Labels.
        "labels" labels: Pairs,
    }
}

kind! {
    /// How addresses are given.
    Ipam {
        /// The driver.
        "driver" driver: String,
        /// Ranges of addresses.
        "config" config: Vec<Pool>,
    }
}

kind! {
    /// A range of addresses.
    Pool {
        /// The range.
        "subnet" subnet: String,
    }
}

kind! {
    /// A volume. Engines make it where a task needs it.
    Volume extras 7 {
        /// Its name; left out, that of the stack stands before it.
        "name" (4) name: String,
        /// Its driver.
        "driver" driver: String,
        /// Options of the driver.
        "driver_opts" driver_opts: Options,
        /// Whether it exists already and is not the stack's.
        "external" external: External,
        /// Labels.
        "labels" labels: Pairs,
    }
}

kind! {
    /// A secret.
    Secret extras 7 {
        /// Its name on the swarm; left out, that of the stack stands before it.
        "name" (5) name: String,
        /// The file that holds it.
        "file" file: String,
        /// Whether it exists already and is not the stack's.
        "external" external: External,
        /// Labels.
        "labels" labels: Pairs,
        /// The driver that gives it.
        "driver" (8) driver: String,
        /// Options of the driver.
        "driver_opts" (8) driver_opts: Options,
        /// What fills in templates in it.
        "template_driver" (8) template_driver: String,
    }
}

kind! {
    /// A config.
    Config extras 7 {
        /// Its name on the swarm; left out, that of the stack stands before it.
        "name" (5) name: String,
        /// The file that holds it.
        "file" file: String,
        /// Whether it exists already and is not the stack's.
        "external" external: External,
        /// Labels.
        "labels" labels: Pairs,
        /// What fills in templates in it.
        "template_driver" (8) template_driver: String,
    }
}

mapping_only!(Ipam, Pool, Secret, Config);

macro_rules! nothing_is_a_default {
    ($($name:ident),+) => {
        $(impl Read for $name {
            fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
                if at.is_null() {
                    return Some(Self::default());
                }
                Some(Self::fields(&at.map()?, rules))
            }
        })+
    };
}
nothing_is_a_default!(Network, Volume);

/// Whether something exists already and is not the stack's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct External {
    /// Whether it does.
    pub is: bool,
    /// Its name, in the old notation `external: {name: …}`.
    pub(crate) name: String,
}

impl Zero for External {
    fn is_zero(&self) -> bool {
        !self.is
    }
}

impl Merge for External {
    fn merge(&mut self, later: Self) {
        super::merge::replace(self, later);
    }
}

impl Serialize for External {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(self.is)
    }
}

impl Read for External {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        if let Kind::Mapping(_) = at.node().kind {
            let map = at.map()?;
            map.deny_unknown(&["name"]);
            let name = map.optional("name").and_then(|at| at.text()).unwrap_or_default();
            return Some(Self { is: true, name });
        }
        match at.resolved() {
            Some(Resolved::Bool(is)) => Some(Self { is, name: String::new() }),
            _ => {
                at.expected("true, false, or a mapping with a name");
                None
            }
        }
    }
}

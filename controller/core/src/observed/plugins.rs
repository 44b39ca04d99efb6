//! Plugins of the engine that was asked: what can provide a network, its addresses or a secret.

use std::collections::BTreeSet;

/// What a plugin can do, in the engine's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Makes networks.
    Network,
    /// Gives addresses.
    Ipam,
    /// Provides secrets.
    Secret,
}

impl Capability {
    /// The word under which the engine lists it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Network => "networkdriver",
            Self::Ipam => "ipamdriver",
            Self::Secret => "secretprovider",
        }
    }

    /// What people call it.
    #[must_use]
    pub fn driver(self) -> &'static str {
        match self {
            Self::Network => "network driver",
            Self::Ipam => "address driver (ipam)",
            Self::Secret => "secret driver",
        }
    }
}

/// The plugins that are turned on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plugins(BTreeSet<(String, String)>);

impl Plugins {
    /// From pairs of what one can do, in the engine's word, and its name.
    #[must_use]
    pub fn of(all: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(all.into_iter().map(|(can, name)| (can, bare(&name).to_owned())).collect())
    }

    /// Whether one of this name can do this.
    #[must_use]
    pub fn has(&self, capability: Capability, name: &str) -> bool {
        self.0.contains(&(capability.word().to_owned(), bare(name).to_owned()))
    }
}

/// A plugin's name without the tag that stands for none.
fn bare(name: &str) -> &str {
    name.strip_suffix(":latest").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_found_by_what_it_does_and_with_or_without_its_tag() {
        let plugins =
            Plugins::of([("ipamdriver".to_owned(), "example/addresses:latest".to_owned())]);
        assert!(plugins.has(Capability::Ipam, "example/addresses"));
        assert!(plugins.has(Capability::Ipam, "example/addresses:latest"));
        assert!(!plugins.has(Capability::Network, "example/addresses"));
        assert!(!plugins.has(Capability::Ipam, "example/addresses:2"));
    }
}

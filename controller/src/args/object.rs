//! `skep object`: taking over and letting go of networks, configs and secrets.

use std::str::FromStr;

use clap::{Args, Subcommand};
use skep_core::identity::{ObjectKind, ServiceName};

use super::AskArgs;

/// `skep object`.
#[derive(Debug, Subcommand)]
pub(crate) enum ObjectVerb {
    /// Put networks, configs and secrets on record as ours. Nothing is written to Docker.
    ///
    /// From then on the stack that declares one owns it, whoever has made it and whatever its
    /// labels say. One that no stack declares is on record and otherwise left alone.
    #[command(after_help = "\
Examples:
  skep object adopt network/web_front --reason \"made by hand before the stack was\"
  skep object adopt config/shared secret/shared --approve   # from another stack")]
    Adopt(ObjectArgs),
    /// Take networks, configs and secrets off record: Skep leaves them alone from then on. Nothing
    /// is written to Docker.
    #[command(after_help = "\
Examples:
  skep object release network/web_front
  skep object release secret/web_token --no-wait")]
    Release(ObjectArgs),
}

impl ObjectVerb {
    /// Which, and how it is asked for.
    pub(crate) const fn args(&self) -> &ObjectArgs {
        match self {
            Self::Adopt(args) | Self::Release(args) => args,
        }
    }
}

/// Which objects something is asked for.
#[derive(Debug, Args)]
pub(crate) struct ObjectArgs {
    /// The objects, as the plan names them.
    #[arg(required = true, value_name = "KIND/NAME")]
    pub(crate) targets: Vec<ObjectTarget>,
    #[command(flatten)]
    pub(crate) ask: Box<AskArgs>,
}

/// `KIND/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectTarget(pub(crate) ServiceName);

impl FromStr for ObjectTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kinds = [ObjectKind::Network, ObjectKind::Config, ObjectKind::Secret];
        let named = text.split_once('/').filter(|(_, name)| !name.is_empty());
        let found = named.and_then(|(word, name)| {
            let kind = kinds.into_iter().find(|kind| kind.as_str() == word)?;
            Some(Self(ServiceName::object(kind, name)))
        });
        found.ok_or_else(|| {
            "expected network/NAME, config/NAME or secret/NAME, for example config/web_app; \
             services have: skep service adopt"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_kind_and_a_name() {
        let target: ObjectTarget = "config/web_app".parse().unwrap();
        assert_eq!(target.0.as_str(), "config/web_app");
        for wrong in ["web_app", "config/", "service/web", "volume/data", "/a", ""] {
            assert!(wrong.parse::<ObjectTarget>().unwrap_err().contains("config/NAME"), "{wrong}");
        }
    }
}

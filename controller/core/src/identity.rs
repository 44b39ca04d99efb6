//! Who is meant: typed names and ids, so that a service name can never be passed where an id is
//! expected.
//!
//! Generated ids start with their random part: a client that shows only the first eight
//! characters can still tell two apart.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ports::Random;

/// A string that could not be read as the id or name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {why}")]
pub struct InvalidIdentity {
    /// What the value should have been, for example `service name`.
    pub what: &'static str,
    /// The refused value.
    pub value: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps text that is already known to be valid, for example from the engine.
            #[must_use]
            pub fn new(value: impl Into<String>) -> Self {
                Self(value.into())
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                Self(value.to_owned())
            }
        }
    };
}

text_type! {
    /// Whose fleet this is; `default` until someone sets one.
    TenantId
}
text_type! {
    /// The id of a swarm (`Swarm.Cluster.ID` of `/info`). A rebuilt swarm has another one.
    ClusterId
}
text_type! {
    /// The name of the fleet that one Skep looks after (`FLEET_NAME`).
    FleetName
}
text_type! {
    /// The final name of a Swarm service. As the target of a step or the name in an [`ObjectKey`]
    /// it may also be another object: then the kind stands before the name, as in `config/web_app`,
    /// which no service can be called.
    ServiceName
}
text_type! {
    /// The id that Swarm gave an object.
    SwarmId
}
text_type! {
    /// One proposed mutation.
    ActionId
}
text_type! {
    /// One request for a person's decision: `action_approval:<random>`.
    ApprovalId
}
text_type! {
    /// One write that was about to be sent to the engine.
    IntentId
}
text_type! {
    /// What one person asked for by hand, until the leader has answered.
    RequestId
}
text_type! {
    /// One dead letter; the id of the action or the event that it is about.
    LetterId
}
text_type! {
    /// One stored override of the policy, for example a freeze.
    OverrideId
}
text_type! {
    /// One uninterrupted leadership of one process.
    TermId
}
text_type! {
    /// One plan; derived from the plan's digest, so the same plan has the same id.
    PlanId
}
text_type! {
    /// One decision that covers several requests.
    BatchId
}
text_type! {
    /// What requests have in common whose change is the same apart from the service.
    GroupKey
}
text_type! {
    /// One message to the operators; the same at every attempt to deliver it.
    NoticeId
}
text_type! {
    /// One step of a plan: eight characters of its digest, then the target.
    StepId
}

impl Default for GroupKey {
    /// No group.
    fn default() -> Self {
        Self::new("")
    }
}

impl Default for TenantId {
    fn default() -> Self {
        Self::new("default")
    }
}

impl Default for FleetName {
    fn default() -> Self {
        Self::new("default")
    }
}

/// What every approval id starts with; clients check it.
pub const APPROVAL_PREFIX: &str = "action_approval:";

impl ActionId {
    /// A new id.
    pub fn generate(random: &dyn Random) -> Self {
        Self(random.hex128())
    }
}

impl ApprovalId {
    /// A new id.
    pub fn generate(random: &dyn Random) -> Self {
        Self(format!("{APPROVAL_PREFIX}{}", random.hex128()))
    }
}

impl IntentId {
    /// A new id.
    pub fn generate(random: &dyn Random) -> Self {
        Self(random.hex128())
    }
}

impl RequestId {
    /// A new id.
    pub fn generate(random: &dyn Random) -> Self {
        Self(random.hex128())
    }
}

impl BatchId {
    /// A new id.
    pub fn generate(random: &dyn Random) -> Self {
        Self(random.hex128())
    }
}

impl OverrideId {
    /// A new id.
    pub fn generate(random: &dyn Random) -> Self {
        Self(random.hex128())
    }
}

impl TermId {
    /// A new id.
    pub fn generate(random: &dyn Random) -> Self {
        Self(random.hex128())
    }
}

impl ServiceName {
    /// Reads a name under Swarm's rule: a DNS name component of at most 63 characters.
    ///
    /// # Errors
    /// When Swarm would refuse the name.
    pub fn parse(value: &str) -> Result<Self, InvalidIdentity> {
        let refuse = |why| InvalidIdentity { what: "service name", value: value.to_owned(), why };
        if value.is_empty() || value.len() > 63 {
            return Err(refuse("it must have 1 to 63 characters"));
        }
        let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        if !ends_well(value.chars().next()) || !ends_well(value.chars().last()) {
            return Err(refuse("it must start and end with a letter or a digit"));
        }
        if !value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            return Err(refuse("only letters, digits, '-' and '_' are allowed"));
        }
        Ok(Self(value.to_owned()))
    }

    /// A network, config or secret as a target.
    #[must_use]
    pub fn object(kind: ObjectKind, name: &str) -> Self {
        match kind {
            ObjectKind::Service => Self(name.to_owned()),
            ObjectKind::Network | ObjectKind::Config | ObjectKind::Secret | ObjectKind::Stack => {
                Self(format!("{}/{name}", kind.as_str()))
            }
        }
    }

    /// What kind of object this target is.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        self.split().0
    }

    /// The name on the swarm, without the kind.
    #[must_use]
    pub fn bare(&self) -> &str {
        self.split().1
    }

    fn split(&self) -> (ObjectKind, &str) {
        let Some((word, name)) = self.0.split_once('/') else {
            return (ObjectKind::Service, &self.0);
        };
        match ObjectKind::from_word(word) {
            Some(kind) => (kind, name),
            None => (ObjectKind::Service, &self.0),
        }
    }
}

/// The kinds of Swarm objects that Skep can own, and stacks of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A Swarm service.
    Service,
    /// A network.
    Network,
    /// A config.
    Config,
    /// A secret.
    Secret,
    /// A stack: the engine knows none, but an action may be about all services of one.
    Stack,
}

impl ObjectKind {
    /// The word used in the store and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Network => "network",
            Self::Config => "config",
            Self::Secret => "secret",
            Self::Stack => "stack",
        }
    }

    /// The kind that a stored word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Service, Self::Network, Self::Config, Self::Secret, Self::Stack]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// The identity of an object everywhere in Skep: queue key, lock key, record key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// Whose object.
    pub tenant: TenantId,
    /// On which swarm.
    pub cluster: ClusterId,
    /// Which kind of object.
    pub kind: ObjectKind,
    /// Its final name; of anything but a service with the kind before it, see [`ServiceName`].
    pub name: String,
}

impl ObjectKey {
    /// The key of a service of the default tenant.
    #[must_use]
    pub fn service(cluster: &ClusterId, name: &ServiceName) -> Self {
        Self::of(cluster, name)
    }

    /// The key of the target of a step, of whatever kind, of the default tenant.
    #[must_use]
    pub fn of(cluster: &ClusterId, target: &ServiceName) -> Self {
        Self {
            tenant: TenantId::default(),
            cluster: cluster.clone(),
            kind: target.kind(),
            name: target.as_str().to_owned(),
        }
    }

    /// The object as the target of a step.
    #[must_use]
    pub fn target(&self) -> ServiceName {
        ServiceName::new(self.name.as_str())
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.target().bare())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_of_another_kind_is_no_service() {
        let target = ServiceName::object(ObjectKind::Config, "web_app");
        assert_eq!((target.as_str(), target.bare()), ("config/web_app", "web_app"));
        assert_eq!(target.kind(), ObjectKind::Config);
        assert!(ServiceName::parse(target.as_str()).is_err());
        let key = ObjectKey::of(&ClusterId::new("c"), &target);
        assert_eq!((key.kind, key.to_string()), (ObjectKind::Config, "config/web_app".to_owned()));
        let service = ServiceName::object(ObjectKind::Service, "web");
        assert_eq!((service.kind(), service.bare()), (ObjectKind::Service, "web"));
        assert_eq!(ObjectKey::of(&ClusterId::new("c"), &service).to_string(), "service/web");
    }

    #[test]
    fn service_names_follow_swarms_rule() {
        for good in ["a", "caddy-mcp", "Web_1", &"x".repeat(63)] {
            assert!(ServiceName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a.b", "a b", "ä", &"x".repeat(64)] {
            assert!(ServiceName::parse(bad).is_err(), "{bad}");
        }
    }
}

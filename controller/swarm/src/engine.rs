//! The engine as the rest of Skep sees it: a dozen calls, so that a fake can stand in for it.
//!
//! Service specs pass through as JSON values and exact bytes. A typed model would lose whatever
//! it does not know, and losing a field of somebody's service is the one thing that must not
//! happen here. Everything else is read into the few fields that are used.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde_json::Value;
use skep_core::identity::{ClusterId, ObjectKind, SwarmId};
use skep_core::observed::{ApiVersion, NodeCounts, Plugins};

use crate::error::Error;
use crate::registry::{Distribution, RegistryAuth};

/// The calls that Skep makes. All of them end: an implementation sets its own time limits.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Which swarm this is and whether it can decide anything now.
    ///
    /// # Errors
    /// When the engine cannot be asked. *Not a manager* and *no quorum* are answers, not errors.
    async fn info(&self) -> Result<EngineInfo, Error>;

    /// Services as the engine reports them, losslessly. An id that does not exist is not listed.
    ///
    /// # Errors
    /// When the engine cannot be asked or refuses.
    async fn list_services(&self, wanted: &Services) -> Result<Vec<Value>, Error>;

    /// One service by id or name.
    ///
    /// # Errors
    /// [`Error::NotFound`]; when the engine cannot be asked or refuses.
    async fn inspect_service(&self, id: &str) -> Result<Value, Error>;

    /// What a registry has under an image reference. The engine asks the registry.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::RegistryUnauthorized`], [`Error::RegistryUnreachable`]; when
    /// the engine cannot be asked or refuses.
    async fn distribution(
        &self,
        reference: &str,
        auth: Option<&RegistryAuth>,
    ) -> Result<Distribution, Error>;

    /// Creates a service from exactly these bytes of JSON. The nodes pull its image with `auth`.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the name is taken. Ask [`Error::may_have_had_effect`] before
    /// anything is sent again.
    async fn create_service(
        &self,
        spec: Bytes,
        auth: Option<&RegistryAuth>,
    ) -> Result<Created, Error>;

    /// Replaces the spec of a service with exactly these bytes, if its Version is still `version`.
    /// Without `auth` the service keeps the credentials that it has.
    ///
    /// # Errors
    /// [`Error::OutOfSequence`] when it is not. Ask [`Error::may_have_had_effect`] before anything
    /// is sent again.
    async fn update_service(
        &self,
        id: &SwarmId,
        version: u64,
        spec: Bytes,
        auth: Option<&RegistryAuth>,
    ) -> Result<Updated, Error>;

    /// Removes a service by id. The engine takes no Version here.
    ///
    /// # Errors
    /// [`Error::NotFound`]; ask [`Error::may_have_had_effect`] as for every write.
    async fn remove_service(&self, id: &SwarmId) -> Result<(), Error>;

    /// The tasks of some services or of all.
    ///
    /// # Errors
    /// [`Error::NotFound`] when one of the named services is gone.
    async fn list_tasks(&self, of: &Services) -> Result<Vec<Task>, Error>;

    /// All networks (local ones included), secrets or configs as the engine reports them,
    /// losslessly. Configs come with their data, secrets without.
    ///
    /// # Errors
    /// When the engine cannot be asked or refuses.
    async fn list_objects(&self, kind: ObjectKind) -> Result<Vec<Value>, Error>;

    /// One network of the swarm, secret or config by id or name, as [`Self::list_objects`] gives
    /// it. The engine also takes the start of an id for one.
    ///
    /// # Errors
    /// [`Error::NotFound`]; when the engine cannot be asked or refuses.
    async fn inspect_object(&self, kind: ObjectKind, id: &str) -> Result<Value, Error>;

    /// Creates a network, secret or config from exactly these bytes of JSON.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the name is taken. Ask [`Error::may_have_had_effect`] before
    /// anything is sent again.
    async fn create_object(&self, kind: ObjectKind, request: Bytes) -> Result<Created, Error>;

    /// Writes the labels of a secret or config, if its Version is still `version`; the engine
    /// refuses a request that says anything else to be different. Networks cannot be updated.
    ///
    /// # Errors
    /// [`Error::OutOfSequence`] when it is not. Ask [`Error::may_have_had_effect`] before anything
    /// is sent again.
    async fn update_object(
        &self,
        kind: ObjectKind,
        id: &SwarmId,
        version: u64,
        request: Bytes,
    ) -> Result<(), Error>;

    /// Removes a network, secret or config by id. The engine takes no Version here, and refuses
    /// while a service uses it.
    ///
    /// # Errors
    /// [`Error::NotFound`]; ask [`Error::may_have_had_effect`] as for every write.
    async fn remove_object(&self, kind: ObjectKind, id: &SwarmId) -> Result<(), Error>;

    /// The plugins that this engine has and that are turned on. Those of the old kind, which are
    /// found by a socket, are in no list.
    ///
    /// # Errors
    /// When the engine cannot be asked or refuses.
    async fn plugins(&self) -> Result<Plugins, Error>;

    /// How many nodes there are, how many can work, and whether the managers can decide.
    ///
    /// # Errors
    /// When the engine cannot be asked or refuses.
    async fn nodes(&self) -> Result<Nodes, Error>;

    /// Follows what happens to services, networks, nodes, secrets and configs of the swarm, from
    /// now on.
    ///
    /// # Caveats
    /// There are no events about tasks, and a stream can go silent without ending.
    ///
    /// # Errors
    /// When the stream cannot be opened. An error inside the stream is its last item.
    async fn events(&self) -> Result<EventStream, Error>;
}

/// What happens in the swarm, in the engine's order.
pub type EventStream = BoxStream<'static, Result<Event, Error>>;

/// Which services are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Services {
    /// Every service of the swarm.
    All,
    /// Those with these ids.
    Ids(Vec<SwarmId>),
    /// Those whose names begin with this text (that is how the engine filters names).
    NamePrefix(String),
}

/// What the engine says about itself and its swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// The API version that both sides use.
    pub api_version: ApiVersion,
    /// The engine's release, for people.
    pub engine_version: String,
    /// Which swarm, when it is a manager of one.
    pub cluster: Option<ClusterId>,
    /// Whether it is a manager that may be asked.
    pub manager: bool,
    /// What is wrong with the swarm's control plane; a manager without quorum goes on answering
    /// lists, with stale data.
    pub trouble: Option<String>,
}

impl EngineInfo {
    /// The id of the swarm, if this engine's answers about it can be trusted now.
    ///
    /// # Errors
    /// [`Error::NotManager`], or [`Error::NoQuorum`] while the swarm has no working leader.
    pub fn trusted_cluster(&self) -> Result<ClusterId, Error> {
        if let Some(trouble) = &self.trouble {
            return Err(Error::NoQuorum { call: None, message: trouble.clone() });
        }
        match (&self.cluster, self.manager) {
            (Some(cluster), true) => Ok(cluster.clone()),
            _ => Err(Error::NotManager {
                message: "it is not part of a swarm, or a worker of one".to_owned(),
            }),
        }
    }
}

/// The nodes of a swarm, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Those that can work and all of them.
    pub counts: NodeCounts,
    /// The managers on record.
    pub managers: u32,
    /// Managers that the engine can reach, itself included.
    pub reachable_managers: u32,
    /// Whether one of the managers leads.
    pub leader: bool,
}

impl Nodes {
    /// Passes when more than half of the managers are there and one of them leads.
    ///
    /// A leader that has lost the others goes on answering for about ten seconds as if nothing
    /// had happened, without an error in its `/info`; but it marks them as unreachable within two
    /// seconds (seen with engine 20.10.24).
    ///
    /// # Errors
    /// [`Error::NoQuorum`].
    pub fn quorum(&self) -> Result<(), Error> {
        if self.leader && self.reachable_managers.saturating_mul(2) > self.managers {
            return Ok(());
        }
        Err(Error::NoQuorum {
            call: None,
            message: format!(
                "{} of {} managers can be reached, {} of them leads",
                self.reachable_managers,
                self.managers,
                if self.leader { "one" } else { "none" }
            ),
        })
    }
}

/// The reply to a create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The id of what was made.
    pub id: SwarmId,
    /// What the engine wants to be known, for example an image that could not be resolved.
    pub warnings: Vec<String>,
}

/// The reply to an update.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Updated {
    /// What the engine wants to be known.
    pub warnings: Vec<String>,
}

/// One task: one attempt to run one replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The engine's id.
    pub id: SwarmId,
    /// The service that it is an attempt of.
    pub service: SwarmId,
    /// Which replica, from 1; 0 for a service that runs once on each node.
    pub slot: u64,
    /// The node that it was given to, or empty.
    pub node: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// The state it has: `new`, `pending`, …, `running`, `failed`, … (only ever forward).
    pub state: String,
    /// The state it should have.
    pub desired_state: String,
    /// When it reached its state.
    pub since: Timestamp,
    /// The engine's word on the state.
    pub message: String,
    /// What went wrong, when something did.
    pub error: Option<String>,
}

/// Something that happened to an object of the swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind of object.
    pub object: EventObject,
    /// The engine's word: `create`, `update`, `remove`, …
    pub action: String,
    /// The object's id.
    pub id: SwarmId,
    /// Its name, when the engine says it.
    pub name: Option<String>,
}

/// The kinds of objects that events are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventObject {
    /// A service.
    Service,
    /// A network.
    Network,
    /// A node.
    Node,
    /// A secret.
    Secret,
    /// A config.
    Config,
    /// Anything else; it is reported because its absence would look like silence.
    Other,
}

//! What the swarm looks like: one immutable snapshot, with its age and how far it can be trusted.

mod objects;
mod plugins;
mod services;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::objects::ObservedObject;
pub use self::plugins::{Capability, Plugins};
pub use self::services::Services;
use crate::identity::{ClusterId, ObjectKind, ServiceName, SwarmId};
use crate::spec::Spec;

/// Everything that one pass of planning may look at.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Which swarm this is.
    pub cluster: ClusterId,
    /// The engine's API version.
    pub api_version: ApiVersion,
    /// When the lists behind it were read.
    pub taken_at: Timestamp,
    /// All services, ours and others', by name.
    pub services: Services,
    /// Networks by id.
    pub networks: BTreeMap<SwarmId, ObservedNetwork>,
    /// Ids of secrets by name; names are unique in a swarm.
    pub secrets: BTreeMap<String, SwarmId>,
    /// Ids of configs by name; names are unique in a swarm.
    pub configs: BTreeMap<String, SwarmId>,
    /// Networks of the swarm, secrets and configs as the engine reports them, by target
    /// ([`ServiceName::object`]).
    pub objects: Arc<BTreeMap<ServiceName, Arc<ObservedObject>>>,
    /// Nodes of the swarm.
    pub nodes: NodeCounts,
}

/// An engine API version such as 1.41.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// The part before the dot.
    pub major: u32,
    /// The part behind the dot.
    pub minor: u32,
}

impl std::fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// One service as the engine reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedService {
    /// The engine's id.
    pub id: SwarmId,
    /// Its name.
    pub name: ServiceName,
    /// `Version.Index`: the compare-and-set token of every update.
    pub version: u64,
    /// The spec exactly as the engine gave it; never re-serialised through a lossy type.
    pub spec: Spec,
    /// Ports published now, automatic ones included.
    pub ports: Vec<PublishedPort>,
    /// The rollout that Swarm is running or finished, when it reports one.
    pub update: Option<UpdateStatus>,
    /// Its tasks.
    pub tasks: TaskSummary,
    /// When the engine last changed it.
    pub updated_at: Timestamp,
    /// The ids of networks, configs and secrets that its spec before names: what it needs when
    /// Swarm takes it back.
    pub returns_to: Vec<String>,
}

/// A port that the swarm or a node publishes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The published port.
    pub published: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// True for `ingress` (one owner in the whole swarm), false for `host`.
    pub ingress: bool,
}

/// `UpdateStatus` of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateStatus {
    /// The engine's word: `updating`, `paused`, `completed`, `rollback_started`, …
    pub state: String,
    /// The engine's sentence.
    pub message: String,
    /// When the rollout began; tasks that were made later belong to it.
    pub started_at: Option<Timestamp>,
}

impl UpdateStatus {
    /// True while a write would disturb a running rollout and lose its way back.
    #[must_use]
    pub fn is_rolling(&self) -> bool {
        matches!(self.state.as_str(), "updating" | "rollback_started")
    }

    /// True when Swarm has stopped half-way and waits for somebody.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        matches!(self.state.as_str(), "paused" | "rollback_paused")
    }

    /// True when Swarm has taken an update back, or is doing so.
    #[must_use]
    pub fn is_rollback(&self) -> bool {
        self.state.starts_with("rollback_")
    }
}

/// The tasks of a service, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskSummary {
    /// Tasks that should run and do.
    pub running: u32,
    /// Tasks that should run and are on their way there.
    pub starting: u32,
    /// Tasks that ended by themselves or were refused, as far as the engine remembers.
    pub failed: u32,
    /// Tasks that ended by themselves without an error, as far as the engine remembers them.
    pub completed: u32,
    /// The newest failure of a task.
    pub last_failure: Option<TaskFailure>,
}

impl TaskSummary {
    /// The newest error of a failed task.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.last_failure.as_ref().map(|failure| failure.error.as_str())
    }
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFailure {
    /// The task's id.
    pub task: SwarmId,
    /// The id of the node that it was given to; empty when no node would have it.
    pub node: String,
    /// The engine's words; they name the exit code when there was one.
    pub error: String,
    /// When the task was made: before or during a rollout.
    pub created_at: Timestamp,
    /// When it failed.
    pub failed_at: Timestamp,
}

impl std::fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.error)?;
        // As many characters as docker's own lists show.
        let short = |id: &str| id.get(..12).unwrap_or(id).to_owned();
        write!(f, " (task {}", short(self.task.as_str()))?;
        if !self.node.is_empty() {
            write!(f, " on node {}", short(&self.node))?;
        }
        f.write_str(")")
    }
}

/// A network of the swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedNetwork {
    /// The engine's id.
    pub id: SwarmId,
    /// Its name; names of local networks need not be unique.
    pub name: String,
    /// `swarm`, `local` or `global`.
    pub scope: String,
}

/// Nodes by what they can do now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCounts {
    /// Ready and active.
    pub ready: u32,
    /// All nodes on record.
    pub total: u32,
}

impl Snapshot {
    /// The same snapshot with one network, config or secret as it was read later. Copies nothing
    /// of the services.
    #[must_use]
    pub fn with_object(&self, target: &ServiceName, live: Option<ObservedObject>) -> Self {
        let mut snapshot = self.clone();
        let objects = Arc::make_mut(&mut snapshot.objects);
        let gone = objects.remove(target);
        let by_name = |snapshot: &mut Self, kind: ObjectKind| match kind {
            ObjectKind::Config => Some(std::mem::take(&mut snapshot.configs)),
            ObjectKind::Secret => Some(std::mem::take(&mut snapshot.secrets)),
            ObjectKind::Network | ObjectKind::Service | ObjectKind::Stack => None,
        };
        if let Some(gone) = gone {
            snapshot.networks.remove(&gone.id);
        }
        let ids = by_name(&mut snapshot, target.kind());
        if let Some(live) = &live
            && live.kind == ObjectKind::Network
        {
            let (id, name, scope) = (live.id.clone(), live.name.clone(), live.scope().to_owned());
            snapshot.networks.insert(id.clone(), ObservedNetwork { id, name, scope });
        }
        if let Some(mut ids) = ids {
            ids.remove(target.bare());
            if let Some(live) = &live {
                ids.insert(live.name.clone(), live.id.clone());
            }
            match target.kind() {
                ObjectKind::Config => snapshot.configs = ids,
                _ => snapshot.secrets = ids,
            }
        }
        if let Some(live) = live {
            Arc::make_mut(&mut snapshot.objects).insert(target.clone(), Arc::new(live));
        }
        snapshot
    }

    /// The id of the swarm-scoped network with this name.
    #[must_use]
    pub fn network_id(&self, name: &str) -> Option<&SwarmId> {
        self.networks
            .values()
            .filter(|network| network.name == name)
            // `host`, `bridge` and friends are local but services may name them.
            .max_by_key(|network| network.scope == "swarm")
            .map(|network| &network.id)
    }
}

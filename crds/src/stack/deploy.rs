//! `deploy`: how a service is run on the swarm.

use skep_yaml::Cursor;

use super::amounts::{Count, Cpus, Number, Ratio, Size, Time};
use super::merge::{Merge, Zero};
use super::read::{Read, Rules, kind, mapping_only};
use super::values::Pairs;

kind! {
    /// How a service is run on the swarm.
    Deploy {
        /// `replicated`, `global`, `replicated-job` or `global-job`.
        "mode" mode: String,
        /// How many tasks.
        "replicas" replicas: Option<Count>,
        /// Labels of the service.
        "labels" labels: Pairs,
        /// How a change is rolled out.
        "update_config" update_config: Option<Rollout>,
        /// How a change is rolled back.
        "rollback_config" (7) rollback_config: Option<Rollout>,
        /// What its tasks get, and what they may use.
        "resources" resources: Resources,
        /// When a task is started again.
        "restart_policy" restart_policy: Option<RestartPolicy>,
        /// On which nodes.
        "placement" placement: Placement,
        /// `vip` or `dnsrr`.
        "endpoint_mode" (2) endpoint_mode: String,
    }
}

kind! {
    /// How a change is rolled out or back.
    Rollout {
        /// How many tasks at once; 0 means all.
        "parallelism" parallelism: Option<Count>,
        /// Time between two batches.
        "delay" delay: Time,
        /// `pause`, `continue` or `rollback`.
        "failure_action" failure_action: String,
        /// How long a new task is watched.
        "monitor" monitor: Time,
        /// The share of tasks that may fail.
        "max_failure_ratio" max_failure_ratio: Ratio,
        /// `stop-first` or `start-first`.
        "order" (4) order: Order,
    }
}

kind! {
    /// What tasks get, and what they may use.
    Resources {
        /// What a task may use.
        "limits" limits: Option<Limits>,
        /// What a task gets.
        "reservations" reservations: Option<Reservations>,
    }
}

kind! {
    /// What a task may use.
    Limits {
        /// Processors.
        "cpus" cpus: Cpus,
        /// Memory.
        "memory" memory: Size,
        /// Processes.
        "pids" (9) pids: Number,
    }
}

kind! {
    /// What a task gets.
    Reservations {
        /// Processors.
        "cpus" cpus: Cpus,
        /// Memory.
        "memory" memory: Size,
        /// Resources that the owners of nodes named.
        "generic_resources" (5) generic_resources: Vec<GenericResource>,
    }
}

kind! {
    /// A resource that the owners of nodes named.
    GenericResource {
        /// Of which a number is reserved.
        "discrete_resource_spec" discrete_resource_spec: Option<Discrete>,
    }
}

/// A number of a resource.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Discrete {
    /// What it is.
    pub kind: String,
    /// How many.
    pub value: Number,
}

kind! {
    /// When a task is started again.
    RestartPolicy {
        /// `none`, `on-failure` or `any`.
        "condition" condition: String,
        /// Time before that.
        "delay" delay: Option<Time>,
        /// How often.
        "max_attempts" max_attempts: Option<Count>,
        /// The time in which attempts are counted.
        "window" window: Option<Time>,
    }
}

kind! {
    /// On which nodes.
    Placement {
        /// What a node must be.
        "constraints" constraints: Vec<String>,
        /// How tasks are spread.
        "preferences" (3) preferences: Vec<Preference>,
        /// At most so many tasks on a node.
        "max_replicas_per_node" (8) max_replicas_per_node: Number,
    }
}

kind! {
    /// How tasks are spread.
    Preference {
        /// Evenly over the values of this.
        "spread" spread: String,
    }
}

mapping_only!(
    Rollout,
    Resources,
    Limits,
    Reservations,
    GenericResource,
    RestartPolicy,
    Placement,
    Preference
);

impl Read for Deploy {
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
        if at.is_null() {
            return Some(Self::default());
        }
        Some(Self::fields(&at.map()?, rules))
    }
}

impl Read for Discrete {
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
        let map = at.map()?;
        map.deny_unknown(&["kind", "value"]);
        Some(Self {
            kind: map.optional("kind").and_then(|at| at.text()).unwrap_or_default(),
            value: map
                .optional("value")
                .and_then(|at| Number::read(&at, rules))
                .unwrap_or_default(),
        })
    }
}

impl Merge for Discrete {
    fn merge(&mut self, later: Self) {
        self.kind.merge(later.kind);
        self.value.merge(later.value);
    }
}

/// Which task comes first in a roll-out.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Order(pub String);

impl Zero for Order {
    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }
}

impl Merge for Order {
    fn merge(&mut self, later: Self) {
        super::merge::replace(self, later);
    }
}

impl Read for Order {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        at.word(&[("start-first", "start-first"), ("stop-first", "stop-first")])
            .map(|word| Self(word.to_owned()))
    }
}

//! How tasks are spread, how many there are, and where their output goes.

use std::collections::BTreeMap;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use skep_yaml::Cursor;

use super::container::Options;
use crate::format::{Text, Whole, mapping, word};

/// How the number of tasks follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceMode {
    /// As many as are asked for.
    #[default]
    Replicated,
    /// One on each node.
    Global,
    /// As many as are asked for, each until it is done.
    ReplicatedJob,
    /// One on each node, until it is done.
    GlobalJob,
}

const MODES: [(&str, ServiceMode); 4] = [
    ("replicated", ServiceMode::Replicated),
    ("global", ServiceMode::Global),
    ("replicated-job", ServiceMode::ReplicatedJob),
    ("global-job", ServiceMode::GlobalJob),
];
word!(ServiceMode, MODES);

impl ServiceMode {
    /// The word of the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replicated => "replicated",
            Self::Global => "global",
            Self::ReplicatedJob => "replicated-job",
            Self::GlobalJob => "global-job",
        }
    }

    /// Whether its tasks end by themselves.
    pub const fn is_job(self) -> bool {
        matches!(self, Self::ReplicatedJob | Self::GlobalJob)
    }
}

/// How tasks are spread over nodes, besides constraints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// What tasks are spread over, the most important first.
    pub preferences: Vec<String>,
    /// Most tasks on one node; 0 means any number.
    pub max_replicas_per_node: u64,
}

mapping! {
    /// How tasks are spread over nodes, besides constraints.
    pub(crate) struct PlacementDocument {
        /// What tasks are spread over, the most important first.
        pub(crate) preferences: Option<Vec<PreferenceDocument>>,
        /// Most tasks on one node; any number when left out.
        pub(crate) max_replicas_per_node: Option<Whole<u64, 0, 100_000>>,
    }
}

mapping! {
    /// One wish of the spreading.
    pub(crate) struct PreferenceDocument {
        /// Tasks are spread evenly over the values of this, such as node.labels.zone.
        spread: Text,
    }
}

impl From<PlacementDocument> for Placement {
    fn from(read: PlacementDocument) -> Self {
        Self {
            preferences: read
                .preferences
                .unwrap_or_default()
                .into_iter()
                .map(|one| one.spread)
                .collect(),
            max_replicas_per_node: read.max_replicas_per_node.unwrap_or(0),
        }
    }
}

/// Where the output of tasks goes.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Logging {
    /// The driver; `None` is the node's own.
    pub driver: Option<String>,
    /// Its options.
    pub options: BTreeMap<String, String>,
}

mapping! {
    /// Where the output of tasks goes. The node's own way when left out.
    pub(crate) struct LoggingDocument {
        /// The driver, such as json-file.
        pub(crate) driver: Option<Text>,
        /// Its options, such as max-size.
        pub(crate) options: Option<Options>,
    }
}

impl From<LoggingDocument> for Logging {
    fn from(read: LoggingDocument) -> Self {
        Self { driver: read.driver, options: read.options.unwrap_or_default() }
    }
}

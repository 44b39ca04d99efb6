//! Small worlds for the tests of planning.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use skep_crds::stacks::{FirstRollout, OnFailure};

use super::{Holdings, Masking, Owned, Plan, PlanInput, plan};
use crate::action::Source;
use crate::desired::{
    Desired, DesiredService, DesiredStack, McpEndpoint, Provenance, SourceState, SourceStatus,
};
use crate::digester::{self, Digester};
use crate::identity::{ClusterId, ServiceName, SwarmId};
use crate::observed::{
    ApiVersion, NodeCounts, ObservedNetwork, ObservedService, Plugins, Services, Snapshot,
    TaskSummary,
};
use crate::resolution::Resolutions;
use crate::spec::Spec;

pub(crate) struct World {
    pub(crate) desired: Desired,
    pub(crate) observed: Snapshot,
    pub(crate) owned: Owned,
    pub(crate) owned_objects: Owned,
    pub(crate) holdings: Holdings,
    pub(crate) plugins: Option<Plugins>,
    pub(crate) known_clusters: Vec<ClusterId>,
    pub(crate) images: Resolutions,
    pub(crate) masking: Masking,
    pub(crate) digester: Digester,
    pub(crate) now: Timestamp,
}

impl World {
    pub(crate) fn new() -> Self {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let network = ObservedNetwork {
            id: SwarmId::new("net1id"),
            name: "fleet".to_owned(),
            scope: "swarm".to_owned(),
        };
        Self {
            desired: Desired {
                sources: vec![SourceStatus {
                    name: "registry.yml".to_owned(),
                    state: SourceState::Ready,
                    reason: None,
                    commit: None,
                }],
                ..Desired::default()
            },
            observed: Snapshot {
                cluster: ClusterId::new("cluster1"),
                api_version: ApiVersion { major: 1, minor: 41 },
                taken_at: now,
                services: Services::default(),
                networks: BTreeMap::from([(network.id.clone(), network)]),
                secrets: ids(&["another", "h9-sec", "s"]),
                configs: ids(&["h9-cfg"]),
                objects: std::sync::Arc::default(),
                nodes: NodeCounts { ready: 1, total: 1 },
            },
            owned: Owned::new(),
            owned_objects: Owned::new(),
            holdings: Holdings::NONE,
            known_clusters: Vec::new(),
            plugins: None,
            images: Resolutions::NEVER,
            masking: Masking::new(*b"key"),
            digester: digester::for_tests(),
            now,
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.input())
    }

    pub(crate) fn input(&self) -> PlanInput<'_> {
        PlanInput {
            desired: &self.desired,
            observed: &self.observed,
            owned: &self.owned,
            owned_objects: &self.owned_objects,
            holdings: &self.holdings,
            known_clusters: &self.known_clusters,
            plugins: self.plugins.as_ref(),
            images: &self.images,
            masking: &self.masking,
            digester: &self.digester,
            now: self.now,
            fresh: None,
            only: None,
            index: None,
        }
    }

    pub(crate) fn declare(&mut self, name: &str) -> &mut DesiredService {
        let service = desired(name);
        self.desired.services.entry(service.name.clone()).or_insert(service)
    }

    /// Puts the service on the swarm as the engine would report it, and on record.
    pub(crate) fn deploy(&mut self, name: &str) -> &mut ObservedService {
        let live = self.put_foreign(name);
        let id = live.id.clone();
        self.owned.insert(ServiceName::new(name), id);
        self.observed.services.get_mut(&ServiceName::new(name)).unwrap()
    }

    /// Puts the service on the swarm without a record.
    pub(crate) fn put_foreign(&mut self, name: &str) -> &mut ObservedService {
        let mut spec = desired(name).spec;
        if let Some(declared) = self.desired.services.get(&ServiceName::new(name)) {
            spec = declared.spec.clone();
        }
        let ports = spec.ports().to_vec();
        let service = ObservedService {
            id: SwarmId::new(format!("id-{name}")),
            name: ServiceName::new(name),
            version: 7,
            spec,
            ports,
            update: None,
            tasks: TaskSummary { running: 1, ..TaskSummary::default() },
            updated_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            returns_to: Vec::new(),
        };
        self.observed.services.insert(service);
        self.observed.services.get_mut(&ServiceName::new(name)).unwrap()
    }
}

fn ids(names: &[&str]) -> BTreeMap<String, SwarmId> {
    names.iter().map(|name| ((*name).to_owned(), SwarmId::new(format!("id-of-{name}")))).collect()
}

pub(crate) fn desired(name: &str) -> DesiredService {
    DesiredService {
        name: ServiceName::new(name),
        declared_name: name.to_owned(),
        domain: "default".to_owned(),
        provenance: Provenance {
            source: Source::Registry,
            file: "registry.yml".to_owned(),
            line: 4,
            column: 5,
            commit: None,
            author: None,
        },
        spec: json!({
            "Name": name,
            "Labels": {"team": "a"},
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": format!("example/{name}:latest"),
                    "Env": ["HOST=0.0.0.0", "TOKEN=secret-value"],
                },
                "Networks": [{"Target": "fleet"}],
            },
            "Mode": {"Replicated": {"Replicas": 2}},
            "EndpointSpec": {"Ports": [{
                "Protocol": "tcp", "TargetPort": 8000,
                "PublishedPort": 8200 + u16::from(name.as_bytes()[0]), "PublishMode": "ingress",
            }]},
        })
        .into(),
        running: true,
        autoscaled: None,
        mcp: McpEndpoint::Unasked { reason: "a test" },
        depends_on: Vec::new(),
        ignore: Vec::new(),
        blocked: None,
        unresolved: Vec::new(),
    }
}

/// A JSON value, or a spec made of one.
pub(crate) trait Settable {
    fn change(&mut self, change: impl FnOnce(&mut Value));
}

impl Settable for Value {
    fn change(&mut self, change: impl FnOnce(&mut Value)) {
        change(self);
    }
}

impl Settable for Spec {
    fn change(&mut self, change: impl FnOnce(&mut Value)) {
        *self = self.changed(change);
    }
}

pub(crate) fn set(spec: &mut impl Settable, pointer: &str, value: Value) {
    spec.change(|spec| super::pointer::set(spec, pointer, value));
}

pub(crate) fn stack(name: &str, services: &[&str]) -> DesiredStack {
    DesiredStack {
        name: name.to_owned(),
        provenance: desired(name).provenance,
        domain: "default".to_owned(),
        prune: false,
        on_failure: OnFailure::Stop,
        rollout: FirstRollout::Staged,
        after: BTreeSet::new(),
        externals: Vec::new(),
        services: services.iter().map(|name| ServiceName::new(*name)).collect(),
        taken_at: None,
        asked_at: None,
        rewritten: None,
    }
}

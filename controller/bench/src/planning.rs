//! Rows 4 and 5: a large fleet that does not exist, planned on one core.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};
use skep_core::action::Source;
use skep_core::desired::{
    Desired, DesiredService, McpEndpoint, Provenance, SourceState, SourceStatus,
};
use skep_core::digester::Digester;
use skep_core::identity::{ClusterId, ServiceName, SwarmId};
use skep_core::observed::{
    ApiVersion, NodeCounts, ObservedNetwork, ObservedService, PublishedPort, Snapshot, TaskSummary,
    UpdateStatus,
};
use skep_core::plan::{Holdings, Masking, Memo, Owned, PlanIndex, PlanInput, plan_key, plan_with};
use skep_core::resolution::Resolutions;
use skep_core::spec::Spec;

use crate::Result;
use crate::table::{Table, ms};

/// How often one key is planned.
const KEYS: usize = 1000;

pub(crate) fn run(count: usize, table: &mut Table) -> Result<()> {
    let before = resident();
    let world = World::new(count)?;
    let mut memo = Memo::default();
    let input = world.input();
    let started = Instant::now();
    let plan = plan_with(&input, &mut memo);
    table.note(4, format!("plan of {count}, cold"), ms(started.elapsed()), "ms", None);
    assert_eq!((plan.summary.unchanged, plan.steps.len()), (count, 0), "the fleet is as declared");
    // With the record, the index and the memo: all that one process keeps of a fleet.
    #[allow(clippy::cast_precision_loss)]
    let each = (resident() - before) as f64 / count as f64;
    let warm: Vec<_> = (0..5)
        .map(|_| {
            let started = Instant::now();
            let plan = plan_with(&input, &mut memo);
            assert_eq!(plan.steps.len(), 0, "nothing has changed");
            started.elapsed()
        })
        .collect();
    let median = crate::table::at(&warm, 0.5);
    table.note(4, format!("plan of {count}, nothing changed"), median, "ms", Some(250.0));
    let index = PlanIndex::of(&input);
    let input = PlanInput { index: Some(&index), ..input };
    let names: Vec<&ServiceName> = world.desired.services.keys().collect();
    let step = (names.len() / KEYS).max(1);
    let keys: Vec<_> = names.iter().step_by(step).collect();
    let times: Vec<_> = keys
        .iter()
        .map(|name| {
            let started = Instant::now();
            let _nothing = plan_key(&input, name);
            started.elapsed()
        })
        .collect();
    let median = crate::table::at(&times, 0.5) * 1000.0;
    table.note(4, format!("plan of one key of {count}, median"), median, "µs", Some(100.0));
    table.note(5, format!("memory of a service of {count}"), each / 1024.0, "KiB", Some(4.0));
    Ok(())
}

/// Resident bytes of this process; zero where the system does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    kib(&status, "VmRSS:") * 1024
}

/// A line of `/proc/PID/status`.
pub(crate) fn kib(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// No tag is resolved.
static AS_WRITTEN: Resolutions = Resolutions::NEVER;

struct World {
    desired: Desired,
    observed: Snapshot,
    owned: Owned,
    nothing: Owned,
    holdings: Holdings,
    clusters: Vec<ClusterId>,
    masking: Masking,
    digester: Digester,
}

impl World {
    fn new(count: usize) -> Result<Self> {
        let mut desired = BTreeMap::new();
        let mut live = Vec::with_capacity(count);
        let mut owned = Owned::new();
        for number in 0..count {
            let service = declared(number);
            let observed = reported(number);
            owned.insert(service.name.clone(), observed.id.clone());
            live.push(observed);
            desired.insert(service.name.clone(), service);
        }
        let source = SourceStatus {
            name: "registry.yml".to_owned(),
            state: SourceState::Ready,
            reason: None,
            commit: None,
        };
        let network = ObservedNetwork {
            id: SwarmId::new("n1n1n1n1n1n1n1n1n1n1n1n1n"),
            name: "fleet".to_owned(),
            scope: "swarm".to_owned(),
        };
        let cluster = ClusterId::new("c1");
        Ok(Self {
            desired: Desired { services: desired, sources: vec![source], ..Desired::default() },
            observed: Snapshot {
                cluster: cluster.clone(),
                api_version: ApiVersion { major: 1, minor: 41 },
                taken_at: jiff::Timestamp::UNIX_EPOCH,
                services: live.into_iter().collect(),
                networks: BTreeMap::from([(network.id.clone(), network)]),
                secrets: BTreeMap::new(),
                configs: BTreeMap::new(),
                objects: std::sync::Arc::default(),
                nodes: NodeCounts { ready: 1, total: 1 },
            },
            owned,
            nothing: Owned::new(),
            holdings: Holdings::NONE,
            clusters: vec![cluster],
            masking: Masking::new(*b"key"),
            digester: Digester::new(&[7; 32])?,
        })
    }

    fn input(&self) -> PlanInput<'_> {
        PlanInput {
            desired: &self.desired,
            observed: &self.observed,
            owned: &self.owned,
            owned_objects: &self.nothing,
            holdings: &self.holdings,
            plugins: None,
            known_clusters: &self.clusters,
            images: &AS_WRITTEN,
            masking: &self.masking,
            digester: &self.digester,
            now: jiff::Timestamp::UNIX_EPOCH,
            fresh: None,
            only: None,
            index: None,
        }
    }
}

fn name(number: usize) -> ServiceName {
    ServiceName::new(format!("connector-{number:06}"))
}

/// What an owner declares for a connector with the usual fields.
fn declared(number: usize) -> DesiredService {
    let name = name(number);
    let spec = spec(&name, number, "fleet");
    DesiredService {
        declared_name: name.as_str().to_owned(),
        domain: "default".to_owned(),
        provenance: Provenance {
            source: Source::Registry,
            file: "/etc/skep/registry.yml".to_owned(),
            line: 1,
            column: 5,
            commit: None,
            author: None,
        },
        spec: spec.into(),
        running: true,
        autoscaled: None,
        depends_on: Vec::new(),
        ignore: Vec::new(),
        blocked: None,
        unresolved: Vec::new(),
        mcp: McpEndpoint::Unasked { reason: "it does not exist" },
        name,
    }
}

/// The same service as an engine reports it: with ids, labels and the defaults it fills in.
fn reported(number: usize) -> ObservedService {
    let name = name(number);
    let mut spec = spec(&name, number, "n1n1n1n1n1n1n1n1n1n1n1n1n");
    let task = json!({
        "Runtime": "container", "ForceUpdate": 0,
        "Placement": {"Platforms": [{"Architecture": "amd64", "OS": "linux"}]},
    });
    merge(&mut spec["TaskTemplate"], &task);
    let labels = json!({
        "dev.skep.fleet": "default", "dev.skep.source": "registry",
        "dev.skep.action": format!("{number:032x}"),
    });
    merge(&mut spec["Labels"], &labels);
    let spec = Spec::from(spec);
    ObservedService {
        id: SwarmId::new(format!("{number:025x}")),
        name,
        version: 17,
        ports: vec![PublishedPort {
            published: port(number),
            protocol: "tcp".to_owned(),
            ingress: true,
        }],
        spec,
        update: Some(UpdateStatus {
            state: "completed".to_owned(),
            message: "update completed".to_owned(),
            started_at: None,
        }),
        tasks: TaskSummary { running: 1, ..TaskSummary::default() },
        updated_at: jiff::Timestamp::UNIX_EPOCH,
        returns_to: Vec::new(),
    }
}

fn merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().into_iter().flatten() {
        into[key.as_str()] = value.clone();
    }
}

#[allow(clippy::cast_possible_truncation)]
fn port(number: usize) -> u16 {
    8000 + (number % 50_000) as u16
}

fn spec(name: &ServiceName, number: usize, network: &str) -> Value {
    json!({
        "Name": name.as_str(),
        "Labels": {"team": "connectors", "com.docker.stack.namespace": "mcp"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": format!("registry.example.com/mcp/{name}:1.{}.0", number % 40),
                "Env": [
                    "HOST=0.0.0.0", "PORT=8000", "TRANSPORT=streamable-http", "LOG_LEVEL=info",
                    format!("UPSTREAM=https://api-{number}.example.com/v1"),
                ],
                "Healthcheck": {
                    "Test": ["CMD-SHELL", "curl -fsS http://127.0.0.1:8000/health"],
                    "Interval": 30_000_000_000_u64, "Timeout": 5_000_000_000_u64, "Retries": 3,
                },
            },
            "Resources": {"Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 268_435_456}},
            "RestartPolicy": {"Condition": "any", "Delay": 5_000_000_000_u64},
            "Networks": [{"Target": network}],
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "UpdateConfig": {"Parallelism": 1, "FailureAction": "rollback", "Order": "start-first"},
        "EndpointSpec": {"Mode": "vip", "Ports": [{
            "Protocol": "tcp", "TargetPort": 8000, "PublishedPort": port(number),
            "PublishMode": "ingress",
        }]},
    })
}

//! Planning and writing in process, against the real engine: one declared service, one live one.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use skep_core::action::Source;
use skep_core::desired::{
    Desired, DesiredService, McpEndpoint, Provenance, SourceState, SourceStatus,
};
use skep_core::digester::Digester;
use skep_core::identity::{ActionId, FleetName, ServiceName, SwarmId};
use skep_core::observed::{ApiVersion, ObservedService, Snapshot};
use skep_core::plan::{
    BoundRequest, Holdings, Late, Masking, Operation, Owned, Plan, PlanInput, Step, bind, plan,
};
use skep_core::ports::Clock;
use skep_swarm::{DockerEngine, Engine as _, EngineAddress, Error, observe};
use skep_testkit::fleet_name;

pub(super) struct Lab {
    pub(super) rig: skep_testkit::Engine,
    pub(super) engine: DockerEngine,
    pub(super) prefix: String,
    /// The swarm without its services.
    pub(super) swarm: Snapshot,
    others: Vec<String>,
}

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// What the fields of services name.
pub(super) const NETWORKS: [&str; 2] = ["net1", "net2"];
pub(super) const SECRETS: [&str; 2] = ["secret1", "secret2"];
pub(super) const CONFIGS: [&str; 2] = ["config1", "config2"];

impl Lab {
    pub(super) async fn open(test: &str) -> Arc<Self> {
        let rig = skep_testkit::engine::shared();
        let prefix = format!("{}-", fleet_name(test));
        let mut others = Vec::new();
        let mut make = |kind: &str, name: &str, mut body: Value| {
            body["Name"] = json!(format!("{prefix}{name}"));
            let reply = rig.call("POST", &format!("/{kind}/create"), Some(&body)).unwrap();
            let id = reply.get("ID").or(reply.get("Id")).unwrap().as_str().unwrap();
            others.push(format!("/{kind}/{id}"));
        };
        for name in NETWORKS {
            make("networks", name, json!({"Driver": "overlay", "Attachable": true}));
        }
        for (kind, names) in [("secrets", SECRETS), ("configs", CONFIGS)] {
            for name in names {
                make(kind, name, json!({"Data": "c2tlcA=="}));
            }
        }
        let address = EngineAddress::parse(&rig.host()).unwrap();
        let engine = DockerEngine::connect(&address).await.unwrap();
        let mut swarm = observe::take_snapshot(&engine, &Now).await.unwrap();
        swarm.services = skep_core::observed::Services::default();
        Arc::new(Self { rig, engine, prefix, swarm, others })
    }

    /// The plan for one declared service, which is ours if it is there.
    pub(super) fn plan(&self, spec: &Value, live: Option<&ObservedService>) -> Plan {
        self.plan_for(self.swarm.api_version, spec, live)
    }

    /// As [`Self::plan`], for an engine that speaks this API.
    pub(super) fn plan_for(
        &self,
        api_version: ApiVersion,
        spec: &Value,
        live: Option<&ObservedService>,
    ) -> Plan {
        let service = declared(spec);
        let (mut swarm, mut owned) = (self.swarm.clone(), Owned::new());
        swarm.api_version = api_version;
        if let Some(live) = live {
            owned.insert(live.name.clone(), live.id.clone());
            // Tasks that find no node never end a rollout; what is planned after it is the point.
            let live = ObservedService { update: None, ..live.clone() };
            swarm.services.insert(live);
        }
        let desired = desired(service);
        plan(&PlanInput {
            desired: &desired,
            observed: &swarm,
            owned: &owned,
            owned_objects: &Owned::new(),
            holdings: &Holdings::NONE,
            plugins: None,
            known_clusters: &[],
            masking: &Masking::new(*b"key"),
            digester: &Digester::new(&[7; 32]).unwrap(),
            now: Timestamp::now(),
            fresh: None,
            only: None,
            index: None,
            images: &skep_core::resolution::Resolutions::NEVER,
        })
    }

    fn request(&self, step: &Step, live: Option<&ObservedService>) -> Result<BoundRequest, String> {
        let late = Late {
            snapshot: &self.swarm,
            live,
            object: None,
            secrets: &skep_core::desired::SecretValues::default(),
            action: &ActionId::new("matrix"),
            fleet: &FleetName::new("matrix"),
        };
        bind(step, late).map_err(|error| error.to_string())
    }

    /// What would be sent for a new service if the declaration were taken as it is.
    pub(super) fn bound(&self, step: &Step, spec: &Value) -> Value {
        let step = Step { operation: Operation::Create { spec: spec.clone() }, ..step.clone() };
        let request = self.request(&step, None).unwrap();
        serde_json::from_slice(&request.body).unwrap()
    }

    /// Carries a step out; the text is the engine's refusal.
    pub(super) async fn apply(
        &self,
        step: &Step,
        live: Option<&ObservedService>,
    ) -> Result<ObservedService, String> {
        let mut live = live.cloned();
        loop {
            let request = self.request(step, live.as_ref())?;
            let body = request.body.into();
            let said = |error: Error| error.with_causes();
            let Some((id, version)) = &request.update else {
                let id = self.engine.create_service(body, None).await.map_err(said)?.id;
                return Ok(self.read(&id).await);
            };
            match self.engine.update_service(id, *version, body, None).await {
                Ok(_) => return Ok(self.read(id).await),
                // The engine gives out addresses and ports a moment after a write.
                Err(Error::OutOfSequence { .. }) => live = Some(self.read(id).await),
                Err(error) => return Err(said(error)),
            }
        }
    }

    pub(super) async fn read(&self, id: &SwarmId) -> ObservedService {
        let found = self.engine.inspect_service(id.as_str()).await.unwrap();
        observe::service(found).unwrap()
    }

    pub(super) async fn create(&self, spec: &Value) -> Result<ObservedService, String> {
        let plan = self.plan(spec, None);
        let step = only_step(&plan)?;
        self.apply(step, None).await
    }

    /// Plans a declared change, checks that exactly these fields are in the plan, writes it, and
    /// checks that nothing is left.
    pub(super) async fn change(
        &self,
        live: &ObservedService,
        spec: &Value,
        expected: &[String],
    ) -> Result<ObservedService, String> {
        let plan = self.plan(spec, Some(live));
        let step = only_step(&plan)?;
        let paths: Vec<&str> = step.changes.iter().map(|change| change.path.as_str()).collect();
        if paths != expected {
            return Err(format!("planned {paths:?} instead of {expected:?}"));
        }
        let after = self.apply(step, Some(live)).await?;
        self.settled(spec, &after)?;
        Ok(after)
    }

    /// Checks that nothing is left to plan.
    pub(super) fn settled(&self, spec: &Value, live: &ObservedService) -> Result<(), String> {
        match self.plan(spec, Some(live)).steps.first() {
            None => Ok(()),
            Some(step) => {
                Err(format!("still planned: {:?}; live {}", step.changes, live.spec.as_json()))
            }
        }
    }

    pub(super) async fn remove(&self, service: &ObservedService) {
        self.engine.remove_service(&service.id).await.unwrap();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.rig.remove_services_with_prefix(&self.prefix);
        for path in &self.others {
            // A network stays in use for a moment after its last service.
            for _attempt in 0..50 {
                if self.rig.call("DELETE", path, None).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
    }
}

pub(super) fn only_step(plan: &Plan) -> Result<&Step, String> {
    match plan.steps.as_slice() {
        [step] => match &step.blocked {
            None => Ok(step),
            Some(blocked) => Err(format!("blocked: {} {}", blocked.code, blocked.message)),
        },
        [] => Err("nothing is planned".to_owned()),
        several => Err(format!("{} steps", several.len())),
    }
}

fn declared(spec: &Value) -> DesiredService {
    let name = spec["Name"].as_str().unwrap();
    DesiredService {
        name: ServiceName::new(name),
        declared_name: name.to_owned(),
        domain: "default".to_owned(),
        provenance: Provenance {
            source: Source::Registry,
            file: "matrix.yml".to_owned(),
            line: 1,
            column: 1,
            commit: None,
            author: None,
        },
        spec: spec.clone().into(),
        running: true,
        autoscaled: None,
        mcp: McpEndpoint::Unasked { reason: "a test" },
        depends_on: Vec::new(),
        ignore: Vec::new(),
        blocked: None,
        unresolved: Vec::new(),
    }
}

fn desired(service: DesiredService) -> Desired {
    Desired {
        services: BTreeMap::from([(service.name.clone(), service)]),
        sources: vec![SourceStatus {
            name: "matrix.yml".to_owned(),
            state: SourceState::Ready,
            reason: None,
            commit: None,
        }],
        ..Desired::default()
    }
}

/// The live spec without our labels, the name and what is empty: what two ways to the same state
/// have to agree on.
pub(super) fn essence(live: &ObservedService) -> Value {
    let mut spec = live.spec.value();
    spec.as_object_mut().unwrap().remove("Name");
    if let Some(labels) = spec.get_mut("Labels").and_then(Value::as_object_mut) {
        labels.retain(|key, _| !key.starts_with("dev.skep."));
    }
    drop_empty(&mut spec, "");
    spec
}

fn drop_empty(value: &mut Value, key: &str) {
    let Value::Object(map) = value else { return };
    for (key, child) in map.iter_mut() {
        drop_empty(child, key);
    }
    map.retain(|_, child| match child {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(children) => !children.is_empty() || key == "Mode",
        _ => true,
    });
}

/// The essence without everything at this pointer.
pub(super) fn without(mut essence: Value, pointer: &str) -> Value {
    if let Some((parent, key)) = pointer.rsplit_once('/')
        && let Some(map) = essence.pointer_mut(parent).and_then(Value::as_object_mut)
    {
        map.remove(&key.replace("~1", "/").replace("~0", "~"));
    }
    drop_empty(&mut essence, "");
    essence
}

/// Sets a value in a spec, making the objects on the way.
pub(super) fn put(spec: &mut Value, pointer: &str, value: Value) {
    let mut at = spec;
    for token in pointer.split('/').skip(1) {
        let key = token.replace("~1", "/").replace("~0", "~");
        if at.is_null() {
            *at = json!({});
        }
        at = at.as_object_mut().unwrap().entry(key).or_insert(Value::Null);
    }
    *at = value;
}

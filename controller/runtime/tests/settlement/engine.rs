//! A swarm in memory with scripted faults: only what a real engine cannot be made to do on demand.
//! Its refusals and their order are those seen on engine 20.10.24.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use skep_core::identity::{ClusterId, SwarmId};
use skep_core::observed::{ApiVersion, NodeCounts, ObservedNetwork};
use skep_swarm::engine::{Created, EngineInfo, EventStream, Nodes, Services, Task, Updated};
use skep_swarm::error::Call;
use skep_swarm::{Distribution, Engine, Error, RegistryAuth};
use tokio::sync::Notify;

/// What happens to the next write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    Passes,
    /// It is held before it arrives: the moment to crash.
    HeldBefore,
    /// It takes effect and its reply is held.
    HeldAfter,
    /// It never arrives.
    Lost,
    /// It arrives and takes effect; the reply is lost.
    ReplyLost,
    /// The engine refuses with this status.
    Refused(u16),
    /// Another writer is faster.
    Overtaken,
    /// It takes effect, and the engine says that it came too late: a manager that repeated it for
    /// a leader that changed.
    AppliedAndOutOfSequence,
}

#[derive(Default)]
pub(crate) struct FakeSwarm {
    state: Mutex<State>,
    held: Notify,
}

#[derive(Default)]
struct State {
    services: BTreeMap<String, Value>,
    faults: VecDeque<Fault>,
    index: u64,
    effects: usize,
    removals: usize,
    cluster: Option<&'static str>,
    /// The state of every rollout from now on; `completed` unless said.
    rollout: Option<&'static str>,
    /// Whether registries take questions and never answer.
    mute_registries: bool,
    /// The last failure of each service's tasks.
    failures: BTreeMap<String, Failure>,
}

struct Failure {
    error: &'static str,
    /// True when another task runs in its place.
    is_replaced: bool,
}

impl FakeSwarm {
    pub(crate) fn fail_next(&self, fault: Fault) {
        self.state.lock().unwrap().faults.push_back(fault);
    }

    pub(crate) fn clear_faults(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    pub(crate) fn effects(&self) -> usize {
        self.state.lock().unwrap().effects
    }

    pub(crate) fn removals(&self) -> usize {
        self.state.lock().unwrap().removals
    }

    /// Comes back when a write is held.
    pub(crate) async fn held(&self) {
        self.held.notified().await;
    }

    /// Holds the caller for ever: its process is about to crash.
    async fn hold(&self) -> ! {
        self.held.notify_one();
        std::future::pending::<()>().await;
        unreachable!("nobody lets it go")
    }

    /// From now on registries do not answer.
    pub(crate) fn hang_at_registries(&self) {
        self.state.lock().unwrap().mute_registries = true;
    }

    /// From now on rollouts stand like this.
    pub(crate) fn rollouts(&self, state: &'static str) {
        self.state.lock().unwrap().rollout = Some(state);
    }

    /// The rollout of a service has come to this state.
    pub(crate) fn roll(&self, name: &str, to: &str) {
        let mut state = self.state.lock().unwrap();
        let id = state.id(name);
        state.touch(&id);
        state.services.get_mut(&id).unwrap()["UpdateStatus"]["State"] = json!(to);
    }

    /// Swarm takes the last update back, because a task failed.
    pub(crate) fn roll_back(&self, name: &str, error: &'static str) {
        let mut state = self.state.lock().unwrap();
        let id = state.id(name);
        state.failures.insert(id.clone(), Failure { error, is_replaced: true });
        let service = state.services.get_mut(&id).unwrap();
        service["Spec"] = service["PreviousSpec"].take();
        drop(state);
        self.roll(name, "rollback_completed");
    }

    /// No task of the service runs: the last one failed.
    pub(crate) fn fail_task(&self, name: &str, error: &'static str) {
        let mut state = self.state.lock().unwrap();
        let id = state.id(name);
        state.failures.insert(id, Failure { error, is_replaced: false });
    }

    pub(crate) fn move_to(&self, cluster: &'static str) {
        let mut state = self.state.lock().unwrap();
        state.cluster = Some(cluster);
        state.services.clear();
    }

    pub(crate) fn service(&self, name: &str) -> Option<Value> {
        let state = self.state.lock().unwrap();
        state.services.values().find(|service| service["Spec"]["Name"] == name).cloned()
    }

    /// Somebody else changes a service.
    pub(crate) fn meddle(&self, name: &str, pointer: &str, value: Value) {
        let mut state = self.state.lock().unwrap();
        state.meddle(name, pointer, value);
    }

    /// Somebody else creates a service.
    pub(crate) fn intrude(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        state.create(&json!({"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "x"}}}));
    }
}

impl FakeSwarm {
    /// The fault of a write that arrives now.
    async fn next_fault(&self) -> Option<Fault> {
        let fault = self.state.lock().unwrap().faults.pop_front();
        if fault == Some(Fault::HeldBefore) {
            self.hold().await;
        }
        fault
    }

    /// False when it was not there.
    fn remove(&self, id: &str) -> bool {
        let mut state = self.state.lock().unwrap();
        let was_there = state.services.remove(id).is_some();
        state.removals += usize::from(was_there);
        was_there
    }

    fn create(&self, spec: &Value, fault: Option<Fault>) -> Result<Created, Error> {
        const PATH: &str = "/services/create";
        let mut state = self.state.lock().unwrap();
        match fault {
            Some(Fault::Lost) => return Err(lost(PATH)),
            Some(Fault::Refused(status)) => return Err(refused(PATH, status, "scripted")),
            Some(Fault::Overtaken) => {
                let name = spec["Name"].clone();
                state.create(&json!({"Name": name, "TaskTemplate": {"ContainerSpec": {}}}));
            }
            _ => {}
        }
        // Ports are checked before names.
        let port = |spec: &Value| spec.pointer("/EndpointSpec/Ports/0/PublishedPort").cloned();
        if let Some(wanted) = port(spec)
            && state.services.values().any(|other| port(&other["Spec"]).as_ref() == Some(&wanted))
        {
            return Err(refused(PATH, 400, "port is already in use by service"));
        }
        if state.services.values().any(|other| other["Spec"]["Name"] == spec["Name"]) {
            let message = "name conflicts with an existing object".to_owned();
            return Err(Error::Conflict { call: call(PATH), message });
        }
        state.effects += 1;
        let id = state.create(spec);
        if fault == Some(Fault::ReplyLost) {
            return Err(lost(PATH));
        }
        Ok(Created { id: SwarmId::new(id), warnings: Vec::new() })
    }

    fn update(
        &self,
        id: &SwarmId,
        version: u64,
        spec: Value,
        fault: Option<Fault>,
    ) -> Result<Updated, Error> {
        const PATH: &str = "/services/{id}/update";
        let mut state = self.state.lock().unwrap();
        match fault {
            Some(Fault::Lost) => return Err(lost(PATH)),
            Some(Fault::Refused(status)) => return Err(refused(PATH, status, "scripted")),
            Some(Fault::Overtaken) => {
                let name = spec["Name"].as_str().unwrap_or_default().to_owned();
                let image = "/TaskTemplate/ContainerSpec/Image";
                state.meddle(&name, image, json!("example/theirs:1"));
            }
            _ => {}
        }
        let live = state.services.get(id.as_str()).map(|s| s["Version"]["Index"].clone());
        if live != Some(json!(version)) {
            return Err(Error::OutOfSequence { call: call(PATH) });
        }
        state.effects += 1;
        state.update(id.as_str(), spec);
        match fault {
            Some(Fault::ReplyLost) => Err(lost(PATH)),
            Some(Fault::AppliedAndOutOfSequence) => Err(Error::OutOfSequence { call: call(PATH) }),
            _ => Ok(Updated::default()),
        }
    }
}

impl State {
    fn create(&mut self, spec: &Value) -> String {
        self.index += 1;
        let id = format!("id{}", self.index);
        let service = json!({
            "ID": id,
            "Version": {"Index": self.index},
            "CreatedAt": moment(self.index),
            "UpdatedAt": moment(self.index),
            "Spec": spec,
            "Endpoint": {},
        });
        self.services.insert(id.clone(), service);
        id
    }

    fn update(&mut self, id: &str, spec: Value) {
        let rollout = self.rollout.unwrap_or("completed");
        if let Some(service) = self.services.get_mut(id) {
            let replaces_tasks = service["Spec"]["TaskTemplate"] != spec["TaskTemplate"];
            service["UpdateStatus"] =
                if replaces_tasks { json!({"State": rollout}) } else { Value::Null };
            service["PreviousSpec"] = service["Spec"].clone();
            service["Spec"] = spec;
        }
        self.touch(id);
    }

    fn touch(&mut self, id: &str) {
        self.index += 1;
        let index = self.index;
        if let Some(service) = self.services.get_mut(id) {
            service["Version"]["Index"] = json!(index);
            service["UpdatedAt"] = moment(index);
        }
    }

    fn id(&self, name: &str) -> String {
        let found = self.services.iter().find(|(_, service)| service["Spec"]["Name"] == name);
        found.unwrap().0.clone()
    }

    fn meddle(&mut self, name: &str, pointer: &str, value: Value) {
        let found = self.services.iter().find(|(_, service)| service["Spec"]["Name"] == name);
        if let Some((id, service)) = found {
            let (id, mut spec) = (id.clone(), service["Spec"].clone());
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[key] = value;
            self.update(&id, spec);
        }
    }
}

/// Long ago, and later with each change.
fn moment(index: u64) -> Value {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    json!(start + jiff::SignedDuration::from_secs(i64::try_from(index).unwrap()))
}

fn call(path: &'static str) -> Call {
    Call { method: Method::POST, path }
}

fn refused(path: &'static str, status: u16, message: &str) -> Error {
    let status = StatusCode::from_u16(status).unwrap();
    Error::Refused { call: call(path), status, message: message.to_owned() }
}

fn lost(path: &'static str) -> Error {
    Error::ConnectionLost { call: call(path), source: "broken pipe".into() }
}

#[async_trait]
impl Engine for FakeSwarm {
    async fn info(&self) -> Result<EngineInfo, Error> {
        let cluster = self.state.lock().unwrap().cluster.unwrap_or("cluster1");
        Ok(EngineInfo {
            api_version: ApiVersion { major: 1, minor: 41 },
            engine_version: "fake".to_owned(),
            cluster: Some(ClusterId::new(cluster)),
            manager: true,
            trouble: None,
        })
    }

    async fn list_services(&self, wanted: &Services) -> Result<Vec<Value>, Error> {
        let state = self.state.lock().unwrap();
        let is_wanted = |service: &&Value| match wanted {
            Services::Ids(ids) => ids.iter().any(|id| service["ID"] == id.as_str()),
            Services::All | Services::NamePrefix(_) => true,
        };
        Ok(state.services.values().filter(is_wanted).cloned().collect())
    }

    async fn inspect_service(&self, id: &str) -> Result<Value, Error> {
        let state = self.state.lock().unwrap();
        let is_meant = |service: &&Value| service["ID"] == id || service["Spec"]["Name"] == id;
        state.services.values().find(is_meant).cloned().ok_or_else(|| Error::NotFound {
            call: Call { method: Method::GET, path: "/services/{id}" },
            message: "service not found".to_owned(),
        })
    }

    async fn distribution(&self, _: &str, _: Option<&RegistryAuth>) -> Result<Distribution, Error> {
        if self.state.lock().unwrap().mute_registries {
            self.hold().await;
        }
        Err(Error::RegistryUnreachable { message: "there is none".to_owned() })
    }

    async fn create_service(
        &self,
        spec: Bytes,
        _: Option<&RegistryAuth>,
    ) -> Result<Created, Error> {
        let spec: Value = serde_json::from_slice(&spec).unwrap();
        let fault = self.next_fault().await;
        let created = self.create(&spec, fault);
        if fault == Some(Fault::HeldAfter) {
            self.hold().await;
        }
        created
    }

    async fn update_service(
        &self,
        id: &SwarmId,
        version: u64,
        spec: Bytes,
        _: Option<&RegistryAuth>,
    ) -> Result<Updated, Error> {
        let spec: Value = serde_json::from_slice(&spec).unwrap();
        let fault = self.next_fault().await;
        let updated = self.update(id, version, spec, fault);
        if fault == Some(Fault::HeldAfter) {
            self.hold().await;
        }
        updated
    }

    async fn remove_service(&self, id: &SwarmId) -> Result<(), Error> {
        const PATH: &str = "/services/{id}";
        let fault = self.next_fault().await;
        match fault {
            Some(Fault::Lost) => return Err(lost(PATH)),
            Some(Fault::Refused(status)) => return Err(refused(PATH, status, "scripted")),
            _ => {}
        }
        let was_there = self.remove(id.as_str());
        match (was_there, fault) {
            (_, Some(Fault::HeldAfter)) => self.hold().await,
            (false, _) => Err(Error::NotFound {
                call: Call { method: Method::DELETE, path: PATH },
                message: "service not found".to_owned(),
            }),
            (true, Some(Fault::ReplyLost)) => Err(lost(PATH)),
            (true, _) => Ok(()),
        }
    }

    /// Every service runs, but for those whose task was made to fail.
    async fn list_tasks(&self, _of: &Services) -> Result<Vec<Task>, Error> {
        let state = self.state.lock().unwrap();
        let task = |id: &String, failure: Option<&Failure>| Task {
            id: SwarmId::new(format!("task-of-{id}")),
            service: SwarmId::new(id.as_str()),
            slot: 1,
            node: "node1".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            state: if failure.is_some() { "failed" } else { "running" }.to_owned(),
            desired_state: if failure.is_some() { "shutdown" } else { "running" }.to_owned(),
            since: Timestamp::UNIX_EPOCH,
            message: "started".to_owned(),
            error: failure.map(|failure| failure.error.to_owned()),
        };
        let tasks = state.services.keys().flat_map(|id| {
            let failure = state.failures.get(id);
            let failed = failure.map(|failure| task(id, Some(failure)));
            let runs = failure.is_none_or(|failure| failure.is_replaced);
            failed.into_iter().chain(runs.then(|| task(id, None)))
        });
        Ok(tasks.collect())
    }

    async fn list_networks(&self) -> Result<Vec<ObservedNetwork>, Error> {
        Ok(Vec::new())
    }

    async fn list_secrets(&self) -> Result<BTreeMap<String, SwarmId>, Error> {
        Ok(BTreeMap::new())
    }

    async fn list_configs(&self) -> Result<BTreeMap<String, SwarmId>, Error> {
        Ok(BTreeMap::new())
    }

    async fn nodes(&self) -> Result<Nodes, Error> {
        Ok(Nodes {
            counts: NodeCounts { ready: 1, total: 1 },
            managers: 1,
            reachable_managers: 1,
            leader: true,
        })
    }

    async fn events(&self) -> Result<EventStream, Error> {
        Ok(Box::pin(futures::stream::pending()))
    }
}

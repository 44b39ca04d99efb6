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

/// What happens to the next write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
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
}

#[derive(Default)]
struct State {
    services: BTreeMap<String, Value>,
    faults: VecDeque<Fault>,
    index: u64,
    effects: usize,
    cluster: Option<&'static str>,
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

impl State {
    fn create(&mut self, spec: &Value) -> String {
        self.index += 1;
        let id = format!("id{}", self.index);
        let service = json!({
            "ID": id,
            "Version": {"Index": self.index},
            "CreatedAt": "2026-01-01T00:00:00Z",
            "UpdatedAt": "2026-01-01T00:00:00Z",
            "Spec": spec,
            "Endpoint": {},
        });
        self.services.insert(id.clone(), service);
        id
    }

    fn update(&mut self, id: &str, spec: Value) {
        self.index += 1;
        let index = self.index;
        if let Some(service) = self.services.get_mut(id) {
            service["PreviousSpec"] = service["Spec"].clone();
            service["Spec"] = spec;
            service["Version"]["Index"] = json!(index);
        }
    }

    fn meddle(&mut self, name: &str, pointer: &str, value: Value) {
        let found = self.services.iter().find(|(_, service)| service["Spec"]["Name"] == name);
        if let Some((id, service)) = found {
            let (id, mut spec) = (id.clone(), service["Spec"].clone());
            *spec.pointer_mut(pointer).unwrap() = value;
            self.update(&id, spec);
        }
    }
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
        Err(Error::RegistryUnreachable { message: "there is none".to_owned() })
    }

    async fn create_service(
        &self,
        spec: Bytes,
        _: Option<&RegistryAuth>,
    ) -> Result<Created, Error> {
        const PATH: &str = "/services/create";
        let spec: Value = serde_json::from_slice(&spec).unwrap();
        let mut state = self.state.lock().unwrap();
        let fault = state.faults.pop_front();
        match fault {
            Some(Fault::Lost) => return Err(lost(PATH)),
            Some(Fault::Refused(status)) => return Err(refused(PATH, status, "scripted")),
            Some(Fault::Overtaken) => {
                let name = spec["Name"].clone();
                state.create(&json!({"Name": name, "TaskTemplate": {"ContainerSpec": {}}}));
            }
            Some(Fault::ReplyLost | Fault::AppliedAndOutOfSequence) | None => {}
        }
        // Ports are checked before names.
        let port = |spec: &Value| spec.pointer("/EndpointSpec/Ports/0/PublishedPort").cloned();
        if let Some(wanted) = port(&spec)
            && state.services.values().any(|other| port(&other["Spec"]).as_ref() == Some(&wanted))
        {
            return Err(refused(PATH, 400, "port is already in use by service"));
        }
        if state.services.values().any(|other| other["Spec"]["Name"] == spec["Name"]) {
            let message = "name conflicts with an existing object".to_owned();
            return Err(Error::Conflict { call: call(PATH), message });
        }
        state.effects += 1;
        let id = state.create(&spec);
        if fault == Some(Fault::ReplyLost) {
            return Err(lost(PATH));
        }
        Ok(Created { id: SwarmId::new(id), warnings: Vec::new() })
    }

    async fn update_service(
        &self,
        id: &SwarmId,
        version: u64,
        spec: Bytes,
        _: Option<&RegistryAuth>,
    ) -> Result<Updated, Error> {
        const PATH: &str = "/services/{id}/update";
        let spec: Value = serde_json::from_slice(&spec).unwrap();
        let mut state = self.state.lock().unwrap();
        let fault = state.faults.pop_front();
        match fault {
            Some(Fault::Lost) => return Err(lost(PATH)),
            Some(Fault::Refused(status)) => return Err(refused(PATH, status, "scripted")),
            Some(Fault::Overtaken) => {
                let name = spec["Name"].as_str().unwrap_or_default().to_owned();
                let image = "/TaskTemplate/ContainerSpec/Image";
                state.meddle(&name, image, json!("example/theirs:1"));
            }
            Some(Fault::ReplyLost | Fault::AppliedAndOutOfSequence) | None => {}
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

    async fn remove_service(&self, id: &SwarmId) -> Result<(), Error> {
        self.state.lock().unwrap().services.remove(id.as_str());
        Ok(())
    }

    /// Every service runs.
    async fn list_tasks(&self, _of: &Services) -> Result<Vec<Task>, Error> {
        let state = self.state.lock().unwrap();
        let task = |id: &String| Task {
            id: SwarmId::new(format!("task-of-{id}")),
            service: SwarmId::new(id.as_str()),
            slot: 1,
            node: "node1".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            state: "running".to_owned(),
            desired_state: "running".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            message: "started".to_owned(),
            error: None,
        };
        Ok(state.services.keys().map(task).collect())
    }

    async fn list_networks(&self) -> Result<Vec<ObservedNetwork>, Error> {
        Ok(Vec::new())
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

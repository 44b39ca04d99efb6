//! A connection to the engine that all live tests share, and a name of one's own on it.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use skep_core::identity::SwarmId;
use skep_core::observed::ObservedService;
use skep_core::ports::{Clock, Random};
use skep_swarm::engine::Created;
use skep_swarm::fake::Refusal;
use skep_swarm::{DockerEngine, Engine as _, EngineAddress, Error, observe};

/// Removes what the test made, also when it fails.
pub(crate) struct Fleet {
    pub(crate) prefix: String,
    rig: skep_testkit::Engine,
    /// Paths of other objects than services, in the order in which they were made.
    others: Vec<String>,
}

impl Fleet {
    pub(crate) async fn new(test: &str) -> (Self, Arc<DockerEngine>) {
        Self::named(format!("{}-", skep_testkit::fleet_name(test))).await
    }

    pub(crate) async fn named(prefix: String) -> (Self, Arc<DockerEngine>) {
        let rig = skep_testkit::engine::shared();
        let address = EngineAddress::parse(&rig.host()).unwrap();
        let engine = Arc::new(DockerEngine::connect(&address).await.unwrap());
        (Self { prefix, rig, others: Vec::new() }, engine)
    }

    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Makes a network, secret or config and returns its id and name.
    pub(crate) fn make(&mut self, kind: &str, name: &str, more: &Value) -> (String, String) {
        let name = self.name(name);
        let mut body = json!({ "Name": name });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let reply = self.rig.call("POST", &format!("/{kind}/create"), Some(&body)).unwrap();
        let id = reply.get("ID").or(reply.get("Id")).unwrap().as_str().unwrap().to_owned();
        self.others.push(format!("/{kind}/{id}"));
        (id, name)
    }
}

/// What may be refused.
impl Fleet {
    pub(crate) fn try_make(&mut self, kind: &str, spec: &Value) -> Result<String, Refusal> {
        let reply = self.rig.call("POST", &format!("/{kind}/create"), Some(spec));
        let reply = reply.map_err(refusal)?;
        let id = reply.get("ID").or(reply.get("Id")).unwrap().as_str().unwrap().to_owned();
        self.others.push(format!("/{kind}/{id}"));
        Ok(id)
    }

    /// Replaces the spec of a config; `behind` makes its Version another one.
    pub(crate) fn try_relabel(&self, id: &str, behind: i64, spec: &Value) -> Result<(), Refusal> {
        let live = self.rig.call("GET", &format!("/configs/{id}"), None).map_err(refusal)?;
        let version = live["Version"]["Index"].as_u64().unwrap().checked_add_signed(behind);
        let path = format!("/configs/{id}/update?version={}", version.unwrap());
        self.rig.call("POST", &path, Some(spec)).map(drop).map_err(refusal)
    }

    pub(crate) fn try_unmake(&mut self, kind: &str, id: &str) -> Result<(), Refusal> {
        let path = format!("/{kind}/{id}");
        self.rig.call("DELETE", &path, None).map_err(refusal)?;
        self.others.retain(|other| *other != path);
        Ok(())
    }
}

/// The engine leaves the containers of a removed job's tasks behind.
impl Fleet {
    pub(crate) fn remove_containers(&self, name: &str) {
        let filter = json!({ "name": [format!("^/?{name}")] }).to_string();
        let escaped: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/containers/json?all=1&filters={escaped}");
        let found = self.rig.call("GET", &path, None).unwrap();
        for container in found.as_array().unwrap() {
            let id = container["Id"].as_str().unwrap();
            self.rig.call("DELETE", &format!("/containers/{id}?force=1"), None).unwrap();
        }
    }
}

fn refusal(error: skep_testkit::Error) -> Refusal {
    let skep_testkit::Error::Refused { status, body, .. } = error else { panic!("{error}") };
    let body: Value = serde_json::from_str(&body).unwrap();
    (status, body["message"].as_str().unwrap().to_owned())
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let services = self.rig.remove_services_with_prefix(&self.prefix);
        for path in self.others.iter().rev() {
            // A network stays in use for a moment after its last service.
            for _attempt in 0..50 {
                if self.rig.call("DELETE", path, None).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
        if let (Err(error), false) = (services, std::thread::panicking()) {
            panic!("{error}");
        }
    }
}

pub(crate) struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Random for System {
    fn bits128(&self) -> u128 {
        0
    }
}

pub(crate) fn bytes(value: &Value) -> Bytes {
    value.to_string().into()
}

/// A service whose tasks fit on no node.
pub(crate) fn idle(name: &str) -> Value {
    json!({ "Name": name, "Mode": { "Replicated": { "Replicas": 1 } }, "TaskTemplate": {
        "ContainerSpec": { "Image": "skep-test/none:1" },
        "Placement": { "Constraints": ["node.labels.nowhere==true"] } } })
}

pub(crate) async fn create(engine: &DockerEngine, spec: &Value) -> Created {
    engine.create_service(bytes(spec), None).await.unwrap()
}

/// The service as it is now.
pub(crate) async fn read(engine: &DockerEngine, id: &SwarmId) -> ObservedService {
    observe::service(engine.inspect_service(id.as_str()).await.unwrap()).unwrap()
}

/// Reads the service, adds a label to what was read and writes that back. Returns what was read
/// and what was written.
///
/// Swarm moves the Version of a new or changed service by itself about two milliseconds later,
/// when it gives out addresses and ports; then the service is read again, as the controller does.
pub(crate) async fn patch(engine: &DockerEngine, id: &SwarmId) -> (ObservedService, Value) {
    loop {
        let before = read(engine, id).await;
        let mut patched = before.spec.value();
        patched["Labels"]["com.example.patched"] = json!("yes");
        match engine.update_service(id, before.version, bytes(&patched), None).await {
            Ok(_) => return (before, patched),
            Err(Error::OutOfSequence { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

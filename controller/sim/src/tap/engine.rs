//! The engine as one process reaches it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use skep_core::identity::{ObjectKind, SwarmId};
use skep_core::observed::Plugins;
use skep_swarm::engine::{Created, EngineInfo, EventStream, Nodes, Services, Task, Updated};
use skep_swarm::fake::FakeSwarm;
use skep_swarm::{Distribution, Engine, Error, RegistryAuth};

use super::Process;
use super::calls::calls;
use crate::recording::Write;

/// The fake swarm behind the moments of a process.
#[derive(Debug)]
pub struct TappedEngine {
    swarm: Arc<FakeSwarm>,
    process: Arc<Process>,
}

impl TappedEngine {
    /// The swarm as this process reaches it.
    #[must_use]
    pub fn new(swarm: Arc<FakeSwarm>, process: Arc<Process>) -> Self {
        Self { swarm, process }
    }

    /// A write: it may also arrive long after its sender is gone.
    async fn write<T>(
        &self,
        call: &'static str,
        write: impl Fn() -> Write,
        work: impl Future<Output = T>,
    ) -> T {
        if let Some(recorder) = &self.process.recorder {
            recorder.keep_on_its_way(call, write()).await;
        }
        let Some((witness, name)) = &self.process.witness else {
            return self.process.call(call, work).await;
        };
        let watched = async {
            let effects = self.swarm.journal().len();
            let before = [self.swarm.services(), self.swarm.objects("configs")].concat();
            let result = work.await;
            if self.swarm.journal().len() > effects {
                witness.took_effect(name, &write(), &before).await;
            }
            result
        };
        self.process.call(call, watched).await
    }
}

#[async_trait]
impl Engine for TappedEngine {
    async fn info(&self) -> Result<EngineInfo, Error> {
        self.process.call("info", self.swarm.info()).await
    }

    async fn list_services(&self, wanted: &Services) -> Result<Vec<Value>, Error> {
        self.process.call("list_services", self.swarm.list_services(wanted)).await
    }

    async fn inspect_service(&self, id: &str) -> Result<Value, Error> {
        self.process.call("inspect_service", self.swarm.inspect_service(id)).await
    }

    async fn distribution(
        &self,
        reference: &str,
        auth: Option<&RegistryAuth>,
    ) -> Result<Distribution, Error> {
        self.process.call("distribution", self.swarm.distribution(reference, auth)).await
    }

    async fn create_service(
        &self,
        spec: Bytes,
        auth: Option<&RegistryAuth>,
    ) -> Result<Created, Error> {
        let write = || Write::Create(spec.clone());
        let work = self.swarm.create_service(spec.clone(), auth);
        self.write("create_service", write, work).await
    }

    async fn update_service(
        &self,
        id: &SwarmId,
        version: u64,
        spec: Bytes,
        auth: Option<&RegistryAuth>,
    ) -> Result<Updated, Error> {
        let write = || Write::Update(id.clone(), version, spec.clone());
        let work = self.swarm.update_service(id, version, spec.clone(), auth);
        self.write("update_service", write, work).await
    }

    async fn remove_service(&self, id: &SwarmId) -> Result<(), Error> {
        let work = self.swarm.remove_service(id);
        self.write("remove_service", || Write::Remove(id.clone()), work).await
    }

    async fn list_tasks(&self, of: &Services) -> Result<Vec<Task>, Error> {
        self.process.call("list_tasks", self.swarm.list_tasks(of)).await
    }

    async fn list_objects(&self, kind: ObjectKind) -> Result<Vec<Value>, Error> {
        self.process.call(calls(kind).list, self.swarm.list_objects(kind)).await
    }

    async fn inspect_object(&self, kind: ObjectKind, id: &str) -> Result<Value, Error> {
        self.process.call(calls(kind).inspect, self.swarm.inspect_object(kind, id)).await
    }

    async fn create_object(&self, kind: ObjectKind, request: Bytes) -> Result<Created, Error> {
        let write = || Write::CreateObject(kind, request.clone());
        let work = self.swarm.create_object(kind, request.clone());
        self.write(calls(kind).create, write, work).await
    }

    async fn update_object(
        &self,
        kind: ObjectKind,
        id: &SwarmId,
        version: u64,
        request: Bytes,
    ) -> Result<(), Error> {
        let write = || Write::UpdateObject(kind, id.clone(), version, request.clone());
        let work = self.swarm.update_object(kind, id, version, request.clone());
        self.write(calls(kind).update, write, work).await
    }

    async fn remove_object(&self, kind: ObjectKind, id: &SwarmId) -> Result<(), Error> {
        let work = self.swarm.remove_object(kind, id);
        self.write(calls(kind).remove, || Write::RemoveObject(kind, id.clone()), work).await
    }

    async fn plugins(&self) -> Result<Plugins, Error> {
        self.process.call("plugins", self.swarm.plugins()).await
    }

    async fn nodes(&self) -> Result<Nodes, Error> {
        self.process.call("nodes", self.swarm.nodes()).await
    }

    async fn events(&self) -> Result<EventStream, Error> {
        self.process.call("events", self.swarm.events()).await
    }
}

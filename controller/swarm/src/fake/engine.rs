//! The calls of the client's trait.

use async_trait::async_trait;
use bytes::Bytes;
use hyper::Method;
use serde_json::Value;
use skep_core::identity::{ClusterId, ObjectKind, SwarmId};
use skep_core::observed::{ApiVersion, NodeCounts, Plugins};

use super::calls::Fault;
use super::objects::plural;
use super::requests::{Request, refused, resolve};
use super::state::{Lists, State};
use super::{FakeSwarm, Quorum};
use crate::engine::{Created, Engine, EngineInfo, EventStream, Nodes, Services, Task, Updated};
use crate::error::{Call, Error};
use crate::objects::paths;
use crate::registry::{Distribution, RegistryAuth};

fn get(path: &'static str) -> Call {
    Call { method: Method::GET, path }
}

impl FakeSwarm {
    /// A read of something, as the manager that answers it sees it.
    async fn read<T>(
        &self,
        path: &'static str,
        look: impl FnOnce(&State, &Lists) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let call = get(path);
        let lag = match self.meet(&call).await? {
            Fault::Stale(lag) => lag,
            Fault::Lost | Fault::ReplyLost | Fault::LandsLater(_) => {
                return Err(Error::ConnectionLost { call, source: "broken pipe".into() });
            }
            Fault::HeldAfter => self.hold().await,
            Fault::TimesOut(after) => {
                tokio::time::sleep(after).await;
                return Err(Error::Timeout { call, after, sent: true });
            }
            Fault::Refused(status) => return Err(refused(call, (status, "scripted".to_owned()))),
            _ => 0,
        };
        let state = self.up_to_now();
        let known = state.view(lag);
        look(&state, &known)
    }
}

#[async_trait]
impl Engine for FakeSwarm {
    async fn info(&self) -> Result<EngineInfo, Error> {
        self.read("/info", |state, _| {
            let trouble = "rpc error: code = Unknown desc = The swarm does not have a leader.";
            Ok(EngineInfo {
                api_version: ApiVersion { major: 1, minor: 41 },
                engine_version: "fake".to_owned(),
                cluster: Some(ClusterId::new(state.cluster.as_str())),
                manager: true,
                trouble: (state.quorum == Quorum::Lost).then(|| trouble.to_owned()),
            })
        })
        .await
    }

    async fn list_services(&self, wanted: &Services) -> Result<Vec<Value>, Error> {
        self.read("/services", |_, known| {
            let is_wanted = |id: &str, name: &str| match wanted {
                Services::All => true,
                Services::Ids(ids) => ids.iter().any(|one| one.as_str() == id),
                Services::NamePrefix(prefix) => name.starts_with(prefix.as_str()),
            };
            let listed = known.services.values().filter(|one| is_wanted(&one.id, one.name()));
            Ok(listed.map(|one| one.reported()).collect())
        })
        .await
    }

    async fn inspect_service(&self, id: &str) -> Result<Value, Error> {
        const PATH: &str = "/services/{id}";
        self.read(PATH, |_, known| {
            let found =
                resolve(&known.services, id).map_err(|refusal| refused(get(PATH), refusal))?;
            let missing = || refused(get(PATH), (404, format!("service {id} not found")));
            known.services.get(&found).map(|one| one.reported()).ok_or_else(missing)
        })
        .await
    }

    async fn distribution(
        &self,
        reference: &str,
        _: Option<&RegistryAuth>,
    ) -> Result<Distribution, Error> {
        let answer = self.at_once().registries.as_ref().map(|all| all.get(reference).cloned());
        match answer {
            None => self.hold().await,
            Some(Some(found)) => Ok(found),
            Some(None) => Err(Error::RegistryUnreachable { message: "there is none".to_owned() }),
        }
    }

    async fn create_service(
        &self,
        spec: Bytes,
        _: Option<&RegistryAuth>,
    ) -> Result<Created, Error> {
        let call = Call { method: Method::POST, path: "/services/create" };
        let request = Request::create(&spec).map_err(|refusal| refused(call, refusal))?;
        let id = self.write(request).await?;
        Ok(Created { id: SwarmId::new(id), warnings: Vec::new() })
    }

    async fn update_service(
        &self,
        id: &SwarmId,
        version: u64,
        spec: Bytes,
        _: Option<&RegistryAuth>,
    ) -> Result<Updated, Error> {
        let call = Call { method: Method::POST, path: "/services/{id}/update" };
        let request = Request::update(id, version, &spec);
        self.write(request.map_err(|refusal| refused(call, refusal))?).await?;
        Ok(Updated::default())
    }

    async fn remove_service(&self, id: &SwarmId) -> Result<(), Error> {
        self.write(Request::Remove(id.as_str().to_owned())).await.map(drop)
    }

    async fn list_tasks(&self, of: &Services) -> Result<Vec<Task>, Error> {
        self.read("/tasks", |state, known| {
            let known = &known.services;
            let meant: Vec<_> = match of {
                Services::All => known.values().collect(),
                // The engine looks each of them up first, by the start of its id as well.
                Services::Ids(ids) => {
                    let found = ids.iter().map(|id| resolve(known, id.as_str()));
                    let found: Result<Vec<_>, _> = found.collect();
                    let found = found.map_err(|refusal| refused(get("/tasks"), refusal))?;
                    found.iter().filter_map(|id| known.get(id)).collect()
                }
                Services::NamePrefix(prefix) => {
                    let all = known.values();
                    all.filter(|one| one.name().starts_with(prefix.as_str())).collect()
                }
            };
            Ok(meant.into_iter().flat_map(|one| state.tasks_of(one)).collect())
        })
        .await
    }

    async fn list_objects(&self, kind: ObjectKind) -> Result<Vec<Value>, Error> {
        let plural = plural(kind);
        self.read(paths(kind).list, |_, known| {
            let all = known.objects.of(plural).iter();
            Ok(all.map(|(id, object)| object.reported(plural, id)).collect())
        })
        .await
    }

    async fn inspect_object(&self, kind: ObjectKind, id: &str) -> Result<Value, Error> {
        let (path, plural) = (paths(kind).one, plural(kind));
        self.read(path, |_, known| {
            let all = known.objects.of(plural);
            let found = all.get_key_value(id).or_else(|| {
                // An id, then a name, then the start of an id.
                let mut all = all.iter();
                let named = all.clone().find(|(_, object)| object.name() == id);
                named.or_else(|| all.find(|(known, _)| known.starts_with(id)))
            });
            let missing = || {
                let what = kind.as_str();
                refused(get(path), (404, format!("{what} {id} not found")))
            };
            found.map(|(id, object)| object.reported(plural, id)).ok_or_else(missing)
        })
        .await
    }

    async fn create_object(&self, kind: ObjectKind, request: Bytes) -> Result<Created, Error> {
        let call = Call { method: Method::POST, path: paths(kind).create };
        let request = Request::make(kind, &request).map_err(|refusal| refused(call, refusal))?;
        let id = self.write(request).await?;
        Ok(Created { id: SwarmId::new(id), warnings: Vec::new() })
    }

    async fn update_object(
        &self,
        kind: ObjectKind,
        id: &SwarmId,
        version: u64,
        request: Bytes,
    ) -> Result<(), Error> {
        let call = Call { method: Method::POST, path: paths(kind).update };
        let request = Request::relabel(kind, id, version, &request);
        self.write(request.map_err(|refusal| refused(call, refusal))?).await.map(drop)
    }

    async fn remove_object(&self, kind: ObjectKind, id: &SwarmId) -> Result<(), Error> {
        self.write(Request::Unmake(kind, id.as_str().to_owned())).await.map(drop)
    }

    async fn plugins(&self) -> Result<Plugins, Error> {
        self.read("/plugins", |_, _| Ok(Plugins::default())).await
    }

    async fn nodes(&self) -> Result<Nodes, Error> {
        self.read("/nodes", |state, _| {
            let managers = if state.quorum == Quorum::Kept { 1 } else { 3 };
            Ok(Nodes {
                counts: NodeCounts { ready: 1, total: managers },
                managers,
                reachable_managers: 1,
                leader: state.quorum != Quorum::Lost,
            })
        })
        .await
    }

    async fn events(&self) -> Result<EventStream, Error> {
        self.meet(&get("/events")).await?;
        Ok(self.up_to_now().feed.follow())
    }
}

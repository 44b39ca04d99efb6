//! The reflector against an engine of our own that can fail, hang and keep silent.

mod objects;

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use skep_core::identity::ClusterId;
use skep_core::observed::{ApiVersion, NodeCounts, ObservedService, Plugins};
use tokio::task::JoinHandle;

use super::*;
use crate::engine::{
    Created, EngineInfo, Event, EventObject, EventStream, Nodes, Services, Task, Updated,
};
use crate::error::Call;
use crate::registry::{Distribution, RegistryAuth};
use skep_core::identity::ObjectKind;

#[derive(Default)]
struct World {
    /// Name to Version.
    services: BTreeMap<&'static str, u64>,
    running: bool,
    broken: bool,
    hanging: bool,
    no_events: bool,
    unreadable: bool,
    calls: Vec<String>,
    streams: Vec<mpsc::UnboundedSender<Result<Event, Error>>>,
}

#[derive(Default)]
struct Fake(Mutex<World>);

impl Fake {
    fn set(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.0.lock().unwrap());
    }

    fn count(&self, call: &str) -> usize {
        self.0.lock().unwrap().calls.iter().filter(|seen| seen.as_str() == call).count()
    }

    fn tell(&self, name: &str) {
        let event = Event {
            object: EventObject::Service,
            action: "update".to_owned(),
            id: SwarmId::new(format!("id-{name}")),
            name: Some(name.to_owned()),
        };
        self.0.lock().unwrap().streams.last().unwrap().send(Ok(event)).unwrap();
    }

    async fn call(&self, call: &str) -> Result<(), Error> {
        let hanging = {
            let mut world = self.0.lock().unwrap();
            world.calls.push(call.to_owned());
            if world.broken {
                return Err(Error::NoQuorum { call: None, message: "no leader".to_owned() });
            }
            world.hanging
        };
        if hanging {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn names(of: &Services) -> String {
        match of {
            Services::All => "all".to_owned(),
            Services::Ids(ids) => ids.iter().map(SwarmId::as_str).collect::<Vec<_>>().join(","),
            Services::NamePrefix(prefix) => prefix.clone(),
        }
    }
}

fn reported(name: &str, version: u64) -> Value {
    json!({ "ID": format!("id-{name}"), "Version": { "Index": version },
        "UpdatedAt": "2026-11-20T22:00:17Z", "Spec": { "Name": name } })
}

#[async_trait]
impl Engine for Fake {
    async fn info(&self) -> Result<EngineInfo, Error> {
        self.call("info").await?;
        Ok(EngineInfo {
            api_version: ApiVersion { major: 1, minor: 41 },
            engine_version: "fake".to_owned(),
            cluster: Some(ClusterId::new("c")),
            manager: true,
            trouble: None,
        })
    }

    async fn list_services(&self, of: &Services) -> Result<Vec<Value>, Error> {
        self.call(&format!("services {}", Self::names(of))).await?;
        let world = self.0.lock().unwrap();
        let mut services: Vec<_> = world
            .services
            .iter()
            .map(|(name, version)| reported(name, *version))
            .filter(|one| match of {
                Services::Ids(ids) => ids.iter().any(|id| one["ID"] == json!(id)),
                Services::All | Services::NamePrefix(_) => true,
            })
            .collect();
        if world.unreadable && *of == Services::All {
            services.push(json!({ "ID": "x", "Spec": { "Name": "strange" } }));
        }
        Ok(services)
    }

    async fn inspect_service(&self, id: &str) -> Result<Value, Error> {
        let call = Call { method: http::Method::GET, path: "/services/{id}" };
        Err(Error::NotFound { call, message: id.to_owned() })
    }

    async fn distribution(&self, _: &str, _: Option<&RegistryAuth>) -> Result<Distribution, Error> {
        unreachable!("the reflector asks no registry")
    }

    async fn create_service(&self, _: Bytes, _: Option<&RegistryAuth>) -> Result<Created, Error> {
        unreachable!("the reflector never writes")
    }

    async fn update_service(
        &self,
        _: &SwarmId,
        _: u64,
        _: Bytes,
        _: Option<&RegistryAuth>,
    ) -> Result<Updated, Error> {
        unreachable!("the reflector never writes")
    }

    async fn remove_service(&self, _id: &SwarmId) -> Result<(), Error> {
        unreachable!("the reflector never writes")
    }

    async fn list_tasks(&self, of: &Services) -> Result<Vec<Task>, Error> {
        self.call(&format!("tasks {}", Self::names(of))).await?;
        let world = self.0.lock().unwrap();
        let state = if world.running { "running" } else { "starting" };
        Ok(world
            .services
            .keys()
            .map(|name| Task {
                id: SwarmId::new(format!("task-{name}")),
                service: SwarmId::new(format!("id-{name}")),
                slot: 1,
                node: "n".to_owned(),
                created_at: Timestamp::UNIX_EPOCH,
                state: state.to_owned(),
                desired_state: "running".to_owned(),
                since: Timestamp::UNIX_EPOCH,
                message: String::new(),
                error: None,
            })
            .collect())
    }

    async fn list_objects(&self, _: ObjectKind) -> Result<Vec<Value>, Error> {
        Ok(Vec::new())
    }

    async fn inspect_object(&self, _: ObjectKind, _: &str) -> Result<Value, Error> {
        unreachable!()
    }

    async fn create_object(&self, _: ObjectKind, _: Bytes) -> Result<Created, Error> {
        unreachable!()
    }

    async fn update_object(
        &self,
        _: ObjectKind,
        _: &SwarmId,
        _: u64,
        _: Bytes,
    ) -> Result<(), Error> {
        unreachable!()
    }

    async fn remove_object(&self, _: ObjectKind, _: &SwarmId) -> Result<(), Error> {
        unreachable!()
    }

    async fn plugins(&self) -> Result<Plugins, Error> {
        unreachable!("the reflector asks for none")
    }

    async fn nodes(&self) -> Result<Nodes, Error> {
        let counts = NodeCounts { ready: 1, total: 1 };
        Ok(Nodes { counts, managers: 1, reachable_managers: 1, leader: true })
    }

    async fn events(&self) -> Result<EventStream, Error> {
        self.call("events").await?;
        let mut world = self.0.lock().unwrap();
        if world.no_events {
            let call = Call { method: http::Method::GET, path: "/events" };
            return Err(Error::NotFound { call, message: "blocked".to_owned() });
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        world.streams.push(sender);
        Ok(stream::unfold(receiver, |mut receiver| async {
            Some((receiver.recv().await?, receiver))
        })
        .boxed())
    }
}

struct Epoch;

impl Clock for Epoch {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

impl Random for Epoch {
    fn bits128(&self) -> u128 {
        0
    }
}

/// So long that in a test it never comes.
const NEVER: Duration = Duration::from_secs(3600);

/// No assertion about speed: what takes this long would never come.
const HANGING: Duration = Duration::from_secs(20);

fn eventful() -> Options {
    Options {
        relist: NEVER,
        coalesce: Duration::from_millis(5),
        poll: NEVER,
        tasks: NEVER,
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(20),
    }
}

fn listing() -> Options {
    Options { relist: Duration::from_millis(20), ..eventful() }
}

struct Rig {
    fake: Arc<Fake>,
    handle: Handle,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Rig {
    fn start(options: Options, world: World) -> Self {
        let fake = Arc::new(Fake(Mutex::new(world)));
        let engine: Arc<dyn Engine> = fake.clone();
        let (service, handle) = Service::new(engine, Arc::new(Epoch), Arc::new(Epoch), options);
        let stop = CancellationToken::new();
        let task = tokio::spawn(service.run(stop.clone()));
        Self { fake, handle, stop, task }
    }

    /// Waits until readers see it.
    async fn until(&self, wanted: impl FnMut(&View) -> bool) -> View {
        let mut seen = self.handle.subscribe();
        tokio::time::timeout(HANGING, seen.wait_for(wanted)).await.unwrap().unwrap().clone()
    }

    async fn until_called(&self, call: &str, times: usize) {
        let called = async {
            while self.fake.count(call) < times {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(HANGING, called).await.unwrap();
    }
}

fn two() -> World {
    World { services: [("a", 1), ("b", 1)].into(), running: true, ..World::default() }
}

fn versions(view: &View) -> Vec<(String, u64)> {
    let services = |snapshot: &Arc<Snapshot>| {
        let services = snapshot.services.values();
        services.map(|one: &ObservedService| (one.name.to_string(), one.version)).collect()
    };
    view.snapshot.as_ref().map(services).unwrap_or_default()
}

fn version(view: &View, name: &str) -> Option<u64> {
    versions(view).into_iter().find(|(known, _)| known == name).map(|(_, version)| version)
}

#[tokio::test]
async fn an_event_re_reads_the_service_that_it_names_and_nothing_else() {
    let rig = Rig::start(eventful(), two());
    rig.handle.ready().await.unwrap();
    rig.until_called("services all", 1).await;
    rig.fake.set(|world| *world.services.get_mut("a").unwrap() = 2);
    rig.fake.tell("a");
    rig.until(|view| version(view, "a") == Some(2)).await;
    assert_eq!(rig.fake.count("services id-a"), 1);
    assert_eq!(rig.fake.count("tasks id-a"), 1);
    assert_eq!(rig.fake.count("services all"), 1);

    rig.fake.set(|world| {
        world.services.remove("b");
        world.services.insert("new", 1);
    });
    rig.fake.tell("b");
    rig.fake.tell("new");
    rig.until(|view| version(view, "b").is_none() && version(view, "new").is_some()).await;
    assert_eq!(rig.fake.count("services all"), 1);
}

#[tokio::test]
async fn a_failed_read_keeps_the_snapshot_and_says_why_until_a_full_one_succeeds() {
    let rig = Rig::start(listing(), two());
    rig.handle.ready().await.unwrap();
    rig.fake.set(|world| world.broken = true);
    let view = rig.until(|view| matches!(view.state, State::Stale { .. })).await;
    assert_eq!(versions(&view).len(), 2, "the last snapshot stays");
    assert!(view.ready().is_none());
    let State::Stale { reason, .. } = &view.state else { unreachable!() };
    assert!(reason.contains("no leader"), "{reason}");
    assert!(matches!(rig.handle.refresh_now().await, Err(RefreshError::Failed(_))));
    rig.fake.set(|world| world.broken = false);
    rig.until(|view| view.state == State::Ready).await;
}

#[tokio::test]
async fn a_service_that_cannot_be_read_is_named_and_nothing_disappears() {
    let rig = Rig::start(listing(), two());
    rig.handle.ready().await.unwrap();
    rig.fake.set(|world| world.unreadable = true);
    let view = rig.until(|view| matches!(view.state, State::Stale { .. })).await;
    let State::Stale { reason, .. } = &view.state else { unreachable!() };
    assert!(reason.contains("strange"), "{reason}");
    assert_eq!(versions(&view).len(), 2);
    rig.fake.set(|world| *world.services.get_mut("a").unwrap() = 2);
    let part = rig.handle.refresh_service(&SwarmId::new("id-a")).await;
    assert!(part.is_ok(), "a part can still be read");
    let view = rig.handle.view();
    assert_eq!(version(&view, "a"), Some(2));
    assert!(view.ready().is_none(), "a part says nothing about the rest");
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again_and_what_was_missed_is_listed() {
    let rig = Rig::start(eventful(), two());
    rig.handle.ready().await.unwrap();
    rig.until_called("events", 1).await;
    rig.fake.set(|world| {
        *world.services.get_mut("a").unwrap() = 2;
        world.streams.clear();
    });
    rig.until(|view| version(view, "a") == Some(2)).await;
    rig.until_called("events", 2).await;
}

#[tokio::test]
async fn a_silent_stream_is_found_out_and_opened_again() {
    let options = Options { poll: Duration::from_millis(20), ..listing() };
    let rig = Rig::start(options, two());
    rig.handle.ready().await.unwrap();
    rig.fake.set(|world| *world.services.get_mut("a").unwrap() = 2);
    rig.until(|view| version(view, "a") == Some(2)).await;
    rig.until_called("events", 2).await;
}

#[tokio::test]
async fn without_events_the_lists_still_keep_it_right() {
    let rig = Rig::start(eventful(), World { no_events: true, ..two() });
    rig.handle.ready().await.unwrap();
    rig.fake.set(|world| *world.services.get_mut("a").unwrap() = 2);
    let view = rig.until(|view| version(view, "a") == Some(2)).await;
    assert_eq!(view.state, State::Ready);
}

#[tokio::test]
async fn it_stops_while_the_engine_hangs_and_says_so() {
    let rig = Rig::start(eventful(), World { hanging: true, ..two() });
    rig.until_called("events", 1).await;
    rig.stop.cancel();
    rig.task.await.unwrap();
    assert!(matches!(rig.handle.refresh_now().await, Err(RefreshError::Stopped)));
    assert!(matches!(rig.handle.ready().await, Err(RefreshError::Stopped)));
}

#[tokio::test]
async fn what_a_refresh_read_is_seen_by_everybody() {
    let rig = Rig::start(eventful(), two());
    rig.handle.ready().await.unwrap();
    rig.fake.set(|world| *world.services.get_mut("b").unwrap() = 7);
    let snapshot = rig.handle.refresh_service(&SwarmId::new("id-b")).await.unwrap();
    assert!(Arc::ptr_eq(&snapshot, rig.handle.view().snapshot.as_ref().unwrap()));
    assert_eq!(version(&rig.handle.view(), "b"), Some(7));
    assert_eq!(rig.fake.count("services all"), 1);
    rig.fake.set(|world| *world.services.get_mut("a").unwrap() = 8);
    rig.handle.refresh_now().await.unwrap();
    assert_eq!(version(&rig.handle.view(), "a"), Some(8));
}

#[tokio::test]
async fn tasks_are_polled_until_the_services_rest() {
    let options = Options { poll: Duration::from_millis(5), ..eventful() };
    let rig = Rig::start(options, World { running: false, ..two() });
    rig.until_called("tasks id-a,id-b", 2).await;
    rig.fake.set(|world| world.running = true);
    rig.until(|view| {
        view.snapshot
            .as_ref()
            .is_some_and(|one| one.services.values().all(|s| s.tasks.running == 1))
    })
    .await;
    assert_eq!(rig.fake.count("services all"), 1);
}

#[tokio::test]
async fn a_task_that_dies_without_an_event_is_noticed() {
    let options = Options { tasks: Duration::from_millis(5), ..eventful() };
    let rig = Rig::start(options, two());
    rig.handle.ready().await.unwrap();
    rig.fake.set(|world| world.running = false);
    rig.until(|view| {
        view.snapshot
            .as_ref()
            .is_some_and(|one| one.services.values().all(|s| s.tasks.starting == 1))
    })
    .await;
    assert_eq!(rig.fake.count("services all"), 1);
}

#[tokio::test]
async fn a_list_without_news_wakes_nobody() {
    let rig = Rig::start(listing(), two());
    rig.handle.ready().await.unwrap();
    let mut seen = rig.handle.subscribe();
    seen.mark_unchanged();
    let lists = rig.fake.count("services all");
    rig.until_called("services all", lists + 3).await;
    assert!(!seen.has_changed().unwrap());
}

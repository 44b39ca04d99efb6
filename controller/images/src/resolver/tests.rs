use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use skep_core::identity::{ObjectKind, SwarmId};
use skep_core::observed::Plugins;
use skep_core::resolution::Platform;
use skep_swarm::Distribution;
use skep_swarm::engine::{Created, EngineInfo, EventStream, Nodes, Services, Task, Updated};
use skep_swarm::error::Call;

use super::*;

/// What the registries behind the engine do, by the host's name.
#[derive(Default)]
struct Registries {
    asked: Mutex<Vec<String>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    answering_again: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Engine for Registries {
    async fn distribution(
        &self,
        reference: &str,
        _: Option<&RegistryAuth>,
    ) -> Result<Distribution, Error> {
        self.asked.lock().unwrap().push(reference.to_owned());
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        let call = Call { method: hyper::Method::GET, path: "/distribution/{name}/json" };
        let again = self.answering_again.load(Ordering::SeqCst);
        match ImageReference::parse(reference).registry() {
            "down.example" if !again => {
                Err(Error::RegistryUnreachable { message: "connection refused".to_owned() })
            }
            "private.example" => {
                Err(Error::RegistryUnauthorized { message: "who are you?".to_owned() })
            }
            "empty.example" => Err(Error::NotFound { call, message: "unknown".to_owned() }),
            "hanging.example" => {
                std::future::pending::<()>().await;
                unreachable!()
            }
            _ => Ok(Distribution {
                digest: format!("sha256:{reference}"),
                platforms: vec![Platform {
                    architecture: "unknown".to_owned(),
                    os: "unknown".to_owned(),
                }],
            }),
        }
    }
    async fn info(&self) -> Result<EngineInfo, Error> {
        unreachable!()
    }
    async fn list_services(&self, _: &Services) -> Result<Vec<Value>, Error> {
        unreachable!()
    }
    async fn inspect_service(&self, _: &str) -> Result<Value, Error> {
        unreachable!()
    }
    async fn create_service(&self, _: Bytes, _: Option<&RegistryAuth>) -> Result<Created, Error> {
        unreachable!()
    }
    async fn update_service(
        &self,
        _: &SwarmId,
        _: u64,
        _: Bytes,
        _: Option<&RegistryAuth>,
    ) -> Result<Updated, Error> {
        unreachable!()
    }
    async fn remove_service(&self, _: &SwarmId) -> Result<(), Error> {
        unreachable!()
    }
    async fn list_tasks(&self, _: &Services) -> Result<Vec<Task>, Error> {
        unreachable!()
    }
    async fn list_objects(&self, _: ObjectKind) -> Result<Vec<Value>, Error> {
        unreachable!()
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
        unreachable!()
    }
    async fn nodes(&self) -> Result<Nodes, Error> {
        unreachable!()
    }
    async fn events(&self) -> Result<EventStream, Error> {
        unreachable!()
    }
}

#[derive(Default)]
struct Stopped(Mutex<i64>);

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(*self.0.lock().unwrap()).unwrap()
    }
}

struct World {
    registries: Arc<Registries>,
    clock: Arc<Stopped>,
    resolver: Resolver,
}

impl World {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let (registries, clock) = (Arc::new(Registries::default()), Arc::new(Stopped::default()));
        let resolver = Resolver::new(
            Arc::clone(&registries) as Arc<dyn Engine>,
            Arc::new(Credentials::none()),
            Arc::clone(&clock) as Arc<dyn Clock>,
            limits,
        );
        Self { registries, clock, resolver }
    }

    async fn resolve(&self, tags: &[String], ask: Ask) -> Vec<Resolution> {
        let tags: BTreeSet<_> = tags.iter().map(|tag| ImageReference::parse(tag)).collect();
        let answers = self.resolver.resolve(&tags, ask).await;
        assert_eq!(answers.keys().cloned().collect::<BTreeSet<_>>(), tags);
        answers.into_values().collect()
    }

    /// How often registries were asked since the last look.
    fn asked(&self) -> usize {
        std::mem::take(&mut *self.registries.asked.lock().unwrap()).len()
    }

    fn later(&self, seconds: i64) {
        *self.clock.0.lock().unwrap() += seconds;
    }
}

fn tags(registry: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{registry}/app{number}:1")).collect()
}

fn reason(answer: &Resolution) -> &str {
    match answer {
        Resolution::Unresolved { reason } => reason,
        Resolution::Resolved(resolved) => panic!("{resolved:?}"),
    }
}

#[tokio::test]
async fn many_tags_are_asked_for_eight_at_a_time_and_remembered() {
    let world = World::new();
    let answers = world.resolve(&tags("r.example", 68), Ask::Remembered).await;
    let first = answers[0].resolved().unwrap();
    assert_eq!((first.digest.as_str(), first.platforms.len()), ("sha256:r.example/app0:1", 0));
    assert!(answers.iter().all(|answer| answer.resolved().is_some()));
    assert_eq!(world.registries.most_at_once.load(Ordering::SeqCst), 8);
    assert_eq!(world.asked(), 68);
    world.resolve(&tags("r.example", 68), Ask::Remembered).await;
    assert_eq!(world.asked(), 0);
    world.resolve(&tags("r.example", 2), Ask::Anew).await;
    assert_eq!(world.asked(), 2);
    world.later(300);
    world.resolve(&tags("r.example", 68), Ask::Remembered).await;
    assert_eq!(world.asked(), 68);
}

#[tokio::test]
async fn a_registry_that_is_down_is_not_asked_for_each_image() {
    let world = World::new();
    let mut wanted = tags("down.example", 68);
    wanted.extend(tags("up.example", 3));
    let answers = world.resolve(&wanted, Ask::Remembered).await;
    assert!(answers[..68].iter().all(|answer| reason(answer).contains("connection refused")));
    assert!(answers[68..].iter().all(|answer| answer.resolved().is_some()));
    // Those that were under way when the first one failed.
    assert!(world.asked() <= 8 + 3);
    // Not even when somebody insists, until it has rested.
    world.resolve(&wanted[..68], Ask::Anew).await;
    assert_eq!(world.asked(), 0);
    world.later(60);
    world.registries.answering_again.store(true, Ordering::SeqCst);
    let answers = world.resolve(&wanted[..68], Ask::Remembered).await;
    assert!(answers.iter().all(|answer| answer.resolved().is_some()));
}

#[tokio::test]
async fn a_refusal_is_about_one_image_and_holds_for_a_short_while() {
    let world = World::new();
    let mut wanted = tags("private.example", 1);
    wanted.extend(tags("empty.example", 1));
    let answers = world.resolve(&wanted, Ask::Remembered).await;
    assert!(reason(&answers[0]).contains("empty.example does not have it: unknown"));
    assert!(reason(&answers[1]).contains("docker login private.example"));
    assert_eq!(world.asked(), 2);
    world.resolve(&wanted, Ask::Remembered).await;
    assert_eq!(world.asked(), 0);
    world.later(30);
    world.resolve(&wanted, Ask::Remembered).await;
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn a_round_ends() {
    let round = Duration::from_millis(300);
    let world = World::with(Limits { round, ..Limits::default() });
    let mut wanted = tags("hanging.example", 1);
    wanted.extend(tags("up.example", 2));
    let answers = world.resolve(&wanted, Ask::Remembered).await;
    assert!(reason(&answers[0]).contains("not answered within 300ms"));
    assert!(answers[1].resolved().is_some() && answers[2].resolved().is_some());
}

#[tokio::test]
async fn a_spec_without_an_image_has_no_credentials() {
    let world = World::new();
    for spec in ["", "{}", r#"{"TaskTemplate":{"ContainerSpec":{"Image":"a"}}}"#] {
        assert_eq!(world.resolver.credentials_for(spec.as_bytes()).await, None);
    }
}

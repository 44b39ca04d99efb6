//! What the real engine cannot be made to do on demand; the rest is compared with it in
//! `tests/live/conformance`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use skep_core::identity::SwarmId;
use skep_core::ports::Clock;

use super::{Chances, EventFault, FakeSwarm, Fault, Pace, Quorum, Script};
use crate::engine::{Engine as _, Services};
use crate::error::Error;

#[derive(Default)]
struct Stepped(AtomicI64);

impl Clock for Stepped {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

struct World {
    swarm: FakeSwarm,
    clock: Arc<Stepped>,
}

impl World {
    fn new(pace: Pace) -> Self {
        let clock = Arc::new(Stepped::default());
        Self { swarm: FakeSwarm::new(clock.clone(), pace, 1), clock }
    }

    fn pass(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
    }

    async fn create(&self, name: &str) -> Result<SwarmId, Error> {
        let body = spec(name).to_string().into();
        self.swarm.create_service(body, None).await.map(|created| created.id)
    }

    async fn update(&self, name: &str, label: &str) -> Result<(), Error> {
        let live = self.swarm.service(name).unwrap();
        let mut spec = live["Spec"].clone();
        spec["Labels"]["label"] = json!(label);
        let (id, version) = (SwarmId::new(live["ID"].as_str().unwrap()), version(&live));
        self.swarm.update_service(&id, version, spec.to_string().into(), None).await.map(drop)
    }

    fn label(&self) -> Value {
        self.swarm.service("a").unwrap()["Spec"]["Labels"]["label"].clone()
    }
}

fn spec(name: &str) -> Value {
    json!({"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "example/a:1"}}})
}

fn version(service: &Value) -> u64 {
    service["Version"]["Index"].as_u64().unwrap()
}

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> (&'static str, bool) {
    let error = result.unwrap_err();
    (error.kind(), error.may_have_had_effect())
}

#[tokio::test]
async fn lost_requests_and_lost_replies_look_the_same_and_are_not() {
    let world = World::new(Pace::INSTANT);
    world.swarm.fail_next(Fault::Lost);
    assert_eq!(kind(world.create("a").await), ("connection_lost", true));
    assert_eq!(world.swarm.effects(), 0);
    world.swarm.fail_next(Fault::ReplyLost);
    assert_eq!(kind(world.create("a").await), ("connection_lost", true));
    assert_eq!(world.swarm.effects(), 1);
    world.swarm.fail_next(Fault::TimesOut(Duration::ZERO));
    assert_eq!(kind(world.update("a", "x").await), ("timeout", true));
    assert_eq!(world.label(), "x");
    world.swarm.fail_next(Fault::Unreachable);
    assert_eq!(kind(world.update("a", "y").await), ("unreachable", false));
}

#[tokio::test]
async fn a_request_can_land_after_its_connection_and_is_then_judged_as_any_other() {
    let world = World::new(Pace::INSTANT);
    world.swarm.fail_next(Fault::LandsLater(Duration::from_secs(3)));
    assert_eq!(kind(world.create("a").await), ("connection_lost", true));
    assert!(world.swarm.service("a").is_none());
    world.pass(Duration::from_secs(3));
    assert!(world.swarm.service("a").is_some());
    // An update that something else has overtaken lands without an effect.
    world.swarm.fail_next(Fault::LandsLater(Duration::from_secs(3)));
    world.update("a", "late").await.unwrap_err();
    world.update("a", "in time").await.unwrap();
    world.pass(Duration::from_secs(3));
    assert_eq!((world.label(), world.swarm.effects()), (json!("in time"), 2));
}

#[tokio::test]
async fn a_manager_that_lags_shows_what_was_there_before() {
    let world = World::new(Pace::INSTANT);
    world.create("a").await.unwrap();
    world.update("a", "1").await.unwrap();
    world.update("a", "2").await.unwrap();
    let lags = [0, 1, 2, 3, 9].map(|lag| move |_: &_| Fault::Stale(lag));
    let mut seen = Vec::new();
    for lag in lags {
        world.swarm.script(Script::new(lag));
        let listed = world.swarm.list_services(&Services::All).await.unwrap();
        seen.push(listed.first().map(|one| one["Spec"]["Labels"]["label"].clone()));
    }
    let expected = [Some(json!("2")), Some(json!("1")), Some(Value::Null), None, None];
    assert_eq!(seen, expected);
    world.swarm.clear_faults();
    assert_eq!(world.label(), "2", "only what is shown lags");
}

#[tokio::test]
async fn a_new_leader_moves_versions_and_no_spec_and_may_commit_what_was_refused() {
    let world = World::new(Pace::INSTANT);
    world.create("a").await.unwrap();
    let before = world.swarm.service("a").unwrap();
    world.swarm.change_leader();
    let after = world.swarm.service("a").unwrap();
    assert!(version(&after) > version(&before));
    assert_eq!((&after["Spec"], &after["PreviousSpec"]), (&before["Spec"], &Value::Null));
    for (commits, label) in [(false, Value::Null), (true, json!("x"))] {
        world.swarm.fail_next(Fault::LeaderLost(commits));
        assert_eq!(kind(world.update("a", "x").await), ("no_quorum", true));
        assert_eq!(world.label(), label);
    }
}

#[tokio::test]
async fn without_a_quorum_lists_go_on_and_writes_do_not() {
    let world = World::new(Pace::REAL);
    world.create("a").await.unwrap();
    for (quorum, info) in [(Quorum::Losing, true), (Quorum::Lost, false)] {
        world.swarm.quorum(quorum);
        assert_eq!(world.swarm.info().await.unwrap().trusted_cluster().is_ok(), info);
        assert!(world.swarm.nodes().await.unwrap().quorum().is_err());
        assert_eq!(world.swarm.list_services(&Services::All).await.unwrap().len(), 1);
        assert_eq!(kind(world.create("b").await), ("no_quorum", true));
    }
    world.swarm.quorum(Quorum::Kept);
    world.create("b").await.unwrap();
}

#[tokio::test]
async fn events_can_be_lost_doubled_and_late() {
    let world = World::new(Pace::INSTANT);
    let faults = [
        Some(EventFault::Late(Duration::from_secs(1))),
        Some(EventFault::Lost),
        Some(EventFault::Doubled),
        None,
        Some(EventFault::Silent),
    ];
    world.swarm.events_meet(move |index| faults.get(index).copied().flatten());
    let mut events = world.swarm.events().await.unwrap();
    for name in ["late", "lost", "doubled", "heard", "silenced", "afterwards"] {
        world.create(name).await.unwrap();
    }
    world.pass(Duration::from_secs(1));
    let _looked = world.swarm.service("late");
    let mut heard = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        heard.push(event.unwrap().name.unwrap());
    }
    assert_eq!(heard, ["doubled", "doubled", "heard"], "and then it says nothing");
    let mut anew = world.swarm.events().await.unwrap();
    world.create("anew").await.unwrap();
    assert!(anew.next().now_or_never().is_some());
}

#[tokio::test]
async fn held_calls_never_answer() {
    let world = World::new(Pace::INSTANT);
    for (fault, effects) in [(Fault::HeldBefore, 0), (Fault::HeldAfter, 1)] {
        world.swarm.fail_next(fault);
        assert!(world.create("a").now_or_never().is_none());
        assert!(world.swarm.held().now_or_never().is_some());
        assert_eq!(world.swarm.effects(), effects);
    }
}

#[tokio::test]
async fn a_fork_goes_its_own_way() {
    let world = World::new(Pace::REAL);
    world.create("a").await.unwrap();
    let fork = world.swarm.fork(world.clock.clone());
    assert_eq!(fork.services(), world.swarm.services());
    world.update("a", "x").await.unwrap();
    assert_eq!(fork.service("a").unwrap()["Spec"]["Labels"], json!({}));
    world.pass(Duration::from_secs(60));
    let tasks = |swarm: FakeSwarm| async move { swarm.list_tasks(&Services::All).await.unwrap() };
    assert_eq!(tasks(fork).await[0].state, "running", "what was due is due in both");
}

/// Everything there is, met by chance, twice.
#[tokio::test]
async fn a_seed_decides_everything() {
    let chances = Chances {
        stale: 200,
        lag: 4,
        lost: 100,
        reply_lost: 100,
        lands_later: 100,
        leader_lost: 100,
        slow: 0,
        unreachable: 100,
    };
    let life = |seed: u64| async move {
        let world = World::new(Pace::REAL);
        world.swarm.script(Script::by_seed(seed, chances));
        let mut seen = BTreeMap::new();
        for number in 0..60 {
            let name = format!("s{}", number % 7);
            let created = world.create(&name).await.map_err(|error| error.to_string());
            let listed = world.swarm.list_services(&Services::All).await;
            seen.insert(number, (created, listed.map(|all| all.len()).ok()));
            world.pass(Duration::from_millis(700));
        }
        (seen, world.swarm.journal())
    };
    let (one, same, other) = tokio::join!(life(5), life(5), life(6));
    assert_eq!(one, same);
    assert_ne!(one, other);
}

//! Networks, configs and secrets: what an event about one of them costs, and managers that lag.

use std::collections::VecDeque;

use super::*;
use crate::fake::{EventFault, FakeSwarm, Fault, Pace, Quorum, Script};

/// A fake swarm with a reflector, and how often which path was asked for.
struct Rig {
    swarm: Arc<FakeSwarm>,
    handle: Handle,
    calls: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    /// So many changes lag the managers behind that answer the next lists of configs.
    lagging: Arc<Mutex<VecDeque<usize>>>,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

const LISTS: [&str; 6] = ["/services", "/tasks", "/nodes", "/networks", "/secrets", "/configs"];

impl Rig {
    async fn start(options: Options) -> Self {
        let swarm = Arc::new(FakeSwarm::new(Arc::new(Epoch), Pace::INSTANT, 1));
        swarm.intrude("a");
        let (calls, lagging): (Arc<Mutex<BTreeMap<_, _>>>, Arc<Mutex<VecDeque<_>>>) =
            Default::default();
        let (counted, lags) = (Arc::clone(&calls), Arc::clone(&lagging));
        swarm.script(Script::new(move |site| {
            *counted.lock().unwrap().entry(site.call.path).or_default() += 1;
            let is_meant = site.call.path == "/configs";
            let lag = is_meant.then(|| lags.lock().unwrap().pop_front()).flatten();
            lag.map_or(Fault::Passes, Fault::Stale)
        }));
        let engine: Arc<dyn Engine> = swarm.clone();
        let (service, handle) = Service::new(engine, Arc::new(Epoch), Arc::new(Epoch), options);
        let task = tokio::spawn(service.run(CancellationToken::new()));
        handle.ready().await.unwrap();
        Self {
            swarm,
            handle,
            calls,
            lagging,
            _task: tokio_util::task::AbortOnDropHandle::new(task),
        }
    }

    fn lag(&self, lags: &[usize]) {
        self.lagging.lock().unwrap().extend(lags);
    }

    fn make(&self, kind: &'static str, name: &str) -> String {
        self.swarm.make(kind, &json!({"Name": name, "Data": "eA=="})).unwrap()
    }

    async fn until(&self, wanted: impl Fn(&Snapshot) -> bool) {
        let mut seen = self.handle.subscribe();
        let wanted = |view: &View| view.snapshot.as_ref().is_some_and(|one| wanted(one));
        tokio::time::timeout(HANGING, seen.wait_for(wanted)).await.unwrap().unwrap();
    }

    /// How often each list was asked for since the last look.
    fn lists(&self) -> Vec<(&'static str, usize)> {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls.into_iter().filter(|(path, _)| LISTS.contains(path)).collect()
    }
}

fn has(kind: ObjectKind, name: &str) -> impl Fn(&Snapshot) -> bool {
    let target = skep_core::identity::ServiceName::object(kind, name);
    move |snapshot| snapshot.objects.contains_key(&target)
}

#[tokio::test]
async fn an_event_about_an_object_lists_its_kind_alone() {
    let rig = Rig::start(Options { poll: Duration::ZERO, ..eventful() }).await;
    assert_eq!(rig.lists().len(), LISTS.len(), "at first everything is listed");
    let id = rig.make("configs", "page");
    rig.until(has(ObjectKind::Config, "page")).await;
    assert_eq!(rig.lists(), [("/configs", 1)]);
    let version = rig.swarm.version_of("configs", &id).unwrap();
    let labelled = json!({"Name": "page", "Labels": {"a": "1"}});
    rig.swarm.relabel("configs", &id, version, &labelled).unwrap();
    rig.until(|one| one.objects.values().any(|object| object.label("a").is_some())).await;
    rig.swarm.unmake("configs", &id).unwrap();
    rig.until(|one| one.configs.is_empty()).await;
    assert_eq!(rig.lists(), [("/configs", 2)]);
    rig.make("secrets", "token");
    rig.until(|one| one.secrets.contains_key("token")).await;
    assert_eq!(rig.lists(), [("/secrets", 1)]);
    let network = rig.make("networks", "inside");
    rig.until(|one| one.network_id("inside").is_some_and(|id| id.as_str() == network)).await;
    assert_eq!(rig.lists(), [("/networks", 1)]);
    rig.swarm.meddle("a", "/Labels", json!({"b": "2"}));
    rig.until(|one| one.services.values().any(|one| one.version > 12)).await;
    assert!(rig.lists().iter().all(|(path, _)| matches!(*path, "/services" | "/tasks")));
    let snapshot = rig.handle.view().snapshot.unwrap();
    assert!(
        snapshot.network_id("ingress").is_some() && has(ObjectKind::Secret, "token")(&snapshot)
    );
}

#[tokio::test]
async fn a_manager_that_lags_neither_hides_nor_shows_what_events_have_told_otherwise() {
    let rig = Rig::start(Options { poll: Duration::from_millis(5), ..eventful() }).await;
    rig.lists();
    rig.lag(&[1]);
    let id = rig.make("configs", "page");
    rig.until(has(ObjectKind::Config, "page")).await;
    assert_eq!(rig.lists(), [("/configs", 2)], "the first answer was too old to have it");
    let version = rig.swarm.version_of("configs", &id).unwrap();
    let labelled = |to: &str| json!({"Name": "page", "Labels": {"a": to}});
    rig.swarm.relabel("configs", &id, version, &labelled("1")).unwrap();
    let says = |to: &'static str| {
        move |one: &Snapshot| one.objects.values().any(|object| object.label("a") == Some(to))
    };
    rig.until(says("1")).await;
    // A list that shows the labels before does not take them back.
    rig.lag(&[2, 1]);
    rig.make("configs", "other");
    rig.until(has(ObjectKind::Config, "other")).await;
    assert!(says("1")(rig.handle.view().snapshot.as_ref().unwrap()));
    rig.lag(&[1]);
    rig.swarm.unmake("configs", &id).unwrap();
    rig.until(|one| one.configs.len() == 1).await;
}

#[tokio::test]
async fn what_no_event_told_is_found_by_the_full_list() {
    let rig = Rig::start(listing()).await;
    rig.swarm.events_meet(|_| Some(EventFault::Lost));
    rig.make("secrets", "token");
    rig.until(has(ObjectKind::Secret, "token")).await;
}

#[tokio::test]
async fn a_list_without_a_leader_is_not_believed() {
    let rig = Rig::start(Options { poll: Duration::ZERO, ..eventful() }).await;
    rig.swarm.quorum(Quorum::Lost);
    // The event was on its way when the leader went.
    rig.make("configs", "page");
    let mut seen = rig.handle.subscribe();
    let stale = seen.wait_for(|view| matches!(view.state, State::Stale { .. }));
    tokio::time::timeout(HANGING, stale).await.unwrap().unwrap();
    rig.swarm.quorum(Quorum::Kept);
    rig.until(has(ObjectKind::Config, "page")).await;
}

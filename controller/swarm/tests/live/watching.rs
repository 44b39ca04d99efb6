//! Watching a real swarm: changes made behind our back are seen.

use futures::StreamExt as _;
use skep_core::identity::{ServiceName, SwarmId};
use skep_swarm::engine::EventObject;
use skep_swarm::reflector::{Options, Service, State, View};
use skep_swarm::{DockerEngine, Engine as _, EngineAddress, observe};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use super::support::{Fleet, System, create, idle, patch};

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_shows_a_service_and_where_it_is() {
    let (fleet, engine) = Fleet::new("snapshot").await;
    let name = fleet.name("one");
    let id = create(&engine, &idle(&name)).await.id;
    let snapshot = observe::take_snapshot(&*engine, &System).await.unwrap();
    assert!(!snapshot.cluster.as_str().is_empty());
    assert_eq!(snapshot.api_version, engine.api_version());
    assert_eq!(snapshot.nodes.ready, 1);
    assert!(snapshot.network_id("ingress").is_some());
    assert_eq!(snapshot.services.get(&ServiceName::new(name)).unwrap().id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_names_the_service_that_changed() {
    let (fleet, engine) = Fleet::new("events").await;
    let mut events = engine.events().await.unwrap();
    let id = create(&engine, &idle(&fleet.name("one"))).await.id;
    loop {
        let event = events.next().await.unwrap().unwrap();
        if event.id == id {
            assert_eq!((event.object, event.action.as_str()), (EventObject::Service, "create"));
            assert_eq!(event.name, Some(fleet.name("one")));
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reflector_sees_create_update_tasks_and_removal_by_events_alone() {
    let (fleet, engine) = Fleet::new("reflector").await;
    let never = Duration::from_secs(3600);
    let options = Options {
        relist: never,
        tasks: never,
        poll: Duration::from_millis(100),
        ..Options::default()
    };
    let (service, handle) =
        Service::new(engine.clone(), Arc::new(System), Arc::new(System), options);
    let stop = CancellationToken::new();
    let task = tokio::spawn(service.run(stop.clone()));
    handle.ready().await.unwrap();

    let name = ServiceName::new(fleet.name("one"));
    let id = create(&engine, &idle(name.as_str())).await.id;
    let mut seen = handle.subscribe();
    seen.wait_for(|view| {
        let service = view.snapshot.as_ref().and_then(|one| one.services.get(&name));
        service.is_some_and(|service| service.tasks.starting == 1)
    })
    .await
    .unwrap();

    patch(&engine, &id).await;
    let snapshot = handle.refresh_service(&id).await.unwrap();
    let spec = snapshot.services.get(&name).unwrap().spec.value();
    assert_eq!(spec["Labels"]["com.example.patched"], "yes");

    engine.remove_service(&id).await.unwrap();
    let gone =
        |view: &View| view.snapshot.as_ref().is_some_and(|one| !one.services.contains_key(&name));
    seen.wait_for(gone).await.unwrap();
    assert!(handle.refresh_service(&SwarmId::new("nosuchservice")).await.is_ok());
    stop.cancel();
    task.await.unwrap();
}

/// An engine of its own, because this one is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_engine_leaves_the_snapshot_stale_and_a_new_one_makes_it_good() {
    let rig = skep_testkit::Engine::start_private("swarm-restart").unwrap();
    let address = EngineAddress::parse(&rig.host()).unwrap();
    let engine = Arc::new(DockerEngine::connect(&address).await.unwrap());
    let id = create(&engine, &idle("survivor")).await.id;
    let options = Options {
        relist: Duration::from_millis(500),
        longest_wait: Duration::from_millis(500),
        ..Options::default()
    };
    let (service, handle) = Service::new(engine, Arc::new(System), Arc::new(System), options);
    let stop = CancellationToken::new();
    let task = tokio::spawn(service.run(stop.clone()));
    handle.ready().await.unwrap();

    let there = |view: &View| {
        view.snapshot.as_ref().is_some_and(|one| one.services.values().any(|s| s.id == id))
    };
    let mut seen = handle.subscribe();
    rig.kill_daemon().unwrap();
    let stale = |view: &View| matches!(view.state, State::Stale { .. });
    assert!(there(&seen.wait_for(stale).await.unwrap()), "the last snapshot is kept");
    assert!(handle.refresh_now().await.is_err());

    rig.start_daemon().unwrap();
    let ready = |view: &View| view.state == State::Ready;
    assert!(there(&seen.wait_for(ready).await.unwrap()));
    stop.cancel();
    task.await.unwrap();
    rig.stop().unwrap();
}

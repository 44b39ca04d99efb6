//! Work by what changed: one service that others change is read alone.

use crate::harness::{Fleet, wait};

const SERVICES: [&str; 4] = ["a", "b", "c", "d"];

#[test]
fn one_changed_service_is_read_alone() {
    let fleet = Fleet::new("scope");
    let registry = fleet.registry(&SERVICES.map(|name| (name, "")));
    let environment = [("FLEET_ACTUATOR", "swarm")];
    let serve = fleet.serve(&["--registry", registry.to_str().unwrap()], &environment);
    fleet.wait_for_approvals(&serve, SERVICES.len());
    fleet.approve_all();
    fleet.wait_for_states(&serve, "succeeded", SERVICES.len());
    let full_lists = || {
        let requests = fleet.proxy.requests();
        requests.iter().filter(|request| request.path.ends_with("/services")).count()
    };
    // Right behind a regular list: the next one is far away, and the tasks are at rest.
    fleet.proxy.clear();
    wait(&serve, "a regular list", || (full_lists() > 0).then_some(()));
    let b = fleet.service("b");
    let others = ["a", "c", "d"].map(|name| fleet.inspect(&fleet.service(name))["ID"].clone());
    fleet.proxy.clear();
    let since = jiff::Timestamp::now();
    let add = ["service", "update", "--detach", "--env-add", "SNEAKED=in", &b];
    fleet.engine.docker(&add).unwrap();
    fleet.wait_for_approvals(&serve, 1);
    fleet.approve_all();
    wait(&serve, "the repair", || (!fleet.proxy.mutations().is_empty()).then_some(()));
    let mutations = fleet.proxy.mutations();
    assert_eq!(mutations.len(), 1, "{mutations:?}");
    let requests = fleet.proxy.requests();
    // Other tests make networks, configs and secrets on this swarm, and then everything is listed.
    let lists = full_lists();
    let noise = others_events(&fleet, since);
    assert!(lists <= 1 + noise, "{lists} lists of everything after {noise} events: {requests:?}");
    for id in others.iter().map(|id| id.as_str().unwrap()) {
        let read = requests.iter().find(|request| request.path.contains(id));
        assert!(read.is_none(), "{read:?} is about a service that did not change");
    }
    serve.stop();
    fleet.finish();
}

/// How many events since then are about what is not a service or a task.
fn others_events(fleet: &Fleet, since: jiff::Timestamp) -> usize {
    let (since, until) = (since.to_string(), jiff::Timestamp::now().to_string());
    let mut events = vec!["events", "--since", &since, "--until", &until, "--format", "{{.Type}}"];
    for kind in ["type=network", "type=config", "type=secret", "type=node"] {
        events.extend(["--filter", kind]);
    }
    fleet.engine.docker(&events).unwrap().lines().count()
}

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
    let add = ["service", "update", "--detach", "--env-add", "SNEAKED=in", &b];
    fleet.engine.docker(&add).unwrap();
    fleet.wait_for_approvals(&serve, 1);
    fleet.approve_all();
    wait(&serve, "the repair", || (!fleet.proxy.mutations().is_empty()).then_some(()));
    let mutations = fleet.proxy.mutations();
    assert_eq!(mutations.len(), 1, "{mutations:?}");
    let requests = fleet.proxy.requests();
    // Other tests make networks on this swarm, and then everything is listed; a list for each
    // change would be more than that.
    assert!(full_lists() <= 1, "one change led to lists of everything: {requests:?}");
    for id in others.iter().map(|id| id.as_str().unwrap()) {
        let read = requests.iter().find(|request| request.path.contains(id));
        assert!(read.is_none(), "{read:?} is about a service that did not change");
    }
    serve.stop();
    fleet.finish();
}

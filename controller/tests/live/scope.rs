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
    // Right behind a regular list, so that the next one is far away.
    fleet.proxy.clear();
    wait(&serve, "a regular list", || (full_lists() > 0).then_some(()));
    let b = fleet.service("b");
    let id = fleet.inspect(&b)["ID"].as_str().unwrap().to_owned();
    fleet.proxy.clear();
    let add = ["service", "update", "--detach", "--env-add", "SNEAKED=in", &b];
    fleet.engine.docker(&add).unwrap();
    fleet.wait_for_approvals(&serve, 1);
    fleet.approve_all();
    wait(&serve, "the repair", || (!fleet.proxy.mutations().is_empty()).then_some(()));
    assert_eq!(full_lists(), 0, "one change led to a list of everything");
    let requests = fleet.proxy.requests();
    let about_services: Vec<_> =
        requests.iter().filter(|request| request.endpoint().starts_with("/services")).collect();
    assert!(!about_services.is_empty());
    for request in about_services {
        let named = request.path.contains(&id) || request.path.contains(&b);
        assert!(named, "{request:?} is not about the service that changed");
    }
    let mutations = fleet.proxy.mutations();
    assert_eq!(mutations.len(), 1, "{mutations:?}");
    serve.stop();
    fleet.finish();
}

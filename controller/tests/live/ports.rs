//! Published ports that somebody else holds, networks that are not there.

use crate::harness::Fleet;

#[test]
fn a_taken_port_blocks_and_names_who_holds_it_fixed_ports() {
    let mut fleet = Fleet::new("port");
    let holder = fleet.service("holder");
    let publish = "published=18999,target=8000";
    let create = ["service", "create", "--detach", "--name", &holder, "--publish", publish];
    fleet.engine.docker(&[&create[..], &["skep-test/mcp:1"]].concat()).unwrap();
    fleet.watch_bystander(&holder);
    let registry = fleet.registry(&[("a", "host_port: 18999")]);
    let plan = fleet.plan(&registry);
    let step = &plan["steps"][0];
    assert_eq!(step["blocked"]["code"], "PORT_TAKEN", "{plan}");
    assert_eq!(step["class"], "foreign");
    assert!(step["blocked"]["message"].as_str().unwrap().contains(&holder), "{step}");
    assert_eq!(plan["summary"]["blocked"], 1);
    let report = fleet.json(
        &["reconcile", "--once", "--registry", registry.to_str().unwrap()],
        &[("FLEET_ACTUATOR", "swarm")],
    );
    assert_eq!(report["processed"], 0, "a blocked step is never queued: {report}");
    assert_eq!(fleet.mutations(), Vec::<String>::new());
    fleet.finish();
}

#[test]
fn a_missing_network_blocks_and_an_existing_one_is_joined() {
    let fleet = Fleet::new("network");
    let network = fleet.service("net");
    let registry = fleet.registry(&[("a", &format!("networks: [{network}]; replicas: 0"))]);
    let plan = fleet.plan(&registry);
    assert_eq!(plan["steps"][0]["blocked"]["code"], "NETWORK_MISSING", "{plan}");
    let create = ["network", "create", "--driver", "overlay", &network];
    let id = fleet.engine.docker(&create).unwrap().trim().to_owned();
    let environment = [("FLEET_ACTUATOR", "swarm")];
    let arguments = ["reconcile", "--once", "--registry", registry.to_str().unwrap()];
    fleet.json(&arguments, &environment);
    fleet.approve_all();
    fleet.json(&arguments, &environment);
    let spec = fleet.inspect(&fleet.service("a"))["Spec"].clone();
    assert_eq!(spec["TaskTemplate"]["Networks"][0]["Target"], id.as_str());
    assert_eq!(fleet.plan(&registry)["steps"], serde_json::json!([]));
    fleet.engine.remove_services_with_prefix(&fleet.name).unwrap();
    let _ = fleet.engine.docker(&["network", "rm", &network]);
    drop(fleet);
}

#[test]
fn the_hosts_network_of_the_swarm_is_known_by_name() {
    let fleet = Fleet::new("hostnet");
    let registry = fleet.registry(&[("a", "networks: [host]; replicas: 0")]);
    let environment = [("FLEET_ACTUATOR", "swarm")];
    let arguments = ["reconcile", "--once", "--registry", registry.to_str().unwrap()];
    fleet.json(&arguments, &environment);
    fleet.approve_all();
    fleet.json(&arguments, &environment);
    assert!(fleet.exists(&fleet.service("a")));
    assert_eq!(fleet.plan(&registry)["steps"], serde_json::json!([]));
    fleet.finish();
}

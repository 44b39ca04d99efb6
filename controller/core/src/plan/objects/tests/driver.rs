//! Drivers that the swarm does not have, and networks of one node.

use serde_json::json;

use super::*;
use crate::observed::{ObservedNetwork, Plugins};
use crate::plan::needs_plugins;

fn codes(world: &World) -> Vec<(String, Option<String>)> {
    let plan = world.resolved_plan();
    let code = |step: &Step| step.blocked.as_ref().map(|blocked| blocked.code.clone());
    plan.steps.iter().map(|step| (step.target.to_string(), code(step))).collect()
}

fn code_of(world: &World, target: &str) -> Option<String> {
    codes(world).into_iter().find(|(name, _)| name == target).and_then(|(_, code)| code)
}

#[test]
fn a_driver_without_its_plugin_holds_the_stack_back() {
    for (kind, name, field, value, can) in [
        (Network, "web_net", "Driver", json!("weave"), "networkdriver"),
        (Network, "web_net", "IPAM", json!({"Driver": "weave"}), "ipamdriver"),
        (Secret, "web_token", "Driver", json!({"Name": "weave"}), "secretprovider"),
    ] {
        let target = ServiceName::object(kind, name).to_string();
        let mut world = World::whole();
        assert!(!needs_plugins(&world.desired), "nothing says so");
        let object = world.desired.objects.get_mut(&(kind, name.to_owned())).unwrap();
        object.request[field] = value;
        assert!(needs_plugins(&world.desired), "{field}");
        // Nobody was asked: the engine has the last word.
        assert_eq!(code_of(&world, &target), None, "{field}");
        let other = if can == "ipamdriver" { "networkdriver" } else { "ipamdriver" };
        world.plugins = Some(Plugins::of([(other.to_owned(), "weave".to_owned())]));
        assert_eq!(code_of(&world, &target).as_deref(), Some("PLUGIN_MISSING"), "{field}");
        assert_eq!(code_of(&world, "web_a").as_deref(), Some("STACK_BLOCKED"), "{field}");
        let blocked = world.resolved_plan().steps.into_iter().find_map(|step| step.blocked);
        assert!(blocked.unwrap().message.contains("\"weave\""), "{field}");
        world.plugins = Some(Plugins::of([(can.to_owned(), "weave:latest".to_owned())]));
        assert!(codes(&world).iter().all(|(_, code)| code.is_none()), "{field}");
    }
}

#[test]
fn a_network_of_one_node_is_refused_unless_it_is_there() {
    for driver in ["bridge", "host", "ipvlan", "macvlan", "null"] {
        let mut world = World::whole();
        let net = (Network, "web_net".to_owned());
        world.desired.objects.get_mut(&net).unwrap().request["Driver"] = json!(driver);
        assert!(!needs_plugins(&world.desired), "{driver} is the engine's own");
        let code = code_of(&world, "network/web_net");
        assert_eq!(code.as_deref(), Some("DRIVER_LOCAL"), "{driver}");
    }
    let mut world = World::whole();
    let net = (Network, "web_net".to_owned());
    let request = &mut world.desired.objects.get_mut(&net).unwrap().request;
    request["Driver"] = json!("macvlan");
    let spec = request.clone();
    world.own(Network, "web_net", spec);
    assert_eq!(code_of(&world, "network/web_net"), None, "made by hand with a scope");
}

#[test]
fn an_external_network_of_one_node_is_none_of_the_swarm() {
    let mut world = World::whole();
    let external = External { kind: Network, name: "home".to_owned(), provenance: place() };
    world.stack().externals.push(external);
    let id = SwarmId::new("home-id");
    let local =
        ObservedNetwork { id: id.clone(), name: "home".to_owned(), scope: "local".to_owned() };
    world.observed.networks.insert(id, local);
    assert_eq!(code_of(&world, "web_a").as_deref(), Some("EXTERNAL_SCOPE"));
    let spec = json!({"Scope": "swarm"});
    world.put(Network, "home", spec);
    assert_eq!(code_of(&world, "web_a"), None);
}

//! Networks, secrets and configs through the client: what it takes to make one, what can be
//! changed, what the engine says in which order, and that nothing of a spec is lost.

use std::time::Duration;

use serde_json::{Value, json};
use skep_core::identity::{ObjectKind, SwarmId};
use skep_swarm::objects;

use super::super::support::bytes;
use super::side::Side;

pub(super) async fn run(side: &mut Side) {
    for kind in [ObjectKind::Config, ObjectKind::Secret] {
        files(side, kind).await;
    }
    networks(side).await;
}

async fn files(side: &mut Side, kind: ObjectKind) {
    let word = kind.as_str();
    let name = side.name(&format!("file-{word}"));
    let spec = json!({
        "Name": name,
        "Data": "c2tlcA==",
        "Labels": {"com.docker.stack.namespace": "conform", "dev.skep.action": "one"},
        "Templating": {"Name": "golang"},
    });
    let Some(id) = make(side, &format!("create a {word}"), kind, &spec).await else { return };
    make(side, &format!("create a {word} again"), kind, &spec).await;
    look(side, &format!("a {word} by id"), kind, id.as_str()).await;
    let seen = look(side, &format!("a {word} by name"), kind, &name).await.unwrap();
    let version = seen["Version"]["Index"].as_u64().unwrap();
    let mut labelled = spec.clone();
    labelled["Labels"] = json!({"dev.skep.action": "two"});
    write(side, &format!("label a {word}"), kind, &id, version, &labelled).await;
    look(side, &format!("a labelled {word}"), kind, id.as_str()).await;
    write(side, &format!("label a {word} with an old Version"), kind, &id, version, &spec).await;
    let seen = look(side, &format!("a {word} labelled once"), kind, id.as_str()).await.unwrap();
    let version = seen["Version"]["Index"].as_u64().unwrap();
    labelled.as_object_mut().unwrap().remove("Data");
    labelled["Labels"] = json!({});
    write(side, &format!("label a {word} without data"), kind, &id, version, &labelled).await;
    look(side, &format!("a {word} without labels"), kind, id.as_str()).await;
    remove(side, &format!("remove a {word}"), kind, &id).await;
    remove(side, &format!("remove a {word} again"), kind, &id).await;
    write(side, &format!("label a removed {word}"), kind, &id, version, &labelled).await;
    look(side, &format!("a removed {word}"), kind, id.as_str()).await;
    let unnamed = json!({"Name": "", "Data": "c2tlcA=="});
    make(side, &format!("create a {word} without a name"), kind, &unnamed).await;
    let long = json!({"Name": side.name(&"x".repeat(64)), "Data": "c2tlcA=="});
    make(side, &format!("create a {word} with a long name"), kind, &long).await;
}

async fn networks(side: &mut Side) {
    let kind = ObjectKind::Network;
    let name = side.name("plain-network");
    let spec = json!({"Name": name, "Driver": "overlay", "Attachable": true,
        "Labels": {"com.docker.stack.namespace": "conform"}});
    let id = make(side, "create a network", kind, &spec).await.unwrap();
    make(side, "create a network again", kind, &spec).await;
    // Until it has found an address range the engine says nothing of its driver.
    for _attempt in 0..200 {
        let found = side.engine.inspect_object(kind, id.as_str()).await.unwrap();
        if found["Driver"] != "" {
            break;
        }
        side.pass(Duration::from_millis(50)).await;
    }
    look(side, "a network by name", kind, &name).await;
    look(side, "a network by id", kind, id.as_str()).await;
    let listed = side.engine.list_objects(kind).await.unwrap();
    let found = listed.iter().find(|one| one["Id"] == *id.as_str()).cloned().unwrap_or_default();
    let found = shown(kind, found);
    side.note("a network in the list", &found);
    remove(side, "remove a network", kind, &id).await;
    remove(side, "remove a network again", kind, &id).await;
    look(side, "a removed network", kind, id.as_str()).await;
}

async fn make(side: &mut Side, step: &str, kind: ObjectKind, spec: &Value) -> Option<SwarmId> {
    let created = side.engine.create_object(kind, bytes(spec)).await;
    let id = side.note_result(step, created)?.id;
    side.call(id.as_str(), &format!("the {} of {step}", kind.as_str()));
    Some(id)
}

async fn write(
    side: &mut Side,
    step: &str,
    kind: ObjectKind,
    id: &SwarmId,
    version: u64,
    spec: &Value,
) {
    let written = side.engine.update_object(kind, id, version, bytes(spec)).await;
    side.note_result(step, written);
}

async fn remove(side: &mut Side, step: &str, kind: ObjectKind, id: &SwarmId) {
    let removed = side.engine.remove_object(kind, id).await;
    side.note_result(step, removed);
}

async fn look(side: &mut Side, step: &str, kind: ObjectKind, id: &str) -> Option<Value> {
    let found = side.engine.inspect_object(kind, id).await;
    let found = side.note_result(step, found)?;
    let seen = shown(kind, found.clone());
    side.note(&format!("{step}: what it is"), &seen);
    Some(found)
}

/// What both sides have to agree on.
fn shown(kind: ObjectKind, reported: Value) -> Value {
    let mut object = objects::object(kind, reported).unwrap();
    // Which range and which number is the engine's choice.
    for pointer in [
        "/IPAM/Config/0/Subnet",
        "/IPAM/Config/0/Gateway",
        "/Options/com.docker.network.driver.overlay.vxlanid_list",
    ] {
        if let Some(chosen) = object.spec.pointer_mut(pointer).filter(|value| value.is_string()) {
            *chosen = json!("<chosen>");
        }
    }
    json!({"id": object.id, "name": object.name, "spec": object.spec})
}

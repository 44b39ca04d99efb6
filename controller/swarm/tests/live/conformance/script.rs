//! Services that run nowhere: what the engine refuses and in which order, what a write does to the
//! spec, the way back and the Version.

use serde_json::{Value, json};
use skep_core::identity::{ObjectKind, SwarmId};
use skep_swarm::engine::Services;

use super::super::support::idle;
use super::side::Side;

/// Above the ports that other tests publish, below the ephemeral ones.
const PORT: u16 = 31_950;

pub(super) async fn run(side: &mut Side) {
    surroundings(side).await;
    let one = lifecycle(side).await;
    refused_specs(side, &one).await;
    defaults(side).await;
    ports(side).await;
    references(side).await;
    super::objects::run(side).await;
    lists(side, &one).await;
    removal(side, &one).await;
}

async fn surroundings(side: &mut Side) {
    let info = side.engine.info().await.unwrap();
    let is_trusted = info.trusted_cluster().is_ok();
    side.note("info", &json!([info.manager, info.trouble, is_trusted]));
    let nodes = side.engine.nodes().await.unwrap();
    side.note("nodes", &json!([nodes.managers, nodes.leader, nodes.quorum().is_ok()]));
    let networks = side.engine.list_objects(ObjectKind::Network).await.unwrap();
    let standing = networks.iter().filter(|one| one["Scope"] == "swarm");
    let mut standing: Vec<_> = standing
        .filter_map(|one| one["Name"].as_str().map(str::to_owned))
        .filter(|name| ["ingress", "host", "bridge"].contains(&name.as_str()))
        .collect();
    standing.sort();
    side.note("standing networks", &json!(standing));
}

async fn lifecycle(side: &mut Side) -> SwarmId {
    let spec = idle(&side.name("one"));
    let id = side.create("create", &spec).await.unwrap();
    side.look("after a create", &id).await;
    side.count_tasks("tasks of a service that fits nowhere", &id).await;
    side.create("create again", &spec).await;
    for (step, meant) in [
        ("inspect by name", side.name("one")),
        ("inspect by id", id.as_str().to_owned()),
        ("inspect by the start of its id", id.as_str()[..12].to_owned()),
        ("inspect what is not there", "nosuchservice".to_owned()),
        ("inspect by the start of its name", side.name("on")),
    ] {
        let found = side.engine.inspect_service(&meant).await;
        if let Some(found) = side.note_result(step, found) {
            side.note(step, &found["Spec"]["Name"]);
        }
    }
    side.update("with an old Version", &id, -1, |_| {}).await;
    side.update("with a Version to come", &id, 1_000, |_| {}).await;
    side.look("nothing was written", &id).await;
    let unknown = SwarmId::new("nosuchservice");
    let body = spec.to_string().into();
    let gone = side.engine.update_service(&unknown, 1, body, None).await;
    side.note_result("update what is not there", gone);
    side.update("the same again", &id, 0, |_| {}).await;
    side.look("the way back is itself", &id).await;
    side.update("a label", &id, 0, |spec| spec["Labels"]["a"] = json!("b")).await;
    side.look("after a label", &id).await;
    side.update("force", &id, 0, |spec| spec["TaskTemplate"]["ForceUpdate"] = json!(1)).await;
    side.look("a rollout that cannot end", &id).await;
    side.update("scale meanwhile", &id, 0, |spec| {
        spec["Mode"]["Replicated"]["Replicas"] = json!(3);
    })
    .await;
    side.look("its status is gone", &id).await;
    side.count_tasks("three that wait", &id).await;
    side.update("another image", &id, 0, |spec| {
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("skep-test/none:2");
    })
    .await;
    side.look("after another image", &id).await;
    let rename = side.name("other");
    side.update("rename", &id, 0, |spec| spec["Name"] = json!(rename)).await;
    side.update("rename with an old Version", &id, -1, |spec| spec["Name"] = json!(rename)).await;
    side.update("another mode", &id, 0, |spec| spec["Mode"] = json!({"Global": {}})).await;
    side.update("another mode and name", &id, 0, |spec| {
        spec["Mode"] = json!({"Global": {}});
        spec["Name"] = json!(rename);
    })
    .await;
    side.look("nothing of that was written", &id).await;
    id
}

async fn refused_specs(side: &mut Side, id: &SwarmId) {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 10] = [
        ("no image", |spec| spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("")),
        ("no container", |spec| spec["TaskTemplate"]["ContainerSpec"] = Value::Null),
        ("unknown network", |spec| {
            spec["TaskTemplate"]["Networks"] = json!([{"Target": "nosuchnetwork"}]);
        }),
        ("unknown secret", |spec| {
            spec["TaskTemplate"]["ContainerSpec"]["Secrets"] = file("Secret", Some("nosuch"));
        }),
        ("secret without an id", |spec| {
            spec["TaskTemplate"]["ContainerSpec"]["Secrets"] = file("Secret", None);
        }),
        ("unknown config", |spec| {
            spec["TaskTemplate"]["ContainerSpec"]["Configs"] = file("Config", Some("nosuch"));
        }),
        ("config without an id", |spec| {
            spec["TaskTemplate"]["ContainerSpec"]["Configs"] = file("Config", None);
        }),
        ("wrong constraint", |spec| {
            spec["TaskTemplate"]["Placement"]["Constraints"] = json!(["nonsense"]);
        }),
        ("two modes", |spec| spec["Mode"] = json!({"Replicated": {}, "Global": {}})),
        ("no image and an unknown network", |spec| {
            spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("");
            spec["TaskTemplate"]["Networks"] = json!([{"Target": "nosuchnetwork"}]);
        }),
    ];
    for (step, change) in changes {
        side.update(&format!("update with {step}"), id, 0, change).await;
        side.update(&format!("old update with {step}"), id, -1, change).await;
        let mut spec = idle(&side.name("refused"));
        change(&mut spec);
        side.create(&format!("create with {step}"), &spec).await;
    }
    for name in ["a.b", "-a", "a-", "ä", "a b", &"a".repeat(64)] {
        side.create(&format!("create {name:?}"), &idle(name)).await;
    }
}

fn file(kind: &str, id: Option<&str>) -> Value {
    let mut file = json!({"File": {"Name": "x", "UID": "0", "GID": "0", "Mode": 292}});
    file[format!("{kind}Name")] = json!("nosuch");
    if let Some(id) = id {
        file[format!("{kind}ID")] = json!(id);
    }
    json!([file])
}

async fn defaults(side: &mut Side) {
    let nowhere = json!({"Constraints": ["node.labels.nowhere==true"]});
    let container = json!({"Image": "skep-test/none:1"});
    let task = json!({"ContainerSpec": container, "Placement": nowhere});
    let spec = json!({"Name": side.name("bare"), "TaskTemplate": task});
    let id = side.create("create the least", &spec).await.unwrap();
    side.look("what the engine adds to the least", &id).await;

    let mut spec = spec;
    spec["Name"] = json!(side.name("empty"));
    spec["TaskTemplate"]["RestartPolicy"] = json!({});
    for key in ["UpdateConfig", "RollbackConfig", "EndpointSpec"] {
        spec[key] = json!({});
    }
    let id = side.create("create with empty parts", &spec).await.unwrap();
    side.look("what the engine adds to empty parts", &id).await;

    for (step, mode) in [
        ("a global one", json!({"Global": {}})),
        ("a job", json!({"ReplicatedJob": {}})),
        ("a job of many", json!({"ReplicatedJob": {"MaxConcurrent": 2}})),
        ("a global job", json!({"GlobalJob": {}})),
        ("no replicas", json!({"Replicated": {"Replicas": 0}})),
        ("an empty mode", json!({})),
    ] {
        let mut spec = idle(&side.name(&step.replace(' ', "-")));
        spec["Mode"] = mode;
        let id = side.create(step, &spec).await.unwrap();
        side.look(&format!("after {step}"), &id).await;
        side.update(&format!("a label for {step}"), &id, 0, |spec| {
            spec["Labels"]["a"] = json!("b");
        })
        .await;
        side.look(&format!("after a label for {step}"), &id).await;
        if step == "a global one" {
            side.update("scale a global one", &id, 0, |spec| {
                spec["Mode"] = json!({"Replicated": {"Replicas": 2}});
            })
            .await;
        }
    }
}

fn publishing(name: &str, port: u16, mode: &str, protocol: &str) -> Value {
    let mut spec = idle(name);
    spec["EndpointSpec"] = json!({"Ports": [{"TargetPort": 80, "PublishedPort": port}]});
    for (key, value) in [("PublishMode", mode), ("Protocol", protocol)] {
        if !value.is_empty() {
            spec["EndpointSpec"]["Ports"][0][key] = json!(value);
        }
    }
    spec
}

async fn ports(side: &mut Side) {
    let first = publishing(&side.name("port"), PORT, "", "");
    let id = side.create("publish", &first).await.unwrap();
    side.look("after publishing", &id).await;
    for (step, name, port, mode, protocol) in [
        ("the same port", "port2", PORT, "ingress", "tcp"),
        ("the same port and name", "port", PORT, "ingress", "tcp"),
        ("the same port on hosts", "port3", PORT, "host", "tcp"),
        ("another protocol", "port4", PORT, "ingress", "udp"),
        ("a port on hosts", "port5", PORT + 1, "host", "tcp"),
        ("what is taken on hosts", "port7", PORT + 1, "ingress", "tcp"),
        ("a name that is taken", "port", PORT + 2, "ingress", "tcp"),
    ] {
        side.create(step, &publishing(&side.name(name), port, mode, protocol)).await;
    }
    side.update("its own port again", &id, 0, |spec| spec["Labels"]["a"] = json!("b")).await;
    side.look("after its own port again", &id).await;
    side.update("take another's port", &id, 0, |spec| {
        spec["EndpointSpec"]["Ports"][0]["PublishedPort"] = json!(PORT + 1);
    })
    .await;
    side.update("take a free port", &id, 0, |spec| {
        spec["EndpointSpec"]["Ports"][0]["PublishedPort"] = json!(PORT + 3);
    })
    .await;
    side.look("after taking a free port", &id).await;
    side.create("what it left", &publishing(&side.name("port8"), PORT, "", "")).await;
    let second = publishing(&side.name("port6"), PORT + 1, "host", "tcp");
    side.create("a second one on hosts", &second).await;
}

async fn references(side: &mut Side) {
    let network = side.make("make a network", "networks", "net").unwrap();
    side.make("make a network again", "networks", "net");
    let secret = side.make("make a secret", "secrets", "secret").unwrap();
    side.make("make a secret again", "secrets", "secret");
    let config = side.make("make a config", "configs", "config").unwrap();
    side.make("make a config again", "configs", "config");

    let mut spec = idle(&side.name("attached"));
    spec["TaskTemplate"]["Networks"] = json!([{"Target": side.name("net")}]);
    let named = |kind: &str, id: &str, name: String| {
        let mut file = file(kind, Some(id));
        file[0][format!("{kind}Name")] = json!(name);
        file
    };
    let container = &mut spec["TaskTemplate"]["ContainerSpec"];
    container["Secrets"] = named("Secret", &secret, side.name("other"));
    side.create("a secret under another name", &spec).await;
    spec["TaskTemplate"]["ContainerSpec"]["Secrets"] =
        named("Secret", &secret, side.name("secret"));
    spec["TaskTemplate"]["ContainerSpec"]["Configs"] =
        named("Config", &config, side.name("config"));
    let id = side.create("attach all", &spec).await.unwrap();
    side.look("after attaching", &id).await;
    side.unmake("remove a network in use", "networks", &network);
    side.unmake("remove a secret in use", "secrets", &secret);
    side.unmake("remove a config in use", "configs", &config);
    side.relabel("label a config", &config, 0, &json!({"Labels": {"a": "b"}}));
    side.relabel("label it with an old Version", &config, -1, &json!({"Labels": {"a": "c"}}));
    side.relabel("other data", &config, 0, &json!({"Data": "b3RoZXI="}));
    side.relabel("other data with an old Version", &config, -1, &json!({"Data": "b3RoZXI="}));
    for (kind, id) in [(ObjectKind::Secret, &secret), (ObjectKind::Config, &config)] {
        let listed = side.engine.list_objects(kind).await.unwrap();
        let found = listed.iter().find(|one| one["ID"] == **id).cloned().unwrap_or_default();
        side.note(&format!("the {} in the list", kind.as_str()), &found["Spec"]);
    }
    let removed = side.engine.remove_service(&id).await;
    side.note_result("detach all", removed);
    side.unmake("remove a free secret", "secrets", &secret);
    side.unmake("remove it again", "secrets", &secret);
    side.unmake("remove a free config", "configs", &config);
}

async fn lists(side: &mut Side, id: &SwarmId) {
    let part = SwarmId::new(&id.as_str()[..10]);
    for (step, ids) in [
        ("list one", vec![id.clone()]),
        ("list one and one that is not there", vec![id.clone(), SwarmId::new("nosuchservice")]),
        ("list the start of an id", vec![part]),
        ("list none", Vec::new()),
    ] {
        let listed = side.engine.list_services(&Services::Ids(ids.clone())).await.unwrap();
        side.note(step, &json!(listed.len()));
        let tasks = side.engine.list_tasks(&Services::Ids(ids)).await;
        if let Some(tasks) = side.note_result(&format!("tasks: {step}"), tasks) {
            let current = tasks.iter().filter(|task| task.desired_state == "running").count();
            side.note(&format!("current tasks: {step}"), &json!(current));
        }
    }
    let prefix = Services::NamePrefix(side.name("port"));
    let listed = side.engine.list_services(&prefix).await.unwrap();
    let mut names: Vec<_> = listed.iter().map(|one| one["Spec"]["Name"].clone()).collect();
    names.sort_by_key(Value::to_string);
    side.note("list by the start of names", &json!(names));
}

async fn removal(side: &mut Side, id: &SwarmId) {
    for step in ["remove", "remove again"] {
        let removed = side.engine.remove_service(id).await;
        side.note_result(step, removed);
    }
    let gone = side.engine.inspect_service(id.as_str()).await;
    side.note_result("inspect what was removed", gone);
    let body = idle(&side.name("one")).to_string().into();
    let gone = side.engine.update_service(id, 1, body, None).await;
    side.note_result("update what was removed", gone);
    // A create that was sent before the removal would do the same.
    let spec = idle(&side.name("one"));
    let anew = side.create("create under the same name", &spec).await.unwrap();
    side.look("made anew", &anew).await;
    side.note("another id", &json!(anew != *id));
}

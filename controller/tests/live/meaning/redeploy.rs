//! What Skep deployed from the corpus, docker's own deployment of the same files leaves as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};
use skep_testkit::{Engine, engine};

use super::Declared;
use crate::harness::{Fleet, text};
use crate::stack::{Deployed, NEEDS_A_PLUGIN, corpus, list, ours, outside, stacks};

/// What `docker stack deploy` is known to take away from what others wrote.
fn without_what_docker_takes(object: &Value) -> Value {
    let mut object = object.clone();
    for labels in ["/Spec/Labels", "/Labels"] {
        if let Some(labels) = object.pointer_mut(labels).and_then(Value::as_object_mut) {
            labels.retain(|key, _| !key.starts_with("dev.skep."));
        }
    }
    if let Some(placement) =
        object.pointer_mut("/Spec/TaskTemplate/Placement").and_then(Value::as_object_mut)
    {
        placement.remove("Platforms");
    }
    // Docker puts ports for which the engine is to choose a number in no certain order: it sorts
    // by that number with a sort that is not stable.
    if let Some(Value::Array(ports)) = object.pointer_mut("/Spec/EndpointSpec/Ports") {
        ports.sort_by_key(|port| (port["PublishedPort"].as_u64(), port.to_string()));
    }
    // Moved by every write, by tasks that come and go, or by the engine on its own.
    for key in [
        "Version",
        "CreatedAt",
        "UpdatedAt",
        "PreviousSpec",
        "UpdateStatus",
        "Endpoint",
        "JobStatus",
        "Containers",
        "Peers",
    ] {
        object.as_object_mut().unwrap().remove(key);
    }
    object
}

/// Everything that a stack has on the engine, by kind and id.
pub(super) fn inspected(deployed: &Deployed<'_>) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (kind, id) in [("services", "ID"), ("networks", "Id"), ("configs", "ID"), ("secrets", "ID")]
    {
        for object in deployed.list(kind) {
            let id = object[id].as_str().unwrap().to_owned();
            all.insert(format!("{kind}/{id}"), without_what_docker_takes(&object));
        }
    }
    all
}

/// Each place in which the two differ, with what they say.
pub(super) fn differences(at: &str, skep: &Value, docker: &Value) -> Vec<String> {
    match (skep, docker) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            let below = keys
                .into_iter()
                .flat_map(|key| differences(&format!("{at}/{key}"), &skep[key], &docker[key]));
            below.collect()
        }
        _ if skep == docker => Vec::new(),
        _ => vec![format!("{at}: skep {skep}, docker {docker}")],
    }
}

/// Files of stacks by their names.
type Group = BTreeMap<String, Vec<String>>;

/// Stacks that can stand beside each other: no two publish the same port. In the last group are
/// those with services that wait for others to run.
fn groups() -> Vec<Group> {
    let mut groups: Vec<(BTreeSet<String>, Group)> = Vec::new();
    let mut ordered = Group::new();
    for (name, files) in stacks() {
        if name == NEEDS_A_PLUGIN {
            continue;
        }
        if files
            .iter()
            .any(|file| fs::read_to_string(corpus().join(file)).unwrap().contains("depends_on"))
        {
            ordered.insert(name, files);
            continue;
        }
        let rendered = ours(&files, &["--engine", "--name", "x", "-o", "json"]);
        let rendered: Value = serde_json::from_slice(&rendered.stdout).unwrap();
        let services = list(&rendered["services"]).iter();
        let ports: BTreeSet<String> = services
            .flat_map(|service| list(&service["EndpointSpec"]["Ports"]))
            .filter(|port| port["PublishedPort"].is_number())
            .map(|port| port["PublishedPort"].to_string())
            .collect();
        let free = groups.iter_mut().find(|(taken, _)| taken.is_disjoint(&ports));
        match free {
            Some((taken, group)) => {
                taken.extend(ports);
                group.insert(name, files);
            }
            None => groups.push((ports, BTreeMap::from([(name, files)]))),
        }
    }
    groups.into_iter().map(|(_, group)| group).chain([ordered]).collect()
}

/// What was compared, and what docker changed.
#[derive(Debug, Default)]
struct Compared {
    stacks: usize,
    objects: BTreeMap<String, usize>,
    different: Vec<String>,
}

impl Compared {
    /// Has Skep deploy the stacks, then docker, and compares everything that they have.
    fn redeploy(&mut self, engine: &Engine, fleet: &Fleet, group: Group) {
        let deployed: BTreeMap<String, (Deployed<'_>, Vec<String>)> = group
            .into_iter()
            .map(|(name, files)| (name, (Deployed::unmade(engine), files)))
            .collect();
        let mut file = String::from("stacks:\n");
        for (stack, files) in deployed.values() {
            let one = json!({
                "name": stack.name,
                "files": files,
                // Nothing runs, so nothing becomes healthy.
                "rollout": "at_once",
                "source": {"path": corpus()},
                "variables": {"files": ["variables.env"]},
            });
            writeln!(file, "- {one}").unwrap();
        }
        let declared = Declared::new(fleet, &file);
        declared.converge();
        for (name, (stack, files)) in &deployed {
            self.stacks += 1;
            let before = inspected(stack);
            let output = stack.deploy(files);
            if !output.status.success() {
                self.different.push(format!("{name}: {}", text(&output)));
            }
            let after = inspected(stack);
            let ids: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for id in ids {
                let kind = id.split('/').next().unwrap();
                *self.objects.entry(kind.to_owned()).or_default() += 1;
                let (skep, docker) = (before.get(id), after.get(id));
                let (skep, docker) = (json!(skep), json!(docker));
                for difference in differences("", &skep, &docker) {
                    self.different.push(format!("{name} {id} {difference}"));
                }
            }
        }
        // Nor does what docker took away call for a change.
        let left = declared.plan();
        if !left.is_empty() {
            self.different.push(format!("planned afterwards: {left:#?}"));
        }
    }
}

#[test]
fn fixed_ports_what_skep_deployed_docker_leaves_as_it_is() {
    // Nothing runs there: what is compared is what was asked for.
    let idle = Engine::start_private("redeploy").unwrap();
    let node = idle.docker(&["node", "ls", "--quiet"]).unwrap();
    idle.docker(&["node", "update", "--availability", "drain", node.trim()]).unwrap();
    let shared = engine::shared();
    // What others of their stack wait for has to run.
    for image in ["postgres:16", "redis:alpine", "postgres:15-alpine"] {
        shared.tag("skep-test/mcp:1", &[image.to_owned()]).unwrap();
    }
    let mut compared = Compared::default();
    let mut groups = groups();
    let ordered = groups.pop().unwrap();
    outside(&idle);
    for group in groups {
        let fleet = Fleet::on(Engine::open(idle.state_folder()).unwrap(), "redeploy");
        compared.redeploy(&idle, &fleet, group);
        fleet.finish();
    }
    let fleet = Fleet::new("redeploy");
    compared.redeploy(&shared, &fleet, ordered);
    fleet.finish();
    let Compared { stacks, objects, different } = compared;
    println!("{stacks} stacks, {objects:?}, {} differences", different.len());
    assert!(different.is_empty(), "{}\n{}", different.len(), different.join("\n"));
    assert!(stacks > 60 && objects["services"] > 80, "{stacks} stacks, {objects:?}");
}

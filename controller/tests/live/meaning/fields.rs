//! One field changed at a time: for each key of the format two stack files that differ in it alone.
//! The first is deployed, the second planned: exactly that field, in its own service and in no
//! other. Carried out, nothing is left, and docker's own deployment changes nothing more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};
use skep_crds::stack::reference;

use super::redeploy::{differences, inspected};
use super::rows::{EXEMPT, OWN, Row, STACK, rows};
use super::{Declared, shown};
use crate::harness::{Fleet, text};
use crate::stack::Deployed;

/// Every key that the loader takes has a row or a reason; one that other places lie below has
/// theirs.
#[test]
fn every_key_of_the_format_has_a_row_or_a_reason() {
    let rows = rows();
    let covered: BTreeSet<String> =
        rows.iter().map(|row| format!("{}.{}", row.place, row.key)).collect();
    let places = reference();
    let is_above = |path: &str| {
        places.iter().any(|place| {
            place.path.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']))
                || place.path == path
        })
    };
    let keys: BTreeSet<String> = places
        .iter()
        .flat_map(|place| place.keys.iter().map(move |key| format!("{}.{}", place.path, key.name)))
        .map(|path| path.trim_start_matches('.').to_owned())
        .collect();
    let exempt: BTreeSet<&str> = EXEMPT.iter().map(|(path, _)| *path).collect();
    let missing: Vec<&String> = keys
        .iter()
        .filter(|path| !covered.contains(*path) && !exempt.contains(path.as_str()))
        .filter(|path| !is_above(path))
        .collect();
    assert!(missing.is_empty(), "nobody covers {missing:?}");
    let unknown: Vec<&String> = covered.difference(&keys).collect();
    assert!(unknown.is_empty(), "rows for what is no key: {unknown:?}");
    let idle: Vec<&&str> = exempt.iter().filter(|path| covered.contains(**path)).collect();
    assert!(idle.is_empty(), "exempt, and there is a row: {idle:?}");
}

/// Which of the values a file has.
#[derive(Clone, Copy)]
enum State {
    First,
    Second,
    /// The second one, where this engine can have it.
    Made,
    Unset,
}

/// What a stack is about: rows of networks cannot be carried out while they are in use, and what
/// configs and secrets hold docker cannot change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Services,
    Networks,
    Files,
}

impl Row {
    fn part(&self) -> Part {
        match self.place.split('.').next().unwrap() {
            "networks" => Part::Networks,
            "configs" | "secrets" => Part::Files,
            _ => Part::Services,
        }
    }
}

/// Puts a value at a path such as `deploy.placement.preferences[]`, making what is on the way.
fn put(at: &mut Value, path: &[&str], key: &str, value: Value) {
    let Some((first, rest)) = path.split_first() else {
        at.as_object_mut().unwrap().insert(key.to_owned(), value);
        return;
    };
    let name = match first.strip_suffix("[]").unwrap_or(first) {
        "*" => "net",
        name => name,
    };
    let below = at.as_object_mut().unwrap().entry(name).or_insert(Value::Null);
    if first.ends_with("[]") {
        if !below.is_array() {
            *below = json!([{}]);
        }
        put(&mut below[0], rest, key, value);
    } else {
        if !below.is_object() {
            *below = json!({});
        }
        put(below, rest, key, value);
    }
}

/// The names that a row stands under.
fn service_name(number: usize) -> String {
    format!("s{number}")
}

fn own_name(number: usize) -> String {
    format!("own{number}x")
}

fn filled(text: &str, stack: &str, number: usize) -> String {
    text.replace(STACK, stack).replace(OWN, &own_name(number))
}

/// The stack file of a part, with every row of it in one state.
fn file(part: Part, stack: &str, state: State) -> String {
    let mut sections: BTreeMap<&str, Value> = BTreeMap::from([
        ("services", json!({})),
        ("networks", json!({"net": {}})),
        ("volumes", json!({"data": {}, "more": {}})),
        ("configs", json!({"first": {"file": "one.txt"}, "second": {"file": "two.txt"}})),
        ("secrets", json!({"first": {"file": "one.txt"}, "second": {"file": "two.txt"}})),
    ]);
    for (number, row) in rows().into_iter().enumerate().filter(|(_, row)| row.part() == part) {
        let value = match (state, &row.unset) {
            (State::First, _) => Some(row.values[0].clone()),
            (State::Made, _) if row.key == "driver" => Some(row.values[0].clone()),
            (State::Unset, Some(_)) => None,
            (State::Second | State::Made | State::Unset, _) => Some(row.values[1].clone()),
        };
        let mut service = row.service.clone();
        let (mut path, mut own) = (row.place.split('.').skip(2).collect::<Vec<_>>(), row.own);
        let section = row.place.split('.').next().unwrap();
        if let Some(value) = value {
            if section == "services" {
                put(&mut service, &path, row.key, value);
            } else {
                put(&mut own, &std::mem::take(&mut path), row.key, value);
            }
        }
        let (map, name) = (service.as_object_mut().unwrap(), own_name(number));
        map.entry("image").or_insert(json!("skep-test/mcp:1"));
        if row.key != "replicas" && row.key != "mode" {
            put(&mut service, &["deploy"], "replicas", json!(0));
        }
        if section != "services" {
            sections.get_mut(section).unwrap()[name] = own;
        }
        sections.get_mut("services").unwrap()[service_name(number)] =
            filled_in(service, stack, number);
        if section != "services" {
            let own = &mut sections.get_mut(section).unwrap()[own_name(number)];
            *own = filled_in(own.take(), stack, number);
        }
    }
    // JSON is YAML.
    format!("{:#}\n", json!(sections))
}

fn filled_in(value: Value, stack: &str, number: usize) -> Value {
    serde_json::from_str(&filled(&value.to_string(), stack, number)).unwrap()
}

/// What a plan says of each row of a part, in the words of the table, and what it says beside that.
fn said(plan: &[Value], stack: &str, part: Part) -> (BTreeMap<usize, Vec<String>>, Vec<Value>) {
    let (mut said, mut other): (BTreeMap<usize, Vec<String>>, _) = (BTreeMap::new(), Vec::new());
    let numbers: Vec<usize> = rows()
        .iter()
        .enumerate()
        .filter(|(_, row)| row.part() == part)
        .map(|(number, _)| number)
        .collect();
    for step in plan {
        let target = step["target"].as_str().unwrap();
        if !target.contains(stack) {
            continue;
        }
        let (action, changes) = (step["action"].as_str().unwrap(), step["changes"].as_array());
        let paths = changes.into_iter().flatten().map(|change| change["path"].as_str().unwrap());
        let service = numbers.iter().find(|n| target == format!("{stack}_{}", service_name(**n)));
        let owner = numbers.iter().find(|n| target.contains(&own_name(**n)));
        if let Some(number) = service {
            said.entry(*number).or_default().extend(paths.map(str::to_owned));
        } else if action.starts_with("create_") {
            // Of a name that was given, the row is the only one with such a thing.
            let number = owner.or_else(|| {
                numbers.iter().find(|n| {
                    let row = &rows()[**n];
                    row.key == "name" && row.changed.iter().any(|at| at == action)
                })
            });
            match number {
                Some(number) => said.entry(*number).or_default().push(action.to_owned()),
                None => other.push(step.clone()),
            }
        } else if let Some(number) = owner {
            said.entry(*number).or_default().extend(paths.map(|path| format!("{action} {path}")));
        } else {
            other.push(step.clone());
        }
    }
    said.values_mut().for_each(|paths| paths.sort());
    (said, other)
}

/// Each row of which the plan does not say exactly what the table does.
fn wrong(plan: &[Value], stack: &str, part: Part, state: State) -> Vec<String> {
    let (mut said, other) = said(plan, stack, part);
    let mut wrong: Vec<String> =
        other.iter().map(|step| format!("beside all rows: {step}")).collect();
    for (number, row) in rows().iter().enumerate().filter(|(_, row)| row.part() == part) {
        let expected = match (state, &row.unset) {
            (State::Unset, Some(unset)) => unset.clone(),
            (State::Unset, None) => Vec::new(),
            (State::First | State::Second | State::Made, _) => row.changed.clone(),
        };
        let mut expected: Vec<String> =
            expected.iter().map(|at| filled(at, stack, number)).collect();
        expected.sort();
        let said = said.remove(&number).unwrap_or_default();
        if said != expected {
            wrong.push(format!("{}.{}: planned {said:?}, not {expected:?}", row.place, row.key));
        }
    }
    wrong
}

struct Stacks<'a> {
    folder: std::path::PathBuf,
    /// Services, the networks twice, files.
    deployed: [(Part, Deployed<'a>); 4],
}

impl<'a> Stacks<'a> {
    fn new(fleet: &Fleet, engine: &'a skep_testkit::Engine) -> Self {
        for (name, content) in [
            ("one.txt", "one"),
            ("two.txt", "two"),
            ("one.env", "IN_FILE=1\n"),
            ("two.env", "IN_FILE=2\n"),
        ] {
            fs::write(fleet.path(name), content).unwrap();
        }
        let parts = [Part::Services, Part::Networks, Part::Networks, Part::Files];
        let stacks = Self {
            folder: fleet.path(""),
            deployed: parts.map(|part| (part, Deployed::unmade(engine))),
        };
        for (which, state) in
            [State::First, State::First, State::Made, State::First].iter().enumerate()
        {
            stacks.write(which, *state);
        }
        stacks
    }

    fn path(&self, which: usize) -> std::path::PathBuf {
        self.folder.join(format!("{which}.yml"))
    }

    fn write(&self, which: usize, state: State) {
        let (part, stack) = &self.deployed[which];
        fs::write(self.path(which), file(*part, &stack.name, state)).unwrap();
    }

    fn wrong(&self, which: usize, plan: &[Value], state: State) -> Vec<String> {
        let (part, stack) = &self.deployed[which];
        wrong(plan, &stack.name, *part, state)
    }

    fn declared(&self) -> String {
        let stacks = self.deployed.iter().enumerate();
        let lines = stacks.map(|(which, (_, stack))| {
            format!("- {{name: {}, files: [{which}.yml], rollout: at_once}}\n", stack.name)
        });
        format!("stacks:\n{}", lines.collect::<String>())
    }
}

#[test]
fn fixed_ports_one_changed_field_is_one_difference() {
    let fleet = Fleet::new("fields");
    let engine = skep_testkit::engine::shared();
    // What a network becomes that is declared as external.
    for (number, row) in rows().iter().enumerate() {
        if row.place == "networks.*" && row.key == "external" {
            let body = json!({"Name": own_name(number), "Driver": "overlay"});
            // It is there already when another run has left it.
            let _ = engine.call("POST", "/networks/create", Some(&body));
        }
    }
    let stacks = Stacks::new(&fleet, &engine);
    let declared = Declared::new(&fleet, &stacks.declared());
    declared.converge();

    for which in [0, 1, 3] {
        stacks.write(which, State::Second);
    }
    let plan = declared.plan();
    let mut found: Vec<String> =
        [0, 1, 3].iter().flat_map(|which| stacks.wrong(*which, &plan, State::Second)).collect();
    let networks = &stacks.deployed[1].1.name;
    for step in plan.iter().filter(|step| step["action"] == "remove_network") {
        assert_eq!(step["blocked"]["code"], "NETWORK_IN_USE", "{step:#}");
        assert!(step["target"].as_str().unwrap().contains(networks), "{step:#}");
    }
    // They stay as they are.
    stacks.write(1, State::First);
    declared.converge();
    found.extend(left_by_docker(&stacks));

    stacks.write(0, State::Unset);
    found.extend(stacks.wrong(0, &declared.plan(), State::Unset));
    declared.converge();
    found.extend(left_by_docker(&stacks));
    assert!(found.is_empty(), "{} of {}\n{}", found.len(), rows().len(), found.join("\n"));
    fleet.finish();
}

/// What docker's deployment of the same file changes in the services.
fn left_by_docker(stacks: &Stacks<'_>) -> Vec<String> {
    let (_, stack) = &stacks.deployed[0];
    let before = inspected(stack);
    let output = stack.deploy(&[shown(&stacks.path(0)).to_owned()]);
    assert!(output.status.success(), "{}", text(&output));
    let after = inspected(stack);
    let ids: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    ids.into_iter()
        .flat_map(|id| {
            let name = &before.get(id).or(after.get(id)).unwrap()["Spec"]["Name"];
            let (skep, docker) = (json!(before.get(id)), json!(after.get(id)));
            differences(&format!("{name} by docker "), &skep, &docker)
        })
        .collect()
}

//! What docker refuses, often after it has changed something, Skep refuses before it changes
//! anything, with the file, the line, the field and what to do; and only for that stack.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};
use skep_testkit::{Engine, engine};

use super::{Declared, LIVE, shown};
use crate::harness::{Fleet, text};
use crate::stack::Deployed;

/// A stack that cannot be deployed.
struct Refusal {
    what: &'static str,
    /// What the service `web` says beside its image, and the rest of the file.
    service: &'static str,
    rest: &'static str,
    /// Something of somebody else under a name of the stack: kind, name behind the stack's, body.
    taken: Option<(&'static str, &'static str, Value)>,
    /// What Skep says: its code, the line, and words of the field and of what to do.
    code: &'static str,
    line: u32,
    words: &'static [&'static str],
}

fn refusals() -> Vec<Refusal> {
    let refusal = |what, service, rest, code, line, words| Refusal {
        what,
        service,
        rest,
        taken: None,
        code,
        line,
        words,
    };
    let taken = |taken: (&'static str, &'static str, Value), refusal: Refusal| Refusal {
        taken: Some(taken),
        ..refusal
    };
    let name_taken = |kind, rest, words| refusal(kind, "", rest, "NAME_TAKEN", 4, words);
    vec![
        refusal(
            "a config without its file",
            ", configs: [c]",
            "configs:\n  c: {file: ./absent.conf}",
            "SOURCE_INVALID",
            4,
            &["absent.conf", "file"],
        ),
        refusal(
            "a secret without its file",
            ", secrets: [s]",
            "secrets:\n  s: {file: ./absent.txt}",
            "SOURCE_INVALID",
            4,
            &["absent.txt", "file"],
        ),
        refusal(
            "a missing file of variables",
            ", env_file: ./absent.env",
            "x-a: 1",
            "SOURCE_INVALID",
            2,
            &["absent.env", "env_file"],
        ),
        refusal(
            "an external network that is missing",
            ", networks: [n]",
            "networks:\n  n: {external: true, name: skep-test-absent}",
            "EXTERNAL_MISSING",
            4,
            &["network \"skep-test-absent\"", "external", "docker network create --driver overlay"],
        ),
        refusal(
            "an external secret that is missing",
            ", secrets: [s]",
            "secrets:\n  s: {external: true, name: skep-test-absent}",
            "EXTERNAL_MISSING",
            4,
            &["secret \"skep-test-absent\"", "docker secret create"],
        ),
        refusal(
            "an external config that is missing",
            ", configs: [c]",
            "configs:\n  c: {external: true, name: skep-test-absent}",
            "EXTERNAL_MISSING",
            4,
            &["config \"skep-test-absent\"", "docker config create"],
        ),
        refusal(
            "an external network of one node",
            ", networks: [n]",
            "networks:\n  n: {external: true, name: docker_gwbridge}",
            "EXTERNAL_SCOPE",
            4,
            &["network \"docker_gwbridge\"", "one node", "--driver overlay"],
        ),
        taken(
            ("networks", "n", json!({"Driver": "overlay"})),
            name_taken(
                "network",
                "networks:\n  n: {}",
                &["network", "is not this stack's", "docker network rm", "name:"],
            ),
        ),
        taken(
            ("configs", "c", json!({"Data": "b3RoZXI="})),
            name_taken(
                "config",
                "configs:\n  c: {file: ./there.txt}",
                &["config", "is not this stack's", "docker config rm"],
            ),
        ),
        taken(
            ("secrets", "s", json!({"Data": "b3RoZXI="})),
            name_taken(
                "secret",
                "secrets:\n  s: {file: ./there.txt}",
                &["secret", "is not this stack's", "docker secret rm"],
            ),
        ),
        taken(
            (
                "services",
                "web",
                json!({
                    "TaskTemplate": {"ContainerSpec": {"Image": "skep-test/mcp:1"}},
                    "Mode": {"Replicated": {"Replicas": 0}},
                }),
            ),
            refusal(
                "a service of somebody else",
                "",
                "x-a: 1",
                "FOREIGN_NAME",
                2,
                &["exists already", "skep service adopt"],
            ),
        ),
        refusal(
            "addresses by a plugin that is missing",
            ", networks: [n]",
            "networks:\n  n: {ipam: {driver: skep-test-absent}}",
            "PLUGIN_MISSING",
            4,
            &["ipam.driver", "\"skep-test-absent\"", "docker plugin install"],
        ),
        refusal(
            "a network by a plugin that is missing",
            ", networks: [n]",
            "networks:\n  n: {driver: skep-test-absent}",
            "PLUGIN_MISSING",
            4,
            &["driver", "\"skep-test-absent\"", "docker plugin install"],
        ),
        refusal(
            "a secret by a plugin that is missing",
            ", secrets: [s]",
            "secrets:\n  s: {driver: skep-test-absent}",
            "PLUGIN_MISSING",
            4,
            &["secret driver", "\"skep-test-absent\"", "docker plugin install"],
        ),
        refusal(
            "a network of one node",
            ", networks: [n]",
            "networks:\n  n: {driver: bridge}",
            "DRIVER_LOCAL",
            4,
            &["driver: \"bridge\"", "overlay", "external"],
        ),
    ]
}

/// A stack of the table with its file.
struct Case<'a> {
    refusal: Refusal,
    stack: Deployed<'a>,
    file: String,
    taken: Option<String>,
    engine: &'a Engine,
}

impl<'a> Case<'a> {
    fn new(engine: &'a Engine, fleet: &Fleet, number: usize, refusal: Refusal) -> Self {
        let stack = Deployed::unmade(engine);
        let file = format!("{number}.yml");
        let networks = if refusal.what == "network" { ", networks: [n]" } else { "" };
        let uses = match refusal.what {
            "config" => ", configs: [c]",
            "secret" => ", secrets: [s]",
            _ => networks,
        };
        let content = format!(
            "services:\n  web: {{image: \"skep-test/mcp:1\", deploy: {{replicas: 0}}{}{uses}}}\n{}\n",
            refusal.service, refusal.rest
        );
        fs::write(fleet.path(&file), content).unwrap();
        let taken = refusal.taken.as_ref().map(|(kind, name, body)| {
            let mut body = body.clone();
            body["Name"] = json!(format!("{}_{name}", stack.name));
            let made = engine.call("POST", &format!("/{kind}/create"), Some(&body)).unwrap();
            let id = made.get("ID").or(made.get("Id")).unwrap().as_str().unwrap().to_owned();
            format!("/{kind}/{id}")
        });
        Self { refusal, stack, file, taken, engine }
    }

    /// What the stack has on the swarm.
    fn objects(&self) -> Vec<(&'static str, Value)> {
        let kinds = ["services", "networks", "configs", "secrets"];
        kinds
            .iter()
            .flat_map(|kind| self.stack.list(kind).into_iter().map(|one| (*kind, one)))
            .collect()
    }

    /// Has docker deploy it, and says how many things it left behind.
    fn refused_by_docker(&self, fleet: &Fleet) -> usize {
        let path = fleet.path(&self.file);
        let output = self.stack.deploy(&[shown(&path).to_owned()]);
        assert!(!output.status.success(), "{}: {}", self.refusal.what, text(&output));
        let left = self.objects();
        for (kind, one) in &left {
            let id = one.get("ID").or(one.get("Id")).unwrap().as_str().unwrap();
            self.engine.call("DELETE", &format!("/{kind}/{id}"), None).unwrap();
        }
        left.len()
    }

    fn refused_by_skep(&self, fleet: &Fleet) {
        let Refusal { what, code, line, words, .. } = &self.refusal;
        let stack = format!("--stack={}={}", self.stack.name, self.file);
        let output = fleet.run(&["plan", "--quiet", &stack], &LIVE);
        assert_eq!(output.status.code(), Some(1), "{what}: {}", text(&output));
        let said = String::from_utf8_lossy(&output.stderr);
        let place = format!("{}:{line}:", self.file);
        for word in [&format!("error[{code}]")[..], &place].iter().chain(*words) {
            assert!(said.contains(*word), "{what}: {word:?} is not in\n{said}");
        }
    }
}

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if let Some(path) = &self.taken {
            let _ = self.engine.call("DELETE", path, None);
        }
    }
}

#[test]
fn what_docker_refuses_half_way_is_refused_before_anything_is_changed() {
    let engine = engine::shared();
    let fleet = Fleet::new("refused");
    fs::write(fleet.path("there.txt"), "there").unwrap();
    let cases = refusals().into_iter().enumerate();
    let cases: Vec<Case<'_>> =
        cases.map(|(number, refusal)| Case::new(&engine, &fleet, number, refusal)).collect();
    let mut half_way = 0;
    for case in &cases {
        half_way += usize::from(case.refused_by_docker(&fleet) > 0);
    }
    println!("{} refusals, {half_way} of docker's after it had changed something", cases.len());
    assert!(half_way >= 5, "{half_way}");
    for case in &cases {
        case.refused_by_skep(&fleet);
    }
    assert_eq!(fleet.mutations(), [] as [String; 0]);

    // In the loop each of them holds its own stack back, and the others go on.
    let good = Deployed::unmade(&engine);
    fs::write(
        fleet.path("good.yml"),
        "services: {web: {image: \"skep-test/mcp:1\", deploy: {replicas: 0}}}\n",
    )
    .unwrap();
    let mut file = format!("stacks:\n- {{name: {}, files: [good.yml]}}\n", good.name);
    // A service can be adopted, which is a decision of its own.
    for case in cases.iter().filter(|case| case.refusal.code != "FOREIGN_NAME") {
        writeln!(file, "- {{name: {}, files: [{}]}}", case.stack.name, case.file).unwrap();
    }
    let declared = Declared::new(&fleet, &file);
    for _round in 0..3 {
        declared.pass();
        let _nothing_may_be_pending = fleet.run(&["approvals", "approve", "--all"], &[]);
    }
    let names: Vec<String> = fleet
        .proxy
        .mutations()
        .iter()
        .map(|request| request.json()["Name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, [format!("{}_default", good.name), format!("{}_web", good.name)]);
    for case in &cases {
        assert_eq!(case.objects(), [], "{}", case.refusal.what);
    }
    fleet.finish();
}

/// Docker finds these out on the nodes: it accepts the stack, and no node takes its tasks. So does
/// Skep.
#[test]
fn drivers_that_only_nodes_know_are_no_reason_to_refuse() {
    let engine = engine::shared();
    let fleet = Fleet::new("drivers");
    let content = "services:\n  web: {image: \"skep-test/mcp:1\", deploy: {replicas: 0}, \
        volumes: [\"v:/v\"], logging: {driver: skep-test-absent}}\n\
        volumes: {v: {driver: skep-test-absent}}\n";
    let path = fleet.path("web.yml");
    fs::write(&path, content).unwrap();
    let (deployed, output) = Deployed::new(&engine, &[shown(&path).to_owned()]);
    assert!(output.status.success(), "{}", text(&output));
    let stack = format!("--stack={}=web.yml", deployed.name);
    let plan = fleet.json(&["plan", "--quiet", &stack], &LIVE);
    for step in plan["steps"].as_array().unwrap() {
        assert!(step["action"].as_str().unwrap().starts_with("adopt_"), "{step:#}");
    }
    fleet.finish();
}

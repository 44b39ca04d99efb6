//! Networks, configs and secrets of a stack on a real engine: made before what uses them, rolled
//! over when their content changes, adopted when docker left them, and never printed.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Fleet, text};

const CANARY: &str = "canary-in-a-secret";

struct Lab {
    fleet: Fleet,
    stack: String,
}

impl Lab {
    fn new(test: &str) -> Self {
        let fleet = Fleet::new(test);
        let stack = fleet.service("web");
        let lab = Self { fleet, stack };
        lab.content("config.txt", "one");
        lab.content("secret.txt", CANARY);
        let file = "services:\n  app:\n    image: skep-test/mcp:1\n    configs: [app]\n    \
            secrets: [token]\n    networks: [front]\nnetworks:\n  front: {attachable: true}\n\
            configs:\n  app: {file: ./config.txt}\nsecrets:\n  token: {file: ./secret.txt}\n";
        fs::write(lab.fleet.path("web.yml"), file).unwrap();
        lab.declare(true);
        lab
    }

    fn content(&self, file: &str, text: &str) {
        fs::write(self.fleet.path(file), text).unwrap();
    }

    fn declare(&self, prune: bool) {
        let text =
            format!("stacks:\n- {{name: {}, files: [web.yml], prune: {prune}}}\n", self.stack);
        fs::write(self.stacks(), text).unwrap();
    }

    fn stacks(&self) -> PathBuf {
        self.fleet.path("stacks.yml")
    }

    fn plan(&self) -> Vec<Value> {
        let stacks = self.stacks();
        let arguments = ["plan", "--stacks", stacks.to_str().unwrap()];
        steps_of(&self.fleet.json(&arguments, &[]))
    }

    /// Passes with everything approved until nothing more is asked.
    fn converge(&self) {
        let stacks = self.stacks();
        let pass = ["reconcile", "--once", "--no-wait", "--stacks", stacks.to_str().unwrap()];
        let live = [("FLEET_ACTUATOR", "swarm"), ("FLEET_RESOLVE_IMAGE", "never")];
        for _round in 0..8 {
            let output = self.fleet.run(&pass, &live);
            assert!(output.status.success(), "{}", text(&output));
            if self.fleet.approvals("pending").is_empty() && self.plan().is_empty() {
                return;
            }
            let _nothing_may_be_pending = self.fleet.run(&["approvals", "approve", "--all"], &[]);
        }
        panic!("{:#?}\n{:#?}", self.plan(), self.fleet.actions());
    }

    /// The names of one kind that the stack has on the engine.
    fn names(&self, kind: &str) -> Vec<String> {
        let all = self.fleet.engine.call("GET", &format!("/{kind}"), None).unwrap();
        let name = |one: &Value| match kind {
            "networks" => one["Name"].as_str().map(str::to_owned),
            _ => one["Spec"]["Name"].as_str().map(str::to_owned),
        };
        let mut names: Vec<String> = all.as_array().unwrap().iter().filter_map(name).collect();
        names.retain(|name| name.starts_with(&self.stack));
        names.sort();
        names
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.fleet.engine.remove_services_with_prefix(&self.stack);
        for kind in ["configs", "secrets", "networks"] {
            for name in self.names(kind) {
                let _ = self.fleet.engine.call("DELETE", &format!("/{kind}/{name}"), None);
            }
        }
    }
}

fn kinds(steps: &[Value]) -> Vec<(String, u64)> {
    let of = |step: &Value| {
        (step["action"].as_str().unwrap().to_owned(), step["wave"].as_u64().unwrap())
    };
    steps.iter().map(of).collect()
}

#[test]
fn a_stack_is_made_with_its_objects_and_rolled_over_to_new_content() {
    let lab = Lab::new("objects");
    let first = lab.plan();
    let expected = [("create_config", 1), ("create_network", 1), ("create_secret", 1)];
    let expected = expected.into_iter().chain([("deploy_service", 2)]);
    let expected: Vec<_> = expected.map(|(kind, wave)| (kind.to_owned(), wave)).collect();
    assert_eq!(kinds(&first), expected, "{first:#?}");
    lab.converge();
    assert_eq!(lab.names("configs"), [format!("{}_app", lab.stack)]);
    let app = lab.fleet.service("web_app");
    let before = lab.fleet.inspect(&app);
    let containers = "/Spec/TaskTemplate/ContainerSpec";
    assert!(before.pointer(containers).unwrap()["Secrets"][0]["SecretID"].is_string());

    lab.content("config.txt", "two");
    let changed = lab.plan();
    let names: Vec<_> = kinds(&changed).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(names, ["create_config", "deploy_service"], "{changed:#?}");
    lab.converge();
    let after = lab.fleet.inspect(&app);
    let used = after.pointer(containers).unwrap()["Configs"][0]["ConfigName"].clone();
    let used = used.as_str().unwrap();
    assert!(used.starts_with(&format!("{}_app_", lab.stack)), "{used}");
    assert_eq!(after["ID"], before["ID"], "it was rolled over, not made anew");
    assert_eq!(lab.names("configs").len(), 2, "the way back stays");

    // What it holds is in nothing that Skep says or keeps.
    for verb in [&["actions", "list"][..], &["audit", "list"], &["approvals", "list"]] {
        let output = lab.fleet.run(&[verb, &["-o", "json"]].concat(), &[]);
        assert!(!text(&output).contains(CANARY), "{verb:?}");
    }
    let database = fs::read(lab.fleet.path("skep.db")).unwrap();
    for hidden in [CANARY.as_bytes(), b"Y2FuYXJ5LWluLWEtc2VjcmV0"] {
        assert!(!database.windows(hidden.len()).any(|part| part == hidden));
    }
}

#[test]
fn what_docker_deployed_is_adopted_whole_and_a_taken_name_changes_nothing() {
    let lab = Lab::new("adoptobjects");
    let file = lab.fleet.path("web.yml");
    let deploy = ["stack", "deploy", "--resolve-image", "never", "-c", file.to_str().unwrap()];
    lab.fleet.engine.docker(&[&deploy[..], &[&lab.stack]].concat()).unwrap();
    let steps = lab.plan();
    assert_eq!(steps.len(), 4, "{steps:#?}");
    for step in &steps {
        assert!(step["action"].as_str().unwrap().starts_with("adopt_"), "{step:#}");
        assert_eq!(step["changes"], json!([]), "{step:#}");
    }
    let sent = lab.fleet.mutations().len();
    lab.converge();
    assert_eq!(lab.fleet.mutations().len(), sent, "adopting writes nothing to Docker");
    drop(lab);

    let lab = Lab::new("takenobjects");
    let body = json!({"Name": format!("{}_token", lab.stack), "Data": "c2tlcA=="});
    lab.fleet.engine.call("POST", "/secrets/create", Some(&body)).unwrap();
    let stacks = lab.stacks();
    let arguments = ["plan", "--stacks", stacks.to_str().unwrap(), "-o", "json"];
    let output = lab.fleet.run(&arguments, &[]);
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    for step in steps_of(&plan) {
        assert!(step["blocked"]["code"].is_string(), "{step:#}");
    }
    let sent = lab.fleet.mutations().len();
    let pass = ["reconcile", "--once", "--no-wait", "--stacks", stacks.to_str().unwrap()];
    let _not_converged = lab.fleet.run(&pass, &[("FLEET_ACTUATOR", "swarm")]);
    assert_eq!(lab.fleet.mutations().len(), sent);
}

fn steps_of(plan: &Value) -> Vec<Value> {
    plan["steps"].as_array().cloned().unwrap_or_default()
}

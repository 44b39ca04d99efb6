//! What is removed on a real engine when nobody declares it any more, in which order, and what
//! stays whatever happens; and what the engine lets be changed in place.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Fleet, items, text};

struct Lab {
    fleet: Fleet,
    stack: String,
}

/// A service that stays; two networks, configs and secrets, one of each for a service that goes.
const WHOLE: &str = "services:
  app: {image: 'skep-test/mcp:1', configs: [app], secrets: [token], networks: [front]}
  spare: {image: 'skep-test/mcp:1', configs: [extra], secrets: [key], networks: [back], volumes: ['data:/data']}
  gone: {image: 'skep-test/mcp:1', secrets: [made], networks: [back]}
  keep: {image: 'skep-test/mcp:1', networks: [front]}
networks:
  front: {labels: {team: a}}
  back: {}
configs:
  app: {file: ./app.txt, labels: {team: a}}
  extra: {file: ./extra.txt}
secrets:
  token: {file: ./token.txt, labels: {team: a}}
  key: {file: ./token.txt}
  made: {file: ./token.txt}
volumes:
  data: {}
";

impl Lab {
    fn new() -> Self {
        let fleet = Fleet::new("prune");
        let stack = fleet.service("web");
        let lab = Self { fleet, stack };
        for file in ["app.txt", "extra.txt", "token.txt"] {
            lab.write(file, "one");
        }
        lab.write("web.yml", WHOLE);
        let stack = &lab.stack;
        lab.write(
            "stacks.yml",
            &format!("stacks:\n- {{name: {stack}, files: [web.yml], prune: true}}\n"),
        );
        lab
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.fleet.path(file), text).unwrap();
    }

    fn stacks(&self) -> PathBuf {
        self.fleet.path("stacks.yml")
    }

    /// One of the stack's, as it is called on the swarm.
    fn name(&self, suffix: &str) -> String {
        format!("{}_{suffix}", self.stack)
    }

    fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("FLEET_ACTUATOR", "swarm".to_owned()),
            ("FLEET_RESOLVE_IMAGE", "never".to_owned()),
            ("FLEET_PROTECTED", self.name("keep")),
        ]
    }

    fn plan(&self) -> Value {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(key, value)| (*key, value.as_str())).collect();
        self.fleet.json(&["plan", "--stacks", self.stacks().to_str().unwrap()], &environment)
    }

    /// The steps that could be carried out.
    fn steps(&self) -> Vec<Value> {
        let steps = items(&json!({"items": self.plan()["steps"]}));
        steps.into_iter().filter(|step| step["blocked"].is_null()).collect()
    }

    /// Passes with everything approved until nothing more can be done.
    fn converge(&self) {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let stacks = self.stacks();
        let pass = ["reconcile", "--once", "--no-wait", "--stacks", stacks.to_str().unwrap()];
        for _round in 0..10 {
            let output = self.fleet.run(&pass, &environment);
            assert!(output.status.code() != Some(1), "{}", text(&output));
            if self.fleet.approvals("pending").is_empty() && self.steps().is_empty() {
                return;
            }
            let _nothing_may_be_pending = self.fleet.run(&["approvals", "approve", "--all"], &[]);
        }
        panic!("{:#?}\n{:#?}", self.plan(), self.fleet.actions());
    }

    /// The names of one kind that the stack has on the engine, without the stack's.
    fn names(&self, kind: &str) -> Vec<String> {
        let all = self.fleet.engine.call("GET", &format!("/{kind}"), None).unwrap();
        let name = |one: &Value| match kind {
            "networks" => one["Name"].as_str().map(str::to_owned),
            _ => one["Spec"]["Name"].as_str().map(str::to_owned),
        };
        let prefix = self.name("");
        let names = all.as_array().unwrap().iter().filter_map(name);
        let mut names: Vec<String> =
            names.filter_map(|name| name.strip_prefix(&prefix).map(str::to_owned)).collect();
        names.sort();
        names
    }

    fn inspect(&self, kind: &str, suffix: &str) -> Value {
        self.fleet.engine.call("GET", &format!("/{kind}/{}", self.name(suffix)), None).unwrap()
    }

    /// The reasons for waiting with this code, by target.
    fn told(&self, code: &str) -> Vec<String> {
        let plan = self.plan();
        let waiting = plan["waiting"].as_array().unwrap().iter();
        let of_code = waiting.filter(|one| one["code"] == code);
        of_code.map(|one| one["target"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.fleet.engine.remove_services_with_prefix(&self.stack);
        for kind in ["configs", "secrets", "networks"] {
            for name in self.names(kind) {
                let path = format!("/{kind}/{}", self.name(&name));
                let _ = self.fleet.engine.call("DELETE", &path, None);
            }
        }
    }
}

#[test]
fn what_nobody_declares_goes_last_and_what_is_not_ours_never() {
    let lab = Lab::new();
    lab.converge();

    // Labels: of configs and secrets in place, of networks never; anything else of a network that
    // is used is blocked.
    let ids = |lab: &Lab| {
        ["configs", "secrets", "networks"].map(|kind| {
            let suffix = match kind {
                "configs" => "app",
                "secrets" => "token",
                _ => "front",
            };
            let one = lab.inspect(kind, suffix);
            one.get("ID").or_else(|| one.get("Id")).cloned().unwrap()
        })
    };
    let before = ids(&lab);
    lab.write("web.yml", &WHOLE.replace("team: a", "team: b"));
    lab.converge();
    assert_eq!(ids(&lab), before, "no other object");
    assert_eq!(lab.inspect("configs", "app")["Spec"]["Labels"]["team"], "b");
    assert_eq!(lab.inspect("secrets", "token")["Spec"]["Labels"]["team"], "b");
    assert_eq!(lab.inspect("networks", "front")["Labels"]["team"], "a");
    assert_eq!(lab.told("LABELS_FIXED"), [format!("network/{}", lab.name("front"))]);
    let attachable = WHOLE.replace("front: {labels: {team: a}}", "front: {attachable: true}");
    lab.write("web.yml", &attachable);
    let plan = lab.plan();
    let steps = items(&json!({"items": plan["steps"]}));
    let network = steps.iter().find(|step| step["action"] == "remove_network").unwrap();
    assert_eq!(network["blocked"]["code"], "NETWORK_IN_USE", "{network:#}");
    lab.write("web.yml", WHOLE);

    // Earlier versions: the two newest stay, when the rollout to the newest has been made.
    for content in ["two", "three", "four"] {
        lab.write("app.txt", content);
        lab.converge();
    }
    let versions = || -> Vec<String> {
        lab.names("configs").into_iter().filter(|name| name.starts_with("app")).collect()
    };
    // What a rollout may still go back to stays until it is over.
    let deadline = Instant::now() + Duration::from_secs(60);
    while versions().len() > 3 {
        assert!(Instant::now() < deadline, "{:#?}\n{:#?}", lab.plan(), lab.fleet.actions());
        std::thread::sleep(Duration::from_millis(200));
        lab.converge();
    }
    let versions = versions();
    assert_eq!(versions.len(), 3, "{versions:?}");
    assert!(!versions.contains(&"app".to_owned()), "the first one is gone: {versions:?}");

    // Somebody makes one of ours anew, labels and all.
    let labels = lab.inspect("secrets", "made")["Spec"]["Labels"].clone();
    lab.fleet.engine.call("DELETE", &format!("/services/{}", lab.name("gone")), None).unwrap();
    lab.fleet.engine.call("DELETE", &format!("/secrets/{}", lab.name("made")), None).unwrap();
    let body = json!({"Name": lab.name("made"), "Data": "c2tlcA==", "Labels": labels});
    lab.fleet.engine.call("POST", "/secrets/create", Some(&body)).unwrap();
    let theirs = lab.inspect("secrets", "made")["ID"].clone();

    // All but one service is dropped: the other goes before what it used, a protected one stays.
    lab.write(
        "web.yml",
        "services:\n  app: {image: 'skep-test/mcp:1', configs: [app], secrets: [token], networks: [front]}\n\
         networks:\n  front: {labels: {team: a}}\n\
         configs:\n  app: {file: ./app.txt, labels: {team: a}}\n\
         secrets:\n  token: {file: ./token.txt, labels: {team: a}}\n",
    );
    let plan = lab.plan();
    let steps = items(&json!({"items": plan["steps"]}));
    let target = |step: &Value| step["target"].as_str().unwrap().to_owned();
    let free: Vec<String> =
        steps.iter().filter(|step| step["blocked"].is_null()).map(target).collect();
    assert_eq!(free, [lab.name("spare")], "{steps:#?}");
    let held = steps.iter().find(|step| !step["blocked"].is_null()).unwrap();
    assert_eq!(
        (target(held), held["blocked"]["code"].as_str()),
        (lab.name("keep"), Some("PROTECTED"))
    );
    let waits = ["config", "network", "secret"].map(|kind| {
        format!(
            "{kind}/{}",
            lab.name(match kind {
                "config" => "extra",
                "network" => "back",
                _ => "key",
            })
        )
    });
    assert_eq!(lab.told("ORPHAN_IN_USE"), waits);
    let volume = lab.name("data");
    lab.fleet.engine.call("GET", &format!("/volumes/{volume}"), None).unwrap();
    lab.converge();
    assert_eq!(lab.names("services"), ["app", "keep"]);
    // The node lets go of its side of a network when the last container has ended.
    let deadline = Instant::now() + Duration::from_secs(60);
    while lab.names("networks") != ["front"] {
        assert!(Instant::now() < deadline, "{:#?}\n{:#?}", lab.plan(), lab.fleet.actions());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(lab.names("secrets"), ["made", "token"]);
    assert_eq!(lab.inspect("secrets", "made")["ID"], theirs, "somebody else's");
    assert_eq!(lab.names("configs").len(), 3);
    lab.fleet.engine.call("GET", &format!("/volumes/{volume}"), None).unwrap();
    let _held_by_a_container_that_is_ending =
        lab.fleet.engine.call("DELETE", &format!("/volumes/{volume}?force=true"), None);
    let removed: Vec<String> =
        lab.fleet.mutations().into_iter().filter(|one| one.contains("DELETE")).collect();
    assert!(removed.iter().all(|one| !one.contains("volumes")), "{removed:?}");
}

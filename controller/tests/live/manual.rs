//! What people ask for by hand: adopting, releasing, scaling, going back, leaving drift alone.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Fleet, PATIENCE, items, steps, text};

const SWARM: (&str, &str) = ("FLEET_ACTUATOR", "swarm");

struct Hands {
    fleet: Fleet,
    registry: String,
}

impl Hands {
    fn new(test: &str, services: &[(&str, &str)]) -> Self {
        let fleet = Fleet::new(test);
        let registry = fleet.registry(services).display().to_string();
        Self { fleet, registry }
    }

    fn environment(&self) -> [(&str, &str); 2] {
        [SWARM, ("FLEET_REGISTRY_PATH", &self.registry)]
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.fleet.json(arguments, &self.environment())
    }

    /// Brings the fleet to what is declared.
    fn converge(&self) {
        self.json(&["reconcile", "--once"]);
        self.fleet.approve_all();
        self.json(&["reconcile", "--once"]);
        self.assert_nothing_to_do();
    }

    fn assert_nothing_to_do(&self) {
        assert_eq!(steps(&self.json(&["plan"])), []);
    }

    /// A pass when Swarm has ended its rollouts.
    fn pass_at_rest(&self) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let report = self.json(&["reconcile", "--once"]);
            if !self.waiting(&report).iter().any(|code| code == "ROLLOUT_RUNNING") {
                return report;
            }
            assert!(Instant::now() < deadline, "{report}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn replicas(&self, suffix: &str) -> Value {
        let live = self.fleet.inspect(&self.fleet.service(suffix));
        live["Spec"]["Mode"]["Replicated"]["Replicas"].clone()
    }

    fn waiting(&self, report: &Value) -> Vec<String> {
        let waiting = report["waiting"].as_array().unwrap();
        waiting.iter().map(|waiting| waiting["code"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn a_hand_made_service_is_adopted_and_released_without_a_write() {
    let mut hands = Hands::new("adoptrelease", &[("declared", "")]);
    let name = hands.fleet.add_bystander("mine");
    // A second spec, so that there is a way back to be kept.
    hands
        .fleet
        .engine
        .docker(&["service", "update", "--detach", "--label-add", "a=b", &name])
        .unwrap();
    hands.fleet.watch_again(&name);
    hands.fleet.proxy.clear();

    let asked = hands.json(&["service", "adopt", &name]);
    let asked = &items(&asked)[0];
    assert_eq!(
        (&asked["request"], &asked["state"]),
        (&"filed".into(), &"pending".into()),
        "{asked}"
    );
    hands.fleet.approve_all();
    hands.json(&["reconcile", "--once", "--only", &name]);
    let history = items(&hands.json(&["service", "history", &name]));
    assert_eq!(history.len(), 1);
    assert_eq!(history[0]["origin"], "adopted");

    let again = hands.fleet.run(&["service", "adopt", &name], &hands.environment());
    assert!(again.status.success() && text(&again).contains("NOTHING_TO_DO"), "{}", text(&again));

    let released = hands.json(&["service", "release", &name, "--approve"]);
    assert_eq!(items(&released)[0]["state"], "succeeded", "{released}");
    let refused = hands.fleet.run(&["service", "restart", &name], &hands.environment());
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("NOT_OURS"), "{}", text(&refused));
    assert_eq!(hands.fleet.mutations(), [""; 0], "adopting and releasing write nothing");
    hands.fleet.finish();
}

#[test]
fn all_and_labelled_choose_what_can_be_adopted() {
    let mut hands = Hands::new("adoptall", &[("a", ""), ("b", ""), ("c", "")]);
    for suffix in ["a", "b"] {
        let name = hands.fleet.service(suffix);
        let label = format!("dev.skep.fleet={}", hands.fleet.name);
        let run = ["service", "create", "--detach", "--name", &name];
        let label = if suffix == "a" { vec!["--label", &label] } else { vec![] };
        hands.fleet.engine.docker(&[&run[..], &label, &["skep-test/mcp:1"]].concat()).unwrap();
        hands.fleet.watch_bystander(&name);
    }
    let labelled = items(&hands.json(&["service", "adopt", "--labelled", "--approve"]));
    assert_eq!(labelled.len(), 1, "{labelled:?}");
    assert_eq!(labelled[0]["target"], hands.fleet.service("a"));
    let all = items(&hands.json(&["service", "adopt", "--all", "--approve"]));
    assert_eq!(all.len(), 1, "the third does not run, the first is ours: {all:?}");
    assert_eq!(all[0]["target"], hands.fleet.service("b"));
    hands.json(&["service", "release", &hands.fleet.service("b"), "--approve"]);
    let plan = hands.json(&["plan"]);
    let released = |plan: &Value| {
        let steps = plan["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["target"] == hands.fleet.service("b")).unwrap();
        step["held"]["code"].clone()
    };
    assert_eq!(released(&plan), "RELEASED", "{plan}");
    hands.json(&["service", "retry", &hands.fleet.service("b")]);
    assert_eq!(released(&hands.json(&["plan"])), Value::Null);
    assert_eq!(hands.fleet.mutations(), [""; 0]);
    hands.fleet.finish();
}

#[test]
fn what_was_scaled_by_hand_stays_until_somebody_says_otherwise() {
    let hands = Hands::new("scale", &[("a", "replicas: 1")]);
    hands.converge();
    let name = hands.fleet.service("a");
    let scaled =
        hands.json(&["service", "scale", &format!("{name}=2"), "--approve", "--reason", "load"]);
    assert_eq!(items(&scaled)[0]["state"], "succeeded", "{scaled}");
    assert_eq!(hands.replicas("a"), 2);
    hands.fleet.proxy.clear();

    let report = hands.json(&["reconcile", "--once"]);
    assert_eq!(hands.waiting(&report), ["HELD"], "{report}");
    assert_eq!(report["processed"], 0);
    // Another difference is another matter.
    hands
        .fleet
        .engine
        .docker(&["service", "update", "--detach", "--label-add", "x=y", &name])
        .unwrap();
    let report = hands.json(&["reconcile", "--once"]);
    assert_eq!(report["processed"], 1, "{report}");
    hands
        .fleet
        .engine
        .docker(&["service", "update", "--detach", "--label-rm", "x", &name])
        .unwrap();
    let report = hands.json(&["reconcile", "--once"]);
    assert_eq!(hands.waiting(&report), ["HELD"], "{report}");

    hands.json(&["service", "retry", &name]);
    let report = hands.json(&["reconcile", "--once"]);
    assert_eq!(report["processed"], 1, "{report}");
    hands.fleet.approve_all();
    hands.json(&["reconcile", "--once"]);
    assert_eq!(hands.replicas("a"), 1);
    hands.fleet.finish();
}

#[test]
fn every_change_is_in_the_history_and_can_be_returned_to() {
    let hands = Hands::new("history", &[]);
    let secret = hands.fleet.path("token");
    let fields = format!("env: {{TOKEN: 'file:{}'}};update: {{monitor: 10ms}}", secret.display());
    std::fs::write(&secret, "canary-one").unwrap();
    hands.fleet.registry(&[("a", &fields)]);
    hands.converge();
    let name = hands.fleet.service("a");
    std::fs::write(&secret, "canary-two").unwrap();
    hands.fleet.registry(&[("a", &format!("version: \"2\";{fields}"))]);
    hands.converge();
    let out_of_band = ["service", "update", "--detach", "--label-add", "by=hand", &name];
    hands.fleet.engine.docker(&out_of_band).unwrap();
    hands.json(&["reconcile", "--once"]);

    let history = items(&hands.json(&["service", "history", &name]));
    let told: Vec<_> = history
        .iter()
        .map(|one| (one["revision"].as_u64().unwrap(), one["origin"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(3, "external"), (2, "applied"), (1, "applied")], "{history:?}");
    assert_eq!(history[0]["changes"][0]["path"], "/Labels/by");
    assert_eq!(history[1]["source"]["file"], hands.registry);

    let diff = hands.json(&["service", "diff", &name, "--from", "1", "--to", "2"]);
    let paths: Vec<_> =
        diff["changes"].as_array().unwrap().iter().map(|c| c["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        ["/TaskTemplate/ContainerSpec/Env/TOKEN", "/TaskTemplate/ContainerSpec/Image"]
    );

    let back = hands.json(&["service", "rollback", &name, "--to", "1", "--approve"]);
    assert_eq!(items(&back)[0]["state"], "succeeded", "{back}");
    let live = hands.fleet.inspect(&name);
    let container = &live["Spec"]["TaskTemplate"]["ContainerSpec"];
    assert!(container["Image"].as_str().unwrap().starts_with("skep-test/mcp:1"), "{container}");
    assert!(container["Env"].to_string().contains("canary-one"), "the value of then");
    // What is declared is not proposed against the person who went back.
    let report = hands.pass_at_rest();
    assert_eq!(
        (&report["processed"], hands.waiting(&report)),
        (&0.into(), vec!["HELD".to_owned()])
    );

    let why = hands.fleet.run(&["service", "why", &name], &hands.environment());
    let told = text(&why);
    for word in ["another writer", "revision 3 (external)", "rollback", "approved", "registry.yml"]
    {
        assert!(told.contains(word), "{word} is not in:\n{told}");
    }
    assert!(!told.contains("canary"), "{told}");
    let database = std::fs::read(hands.fleet.path("skep.db")).unwrap();
    let log = std::fs::read(hands.fleet.path("skep.db-wal")).unwrap_or_default();
    let readable = |secret: &[u8]| {
        database.windows(secret.len()).chain(log.windows(secret.len())).any(|part| part == secret)
    };
    // Both were sent to the engine and stand in sealed revisions.
    for value in ["canary-one", "canary-two"] {
        assert!(!readable(value.as_bytes()), "{value} is readable in the database");
    }
    hands.fleet.finish();
}

#[test]
fn accepted_drift_is_left_alone_for_its_time() {
    let hands = Hands::new("accept", &[("a", "labels: {team: a}")]);
    hands.converge();
    let name = hands.fleet.service("a");
    let none =
        hands.fleet.run(&["service", "accept-drift", &name, "--for", "2h"], &hands.environment());
    assert_eq!(none.status.code(), Some(1), "there is no drift: {}", text(&none));
    hands
        .fleet
        .engine
        .docker(&["service", "update", "--detach", "--label-add", "team=b", &name])
        .unwrap();
    hands.json(&["service", "accept-drift", &name, "--for", "1s"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let report = hands.json(&["reconcile", "--once"]);
    assert_eq!(report["processed"], 1, "its time is over: {report}");
    hands.json(&["service", "accept-drift", &name, "--for", "2h", "--reason", "hotfix"]);
    let report = hands.json(&["reconcile", "--once"]);
    assert_eq!(hands.waiting(&report), ["ACCEPTED_DRIFT"], "{report}");
    assert_eq!(hands.fleet.approvals("pending"), [Value::Null; 0], "the open request is withdrawn");
    hands.fleet.finish();
}

#[test]
fn a_running_controller_takes_up_what_is_asked_for() {
    let hands = Hands::new("serveasks", &[("a", "update: {monitor: 10ms}")]);
    hands.converge();
    let name = hands.fleet.service("a");
    let serve = hands.fleet.serve(&[], &hands.environment());
    let asked = hands.json(&["service", "restart", &name, "--approve"]);
    assert_eq!(items(&asked)[0]["state"], "succeeded", "{asked}; {}", serve.log());
    let live = hands.fleet.inspect(&name);
    assert_eq!(live["Spec"]["TaskTemplate"]["ForceUpdate"], 1);
    serve.stop();
    hands.fleet.finish();
}

#[test]
fn what_was_asked_of_a_rehearsal_is_not_done_for_real() {
    let mut hands = Hands::new("askmode", &[("declared", "")]);
    let name = hands.fleet.add_bystander("mine");
    let registry = ("FLEET_REGISTRY_PATH", hands.registry.as_str());
    let asked = hands.fleet.json(&["service", "adopt", &name], &[registry]);
    let rehearsal = items(&asked)[0]["action_id"].clone();
    let again = hands.json(&["service", "adopt", &name, "--approve"]);
    assert_eq!(items(&again)[0]["state"], "succeeded", "{again}");
    assert_ne!(items(&again)[0]["action_id"], rehearsal);
    let first = hands.fleet.json(&["actions", "show", rehearsal.as_str().unwrap()], &[]);
    assert_eq!(first["state"], "superseded", "{first}");
    assert_eq!(hands.fleet.mutations(), [""; 0]);
    hands.fleet.finish();
}

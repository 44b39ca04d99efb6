//! A change ends when Swarm has rolled it out; one that failed there is not tried again.

use serde_json::Value;

use crate::harness::{Fleet, Serve, items, text, wait};

const LIVE: (&str, &str) = ("FLEET_ACTUATOR", "swarm");
const QUICK: (&str, &str) = ("FLEET_RECONCILER_INTERVAL", "200ms");
const MISSING: &str = "image: skep-test/not-there:9";

/// Allows everything by itself: what is not written then is not written for a reason.
const ALL_ALLOWED: &str = "version: 1\nrules: [{kind: \"*\", tier: auto}]\n";

struct Rollout {
    fleet: Fleet,
    serve: Serve,
}

impl Rollout {
    /// One service that runs, watched by a loop that passes five times a second.
    fn new(test: &str, update: &str) -> Self {
        let fleet = Fleet::new(test);
        let registry = fleet.registry(&[("a", update)]);
        let policy = fleet.path("policy.yml");
        std::fs::write(&policy, ALL_ALLOWED).unwrap();
        let policy = policy.display().to_string();
        let environment =
            [LIVE, QUICK, ("ACTION_POLICY_PATH", &policy), ("FLEET_RECONCILER_MAX_ACTIONS", "100")];
        let serve = fleet.serve(&["--registry", registry.to_str().unwrap()], &environment);
        fleet.wait_for_states(&serve, "succeeded", 1);
        let rollout = Self { fleet, serve };
        wait(&rollout.serve, "the service to run", || {
            (rollout.status()["state"] == "running").then_some(())
        });
        rollout
    }

    fn status(&self) -> Value {
        let name = self.fleet.service("a");
        let registry = self.fleet.path("registry.yml").display().to_string();
        self.fleet.json(&["service", "status", &name, "--registry", &registry], &[])
    }

    fn states(&self) -> Vec<String> {
        let state = |action: &Value| action["state"].as_str().unwrap().to_owned();
        self.fleet.actions().iter().map(state).collect()
    }

    fn newest(&self) -> Value {
        self.fleet.actions().remove(0)
    }

    /// Failed with the words of the task, shown as degraded, and left alone from then on.
    fn assert_degraded(&self, how: &str) {
        self.fleet.wait_for_states(&self.serve, "failed", 1);
        let detail = self.newest()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(how) && detail.contains("No such image"), "{detail}");
        let before = self.fleet.inspect(&self.fleet.service("a"));
        let writes = self.fleet.mutations().len();
        // Ten passes and more.
        std::thread::sleep(std::time::Duration::from_secs(3));
        let status = self.status();
        let codes: Vec<_> = status["waiting"].as_array().unwrap().iter().collect();
        assert!(codes.iter().any(|waiting| waiting["code"] == "DEGRADED"), "{status}");
        assert_eq!(self.fleet.mutations().len(), writes, "{:?}", self.fleet.mutations());
        assert_eq!(self.states().len(), 2, "{:?}", self.states());
        let after = self.fleet.inspect(&self.fleet.service("a"));
        assert_eq!(before["Version"], after["Version"]);
    }

    /// Another image in the declaration is a change, and it goes well.
    fn mend(self, update: &str) {
        self.fleet.registry(&[("a", &format!("image: skep-test/mcp:2; {update}"))]);
        self.fleet.wait_for_states(&self.serve, "succeeded", 2);
        let spec = self.fleet.inspect(&self.fleet.service("a"))["Spec"].clone();
        let image = spec["TaskTemplate"]["ContainerSpec"]["Image"].as_str().unwrap().to_owned();
        assert!(image.starts_with("skep-test/mcp:2"), "{image}");
        self.serve.stop();
        self.fleet.finish();
    }
}

#[test]
fn a_change_is_rolling_out_until_swarm_says_completed() {
    let update = "replicas: 2; update: {monitor: 1s}";
    let rollout = Rollout::new("rolls", update);
    rollout.fleet.registry(&[("a", &format!("image: skep-test/mcp:2; {update}"))]);
    rollout.fleet.wait_for_states(&rollout.serve, "rolling_out", 1);
    assert_eq!(rollout.status()["state"], "updating");
    rollout.fleet.wait_for_states(&rollout.serve, "succeeded", 2);
    let status = rollout.fleet.inspect(&rollout.fleet.service("a"))["UpdateStatus"].clone();
    assert_eq!(status["State"], "completed", "{status}");
    let detail = rollout.newest()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("rolled out"), "{detail}");
    rollout.serve.stop();
    rollout.fleet.finish();
}

#[test]
fn a_bad_image_that_swarm_rolls_back_is_degraded_until_another_is_declared() {
    let update = "update: {monitor: 1s, failure_action: rollback}; rollback: {monitor: 500ms}";
    let rollout = Rollout::new("rollback", update);
    rollout.fleet.registry(&[("a", &format!("{MISSING}; {update}"))]);
    rollout.assert_degraded("Swarm rolled it back");
    let live = rollout.fleet.inspect(&rollout.fleet.service("a"));
    assert_eq!(live["UpdateStatus"]["State"], "rollback_completed");
    rollout.mend(update);
}

#[test]
fn a_bad_image_that_swarm_pauses_is_degraded_until_another_is_declared() {
    let update = "update: {monitor: 1s, failure_action: pause}";
    let rollout = Rollout::new("pause", update);
    rollout.fleet.registry(&[("a", &format!("{MISSING}; {update}"))]);
    rollout.assert_degraded("Swarm paused it");
    rollout.mend(update);
}

#[test]
fn a_new_service_whose_tasks_never_start_is_down_and_left_to_swarm() {
    let fleet = Fleet::new("neverstarts");
    let registry = fleet.registry(&[("a", MISSING)]);
    let serve = fleet.serve(&["--registry", registry.to_str().unwrap()], &[LIVE, QUICK]);
    fleet.wait_for_approvals(&serve, 1);
    fleet.approve_all();
    fleet.wait_for_states(&serve, "succeeded", 1);
    // The grace of a fresh deployment has to pass first.
    let waiting = wait(&serve, "the service to be down", || {
        let waiting = fleet.plan(&registry)["waiting"].clone();
        waiting.as_array().unwrap().iter().find(|one| one["code"] == "DOWN").cloned()
    });
    assert!(waiting["reason"].as_str().unwrap().contains("No such image"), "{waiting}");
    assert_eq!(fleet.mutations().len(), 1, "the create: {:?}", fleet.mutations());
    serve.stop();
    fleet.finish();
}

#[test]
fn a_pass_by_hand_waits_for_its_rollouts_unless_told_not_to() {
    let fleet = Fleet::new("oncewaits");
    let update = "update: {monitor: 2s}";
    let registry = fleet.registry(&[("a", update)]).display().to_string();
    let environment = [LIVE, ("FLEET_REGISTRY_PATH", registry.as_str())];
    let pass = |arguments: &[&str]| {
        fleet.json(&["reconcile", "--once"], &environment);
        fleet.approve_all();
        fleet.json(&[&["reconcile", "--once"], arguments].concat(), &environment)
    };
    pass(&[]);
    let states = |report: &Value| -> Vec<String> {
        let drained = report["approved_drained"].as_array().unwrap();
        drained.iter().map(|action| action["state"].as_str().unwrap().to_owned()).collect()
    };
    fleet.registry(&[("a", &format!("env: {{LEVEL: debug}}; {update}"))]);
    let report = pass(&[]);
    assert_eq!(states(&report), ["succeeded"], "{report}");

    fleet.registry(&[("a", &format!("env: {{LEVEL: info}}; {update}"))]);
    let report = pass(&["--no-wait"]);
    assert_eq!(states(&report), ["rolling_out"], "{report}");
    let codes = report["waiting"].as_array().unwrap();
    assert!(codes.iter().any(|one| one["code"] == "STILL_ROLLING_OUT"), "{report}");
    let listed = items(&fleet.json(&["actions", "list", "--state", "rolling_out"], &[]));
    assert_eq!(listed.len(), 1);

    // What fails while a pass waits for it makes the pass fail, also under somebody else's eyes.
    let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
    while !items(&fleet.json(&["actions", "list", "--state", "rolling_out"], &[])).is_empty() {
        assert!(std::time::Instant::now() < deadline);
        fleet.json(&["reconcile", "--once"], &environment);
    }
    fleet.registry(&[("a", &format!("{MISSING}; {update}"))]);
    fleet.json(&["reconcile", "--once"], &environment);
    fleet.approve_all();
    let failed = fleet.run(&["reconcile", "--once"], &environment);
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed));
    assert!(text(&failed).contains("No such image"), "{}", text(&failed));
    fleet.finish();
}

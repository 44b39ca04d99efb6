//! A stack as a whole: its first rollout in batches, a failure that stops it, and the way back as
//! one action.

use std::fs;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::{Fleet, wait};

/// Everything runs by itself, but for what is about a whole stack.
const POLICY: &str = "version: 1
rules:
- {kind: redeploy_stack, target: '*', tier: approval_required}
- {kind: '*', target: '*', tier: auto, rate_limit: {max: 1000, window_s: 1}, blast_radius: {max_targets: 1000, window_s: 1}}
";

/// Seven services side by side.
const SIDE_BY_SIDE: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// The stack with these images of two services of the first wave, and of one that comes after them.
fn declare(fleet: &Fleet, a: &str, b: &str, last: &str) {
    let deploy = "deploy: {update_config: {monitor: 500ms, failure_action: pause}}";
    let mut text = "services:\n".to_owned();
    for name in SIDE_BY_SIDE {
        let image = match name {
            "a" => a,
            "b" => b,
            _ => "mcp:1",
        };
        text.push_str(&format!("  {name}: {{image: 'skep-test/{image}', {deploy}}}\n"));
    }
    text.push_str(&format!(
        "  last: {{image: 'skep-test/{last}', depends_on: [a, b], {deploy}}}\n\
         networks:\n  default: {{external: true, name: {}}}\n",
        fleet.service("net")
    ));
    fs::write(fleet.path("web.yml"), text).unwrap();
}

fn image(fleet: &Fleet, name: &str) -> String {
    let live = fleet.inspect(&fleet.service(&format!("web_{name}")));
    let image = live["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"].as_str().unwrap();
    image.split('@').next().unwrap().to_owned()
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// When the services were created, in that order, and when the task of each began to run; `None`
/// while one does not.
fn rollout(fleet: &Fleet) -> Option<Vec<(Timestamp, Timestamp)>> {
    let times: Option<Vec<_>> = SIDE_BY_SIDE
        .iter()
        .map(|name| {
            let name = fleet.service(&format!("web_{name}"));
            let filter = format!("{{\"service\":{{\"{name}\":true}}}}");
            let path = format!("/tasks?filters={}", filter.replace('"', "%22"));
            let tasks = fleet.engine.call("GET", &path, None).unwrap();
            let status = &tasks[0]["Status"];
            let times = || (time(&fleet.inspect(&name)["CreatedAt"]), time(&status["Timestamp"]));
            (status["State"] == "running").then(times)
        })
        .collect();
    let mut times = times?;
    times.sort();
    Some(times)
}

#[test]
fn a_stack_starts_in_batches_stops_where_it_fails_and_goes_back_as_one() {
    let fleet = Fleet::new("waves");
    let network = json!({"Name": fleet.service("net"), "Driver": "overlay"});
    fleet.engine.call("POST", "/networks/create", Some(&network)).unwrap();
    declare(&fleet, "mcp:1", "mcp:1", "mcp:1");
    let stacks = fleet.path("stacks.yml");
    let stack = fleet.service("web");
    let declared =
        format!("stacks:\n- {{name: {stack}, files: [web.yml], on_failure: rollback}}\n");
    fs::write(&stacks, declared).unwrap();
    let policy = fleet.path("policy.yml");
    fs::write(&policy, POLICY).unwrap();
    let arguments = ["--stacks", stacks.to_str().unwrap(), "--policy", policy.to_str().unwrap()];
    let live = [
        ("FLEET_ACTUATOR", "swarm"),
        ("FLEET_RECONCILER_INTERVAL", "1s"),
        ("FLEET_RECONCILER_MAX_ACTIONS", "100"),
    ];
    let serve = fleet.serve(&arguments, &live);
    fleet.wait_for_states(&serve, "succeeded", 8);

    // One, then five, then the rest; each batch when the one before it runs.
    let times = wait(&serve, "all tasks to run", || rollout(&fleet));
    let [first, five @ .., rest] = times.as_slice() else { panic!("{times:?}") };
    assert!(five.iter().all(|(created, _)| *created >= first.1), "{times:?}");
    assert!(five.iter().all(|(_, running)| rest.0 >= *running), "{times:?}");

    // One of the first wave fails: what comes after is not touched, and one question is asked.
    declare(&fleet, "not-there:9", "mcp:2", "mcp:2");
    let asked = fleet.wait_for_approvals(&serve, 1).remove(0);
    assert_eq!(asked["kind"], "redeploy_stack", "{asked:#}");
    assert_eq!(asked["target"], format!("stack/{stack}"));
    assert_eq!(image(&fleet, "last"), "skep-test/mcp:1");
    assert_eq!(image(&fleet, "b"), "skep-test/mcp:2");
    let waiting = |name: &str| -> Value {
        let plan = fleet.json(&[&["plan"][..], &arguments].concat(), &[]);
        let target = fleet.service(&format!("web_{name}"));
        let all = plan["waiting"].as_array().unwrap();
        all.iter().find(|one| one["target"] == target).cloned().unwrap_or_default()
    };
    let last = waiting("last");
    assert_eq!(last["code"], "STACK_STOPPED", "{last}");
    assert!(last["reason"].as_str().unwrap().contains("No such image"), "{last}");

    // One decision, and all are as they were.
    fleet.approve_all();
    let whole = wait(&serve, "the stack to be back", || {
        let whole = fleet.actions().into_iter().find(|one| one["kind"] == "redeploy_stack")?;
        (whole["state"] == "succeeded").then_some(whole)
    });
    assert_eq!(whole["detail"], "2 of 2 services went back", "{whole:#}");
    for name in ["a", "b", "last"] {
        assert_eq!(image(&fleet, name), "skep-test/mcp:1", "{name}");
        assert_eq!(waiting(name)["code"], "HELD", "{name}");
    }

    // What is declared next goes on.
    declare(&fleet, "mcp:2", "mcp:2", "mcp:2");
    wait(&serve, "the next declaration", || {
        let is_new = |name: &&str| image(&fleet, name) == "skep-test/mcp:2";
        ["a", "b", "last"].iter().all(is_new).then_some(())
    });
    serve.stop();
    fleet.finish();
}

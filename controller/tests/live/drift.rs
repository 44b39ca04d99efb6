//! What others change behind our back is found, named, queued, and repaired after approval.

use serde_json::Value;

use crate::harness::{Fleet, Serve, wait};

const LIVE: (&str, &str) = ("FLEET_ACTUATOR", "swarm");

fn deployed(test: &str) -> (Fleet, std::path::PathBuf, Serve) {
    let fleet = Fleet::new(test);
    let registry = fleet.registry(&[("a", "env: {LOG: debug}"), ("b", "")]);
    let serve = fleet.serve(&["--registry", registry.to_str().unwrap()], &[LIVE]);
    fleet.wait_for_approvals(&serve, 2);
    fleet.approve_all();
    fleet.wait_for_states(&serve, "succeeded", 2);
    (fleet, registry, serve)
}

/// Waits for the one step, checks it against the queue, approves, and waits for the empty plan.
fn repaired(
    fleet: &Fleet,
    registry: &std::path::Path,
    serve: &Serve,
    action: &str,
    class: &str,
    paths: &[&str],
) -> Value {
    let pending = fleet.wait_for_approvals(serve, 1).remove(0);
    assert_eq!(pending["kind"], action, "{pending}");
    let plan = fleet.plan(registry);
    let step = plan["steps"][0].clone();
    assert_eq!((step["action"].as_str(), step["class"].as_str()), (Some(action), Some(class)));
    let changed: Vec<_> = step["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["path"].as_str().unwrap())
        .collect();
    if class != "missing" {
        assert_eq!(changed, paths, "{step}");
    }
    fleet.approve_all();
    wait(serve, "an empty plan", || {
        fleet.plan(registry)["steps"].as_array().unwrap().is_empty().then_some(())
    });
    step
}

#[test]
fn another_image() {
    let (fleet, registry, serve) = deployed("image");
    let a = fleet.service("a");
    let update = ["service", "update", "--detach", "--image", "skep-test/mcp:2", &a];
    fleet.engine.docker(&update).unwrap();
    let path = "/TaskTemplate/ContainerSpec/Image";
    let step = repaired(&fleet, &registry, &serve, "deploy_service", "image", &[path]);
    assert_eq!(step["changes"][0]["before"], "skep-test/mcp:2");
    assert_eq!(step["changes"][0]["after"], "skep-test/mcp:1");
    let image = fleet.inspect(&a)["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"].clone();
    assert!(image.as_str().unwrap().starts_with("skep-test/mcp:1"), "{image}");
    serve.stop();
    fleet.finish();
}

#[test]
fn an_added_variable() {
    let (fleet, registry, serve) = deployed("env");
    let a = fleet.service("a");
    fleet
        .engine
        .docker(&["service", "update", "--detach", "--env-add", "SNEAKED=canary-7", &a])
        .unwrap();
    let path = "/TaskTemplate/ContainerSpec/Env/SNEAKED";
    let step = repaired(&fleet, &registry, &serve, "deploy_service", "spec", &[path]);
    assert!(!step.to_string().contains("canary-7"), "values of the environment are masked");
    let env = fleet.inspect(&a)["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"].to_string();
    assert!(!env.contains("SNEAKED") && env.contains("LOG=debug"), "{env}");
    assert!(!serve.log().contains("canary-7"));
    serve.stop();
    fleet.finish();
}

#[test]
fn another_number_of_replicas() {
    let (fleet, registry, serve) = deployed("replicas");
    let a = fleet.service("a");
    fleet.engine.docker(&["service", "update", "--detach", "--replicas", "3", &a]).unwrap();
    let path = "/Mode/Replicated/Replicas";
    let step = repaired(&fleet, &registry, &serve, "scale_service", "replicas", &[path]);
    assert_eq!(
        (&step["changes"][0]["before"], &step["changes"][0]["after"]),
        (&3.into(), &1.into())
    );
    serve.stop();
    fleet.finish();
}

#[test]
fn a_changed_label() {
    let (fleet, registry, serve) = deployed("label");
    let a = fleet.service("a");
    fleet.engine.docker(&["service", "update", "--detach", "--label-add", "who=me", &a]).unwrap();
    repaired(&fleet, &registry, &serve, "deploy_service", "spec", &["/Labels/who"]);
    serve.stop();
    fleet.finish();
}

#[test]
fn a_removed_service() {
    let (fleet, registry, serve) = deployed("removed");
    let a = fleet.service("a");
    let old = fleet.inspect(&a)["ID"].clone();
    fleet.engine.docker(&["service", "rm", &a]).unwrap();
    repaired(&fleet, &registry, &serve, "deploy_service", "missing", &[]);
    assert_ne!(fleet.inspect(&a)["ID"], old);
    serve.stop();
    fleet.finish();
}

#[test]
fn a_service_that_should_be_stopped() {
    let (fleet, registry, serve) = deployed("stopped");
    fleet.registry(&[("a", "env: {LOG: debug}; desired: stopped"), ("b", "")]);
    let path = "/Mode/Replicated/Replicas";
    repaired(&fleet, &registry, &serve, "stop_service", "should_be_stopped", &[path]);
    let replicas =
        fleet.inspect(&fleet.service("a"))["Spec"]["Mode"]["Replicated"]["Replicas"].clone();
    assert_eq!(replicas, 0);
    serve.stop();
    fleet.finish();
}

#[test]
fn a_changed_declaration_supersedes_what_waits() {
    let (fleet, registry, serve) = deployed("redeclared");
    fleet.registry(&[("a", "env: {LOG: info}"), ("b", "")]);
    let first = fleet.wait_for_approvals(&serve, 1).remove(0);
    fleet.registry(&[("a", "env: {LOG: trace}"), ("b", "")]);
    wait(&serve, "the request to be superseded", || {
        fleet.approvals("superseded").iter().any(|old| old["id"] == first["id"]).then_some(())
    });
    let output =
        fleet.run(&["approvals", "approve", first["id"].as_str().unwrap(), "-o", "json"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("SUPERSEDED"), "{output:?}");
    let path = "/TaskTemplate/ContainerSpec/Env/LOG";
    repaired(&fleet, &registry, &serve, "deploy_service", "spec", &[path]);
    serve.stop();
    fleet.finish();
}

#[test]
fn a_crashing_service_is_down_not_hidden() {
    let fleet = Fleet::new("down");
    let registry = fleet.registry(&[("a", "env: {EXIT_CODE: \"3\"}; restart: {condition: none}")]);
    let serve = fleet.serve(&["--registry", registry.to_str().unwrap()], &[LIVE]);
    fleet.wait_for_approvals(&serve, 1);
    fleet.approve_all();
    fleet.wait_for_states(&serve, "succeeded", 1);
    // The grace of a fresh deployment has to pass first.
    let pending = fleet.wait_for_approvals(&serve, 1).remove(0);
    assert_eq!(pending["kind"], "restart_service");
    assert!(pending["reason"].as_str().unwrap().contains("exit"), "{pending}");
    let force = |fleet: &Fleet| {
        let spec = fleet.inspect(&fleet.service("a"))["Spec"]["TaskTemplate"].clone();
        spec["ForceUpdate"].as_u64().unwrap_or(0)
    };
    let before = force(&fleet);
    fleet.approve_all();
    // The restart cannot help, and what could not help is not tried again.
    fleet.wait_for_states(&serve, "failed", 1);
    assert_eq!(force(&fleet), before + 1);
    let failed = fleet.actions().into_iter().find(|action| action["state"] == "failed").unwrap();
    assert!(failed["detail"].as_str().unwrap().contains("exit (3)"), "{failed}");
    let writes = fleet.mutations().len();
    std::thread::sleep(std::time::Duration::from_secs(35));
    assert_eq!(fleet.mutations().len(), writes, "{:?}", fleet.mutations());
    assert_eq!(fleet.approvals("pending").len(), 0);
    serve.stop();
    fleet.finish();
}

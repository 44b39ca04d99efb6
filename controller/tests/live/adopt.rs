//! A service of the same name that is not ours: named, never written, adopted only by approval.

use crate::harness::{Fleet, steps, untouched};

const LIVE: (&str, &str) = ("FLEET_ACTUATOR", "swarm");

#[test]
fn the_same_name_is_one_adopt_step_and_adopting_writes_nothing() {
    let mut fleet = Fleet::new("adopt");
    let taken = fleet.add_bystander("taken");
    let registry = fleet.registry(&[("taken", ""), ("new", "replicas: 0")]);
    let plan = fleet.plan(&registry);
    let of = |suffix: &str, action: &str, class: &str| {
        (fleet.service(suffix), action.to_owned(), class.to_owned())
    };
    assert_eq!(
        steps(&plan),
        [of("new", "deploy_service", "missing"), of("taken", "adopt_service", "foreign")]
    );
    assert_eq!(plan["summary"]["adopt"], 1);
    // BY=hand is there and not declared; HOST, PORT and TRANSPORT the other way round.
    let changes = plan["steps"][1]["changes"].to_string();
    assert!(changes.contains("/Env/BY") && changes.contains("/Env/PORT"), "{changes}");

    let serve = fleet.serve(&["--registry", registry.to_str().unwrap()], &[LIVE]);
    fleet.wait_for_approvals(&serve, 2);
    let before = untouched(&fleet.inspect(&taken));
    fleet.approve_all();
    fleet.wait_for_states(&serve, "succeeded", 2);
    assert_eq!(untouched(&fleet.inspect(&taken)), before);
    assert_eq!(fleet.mutations().len(), 1, "only the create: {:?}", fleet.mutations());
    // Now it is ours, and what differs is an ordinary change that waits for approval.
    let pending = fleet.wait_for_approvals(&serve, 1).remove(0);
    assert_eq!(pending["kind"], "deploy_service");
    assert_eq!(fleet.plan(&registry)["steps"][0]["class"], "spec");
    serve.stop();
    fleet.finish();
}

#[test]
fn an_equal_service_is_adopted_without_changes() {
    let fleet = Fleet::new("equal");
    let name = fleet.service("a");
    let create = [
        "service",
        "create",
        "--detach",
        "--name",
        &name,
        "--env",
        "PORT=8000",
        "--env",
        "HOST=0.0.0.0",
        "--env",
        "TRANSPORT=streamable-http",
        "skep-test/mcp:1",
    ];
    fleet.engine.docker(&create).unwrap();
    let registry = fleet.registry(&[("a", "")]);
    let plan = fleet.plan(&registry);
    assert_eq!(plan["steps"][0]["action"], "adopt_service", "{plan}");
    assert_eq!(plan["steps"][0]["changes"], serde_json::json!([]), "{plan}");
    fleet.finish();
}

//! Killed at the worst moment: one effect, found by the next leader.

use skep_testkit::{FaultKind, Matcher};

use crate::harness::{Fleet, PATIENCE, wait};

const LIVE: (&str, &str) = ("FLEET_ACTUATOR", "swarm");

/// Kills `serve` while its request meets the fault, starts another one, and waits for success.
///
/// The service publishes a port: the engine checks ports before names, so a second copy of its own
/// create is refused for the port that the first one holds.
fn survive(test: &str, port: u16, fault: FaultKind, of_an_update: bool) {
    let fleet = Fleet::new(test);
    let published = format!("host_port: {port}");
    let registry = fleet.registry(&[("a", &published)]);
    let arguments = ["--registry", registry.to_str().unwrap()];
    let name = fleet.service("a");
    let serve = fleet.serve(&arguments, &[LIVE]);
    fleet.wait_for_approvals(&serve, 1);
    let mut expected = 1;
    if of_an_update {
        fleet.approve_all();
        fleet.wait_for_states(&serve, "succeeded", 1);
        fleet.registry(&[("a", &format!("{published}; labels: {{team: x}}"))]);
        fleet.wait_for_approvals(&serve, 1);
        expected = 2;
    }
    let before = fleet.exists(&name).then(|| fleet.inspect(&name));
    let held = fleet.proxy.fail_next(fault, Matcher::new("POST", "/services/"));
    fleet.approve_all();
    assert!(held.wait_reached(PATIENCE), "{}", serve.log());
    serve.kill();
    drop(held);
    let executing = fleet.actions().into_iter().filter(|a| a["state"] == "executing").count();
    assert_eq!(executing, 1, "the intent was stored before the call");

    let serve = fleet.serve(&arguments, &[LIVE]);
    fleet.wait_for_states(&serve, "succeeded", expected);
    let after = fleet.inspect(&name);
    if let Some(before) = before {
        // One write moves PreviousSpec to exactly what was there before.
        assert_eq!(after["PreviousSpec"], before["Spec"]);
        assert_eq!(after["Spec"]["Labels"]["team"], "x");
    }
    let effects = fleet
        .proxy
        .mutations()
        .iter()
        .filter(|request| request.forwarded && request.status.is_some_and(|status| status < 300))
        .count();
    assert_eq!(effects, expected, "{:?}", fleet.mutations());
    wait(&serve, "an empty plan", || {
        fleet.plan(&registry)["steps"].as_array().unwrap().is_empty().then_some(())
    });
    // It is on record as ours: the next plan does not call it foreign.
    assert_eq!(fleet.plan(&registry)["summary"]["unchanged"], 1);
    serve.stop();
    fleet.finish();
}

#[test]
fn create_killed_between_intent_and_call() {
    survive("createbefore", 18911, FaultKind::HoldBeforeSend, false);
}

#[test]
fn create_killed_between_call_and_outcome() {
    survive("createafter", 18912, FaultKind::HoldReply, false);
}

#[test]
fn update_killed_between_intent_and_call() {
    survive("updatebefore", 18913, FaultKind::HoldBeforeSend, true);
}

#[test]
fn update_killed_between_call_and_outcome() {
    survive("updateafter", 18914, FaultKind::HoldReply, true);
}

/// The connection breaks and the process lives.
fn lost(test: &str, port: u16, fault: FaultKind) {
    let fleet = Fleet::new(test);
    let registry = fleet.registry(&[("a", &format!("host_port: {port}"))]);
    // At the default interval: only the back-off may wake the loop.
    let environment = [LIVE];
    let serve = fleet.serve(&["--registry", registry.to_str().unwrap()], &environment);
    fleet.wait_for_approvals(&serve, 1);
    let handle = fleet.proxy.fail_next(fault, Matcher::new("POST", "/services/create"));
    fleet.approve_all();
    assert!(handle.wait_reached(PATIENCE));
    fleet.wait_for_states(&serve, "succeeded", 1);
    let effects = fleet
        .proxy
        .mutations()
        .iter()
        .filter(|request| request.status.is_some_and(|status| status < 300))
        .count();
    assert_eq!(effects, 1, "{:?}", fleet.mutations());
    serve.stop();
    fleet.finish();
}

#[test]
fn a_lost_request_is_sent_again() {
    lost("lostrequest", 18921, FaultKind::DropBeforeSend);
}

#[test]
fn a_lost_reply_is_not_a_second_service() {
    lost("lostreply", 18922, FaultKind::DropReplyAfterEffect);
}

#[test]
fn a_refused_change_is_degraded_and_not_repeated() {
    let fleet = Fleet::new("refused");
    let registry = fleet.registry(&[("a", "")]);
    let environment = [LIVE, ("FLEET_RECONCILER_INTERVAL", "300ms")];
    let serve = fleet.serve(&["--registry", registry.to_str().unwrap()], &environment);
    fleet.wait_for_approvals(&serve, 1);
    let _refusal =
        fleet.proxy.fail_next(FaultKind::Refuse(400), Matcher::new("POST", "/services/create"));
    fleet.approve_all();
    fleet.wait_for_states(&serve, "failed", 1);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(fleet.approvals("pending").len(), 0);
    assert_eq!(fleet.mutations().len(), 1, "{:?}", fleet.mutations());
    // The declaration changes: it is asked again.
    fleet.registry(&[("a", "replicas: 2")]);
    fleet.wait_for_approvals(&serve, 1);
    serve.stop();
    fleet.finish();
}

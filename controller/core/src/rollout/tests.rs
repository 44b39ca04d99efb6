use serde_json::json;

use super::*;
use crate::action::{ActionKind, ActionState, ActuatorMode, Source};
use crate::canonical::Digest;
use crate::gate::fixtures;
use crate::identity::{ActionId, ClusterId, ObjectKey, PlanId, ServiceName, SwarmId};
use crate::observed::{TaskFailure, TaskSummary};
use crate::plan::Change;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Long after the write at second 100.
fn later() -> Timestamp {
    at(200)
}

fn action(step: Step) -> Action {
    Action {
        id: ActionId::new("action1"),
        key: ObjectKey::service(&ClusterId::new("cluster1"), &step.target),
        kind: step.action,
        plan: PlanId::new("plan1"),
        binding: Digest::of_bytes(b""),
        source: Source::Registry,
        actor: "tester".to_owned(),
        reason: String::new(),
        mode: ActuatorMode::Swarm,
        rule: String::new(),
        state: ActionState::Executing,
        revision: 3,
        approval: None,
        detail: String::new(),
        created_at: at(90),
        updated_at: at(100),
        granted_at: None,
        start_by: None,
        wait: None,
        runnable_since: None,
        moved: None,
        step,
    }
}

fn of_image() -> Action {
    action(fixtures::update("a", &[("/TaskTemplate/ContainerSpec/Image", Some(json!("a:9")))]))
}

/// The service with this action's label, and with this `UpdateStatus`.
fn live(label: &str, state: Option<&str>) -> ObservedService {
    ObservedService {
        id: SwarmId::new("object1"),
        name: ServiceName::new("a"),
        version: 7,
        spec: json!({"Name": "a", "Labels": {"dev.skep.action": label}}).into(),
        ports: Vec::new(),
        update: state.map(|state| UpdateStatus {
            state: state.to_owned(),
            message: "said by the engine".to_owned(),
            started_at: Some(at(101)),
        }),
        tasks: TaskSummary::default(),
        updated_at: at(101),
        returns_to: Vec::new(),
    }
}

fn failed_task(created_at: i64, error: &str) -> Option<TaskFailure> {
    Some(TaskFailure {
        task: SwarmId::new("task1"),
        node: "node1".to_owned(),
        error: error.to_owned(),
        created_at: at(created_at),
        failed_at: at(created_at + 1),
    })
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Running { until: None } => "running",
        Verdict::Running { until: Some(_) } => "wait",
        Verdict::Done(_) => "done",
        Verdict::Undone(_) => "undone",
    }
}

#[test]
fn every_state_of_a_rollout_has_a_verdict() {
    // The state, the verdict with our label at once and later, and without it at once and later.
    for (state, ours_at_once, ours, theirs_at_once, theirs) in [
        (None, "wait", "done", "wait", "done"),
        (Some("updating"), "running", "running", "wait", "done"),
        (Some("completed"), "done", "done", "wait", "done"),
        (Some("paused"), "undone", "undone", "wait", "done"),
        (Some("rollback_started"), "running", "running", "running", "running"),
        (Some("rollback_completed"), "done", "done", "wait", "undone"),
        (Some("rollback_paused"), "undone", "undone", "wait", "undone"),
        (Some("invented"), "undone", "undone", "wait", "done"),
    ] {
        let judged = |label, now| word(&judge(&of_image(), Some(&live(label, state)), now));
        assert_eq!(judged("action1", at(101)), ours_at_once, "{state:?}");
        assert_eq!(judged("action1", later()), ours, "{state:?}");
        assert_eq!(judged("action0", at(101)), theirs_at_once, "{state:?}");
        assert_eq!(judged("action0", later()), theirs, "{state:?}");
    }
}

#[test]
fn a_failure_names_the_error_of_the_new_task() {
    let mut live = live("action0", Some("rollback_completed"));
    live.tasks.last_failure = failed_task(102, "task: non-zero exit (3)");
    let Verdict::Undone(why) = judge(&of_image(), Some(&live), later()) else { panic!() };
    let expected = "Swarm rolled it back: task: non-zero exit (3) (task task1 on node node1)";
    assert_eq!(why, expected);
    // What failed before the rollout is not its fault.
    live.tasks.last_failure = failed_task(50, "an old error");
    let Verdict::Undone(why) = judge(&of_image(), Some(&live), later()) else { panic!() };
    assert_eq!(why, "Swarm rolled it back: said by the engine");
}

#[test]
fn a_removed_service_fails_it() {
    assert_eq!(word(&judge(&of_image(), None, later())), "undone");
    let mut other = live("action1", Some("completed"));
    other.id = SwarmId::new("object2");
    assert_eq!(word(&judge(&of_image(), Some(&other), later())), "undone");
}

#[test]
fn waiting_ends_by_itself() {
    let Verdict::Running { until: Some(until) } =
        judge(&of_image(), Some(&live("action1", None)), at(100))
    else {
        panic!()
    };
    assert_eq!(word(&judge(&of_image(), Some(&live("action1", None)), until)), "done");
}

#[test]
fn only_what_replaces_tasks_is_rolled_out() {
    let of = |pointer: &str| fixtures::update("a", &[(pointer, Some(json!(1)))]);
    assert!(follows(&of("/TaskTemplate/ContainerSpec/Env/A"), None));
    assert!(follows(&of("/EndpointSpec/Ports/8000~1tcp"), None));
    assert!(follows(&fixtures::restart("a"), None));
    assert!(!follows(&of("/Labels/a"), None) && !follows(&of("/Mode/Replicated/Replicas"), None));
    assert!(!follows(&fixtures::create("a", json!({})), None));
    let with = |mode: Value| {
        let mut live = live("action1", None);
        live.spec = live.spec.changed(|spec| spec["Mode"] = mode);
        follows(&fixtures::restart("a"), Some(&live))
    };
    assert!(with(json!({"Replicated": {"Replicas": 1}})) && with(json!({"Global": {}})));
    assert!(!with(json!({"Replicated": {"Replicas": 0}})), "there is no task to replace");
    assert!(!with(json!({"ReplicatedJob": {}})) && !with(json!({"GlobalJob": {}})));
}

#[test]
fn the_same_difference_is_the_same_attempt_whatever_else_moved() {
    let change = |before: &str| Change {
        path: "/TaskTemplate/ContainerSpec/Image".to_owned(),
        before: json!(before),
        after: json!("a:9"),
    };
    let mut last = of_image();
    last.step.changes = vec![change("a:1")];
    let mut step = last.step.clone();
    step.object = Some(SwarmId::new("object2"));
    step.observed_at = Some(later());
    step.digest = Digest::of_bytes(b"other");
    assert!(tries_again(&last, &step, None));
    step.changes = vec![change("a:2")];
    assert!(!tries_again(&last, &step, None), "something else is there");
    step.changes = vec![change("a:1")];
    step.operation =
        fixtures::update("a", &[("/TaskTemplate/ContainerSpec/Image", Some(json!("a:10")))])
            .operation;
    assert!(!tries_again(&last, &step, None), "something else is declared");
    step.action = ActionKind::RollbackService;
    assert!(!tries_again(&last, &step, None));
}

#[test]
fn a_restart_is_another_attempt_only_after_the_service_did_well() {
    let last = action(fixtures::restart("a"));
    let step = fixtures::restart("a");
    let mut live = live("action1", Some("paused"));
    assert!(tries_again(&last, &step, Some(&live)));
    live.tasks.last_failure = failed_task(130, "exit 1");
    assert!(tries_again(&last, &step, Some(&live)), "it failed soon after the restart");
    live.tasks.last_failure = failed_task(100 + 660, "exit 1");
    assert!(!tries_again(&last, &step, Some(&live)), "it ran for eleven minutes");
    let mut elsewhere = step;
    elsewhere.object = Some(SwarmId::new("object2"));
    live.tasks.last_failure = None;
    assert!(!tries_again(&last, &elsewhere, Some(&live)), "another service of that name");
}

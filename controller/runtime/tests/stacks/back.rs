//! The way back of a stack: one action, many writes.

use skep_core::action::{ActionKind, ActionState, Source};
use skep_store::Decision;
use skep_swarm::fake::EffectKind::Update;
use skep_swarm::fake::Fault;

use crate::world::{ASKS_ABOUT_STACKS, World};

const ROLLBACK: &str = "- {name: web, files: [web.yml], on_failure: rollback}\n";
const STOP: &str = "- {name: web, files: [web.yml]}\n";
const WHOLE: &str = "stack/web";

/// Three waves of one service each: the first is changed, the second fails, the third has not been
/// touched.
async fn failed(stacks: &str) -> World {
    let world = World::new(stacks).await;
    declare(&world, "1", "1");
    world.settle().await;
    world.swarm.break_image("x/b:2", "no such image");
    declare(&world, "2", "2");
    world.settle().await;
    assert_eq!(world.written(Update), ["web_a", "web_b"]);
    world
}

fn declare(world: &World, tag: &str, b: &str) {
    world.declare("web", &[("a", tag, None), ("b", b, Some("a")), ("c", tag, Some("b"))]);
}

fn tags(world: &World) -> [String; 3] {
    ["web_a", "web_b", "web_c"].map(|name| world.tag(name))
}

#[tokio::test]
async fn a_failed_rollout_goes_back_as_one_action_and_is_held_until_something_else_is_declared() {
    let world = failed(ROLLBACK).await;
    let [asked] = &world.pending().await[..] else { panic!("{:?}", world.pending().await) };
    assert_eq!((asked.kind, asked.target.as_str()), (ActionKind::RedeployStack, WHOLE));
    let whole = world.newest(WHOLE).await.unwrap();
    assert_eq!(whole.source, Source::DeployWatch);
    let paths: Vec<&str> = whole.step.changes.iter().map(|one| one.path.as_str()).collect();
    let parts = ["Labels/com.docker.stack.image", "TaskTemplate/ContainerSpec/Image"];
    let of = |service: &str| parts.map(|part| format!("/{service}/{part}"));
    assert_eq!(paths, [of("web_a"), of("web_b")].concat());

    world.decide(Decision::Approve).await;
    world.settle().await;
    // What was changed last goes back first; what was not touched is left alone.
    assert_eq!(world.written(Update), ["web_a", "web_b", "web_b", "web_a"]);
    assert_eq!(tags(&world), ["1", "1", "1"]);
    let whole = world.newest(WHOLE).await.unwrap();
    assert_eq!(whole.state, ActionState::Succeeded, "{}", whole.detail);
    assert_eq!(whole.detail, "2 of 2 services went back");
    let members: Vec<_> = world
        .actions()
        .await
        .into_iter()
        .filter(|action| action.step.stack.as_ref().is_some_and(|of| of.member_of.is_some()))
        .collect();
    assert_eq!(members.len(), 2);
    assert!(members.iter().all(|one| one.kind == ActionKind::RollbackService), "{members:?}");

    // Nothing is proposed again, and nobody is asked again.
    for service in ["web_a", "web_b", "web_c"] {
        assert_eq!(world.why(service).await.unwrap().0, "HELD");
    }
    world.settle().await;
    assert_eq!((world.written(Update).len(), world.pending().await.len()), (4, 0));

    declare(&world, "2", "3");
    world.settle().await;
    assert_eq!(tags(&world), ["2", "3", "2"]);
    assert!(world.waiting().await.is_empty(), "{:?}", world.waiting().await);
}

#[tokio::test]
async fn a_stack_that_only_stops_goes_back_when_somebody_asks() {
    let world = failed(STOP).await;
    assert!(world.pending().await.is_empty());
    world.ask_back("web").await;
    world.pass().await;
    let whole = world.newest(WHOLE).await.unwrap();
    assert_eq!((whole.source, whole.state), (Source::Manual, ActionState::Pending));
    world.decide(Decision::Approve).await;
    world.settle().await;
    assert_eq!(tags(&world), ["1", "1", "1"]);
    // There is nothing left to do.
    world.ask_back("web").await;
    world.settle().await;
    assert_eq!(world.written(Update).len(), 4);
}

#[tokio::test]
async fn a_person_may_try_one_service_of_a_stack_that_went_back() {
    let world = failed(ROLLBACK).await;
    world.decide(Decision::Approve).await;
    world.settle().await;
    world.retry("web_a").await;
    world.settle().await;
    assert_eq!(tags(&world), ["2", "1", "1"]);
}

#[tokio::test]
async fn what_the_policy_says_about_the_whole_is_what_happens() {
    let world = failed(STOP).await;
    world.write("stacks.yml", &format!("stacks:\n{ROLLBACK}"));
    world.policy(&ASKS_ABOUT_STACKS.replace("approval_required", "forbidden"));
    world.settle().await;
    assert_eq!(world.written(Update).len(), 2);
    assert!(world.newest(WHOLE).await.is_none());
    let waiting = world.pass().await.waiting;
    let of_stack =
        waiting.iter().find(|one| one.target.as_ref().is_some_and(|name| name.as_str() == WHOLE));
    assert_eq!(of_stack.map(|one| one.code.as_str()), Some("DENIED_BY_POLICY"), "{waiting:?}");

    // Allowed as a whole, although a person would be asked about each of its members.
    world.policy(&ASKS_ABOUT_STACKS.replace("redeploy_stack", "rollback_service"));
    world.settle().await;
    assert_eq!(tags(&world), ["1", "1", "1"]);
    assert!(world.pending().await.is_empty());
}

#[tokio::test]
async fn a_refused_way_back_is_not_asked_again_for_the_same_declaration() {
    let world = failed(ROLLBACK).await;
    world.decide(Decision::Deny).await;
    world.settle().await;
    assert_eq!((world.written(Update).len(), world.pending().await.len()), (2, 0));
    assert_eq!(world.why("web_c").await.unwrap().0, "STACK_STOPPED");
}

#[tokio::test]
async fn what_goes_back_stops_at_the_first_service_that_does_not_and_says_which() {
    let world = failed(ROLLBACK).await;
    world.decide(Decision::Approve).await;
    world.swarm.break_image("x/b:1", "no such image any more");
    world.settle().await;
    let whole = world.newest(WHOLE).await.unwrap();
    assert_eq!(whole.state, ActionState::Failed);
    assert!(
        whole.detail.starts_with("0 of 2 services went back; not web_a: superseded"),
        "{whole:?}"
    );
    assert!(whole.detail.contains("web_b: failed"), "{}", whole.detail);
    assert_eq!(world.tag("web_a"), "2", "what had not started does not start");
    assert_eq!(world.why("web_a").await, None);
}

/// Wherever the leader dies, the next one goes on: nothing twice, nothing lost.
#[tokio::test]
async fn a_leader_that_dies_half_way_back_is_followed_by_one_that_goes_on() {
    for fault in [Fault::HeldBefore, Fault::HeldAfter] {
        let world = failed(ROLLBACK).await;
        world.decide(Decision::Approve).await;
        // Files the members and dies; or dies in the first write.
        world.pass().await;
        world.crash(fault).await;
        world.settle().await;
        assert_eq!(world.written(Update), ["web_a", "web_b", "web_b", "web_a"], "{fault:?}");
        let whole = world.newest(WHOLE).await.unwrap();
        assert_eq!(whole.state, ActionState::Succeeded, "{fault:?}: {}", whole.detail);
    }
}

#[tokio::test]
async fn somebody_who_changes_a_member_meanwhile_is_not_overwritten() {
    let world = failed(ROLLBACK).await;
    world.swarm.meddle("web_a", "/Labels/theirs", serde_json::json!("x"));
    world.decide(Decision::Approve).await;
    world.pass().await;
    world.swarm.meddle("web_a", "/TaskTemplate/ContainerSpec/Image", serde_json::json!("x/a:9"));
    world.settle().await;
    let whole = world.newest(WHOLE).await.unwrap();
    assert_ne!(whole.state, ActionState::Granted, "{whole:?}");
    assert_eq!(world.tag("web_a"), "9");
}

#[tokio::test]
async fn what_is_corrected_before_anybody_answers_needs_no_way_back() {
    let world = failed(ROLLBACK).await;
    assert_eq!(world.pending().await.len(), 1);
    declare(&world, "2", "3");
    world.settle().await;
    assert_eq!(world.newest(WHOLE).await.unwrap().state, ActionState::Superseded);
    assert!(world.pending().await.is_empty());
    assert_eq!(tags(&world), ["2", "3", "2"]);
}

#[tokio::test]
async fn what_is_declared_meanwhile_waits_until_the_stack_is_back() {
    let world = failed(ROLLBACK).await;
    world.decide(Decision::Approve).await;
    world.pass().await;
    declare(&world, "3", "3");
    world.settle().await;
    let updates = ["web_a", "web_b", "web_b", "web_a", "web_a", "web_b", "web_c"];
    assert_eq!(world.written(Update), updates);
    assert_eq!(world.newest(WHOLE).await.unwrap().state, ActionState::Succeeded);
    assert_eq!(tags(&world), ["3", "3", "3"]);
}

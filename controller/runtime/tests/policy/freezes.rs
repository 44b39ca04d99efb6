//! A freeze stops proposals and executions; what people asked for and approved waits.

use jiff::SignedDuration;
use skep_core::action::ActionState;
use skep_core::audit::AuditKind;
use skep_store::{Audit as _, RequestFilter, Requests as _};

use crate::world::{World, pass_of, waits};

const ASK: &str = "rules: [{tier: approval_required}]";
const AUTO: &str = "rules: [{tier: auto}]";

#[tokio::test]
async fn a_freeze_stops_proposals_of_machines_and_says_why() {
    let world = World::new(AUTO, &["a", "b"]);
    let freeze = world.freeze("a", None).await;
    let report = world.pass().await;
    assert!(world.swarm.service("a").is_none() && world.swarm.service("b").is_some());
    let frozen = report.waiting.iter().find(|waiting| waiting.code == "FROZEN").unwrap();
    assert!(
        frozen.reason.contains("frozen by alice until it is lifted: release week"),
        "{frozen:?}"
    );
    world.unfreeze(&freeze).await;
    world.pass().await;
    assert!(world.swarm.service("a").is_some());
}

#[tokio::test]
async fn a_freeze_refuses_what_people_ask_for_by_hand() {
    let world = World::new(AUTO, &["a"]);
    world.pass().await;
    world.freeze("*", None).await;
    world.ask_for_restart("a").await;
    world.pass().await;
    assert_eq!(world.swarm.effects(), 1);
    let request = world.store().await.requests(&RequestFilter::default()).await.unwrap().remove(0);
    assert!(request.detail.contains("frozen by alice"), "{request:?}");
}

/// Nothing of what people did is lost: the request can still be approved, the grant waits.
#[tokio::test]
async fn a_freeze_keeps_requests_and_grants_and_ends_neither() {
    let world = World::new(ASK, &["a", "b"]);
    world.pass().await;
    let freeze = world.freeze("*", None).await;
    for _ in 0..2 {
        let report = world.pass().await;
        assert!(waits(&report, "FROZEN"), "{report:?}");
    }
    assert_eq!(world.approve().await, 2, "both still wait for a decision");
    for _ in 0..2 {
        world.pass().await;
    }
    assert_eq!(world.states().await.0, [ActionState::Granted; 2]);
    assert_eq!(world.swarm.effects(), 0);
    world.unfreeze(&freeze).await;
    world.pass().await;
    assert_eq!(world.swarm.effects(), 2);
}

#[tokio::test]
async fn a_grant_that_runs_out_under_a_freeze_says_so() {
    let world = World::new(ASK, &["a"]);
    world.pass().await;
    world.approve().await;
    world.freeze("*", None).await;
    world.pass().await;
    world.later(SignedDuration::from_mins(11));
    world.pass().await;
    let (states, detail) = world.states().await;
    assert_eq!(states, [ActionState::Expired]);
    assert!(detail.contains("frozen by alice"), "{detail}");
}

#[tokio::test]
async fn a_freeze_ends_at_its_time_without_anybody() {
    let world = World::new(AUTO, &["a"]);
    world.freeze("*", Some(SignedDuration::from_mins(30))).await;
    // One process all the time: nothing is stored at the moment in which it ends.
    let process = world.process().await;
    pass_of(&process).await;
    assert_eq!(world.swarm.effects(), 0);
    world.later(SignedDuration::from_mins(29));
    pass_of(&process).await;
    assert_eq!(world.swarm.effects(), 0);
    world.later(SignedDuration::from_mins(1));
    pass_of(&process).await;
    assert_eq!(world.swarm.effects(), 1);
}

/// The running process has the policy in memory; another process freezes.
#[tokio::test]
async fn a_freeze_of_another_process_holds_at_the_next_decision() {
    let world = World::new(AUTO, &["a"]);
    let process = world.process().await;
    pass_of(&process).await;
    world.declare(&["a"], "2");
    world.freeze("*", None).await;
    let report = pass_of(&process).await;
    assert!(waits(&report, "FROZEN"), "{report:?}");
    assert_eq!((world.swarm.effects(), world.tag("a")), (1, "1".to_owned()));
}

#[tokio::test]
async fn a_standing_refusal_is_recorded_once() {
    let world = World::new("rules: [{tier: forbidden}]", &["a"]);
    let process = world.process().await;
    for _ in 0..3 {
        pass_of(&process).await;
    }
    let decisions = world.decisions().await;
    assert_eq!(decisions.len(), 1, "{decisions:#?}");
    let refused = &decisions[0];
    assert_eq!((refused.decision.as_str(), refused.cause.as_str()), ("deny", "forbidden"));
    assert!(refused.action.is_none() && refused.facts.is_some());
    // Another reason is news.
    world.freeze("*", None).await;
    pass_of(&process).await;
    let causes: Vec<_> = world.decisions().await.into_iter().map(|row| row.cause).collect();
    assert_eq!(causes, ["forbidden", "frozen"]);
    let trail = world.store().await.audit(&Default::default()).await.unwrap();
    assert_eq!(trail.iter().filter(|(_, event)| event.kind == AuditKind::Refused).count(), 2);
}

//! Requests for a decision through the loop: they lapse, and they end when what they are about
//! moves. What is asked anew is another request.

use jiff::SignedDuration;
use skep_core::action::ActionState;
use skep_core::approval::ApprovalStatus;
use skep_store::{Actions as _, ApprovalFilter, Approvals as _};

use crate::world::World;

const ASK: &str = "rules: [{tier: approval_required}]";

#[tokio::test]
async fn a_request_that_nobody_decided_in_time_lapses_and_is_asked_anew() {
    let world = World::new(ASK, &["a"]);
    world.pass().await;
    let first = world.pending().await.remove(0);
    world.later(SignedDuration::from_hours(23));
    world.pass().await;
    assert_eq!(world.pending().await, std::slice::from_ref(&first), "a day is its time");
    world.later(SignedDuration::from_hours(2));
    world.pass().await;
    let pending = world.pending().await;
    assert_eq!(pending.len(), 1);
    assert_ne!(pending[0].id, first.id);
    let lapsed = world.store().await.approval(first.id.as_str()).await.unwrap();
    assert_eq!(lapsed.status, ApprovalStatus::Expired);
    let (states, _) = world.states().await;
    assert_eq!(states, [ActionState::Pending, ActionState::Expired]);
    assert_eq!(world.swarm.effects(), 0);
}

#[tokio::test]
async fn a_request_ends_when_its_plan_moves_and_says_what_moved() {
    let world = World::new(ASK, &["a"]);
    world.pass().await;
    let first = world.pending().await.remove(0);
    world.declare(&["a"], "2");
    world.pass().await;
    let pending = world.pending().await;
    assert_eq!(pending.len(), 1);
    assert_ne!(pending[0].id, first.id);
    let store = world.store().await;
    assert_eq!(store.approval(first.id.as_str()).await.unwrap().status, ApprovalStatus::Superseded);
    let action = store.action(first.action.as_str()).await.unwrap();
    let moved = action.moved.expect("what moved is kept with the action");
    let fields: Vec<&str> = moved.fields.iter().map(|field| field.field.as_str()).collect();
    assert!(fields.iter().any(|path| path.ends_with("/Image")), "{fields:?}");
    assert_eq!(world.approve().await, 1);
    world.pass().await;
    assert_eq!(world.tag("a"), "2", "what runs is what was approved");
}

/// An edited rule is asked about again, although the plan says the same.
#[tokio::test]
async fn a_request_ends_when_its_rule_moves() {
    let world = World::new(ASK, &["a"]);
    world.pass().await;
    let first = world.pending().await.remove(0);
    world.policy("rules: [{name: edited, tier: approval_required}]");
    world.pass().await;
    let pending = world.pending().await;
    assert_eq!(pending.len(), 1);
    assert_ne!(pending[0].id, first.id);
    let filter = ApprovalFilter { status: Some(ApprovalStatus::Superseded), ..Default::default() };
    let superseded = world.store().await.approvals(&filter).await.unwrap();
    assert_eq!(superseded.iter().map(|one| &one.id).collect::<Vec<_>>(), [&first.id]);
}

//! What actions wait for, and what moved: kept across processes.

use serde_json::json;
use skep_core::action::{ActionEvent, ActionState};
use skep_core::approval::{Moved, MovedField, Wait};
use skep_core::identity::ActionId;

use super::Harness;
use super::fixtures::*;
use crate::{Closing, Decision, IntentOutcome, WaitNote};

fn wait(code: &str) -> Wait {
    Wait { code: code.to_owned(), reason: "waits for caddy".to_owned(), since: at(7) }
}

fn note(action: &str, wait: Option<Wait>) -> WaitNote {
    WaitNote { action: ActionId::new(action), wait }
}

impl Leader {
    async fn note(&self, notes: &[WaitNote], second: i64) {
        self.store.note_waits(&self.fence, notes, at(second)).await.unwrap();
    }
}

pub(super) async fn what_an_action_waits_for_is_kept(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let before = leader.propose(granted("a", "one")).await;
    leader.note(&[note("a", Some(wait("DEPENDENCY")))], 9).await;
    let other = harness.connect().await;
    let action = other.action("a").await.unwrap();
    assert_eq!(action.wait, Some(wait("DEPENDENCY")));
    // Nothing else of it has changed: whoever looked at it before may go on.
    let mut expected = before;
    expected.wait = Some(wait("DEPENDENCY"));
    assert_eq!(action, expected);
    leader.note(&[note("a", Some(wait("CAPACITY")))], 10).await;
    assert_eq!(other.action("a").await.unwrap().wait.unwrap().code, "CAPACITY");
    let listed = other.actions(&crate::ActionFilter::default()).await.unwrap();
    assert_eq!(listed[0].wait, Some(wait("CAPACITY")));
}

pub(super) async fn the_end_of_a_wait_is_kept(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(granted("a", "one")).await;
    leader.note(&[note("a", None)], 8).await;
    let action = leader.store.action("a").await.unwrap();
    assert_eq!(action.runnable_since, None, "it never waited");
    leader.note(&[note("a", Some(wait("DEPENDENCY")))], 9).await;
    leader.note(&[note("a", None)], 20).await;
    let action = leader.store.action("a").await.unwrap();
    assert_eq!((action.wait, action.runnable_since), (None, Some(at(20))));
    leader.note(&[note("a", None)], 30).await;
    let action = leader.store.action("a").await.unwrap();
    assert_eq!(action.runnable_since, Some(at(20)), "its time runs on");
}

pub(super) async fn only_what_has_not_started_waits(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    leader.propose(granted("b", "two")).await;
    leader.note(&[note("b", Some(wait("CAPACITY")))], 9).await;
    let intent = intent("i-b", "b", "two");
    leader.store.begin(&leader.fence, 1, &intent, at(10)).await.unwrap();
    assert_eq!(leader.store.action("b").await.unwrap().wait, None, "it has started");
    leader.note(&[note("a", Some(wait("X"))), note("b", Some(wait("X")))], 11).await;
    assert_eq!(leader.store.action("b").await.unwrap().wait, None);
    // What nobody has decided yet would wait as well; a decision begins anew.
    assert_eq!(leader.store.action("a").await.unwrap().wait, Some(wait("X")));
    leader.store.decide(&decision("a", Decision::Approve), at(12)).await.unwrap();
    assert_eq!(leader.store.action("a").await.unwrap().wait, None);
    let retry = IntentOutcome::Retry { detail: "lost".to_owned(), attempt: None };
    leader.store.settle(&leader.fence, &intent.id, &retry, at(12)).await.unwrap();
    leader.note(&[note("b", Some(wait("X")))], 13).await;
    assert_eq!(leader.store.action("b").await.unwrap().wait, Some(wait("X")));
}

pub(super) async fn waiting_wakes_nobody(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(granted("a", "one")).await;
    let before = leader.store.change_counter().await.unwrap();
    let trail = leader.trail("a").await;
    leader.note(&[note("a", Some(wait("CAPACITY")))], 9).await;
    leader.note(&[note("a", None)], 10).await;
    assert_eq!(leader.store.change_counter().await.unwrap(), before);
    assert_eq!(leader.trail("a").await, trail);
    // But only the leader says so.
    let old = leader.fence.clone();
    harness.advance(TTL * 2);
    take_lease(&leader.store, "other").await;
    let notes = [note("a", Some(wait("CAPACITY")))];
    let result = leader.store.note_waits(&old, &notes, at(11)).await;
    assert!(is_fenced(&result), "{result:?}");
    assert_eq!(leader.store.action("a").await.unwrap().wait, None);
}

pub(super) async fn what_moved_is_kept_with_the_action(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    leader.store.decide(&decision("a", Decision::Approve), at(3)).await.unwrap();
    let moved = Moved {
        fields: vec![MovedField {
            field: "/TaskTemplate/ContainerSpec/Image".to_owned(),
            approved: json!({"before": "a:1", "after": "a:2"}),
            now: json!({"before": "a:1", "after": "a:3"}),
        }],
    };
    let closing = Closing { moved: Some(moved.clone()), ..closing("a", 2, ActionEvent::Supersede) };
    leader.store.close_action(&leader.fence, &closing, at(5)).await.unwrap();
    let action = harness.connect().await.action("a").await.unwrap();
    assert_eq!((action.state, action.moved), (ActionState::Superseded, Some(moved)));
}

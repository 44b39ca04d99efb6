//! No write of a process that no longer leads.

use skep_core::action::{ActionEvent, ActionKind, ActuatorMode, IntentPhase};
use skep_core::containment::{ContainmentVerb, Order};
use skep_core::identity::{ActionId, IntentId, RequestId, TermId};
use skep_core::letter::LetterReason;
use skep_core::request::RequestVerb;
use skep_core::retry::Failure;
use skep_core::revision::RevisionOrigin;

use super::Harness;
use super::containments::{kill, recorded, write};
use super::fixtures::*;
use crate::{Effects, Fence, Lease, OwnershipChange, RequestOutcome, Result};

/// A database with something for every leader write to do.
async fn prepared(harness: &dyn Harness) -> (Leader, Lease) {
    let store = harness.connect().await;
    let lease = take_lease(&store, "first").await;
    let leader = Leader { store, fence: lease.fence.clone() };
    leader.propose(pending("to-close", "one")).await;
    leader.propose(granted("to-begin", "two")).await;
    leader.begin("to-settle", "three").await;
    leader.propose(adoption("to-adopt", "four", ActionKind::AdoptService)).await;
    leader.begin_replacement("to-replace", "six").await;
    leader.begin("to-try-again", "thirteen").await;
    let rolling = leader.begin("to-fail", "fourteen").await;
    let outcome = accepted(Effects::default());
    leader.store.settle(&leader.fence, &rolling.id, &outcome, at(2)).await.unwrap();
    let asked = [request("to-answer", "seven", RequestVerb::Restart)];
    leader.store.submit(&asked, at(0)).await.unwrap();
    let resume = |name| Order { verb: ContainmentVerb::Resume, ..kill(name) };
    let orders = [kill("nine"), kill("ten"), resume("ten")];
    leader.store.order(&cluster(), &orders, at(0)).await.unwrap();
    let state = recorded("eleven", None);
    leader.store.record_former_state(&leader.fence, &state, at(0)).await.unwrap();
    (leader, lease)
}

/// Every leader write of [`crate::Store`], each of which would succeed with a valid fence.
async fn attempts(leader: &Leader, fence: &Fence) -> Vec<(&'static str, Result<()>)> {
    let store = &leader.store;
    let own = |name| done(Some(OwnershipChange::Record(owned(name, "id"))));
    let new = [pending("new", "five")];
    let close = closing("to-close", 1, ActionEvent::Supersede);
    let begin = intent("i-begin", "to-begin", "two");
    let settle = intent("i-to-settle", "to-settle", "three").id;
    let adopt = ActionId::new("to-adopt");
    let note = revision("eight", RevisionOrigin::External);
    let replacement = IntentId::new("i-to-replace");
    let (asked, no) = (RequestId::new("to-answer"), RequestOutcome::Refused("gone".to_owned()));
    let good = content("registry", b"connectors: []");
    let (attempt, again) =
        (failed_attempt(Failure::EngineError, 9), IntentId::new("i-to-try-again"));
    let (fail, late) = (closing("to-fail", 3, ActionEvent::Fail), failed(LetterReason::Timeout));
    let kill = write("kill", "nine", ContainmentVerb::Kill);
    let former = recorded("twelve", None);
    let contained = store.contained(&cluster()).await.unwrap();
    let seen = contained.containments().find(|one| one.scope.name() == "ten").unwrap();
    vec![
        ("note_attempt", store.note_attempt(fence, &again, &attempt, "no", at(9)).await.map(drop)),
        ("fail_action", store.fail_action(fence, &fail, &late, at(9)).await),
        ("propose", store.propose(fence, &new, at(9)).await.map(drop)),
        ("close_action", store.close_action(fence, &close, at(9)).await),
        ("begin", store.begin(fence, 1, &begin, at(9)).await),
        ("settle", store.settle(fence, &settle, &own("three"), at(9)).await),
        (
            "settle_without_write",
            store.settle_without_write(fence, &adopt, 1, &own("four"), at(9)).await,
        ),
        (
            "advance",
            store
                .advance(fence, &replacement, IntentPhase::Remove, IntentPhase::Create, at(9))
                .await,
        ),
        ("record_revision", store.record_revision(fence, &note, at(9)).await.map(drop)),
        ("resolve_request", store.resolve_request(fence, &asked, &no, at(9)).await),
        ("record_refusals", store.record_refusals(fence, &[refusal("nine")], at(9)).await),
        ("begin_containment", store.begin_containment(fence, &kill, at(9)).await),
        ("record_former_state", store.record_former_state(fence, &former, at(9)).await),
        (
            "forget_former_state",
            store.forget_former_state(fence, &key("eleven"), "gone", at(9)).await.map(drop),
        ),
        ("end_containment", store.end_containment(fence, seen, at(9)).await),
        ("declare_mode", store.declare_mode(fence, ActuatorMode::Swarm).await),
        ("put_last_good", store.put_last_good(fence, &good).await),
    ]
}

async fn assert_fenced(leader: &Leader, fence: &Fence) {
    let before = everything(&leader.store).await;
    for (write, result) in attempts(leader, fence).await {
        assert!(is_fenced(&result), "{write}: {result:?}");
    }
    assert_eq!(everything(&leader.store).await, before, "a refused write left something");
}

async fn assert_passes(leader: &Leader, fence: &Fence) {
    for (write, result) in attempts(leader, fence).await {
        assert!(result.is_ok(), "{write}: {result:?}");
    }
}

pub(super) async fn no_leader_write_after_a_takeover(harness: &dyn Harness) {
    let (old, _) = prepared(harness).await;
    harness.advance(TTL);
    let successor = harness.connect().await;
    let lease = take_lease(&successor, "second").await;
    assert_fenced(&old, &old.fence).await;
    // The successor can do all of it, so nothing but the fence stood in the way.
    assert_passes(&old, &lease.fence).await;
}

pub(super) async fn no_leader_write_after_a_release(harness: &dyn Harness) {
    let (leader, lease) = prepared(harness).await;
    leader.store.release_lease(&lease).await.unwrap();
    assert_fenced(&leader, &leader.fence).await;
}

/// A database that lost commits can give the same epoch twice.
pub(super) async fn no_leader_write_with_another_term_of_the_same_epoch(harness: &dyn Harness) {
    let (leader, _) = prepared(harness).await;
    let fence = Fence { epoch: leader.fence.epoch, term: TermId::new("another") };
    assert_fenced(&leader, &fence).await;
}

pub(super) async fn no_leader_write_with_an_earlier_epoch_of_the_same_term(harness: &dyn Harness) {
    let (leader, lease) = prepared(harness).await;
    leader.store.release_lease(&lease).await.unwrap();
    let again = take_lease(&leader.store, "first").await;
    assert_eq!(again.fence.term, leader.fence.term);
    assert_fenced(&leader, &leader.fence).await;
    assert_passes(&leader, &again.fence).await;
}

pub(super) async fn no_leader_write_without_a_lease(harness: &dyn Harness) {
    let store = harness.connect().await;
    let fence = Fence { epoch: 0, term: TermId::new("") };
    let result = store.propose(&fence, &[pending("a", "one")], at(0)).await;
    assert!(is_fenced(&result), "{result:?}");
}

/// While nobody has taken over, the holder is still alone; stopping it is its own clock's task.
pub(super) async fn writes_go_on_after_the_end_while_nobody_took_over(harness: &dyn Harness) {
    let (leader, _) = prepared(harness).await;
    harness.advance(TTL * 2);
    assert_passes(&leader, &leader.fence).await;
}

//! Messages: recorded with what they tell or not at all, and delivered until somebody takes them.

use skep_core::action::{ActionEvent, ActionState};
use skep_core::audit::AuditKind;
use skep_core::notice::{DeliveryState, Notice, NoticeKind};

use super::Harness;
use super::fixtures::*;
use crate::{AttemptOutcome, Attempted, Decision, Delivery, DeliveryFilter};

const HERE: &str = "hooks.example-0123abcd";

fn message(nonce: &str, second: i64) -> Notice {
    Notice::test("alice", nonce, at(second))
}

impl Leader {
    async fn told(&self) -> Vec<NoticeKind> {
        let notices = self.store.notices(0).await.unwrap();
        notices.into_iter().map(|notice| notice.kind).collect()
    }

    async fn spread(&self, second: i64) -> u64 {
        self.store.spread(&self.fence, &[HERE.to_owned()], at(second)).await.unwrap()
    }

    async fn due(&self, second: i64) -> Vec<Delivery> {
        self.store.due(HERE, at(second), 0).await.unwrap()
    }

    async fn attempted(&self, of: &Delivery, outcome: AttemptOutcome, second: i64) {
        let notice = of.notice.id.clone();
        let attempt = Attempted { notice, endpoint: HERE.to_owned(), outcome };
        self.store.attempted(&self.fence, &attempt, at(second)).await.unwrap();
    }

    async fn deliveries(&self) -> Vec<Delivery> {
        self.store.deliveries(&DeliveryFilter::default()).await.unwrap()
    }
}

/// A leader with one message on its way.
async fn with_message(harness: &dyn Harness) -> Leader {
    let leader = leader(harness).await;
    leader.spread(0).await;
    leader.store.enqueue(&[message("1", 1)]).await.unwrap();
    assert_eq!(leader.spread(2).await, 1);
    leader
}

pub(super) async fn messages_come_with_what_they_tell(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    assert_eq!(leader.told().await, [NoticeKind::ApprovalRequested]);
    let notice = leader.store.notices(1).await.unwrap().remove(0);
    assert_eq!(notice.body["data"]["approval_id"], "action_approval:a-a");
    assert_eq!(notice.body["data"]["target"], "one");
    // A rule that allows in silence, and one that tells.
    leader.propose(granted("b", "two")).await;
    let mut told = granted("c", "three");
    told.decision.decision = "allow_notify".to_owned();
    leader.propose(told).await;
    assert_eq!(leader.told().await[0], NoticeKind::ActionAllowed);
    assert_eq!(leader.told().await.len(), 2);
    // A grant that is superseded; not a request, not a rule's permission.
    leader.store.decide(&decision("a", Decision::Approve), at(3)).await.unwrap();
    leader.close("a", 2, ActionEvent::Supersede).await.unwrap();
    assert_eq!(leader.told().await[0], NoticeKind::GrantSuperseded);
    leader.close("b", 1, ActionEvent::Supersede).await.unwrap();
    leader.propose(pending("d", "four")).await;
    let before = leader.told().await;
    leader.close("d", 1, ActionEvent::Supersede).await.unwrap();
    assert_eq!(leader.told().await, before);
}

pub(super) async fn a_refused_write_tells_nobody(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    let before = leader.told().await;
    // The key is busy.
    let again = pending("b", "one");
    leader.store.propose(&leader.fence, &[again], at(1)).await.unwrap();
    assert_eq!(leader.told().await, before);
    // One of them contradicts itself: none is recorded.
    let mut wrong = pending("d", "three");
    wrong.action.state = ActionState::Granted;
    let result = leader.store.propose(&leader.fence, &[pending("c", "two"), wrong], at(1)).await;
    assert!(is_refused(&result), "{result:?}");
    assert_eq!(leader.told().await, before);
}

pub(super) async fn the_same_event_is_told_once(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let other = harness.connect().await;
    leader.store.enqueue(&[message("1", 1), message("2", 1), message("1", 1)]).await.unwrap();
    other.enqueue(&[message("1", 9)]).await.unwrap();
    let notices = other.notices(0).await.unwrap();
    assert_eq!(notices, [message("2", 1), message("1", 1)], "newest first, the first word counts");
    assert_eq!(other.notices(1).await.unwrap().len(), 1);
}

pub(super) async fn an_endpoint_gets_what_comes_after_it(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.store.enqueue(&[message("old", 1)]).await.unwrap();
    assert_eq!(leader.spread(2).await, 0, "nobody wants yesterday's news");
    leader.store.enqueue(&[message("1", 3), message("2", 3)]).await.unwrap();
    assert_eq!(leader.spread(4).await, 2);
    assert_eq!(leader.spread(5).await, 0, "each once");
    let due = leader.due(4).await;
    let ids: Vec<_> = due.iter().map(|delivery| &delivery.notice).collect();
    assert_eq!(ids, [&message("1", 3), &message("2", 3)], "oldest first");
    assert_eq!((due[0].state, due[0].attempts), (DeliveryState::Waiting, 0));
    assert!(leader.due(3).await.is_empty());
    // Another receiver has its own.
    let both = [HERE.to_owned(), "there".to_owned()];
    leader.store.spread(&leader.fence, &both, at(6)).await.unwrap();
    leader.store.enqueue(&[message("3", 7)]).await.unwrap();
    assert_eq!(leader.store.spread(&leader.fence, &both, at(8)).await.unwrap(), 2);
    assert_eq!(leader.store.due("there", at(8), 0).await.unwrap().len(), 1);
    assert_eq!(leader.store.due(HERE, at(8), 2).await.unwrap().len(), 2);
}

pub(super) async fn a_delivery_is_tried_until_it_arrives(harness: &dyn Harness) {
    let leader = with_message(harness).await;
    let delivery = leader.due(2).await.remove(0);
    let again = AttemptOutcome::Again { at: at(60), error: "503".to_owned() };
    leader.attempted(&delivery, again, 3).await;
    assert!(leader.due(59).await.is_empty());
    let delivery = leader.due(60).await.remove(0);
    assert_eq!((delivery.attempts, delivery.last_error.as_deref()), (1, Some("503")));
    assert_eq!(delivery.notice, message("1", 1), "the same message");
    let before = leader.store.change_counter().await.unwrap();
    leader.attempted(&delivery, AttemptOutcome::Delivered, 61).await;
    assert!(leader.due(1_000).await.is_empty());
    let delivered = leader.deliveries().await.remove(0);
    assert_eq!((delivered.state, delivered.attempts), (DeliveryState::Delivered, 2));
    assert_eq!((delivered.last_error, delivered.updated_at), (None, at(61)));
    // A late word about it changes nothing.
    leader.attempted(&delivery, AttemptOutcome::GivenUp { error: "x".to_owned() }, 62).await;
    assert_eq!(leader.deliveries().await[0].state, DeliveryState::Delivered);
    assert_eq!(leader.store.change_counter().await.unwrap(), before, "delivering wakes nobody");
}

pub(super) async fn a_delivery_is_given_up_and_started_again(harness: &dyn Harness) {
    let leader = with_message(harness).await;
    let delivery = leader.due(2).await.remove(0);
    leader.attempted(&delivery, AttemptOutcome::GivenUp { error: "gone".to_owned() }, 3).await;
    assert!(leader.due(1_000).await.is_empty());
    let last = leader.last_event().await;
    assert_eq!(last.kind, AuditKind::NoticeGivenUp);
    assert!(last.detail.contains(HERE) && last.detail.contains("gone"), "{}", last.detail);
    let store = &leader.store;
    let dead = DeliveryFilter { state: Some(DeliveryState::Dead), ..DeliveryFilter::default() };
    assert_eq!(store.deliveries(&dead).await.unwrap().len(), 1);
    let elsewhere = DeliveryFilter { endpoint: Some("x".to_owned()), ..dead.clone() };
    assert_eq!(store.retry_deliveries(&elsewhere, "alice", at(4)).await.unwrap(), 0);
    let other = DeliveryFilter { notice: Some("msg_zz".to_owned()), ..dead.clone() };
    assert_eq!(store.retry_deliveries(&other, "alice", at(4)).await.unwrap(), 0);
    let this = delivery.notice.id.as_str()[..12].to_owned();
    let this = DeliveryFilter { notice: Some(this), ..dead };
    assert_eq!(store.retry_deliveries(&this, "alice", at(5)).await.unwrap(), 1);
    let last = leader.last_event().await;
    assert_eq!((last.kind, last.actor.as_str()), (AuditKind::NoticeRetried, "alice"));
    assert_eq!(leader.due(5).await.len(), 1);
    // One that waits is hurried, one that has arrived is left alone.
    let again = AttemptOutcome::Again { at: at(9_000), error: "503".to_owned() };
    leader.attempted(&delivery, again, 6).await;
    let all = DeliveryFilter::default();
    assert_eq!(store.retry_deliveries(&all, "alice", at(7)).await.unwrap(), 1);
    leader.attempted(&leader.due(7).await[0], AttemptOutcome::Delivered, 8).await;
    assert_eq!(store.retry_deliveries(&all, "alice", at(9)).await.unwrap(), 0);
}

pub(super) async fn an_old_leader_delivers_nothing(harness: &dyn Harness) {
    let leader = with_message(harness).await;
    let delivery = leader.due(2).await.remove(0);
    leader.store.enqueue(&[message("2", 3)]).await.unwrap();
    leader.propose(pending("a", "one")).await;
    harness.advance(TTL * 2);
    take_lease(&leader.store, "other").await;
    let before = everything(&leader.store).await;
    let endpoints = [HERE.to_owned()];
    assert!(is_fenced(&leader.store.spread(&leader.fence, &endpoints, at(4)).await));
    let outcome = AttemptOutcome::Delivered;
    let notice = delivery.notice.id;
    let attempt = Attempted { notice, endpoint: HERE.to_owned(), outcome };
    assert!(is_fenced(&leader.store.attempted(&leader.fence, &attempt, at(4)).await));
    let far = at(1_000_000);
    assert!(is_fenced(&leader.store.remind(&leader.fence, far, at(4)).await));
    assert!(is_fenced(&leader.store.tidy(&leader.fence, far, far, at(4)).await));
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn requests_are_reminded_of_once(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (id, name) in [("a", "one"), ("b", "two"), ("c", "three")] {
        leader.propose(pending(id, name)).await;
    }
    leader.store.decide(&decision("b", Decision::Approve), at(3)).await.unwrap();
    // They lapse after a day.
    let remind = |before, now| leader.store.remind(&leader.fence, at(before), at(now));
    assert_eq!(remind(86_400, 10).await.unwrap(), 0);
    assert_eq!(remind(86_401, 11).await.unwrap(), 2);
    assert_eq!(remind(90_000, 12).await.unwrap(), 0);
    let told = leader.store.notices(0).await.unwrap();
    let expiring: Vec<_> = told
        .iter()
        .filter(|notice| notice.kind == NoticeKind::ApprovalExpiring)
        .map(|notice| notice.body["data"]["target"].as_str().unwrap())
        .collect();
    assert_eq!(expiring, ["three", "one"]);
    // A reminder is no change: the request can be decided as it was seen.
    assert_eq!(leader.store.approval("action_approval:a-a").await.unwrap().revision, 1);
}

pub(super) async fn old_messages_are_forgotten(harness: &dyn Harness) {
    let leader = with_message(harness).await;
    leader.store.enqueue(&[message("2", 100)]).await.unwrap();
    leader.spread(101).await;
    let tidy = |give_up, forget| leader.store.tidy(&leader.fence, at(give_up), at(forget), at(200));
    let nothing = tidy(1, 1).await.unwrap();
    assert_eq!((nothing.given_up, nothing.forgotten), (0, 0));
    let tidied = tidy(50, 1).await.unwrap();
    assert_eq!((tidied.given_up, tidied.forgotten), (1, 0));
    assert_eq!(leader.last_event().await.kind, AuditKind::NoticeGivenUp);
    let waiting = DeliveryFilter { state: Some(DeliveryState::Waiting), ..Default::default() };
    assert_eq!(leader.store.deliveries(&waiting).await.unwrap().len(), 1);
    let tidied = tidy(50, 50).await.unwrap();
    assert_eq!((tidied.given_up, tidied.forgotten), (0, 1));
    assert_eq!(leader.store.notices(0).await.unwrap(), [message("2", 100)]);
    // A number is not given twice: what comes now still reaches everybody.
    leader.store.enqueue(&[message("3", 201)]).await.unwrap();
    assert_eq!(leader.spread(202).await, 1);
}

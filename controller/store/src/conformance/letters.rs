//! What fails leaves a letter, and a letter is handled once.

use futures::future::join_all;
use skep_core::action::{ActionEvent, ActionState};
use skep_core::audit::AuditKind;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{LetterId, RequestId};
use skep_core::letter::{DeadLetter, Handled, LetterKind, LetterReason, LetterState};
use skep_core::request::RequestVerb;
use skep_core::retry::Failure;

use super::Harness;
use super::fixtures::*;
use crate::{
    Decision, DropLetter, Effects, Error, IntentOutcome, LetterAnswer, LetterFilter, OpenLetters,
    Operator, Rejection, RequestFilter, Requeue, RequeueWith,
};

fn operator() -> Operator {
    Operator {
        actor: "alice@desk".to_owned(),
        source: "desk:operator".to_owned(),
        initiator: "skep dlq".to_owned(),
        host: "desk".to_owned(),
    }
}

fn requeue(id: &str, with: RequeueWith) -> Requeue {
    let why = "the port is free".to_owned();
    Requeue { letter: LetterId::new(id), by: operator(), why, with }
}

fn retry_of(name: &str) -> RequeueWith {
    RequeueWith::Retry(Box::new(hold(name, HoldKind::Retry)))
}

fn dropping(id: &str, why: &str) -> DropLetter {
    DropLetter { letter: LetterId::new(id), by: operator(), why: why.to_owned() }
}

fn rejection(id: &str) -> Rejection {
    Rejection {
        id: LetterId::new(id),
        source: "alertmanager".to_owned(),
        event: "alert".to_owned(),
        host: "edge".to_owned(),
        reason: LetterReason::Malformed,
        detail: "it is no JSON".to_owned(),
        payload: format!("event:{id}"),
    }
}

impl Leader {
    /// An action that failed at once.
    async fn failed(&self, id: &str, name: &str, reason: LetterReason, second: i64) {
        let intent = self.begin(id, name).await;
        let outcome = refused_for(reason);
        self.store.settle(&self.fence, &intent.id, &outcome, at(second)).await.unwrap();
        assert_eq!(self.state(id).await, ActionState::Failed);
    }

    async fn ids(&self, filter: &LetterFilter) -> String {
        let letters = self.store.letters(filter).await.unwrap();
        letters.iter().map(|letter| letter.id.as_str()).collect()
    }
}

pub(super) async fn a_failed_action_leaves_a_letter(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.begin("a", "one").await;
    let intent = intent("i-a", "a", "one").id;
    let attempt = failed_attempt(Failure::EngineError, 2);
    leader.store.note_attempt(&leader.fence, &intent, &attempt, "busy", at(2)).await.unwrap();
    let outcome = refused_for(LetterReason::EngineError);
    leader.store.settle(&leader.fence, &intent, &outcome, at(7)).await.unwrap();
    let expected = DeadLetter {
        id: LetterId::new("a"),
        kind: LetterKind::Dispatch,
        source: "registry".to_owned(),
        event: "deploy_service".to_owned(),
        host: "vm1".to_owned(),
        key: Some(key("one")),
        reason: LetterReason::EngineError,
        detail: "the engine refused it".to_owned(),
        attempts: 2,
        payload: "action:a".to_owned(),
        first_seen: at(2),
        last_seen: at(7),
        state: LetterState::Open,
        handled: None,
    };
    let reader = harness.connect().await;
    assert_eq!(reader.letter("a").await.unwrap(), expected);
    assert_eq!(reader.letters(&LetterFilter::default()).await.unwrap(), [expected]);
    let open = OpenLetters { ingress: 0, dispatch: 1 };
    assert_eq!(reader.open_letters().await.unwrap(), open);
}

pub(super) async fn every_way_to_fail_leaves_one(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let put_back = IntentOutcome::PutBack {
        detail: "the former one is back".to_owned(),
        effects: Effects::default(),
        failed: Some(failed(LetterReason::PutBack)),
    };
    let refused = refused_for(LetterReason::Refused);
    for (id, outcome) in [("a", refused), ("b", put_back)] {
        let intent = leader.begin(id, id).await;
        leader.store.settle(&leader.fence, &intent.id, &outcome, at(3)).await.unwrap();
    }
    let intent = leader.begin("c", "c").await;
    let outcome = accepted(Effects::default());
    leader.store.settle(&leader.fence, &intent.id, &outcome, at(3)).await.unwrap();
    let closing = closing("c", 3, ActionEvent::Fail);
    let timeout = failed(LetterReason::Timeout);
    leader.store.fail_action(&leader.fence, &closing, &timeout, at(4)).await.unwrap();
    for (id, reason) in
        [("a", LetterReason::Refused), ("b", LetterReason::PutBack), ("c", LetterReason::Timeout)]
    {
        assert_eq!(leader.state(id).await, ActionState::Failed);
        let letter = leader.store.letter(id).await.unwrap();
        assert_eq!((letter.reason, letter.state), (reason, LetterState::Open));
    }
    // And nothing else does.
    for (n, outcome) in
        [done(None), IntentOutcome::NoEffect { detail: "it moved".to_owned() }].iter().enumerate()
    {
        let id = format!("x{n}");
        let intent = leader.begin(&id, &id).await;
        leader.store.settle(&leader.fence, &intent.id, outcome, at(3)).await.unwrap();
    }
    assert_eq!(leader.store.open_letters().await.unwrap().dispatch, 3);
}

pub(super) async fn a_failure_that_is_refused_leaves_none(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let intent = leader.begin("a", "one").await;
    let before = everything(&leader.store).await;
    let wrong = refused_for(LetterReason::Malformed);
    let result = leader.store.settle(&leader.fence, &intent.id, &wrong, at(3)).await;
    assert!(is_refused(&result), "{result:?}");
    for (revision, event) in [(2, ActionEvent::Fail), (2, ActionEvent::Succeed)] {
        let closing = closing("a", revision, event);
        let reason = failed(LetterReason::Timeout);
        let result = leader.store.fail_action(&leader.fence, &closing, &reason, at(4)).await;
        assert!(is_transition(&result), "what is executing may be done: {result:?}");
    }
    assert_eq!(everything(&leader.store).await, before);
    assert_eq!(leader.ids(&LetterFilter::default()).await, "");
}

pub(super) async fn letters_are_listed_by_when_they_failed_and_filtered(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.failed("b", "two", LetterReason::Refused, 30).await;
    leader.failed("a", "one", LetterReason::EngineError, 10).await;
    leader.failed("c", "three", LetterReason::Refused, 20).await;
    leader.store.reject_event(&rejection("e"), at(15)).await.unwrap();
    leader.store.drop_letter(&dropping("c", "poisoned"), at(40)).await.unwrap();
    let all = LetterFilter::default();
    for (filter, expected) in [
        (all.clone(), "bcea"),
        (LetterFilter { limit: 2, ..all.clone() }, "bc"),
        (LetterFilter { kind: Some(LetterKind::Ingress), ..all.clone() }, "e"),
        (LetterFilter { kind: Some(LetterKind::Dispatch), ..all.clone() }, "bca"),
        (LetterFilter { states: vec![LetterState::Open], ..all.clone() }, "bea"),
        (
            LetterFilter {
                states: vec![LetterState::Dropped, LetterState::Requeued],
                ..all.clone()
            },
            "c",
        ),
        (LetterFilter { reasons: vec![LetterReason::Refused], ..all.clone() }, "bc"),
        (LetterFilter { min_attempts: 2, ..all.clone() }, "bca"),
        (LetterFilter { min_attempts: 3, ..all.clone() }, ""),
        (LetterFilter { since: Some(at(20)), ..all.clone() }, "bc"),
        (LetterFilter { since: Some(at(31)), ..all.clone() }, ""),
        (LetterFilter { names: vec!["one".to_owned(), "two".to_owned()], ..all.clone() }, "ba"),
    ] {
        assert_eq!(leader.ids(&filter).await, expected, "{filter:?}");
    }
}

pub(super) async fn letters_are_found_by_the_start_of_their_id(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (id, name) in [("ab", "one"), ("abc", "two"), ("b", "three")] {
        leader.failed(id, name, LetterReason::Refused, 3).await;
    }
    for (given, found) in [("ab", "ab"), ("abc", "abc"), ("b", "b")] {
        assert_eq!(leader.store.letter(given).await.unwrap().id.as_str(), found);
    }
    let several = leader.store.letter("a").await;
    assert!(matches!(several, Err(Error::Ambiguous { count: 2, .. })), "{several:?}");
    for missing in ["", "c", "abcd"] {
        let none = leader.store.letter(missing).await;
        assert!(matches!(none, Err(Error::NotFound { .. })), "{none:?}");
    }
}

pub(super) async fn a_letter_is_requeued_once(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.failed("a", "one", LetterReason::Refused, 3).await;
    leader.failed("b", "two", LetterReason::Refused, 3).await;
    let store = harness.connect().await;
    let counter = store.change_counter().await.unwrap();
    // What the plan says.
    let changed = store.requeue_letter(&requeue("a", retry_of("one")), at(8)).await.unwrap();
    let LetterAnswer::Changed(letter) = changed else { panic!("{changed:?}") };
    let by = Handled { at: at(8), by: "alice@desk".to_owned(), why: "the port is free".to_owned() };
    assert_eq!((letter.state, &letter.handled), (LetterState::Requeued, &Some(by)));
    assert_eq!(store.letter("a").await.unwrap(), letter);
    assert_eq!(store.holds(&cluster()).await.unwrap(), [hold("one", HoldKind::Retry)]);
    assert!(store.change_counter().await.unwrap() > counter, "the loop wakes");
    let event = leader.last_event().await;
    assert_eq!((event.kind, event.actor.as_str()), (AuditKind::LetterRequeued, "alice@desk"));
    assert_eq!((event.key, event.at), (Some(key("one")), at(8)));
    assert_eq!(
        event.detail,
        "op=requeue id=a kind=dispatch host=desk initiator=\"skep dlq\" source=\"desk:operator\" \
         attemptsBeforeOp=2 reason=\"the port is free\""
    );
    // What a person had asked for.
    let again = Box::new(request("r", "two", RequestVerb::Restart));
    store.requeue_letter(&requeue("b", RequeueWith::Request(again)), at(9)).await.unwrap();
    let asked = store.requests(&RequestFilter::default()).await.unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!((&asked[0].id, &asked[0].key), (&RequestId::new("r"), &key("two")));
    // Twice is once.
    let before = everything(&store).await;
    for with in [retry_of("one"), RequeueWith::Nothing] {
        let second = store.requeue_letter(&requeue("a", with), at(10)).await.unwrap();
        assert_eq!(second, LetterAnswer::Already(letter.clone()));
    }
    let dropped = store.drop_letter(&dropping("a", "too late"), at(10)).await.unwrap();
    assert_eq!(dropped, LetterAnswer::Already(letter));
    assert_eq!(everything(&store).await, before);
    assert_eq!(store.open_letters().await.unwrap(), OpenLetters::default());
}

pub(super) async fn fifty_requeues_leave_one(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.failed("a", "one", LetterReason::Refused, 3).await;
    let stores = processes(harness, 5).await;
    let wishes: Vec<_> = (0..CROWD)
        .map(|n| {
            let asked = request(&format!("r{n}"), "one", RequestVerb::Scale { replicas: n as u64 });
            requeue("a", RequeueWith::Request(Box::new(asked)))
        })
        .collect();
    let tries = wishes
        .iter()
        .enumerate()
        .map(|(n, wish)| stores[n % stores.len()].requeue_letter(wish, at(4)));
    let answers = join_all(tries).await;
    let changed =
        answers.into_iter().filter(|answer| matches!(answer, Ok(LetterAnswer::Changed(_)))).count();
    assert_eq!(changed, 1);
    assert_eq!(leader.store.requests(&RequestFilter::default()).await.unwrap().len(), 1);
}

pub(super) async fn a_requeue_is_about_the_letters_own_object(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.failed("a", "one", LetterReason::Refused, 3).await;
    leader.store.reject_event(&rejection("e"), at(4)).await.unwrap();
    let before = everything(&leader.store).await;
    let other = Box::new(request("r", "two", RequestVerb::Restart));
    for (id, with) in [
        ("a", retry_of("two")),
        ("a", RequeueWith::Request(other)),
        ("e", retry_of("one")),
        ("e", RequeueWith::Nothing),
    ] {
        let result = leader.store.requeue_letter(&requeue(id, with), at(5)).await;
        assert!(is_refused(&result), "{result:?}");
    }
    for missing in ["nope", "", "aa"] {
        let wish = requeue(missing, RequeueWith::Nothing);
        let result = leader.store.requeue_letter(&wish, at(5)).await;
        assert!(matches!(result, Err(Error::NotFound { .. })), "{result:?}");
        let result = leader.store.drop_letter(&dropping(missing, "why"), at(5)).await;
        assert!(matches!(result, Err(Error::NotFound { .. })), "{result:?}");
    }
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn a_letter_is_dropped_for_a_reason(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.failed("a", "one", LetterReason::Refused, 3).await;
    let before = everything(&leader.store).await;
    for none in ["", "  \n"] {
        let result = leader.store.drop_letter(&dropping("a", none), at(4)).await;
        assert!(is_refused(&result), "{result:?}");
    }
    assert_eq!(everything(&leader.store).await, before);
    let wish = dropping("a", "poisoned \"payload\"");
    let changed = leader.store.drop_letter(&wish, at(5)).await.unwrap();
    let LetterAnswer::Changed(letter) = changed else { panic!("{changed:?}") };
    assert_eq!(letter.state, LetterState::Dropped);
    let event = leader.last_event().await;
    assert_eq!((event.kind, event.actor.as_str()), (AuditKind::LetterDropped, "alice@desk"));
    assert!(event.detail.starts_with("op=drop id=a kind=dispatch host=desk "), "{}", event.detail);
    assert!(event.detail.ends_with("reason=\"poisoned \\\"payload\\\"\""), "{}", event.detail);
    let again = leader.store.drop_letter(&wish, at(6)).await.unwrap();
    assert_eq!(again, LetterAnswer::Already(letter.clone()));
    let requeued = leader.store.requeue_letter(&requeue("a", retry_of("one")), at(7)).await;
    assert_eq!(requeued.unwrap(), LetterAnswer::Already(letter));
    assert_eq!(leader.store.holds(&cluster()).await.unwrap(), Vec::<Hold>::new());
}

pub(super) async fn a_rejected_event_is_kept_and_counted(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let store = harness.connect().await;
    let first = store.reject_event(&rejection("e"), at(1)).await.unwrap();
    assert_eq!((first.kind, first.attempts, &first.key), (LetterKind::Ingress, 1, &None));
    let event = leader.last_event().await;
    assert_eq!((event.kind, event.actor.as_str()), (AuditKind::EventRejected, "alertmanager"));
    store.drop_letter(&dropping("e", "noise"), at(2)).await.unwrap();
    let again = Rejection {
        reason: LetterReason::TriageFailed,
        detail: "nothing of that name".to_owned(),
        ..rejection("e")
    };
    let second = store.reject_event(&again, at(5)).await.unwrap();
    assert_eq!((second.attempts, second.state), (2, LetterState::Open));
    assert_eq!((second.first_seen, second.last_seen), (at(1), at(5)));
    assert_eq!((second.reason, &second.handled), (LetterReason::TriageFailed, &None));
    assert_eq!(store.letters(&LetterFilter::default()).await.unwrap(), [second]);
    // An action is no event.
    leader.failed("a", "one", LetterReason::Refused, 3).await;
    let before = everything(&store).await;
    let timeout = Rejection { reason: LetterReason::Timeout, ..rejection("x") };
    for wrong in [rejection("a"), timeout] {
        let result = store.reject_event(&wrong, at(6)).await;
        assert!(is_refused(&result), "{result:?}");
    }
    assert_eq!(everything(&store).await, before);
}

pub(super) async fn a_letter_outlives_the_next_action(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.failed("a", "one", LetterReason::Refused, 3).await;
    leader.propose(pending("b", "one")).await;
    leader.store.decide(&decision("b", Decision::Approve), at(4)).await.unwrap();
    let intent = intent("i-b", "b", "one");
    leader.store.begin(&leader.fence, 2, &intent, at(5)).await.unwrap();
    leader.store.settle(&leader.fence, &intent.id, &done(None), at(6)).await.unwrap();
    assert_eq!(leader.store.letter("a").await.unwrap().state, LetterState::Open);
}

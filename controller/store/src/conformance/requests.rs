//! What people ask for by hand, and the leader's answers.

use futures::future::join_all;
use skep_core::audit::AuditKind;
use skep_core::identity::{ActionId, RequestId};
use skep_core::request::{RequestState, RequestVerb, ServiceRequest};

use super::Harness;
use super::fixtures::*;
use crate::{Error, NewAction, ProposeOutcome, RequestFilter, RequestOutcome, Result, Store};

use RequestVerb::{Adopt, Restart, Rollback, Scale};

async fn one(store: &dyn Store, id: &str) -> ServiceRequest {
    let filter = RequestFilter { ids: vec![RequestId::new(id)], ..Default::default() };
    store.requests(&filter).await.unwrap().remove(0)
}

/// A granted action that answers a request.
fn answer(action: &str, name: &str, request: &str) -> NewAction {
    NewAction { request: Some(RequestId::new(request)), ..granted(action, name) }
}

impl Leader {
    async fn ask(&self, id: &str, name: &str, verb: RequestVerb) -> ServiceRequest {
        self.store.submit(&[request(id, name, verb)], at(1)).await.unwrap().remove(0)
    }

    async fn resolve(&self, id: &str, outcome: RequestOutcome) -> Result<()> {
        self.store.resolve_request(&self.fence, &RequestId::new(id), &outcome, at(3)).await
    }
}

pub(super) async fn a_request_is_filed_and_wakes_the_loop(harness: &dyn Harness) {
    // Nobody needs to lead.
    let (store, watcher) = (harness.connect().await, harness.connect().await);
    let before = watcher.change_counter().await.unwrap();
    let batch = [
        request("a", "one", Scale { replicas: u64::MAX }),
        request("b", "two", Rollback { revision: 3 }),
    ];
    let filed = store.submit(&batch, at(1)).await.unwrap();
    assert!(watcher.change_counter().await.unwrap() > before);
    let expected = ServiceRequest {
        id: RequestId::new("a"),
        key: key("one"),
        verb: Scale { replicas: u64::MAX },
        actor: "alice".to_owned(),
        reason: Some("it hangs".to_owned()),
        state: RequestState::Open,
        action: None,
        detail: String::new(),
        created_at: at(1),
        updated_at: at(1),
    };
    assert_eq!(filed[0], expected);
    assert_eq!(filed[1].verb, Rollback { revision: 3 });
    assert_eq!(watcher.requests(&RequestFilter::default()).await.unwrap(), filed);
    let trail = watcher.audit(&crate::AuditFilter::default()).await.unwrap();
    let events: Vec<_> =
        trail.iter().map(|(_, event)| (event.kind, &*event.actor, &event.key, event.at)).collect();
    let requested = |name| (AuditKind::Requested, "alice", Some(key(name)), at(1));
    let [two, one] = [requested("two"), requested("one")];
    assert_eq!(events, [(two.0, two.1, &two.2, two.3), (one.0, one.1, &one.2, one.3)]);
    assert_eq!(trail[1].1.detail, format!("scale to {} (request a): it hangs", u64::MAX));
}

pub(super) async fn asking_twice_is_asking_once(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let first = leader.ask("a", "one", Scale { replicas: 3 }).await;
    let before = everything(&leader.store).await;
    let again = leader.store.submit(&[request("b", "one", Scale { replicas: 3 })], at(2)).await;
    assert_eq!(again.unwrap(), [first]);
    assert_eq!(everything(&leader.store).await, before);
    // Another number, another verb, another object; and within one batch.
    let batch = [
        request("c", "one", Scale { replicas: 4 }),
        request("d", "one", Restart),
        request("e", "two", Scale { replicas: 3 }),
        request("f", "two", Scale { replicas: 3 }),
    ];
    let filed = leader.store.submit(&batch, at(2)).await.unwrap();
    let ids: String = filed.iter().map(|request| request.id.as_str()).collect();
    assert_eq!(ids, "cdee");
    // Once it has its answer it can be asked again.
    leader.resolve("a", RequestOutcome::Refused("not now".to_owned())).await.unwrap();
    assert_eq!(leader.ask("g", "one", Scale { replicas: 3 }).await.id.as_str(), "g");
}

pub(super) async fn fifty_requests_leave_one(harness: &dyn Harness) {
    let stores = processes(harness, 5).await;
    let batches: Vec<_> = (0..CROWD).map(|n| [request(&format!("r{n}"), "one", Restart)]).collect();
    let tries =
        batches.iter().enumerate().map(|(n, batch)| stores[n % stores.len()].submit(batch, at(1)));
    let filed: Vec<_> = join_all(tries).await.into_iter().map(|r| r.unwrap().remove(0)).collect();
    let kept = stores[0].requests(&RequestFilter::default()).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert!(filed.iter().all(|request| *request == kept[0]));
}

pub(super) async fn an_answer_is_given_once(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(granted("action", "one")).await;
    leader.ask("a", "one", Restart).await;
    leader.ask("b", "one", Adopt).await;
    let filed = || RequestOutcome::Filed(ActionId::new("action"));
    let refused = || RequestOutcome::Refused("it is not ours".to_owned());
    leader.resolve("a", filed()).await.unwrap();
    let a = one(&*leader.store, "a").await;
    assert_eq!(
        (a.state, a.action, a.detail.as_str()),
        (RequestState::Filed, Some(ActionId::new("action")), "")
    );
    assert_eq!((a.created_at, a.updated_at), (at(1), at(3)));
    let event = leader.last_event().await;
    assert_eq!((event.kind, event.actor.as_str()), (AuditKind::RequestFiled, "leader@host"));
    assert_eq!((event.key, event.action), (Some(key("one")), Some(ActionId::new("action"))));
    leader.resolve("b", refused()).await.unwrap();
    let b = one(&*leader.store, "b").await;
    assert_eq!(
        (b.state, b.action, b.detail.as_str()),
        (RequestState::Refused, None, "it is not ours")
    );
    let event = leader.last_event().await;
    assert_eq!((event.kind, event.action, event.at), (AuditKind::RequestRefused, None, at(3)));
    let before = everything(&leader.store).await;
    for id in ["a", "b"] {
        for outcome in [filed(), refused()] {
            let again = leader.resolve(id, outcome).await;
            assert!(is_conflict(&again), "{id}: {again:?}");
        }
    }
    let unknown = leader.resolve("x", refused()).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })), "{unknown:?}");
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn the_action_answers_the_request(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.ask("r", "one", Restart).await;
    let new = [answer("a", "one", "r")];
    let outcome = leader.store.propose(&leader.fence, &new, at(4)).await.unwrap();
    assert_eq!(outcome, [ProposeOutcome::Recorded]);
    let request = one(&*leader.store, "r").await;
    assert_eq!((request.state, request.action), (RequestState::Filed, Some(ActionId::new("a"))));
    assert_eq!(request.updated_at, at(4));
    use AuditKind as K;
    assert_eq!(leader.trail("a").await, [K::RequestFiled, K::Allowed, K::Proposed]);
}

pub(super) async fn a_busy_key_leaves_the_request_open(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("first", "one")).await;
    leader.ask("r", "one", Restart).await;
    let before = everything(&leader.store).await;
    let new = [answer("second", "one", "r")];
    let outcome = leader.store.propose(&leader.fence, &new, at(4)).await.unwrap();
    assert_eq!(outcome, [ProposeOutcome::KeyBusy(ActionId::new("first"))]);
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn an_action_answers_only_its_own_request(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(granted("other", "two")).await;
    leader.ask("open", "one", Restart).await;
    leader.ask("answered", "one", Adopt).await;
    leader.resolve("answered", RequestOutcome::Refused("no".to_owned())).await.unwrap();
    let before = everything(&leader.store).await;
    let foreign = leader.resolve("open", RequestOutcome::Filed(ActionId::new("other"))).await;
    assert!(is_refused(&foreign), "{foreign:?}");
    let nowhere = leader.resolve("open", RequestOutcome::Filed(ActionId::new("none"))).await;
    assert!(matches!(nowhere, Err(Error::NotFound { .. })), "{nowhere:?}");
    // One that does not fit refuses the batch, also what came before it.
    for (second, expected) in [
        (answer("b", "three", "open"), "refused"),
        (answer("b", "one", "answered"), "conflict"),
        (answer("b", "one", "unknown"), "not found"),
    ] {
        let batch = [granted("a", "four"), second];
        let result = leader.store.propose(&leader.fence, &batch, at(4)).await;
        let found = match &result {
            Err(Error::Refused { .. }) => "refused",
            Err(Error::Conflict { .. }) => "conflict",
            Err(Error::NotFound { .. }) => "not found",
            _ => "something else",
        };
        assert_eq!(found, expected, "{result:?}");
    }
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn requests_are_listed_oldest_first_and_filtered(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (id, name) in [("c", "one"), ("a", "two"), ("b", "three"), ("d", "four")] {
        leader.ask(id, name, Restart).await;
    }
    leader.resolve("a", RequestOutcome::Refused("no".to_owned())).await.unwrap();
    let ids = |ids: &[&str]| ids.iter().copied().map(RequestId::new).collect::<Vec<_>>();
    let none = RequestFilter::default();
    let open = Some(RequestState::Open);
    for (filter, expected) in [
        (none.clone(), "cabd"),
        (RequestFilter { limit: 2, ..none.clone() }, "ca"),
        (RequestFilter { state: open, ..none.clone() }, "cbd"),
        (RequestFilter { state: Some(RequestState::Refused), ..none.clone() }, "a"),
        (RequestFilter { state: Some(RequestState::Filed), ..none.clone() }, ""),
        (RequestFilter { ids: ids(&["d", "a", "x"]), ..none.clone() }, "ad"),
        (RequestFilter { ids: ids(&["d", "a"]), state: open, ..none.clone() }, "d"),
    ] {
        let listed = leader.store.requests(&filter).await.unwrap();
        let listed: String = listed.iter().map(|request| request.id.as_str()).collect();
        assert_eq!(listed, expected, "{filter:?}");
    }
}

//! What people ordered to be stopped, what was there before, and the writes that follow.

use serde_json::json;
use skep_core::action::{ActionEvent, ActionKind, ActionState, ActuatorMode, IntentPhase};
use skep_core::approval::ApprovalStatus;
use skep_core::audit::AuditKind;
use skep_core::canonical::Digest;
use skep_core::containment::{
    Confirmation, Containment, ContainmentState, ContainmentVerb, FormerState, Order,
    RecordedState, Scope,
};
use skep_core::identity::{ActionId, ClusterId, ServiceName, SwarmId};
use skep_core::request::RequestVerb;
use skep_core::spec::Spec;

use super::Harness;
use super::fixtures::*;
use crate::{ActionFilter, ApprovalFilter, ContainmentWrite, Effects, IntentOutcome, Result};

fn own(name: &str) -> Scope {
    Scope::Service(ServiceName::new(name))
}

fn domain(name: &str) -> Scope {
    Scope::Domain(name.to_owned())
}

pub(super) fn order(verb: ContainmentVerb, scope: Scope) -> Order {
    Order { verb, scope, actor: "alice".to_owned(), reason: "fire".to_owned() }
}

pub(super) fn kill(name: &str) -> Order {
    order(ContainmentVerb::Kill, own(name))
}

/// What a service of three replicas was before.
pub(super) fn recorded(name: &str, last: Option<(ContainmentVerb, &str)>) -> RecordedState {
    let spec = Spec::from(json!({"Mode": {"Replicated": {"Replicas": 3}}}));
    RecordedState {
        key: key(name),
        object: SwarmId::new(format!("id-of-{name}")),
        domain: "finance".to_owned(),
        former: FormerState::of(&spec).unwrap(),
        last: last.map(|(verb, action)| (verb, ActionId::new(action))),
    }
}

/// A write for a service of three replicas.
pub(super) fn write(id: &str, name: &str, verb: ContainmentVerb) -> ContainmentWrite {
    let mut action = granted(id, name).action;
    action.kind = ActionKind::StopService;
    action.state = ActionState::Executing;
    action.step.request = Some(match verb {
        ContainmentVerb::Kill => RequestVerb::Kill,
        ContainmentVerb::Pause | ContainmentVerb::Resume => RequestVerb::Resume,
    });
    action.actor = "alice".to_owned();
    action.reason = format!("{verb} by alice");
    let mut intent = intent(&format!("i-{id}"), id, name);
    intent.object = Some(SwarmId::new(format!("id-of-{name}")));
    intent.version = Some(7);
    ContainmentWrite { action, intent, recorded: recorded(name, Some((verb, id))) }
}

impl Leader {
    async fn order(&self, order: Order) -> crate::Ordered {
        self.store.order(&cluster(), &[order], at(2)).await.unwrap().remove(0)
    }

    async fn begin_write(&self, write: &ContainmentWrite) -> Result<()> {
        self.store.begin_containment(&self.fence, write, at(3)).await
    }

    async fn containments(&self) -> Vec<Containment> {
        let contained = self.store.contained(&cluster()).await.unwrap();
        contained.containments().cloned().collect()
    }
}

pub(super) async fn an_order_is_kept_and_wakes_the_loop(harness: &dyn Harness) {
    // Nobody needs to lead.
    let (store, reader) = (harness.connect().await, harness.connect().await);
    let before = reader.change_counter().await.unwrap();
    let orders = [kill("one"), order(ContainmentVerb::Pause, domain("finance"))];
    let answers = store.order(&cluster(), &orders, at(2)).await.unwrap();
    let expected = |scope, state| Containment {
        cluster: cluster(),
        scope,
        state,
        actor: "alice".to_owned(),
        reason: "fire".to_owned(),
        since: at(2),
        revision: 1,
    };
    let killed = expected(own("one"), ContainmentState::Killed);
    let paused = expected(domain("finance"), ContainmentState::Paused);
    assert_eq!(answers, [Ok(Some(killed.clone())), Ok(Some(paused.clone()))]);
    let contained = reader.contained(&cluster()).await.unwrap();
    assert_eq!(contained.containments().cloned().collect::<Vec<_>>(), [killed, paused]);
    assert!(reader.change_counter().await.unwrap() > before);
}

pub(super) async fn orders_follow_the_table(harness: &dyn Harness) {
    use ContainmentState as S;
    use ContainmentVerb as V;
    let leader = leader(harness).await;
    for (verb, expected) in [
        (V::Resume, Err("NOT_CONTAINED")),
        (V::Pause, Ok(Some((S::Paused, 1)))),
        (V::Pause, Err("ALREADY_PAUSED")),
        (V::Resume, Ok(None)),
        (V::Kill, Ok(Some((S::Killed, 1)))),
        (V::Kill, Err("ALREADY_KILLED")),
        (V::Pause, Err("ALREADY_KILLED")),
        (V::Resume, Ok(Some((S::Resuming, 2)))),
        (V::Resume, Err("RESUMING")),
        (V::Kill, Ok(Some((S::Killed, 3)))),
    ] {
        let before = everything(&leader.store).await;
        let answer = leader.order(order(verb, own("one"))).await;
        let answer = answer.map(|kept| kept.map(|kept| (kept.state, kept.revision)));
        assert_eq!(answer.map_err(|error| error.code()), expected, "{verb}");
        if expected.is_err() {
            assert_eq!(everything(&leader.store).await, before, "{verb} left something");
        }
    }
}

pub(super) async fn fifty_kills_leave_one(harness: &dyn Harness) {
    let stores = processes(harness, 5).await;
    let tries = (0..CROWD).map(|number| {
        let store = &stores[number % stores.len()];
        async move { store.order(&cluster(), &[kill("one")], at(2)).await.unwrap().remove(0) }
    });
    let answers = futures::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
}

pub(super) async fn orders_are_in_the_trail_under_their_own_words(harness: &dyn Harness) {
    use ContainmentVerb as V;
    let leader = leader(harness).await;
    for (verb, word) in [
        (V::Pause, AuditKind::Paused),
        (V::Kill, AuditKind::Killed),
        (V::Resume, AuditKind::Resumed),
    ] {
        leader.order(order(verb, own("one"))).await.unwrap();
        let event = leader.last_event().await;
        assert_eq!((event.kind, event.actor.as_str(), event.at), (word, "alice", at(2)));
        assert_eq!(event.key, Some(key("one")));
        assert!(event.detail.contains("fire"), "{}", event.detail);
    }
    leader.order(order(V::Kill, domain("finance"))).await.unwrap();
    let event = leader.last_event().await;
    assert_eq!((event.kind, event.key), (AuditKind::Killed, None));
    assert_eq!(event.detail, "domain finance: fire");
}

pub(super) async fn a_rehearsed_order_is_only_in_the_trail(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.store.rehearse_orders(&cluster(), &[kill("one")], at(2)).await.unwrap();
    let event = leader.last_event().await;
    assert_eq!((event.kind, event.key), (AuditKind::ContainmentRehearsed, Some(key("one"))));
    assert!(event.detail.contains("kill"), "{}", event.detail);
    assert!(leader.store.contained(&cluster()).await.unwrap().is_empty());
}

pub(super) async fn a_confirmation_is_good_once(harness: &dyn Harness) {
    // The second call may be another process.
    let (first, second) = (harness.connect().await, harness.connect().await);
    let asked = |actor: &str, what: &[u8], at| Confirmation {
        actor: actor.to_owned(),
        digest: Digest::of_bytes(what),
        until: at,
    };
    let alice = asked("alice", b"finance", at(60));
    assert!(!first.confirm(&alice, at(0)).await.unwrap(), "the first call only asks");
    let audited = leader(harness).await.last_event().await;
    assert_ne!(audited.kind, AuditKind::Killed);
    assert!(!second.confirm(&asked("bob", b"finance", at(60)), at(1)).await.unwrap());
    assert!(!second.confirm(&asked("alice", b"more", at(60)), at(1)).await.unwrap());
    assert!(second.confirm(&asked("alice", b"finance", at(119)), at(59)).await.unwrap());
    assert!(!second.confirm(&asked("alice", b"finance", at(119)), at(59)).await.unwrap(), "used");
    // That was a first call again; it is too late for its second one.
    assert!(!first.confirm(&asked("alice", b"finance", at(240)), at(180)).await.unwrap());
    assert!(first.confirm(&asked("alice", b"finance", at(240)), at(240)).await.unwrap());
}

pub(super) async fn containments_are_listed_by_cluster(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let elsewhere = ClusterId::new("cluster-0");
    leader.store.order(&elsewhere, &[kill("one")], at(2)).await.unwrap();
    let mut other = recorded("one", None);
    other.key.cluster = elsewhere.clone();
    leader.store.record_former_state(&leader.fence, &other, at(3)).await.unwrap();
    assert!(leader.store.contained(&cluster()).await.unwrap().is_empty());
    let there = leader.store.contained(&elsewhere).await.unwrap();
    assert_eq!(there.containments().count(), 1);
    assert_eq!(there.recorded(&ServiceName::new("one")), Some(&other));
}

pub(super) async fn a_kill_begins_with_its_record_and_its_intent(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.order(kill("one")).await.unwrap();
    let write = write("k", "one", ContainmentVerb::Kill);
    leader.begin_write(&write).await.unwrap();
    assert_eq!(leader.store.open_intents().await.unwrap(), std::slice::from_ref(&write.intent));
    assert_eq!(leader.store.action("k").await.unwrap(), write.action);
    let contained = leader.store.contained(&cluster()).await.unwrap();
    assert_eq!(contained.recorded(&ServiceName::new("one")), Some(&write.recorded));
    assert_eq!(leader.trail("k").await, [AuditKind::Started, AuditKind::Contained]);
    // From here on it is an intent like any other.
    let settled = done_with(Effects::default());
    leader.store.settle(&leader.fence, &write.intent.id, &settled, at(4)).await.unwrap();
    assert_eq!(leader.state("k").await, ActionState::Succeeded);
    let again = leader.store.settle(&leader.fence, &write.intent.id, &settled, at(4)).await;
    assert!(is_conflict(&again), "{again:?}");
}

pub(super) async fn a_kill_overtakes_what_is_open(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("waits", "one")).await;
    leader.propose(granted("may", "two")).await;
    leader.propose(granted("runs", "three")).await;
    let mut update = intent("i-runs", "runs", "three");
    (update.object, update.version) = (Some(SwarmId::new("id-of-three")), Some(7));
    leader.store.begin(&leader.fence, 1, &update, at(1)).await.unwrap();
    let rolls = leader.begin("rolls", "four").await;
    let rolling = accepted(Effects::default());
    leader.store.settle(&leader.fence, &rolls.id, &rolling, at(1)).await.unwrap();
    for (name, overtaken, ends) in [
        ("one", "waits", ActionState::Superseded),
        ("two", "may", ActionState::Superseded),
        ("three", "runs", ActionState::Superseded),
        ("four", "rolls", ActionState::Failed),
    ] {
        leader.order(kill(name)).await.unwrap();
        let kill = write(&format!("k-{name}"), name, ContainmentVerb::Kill);
        leader.begin_write(&kill).await.unwrap();
        let action = leader.store.action(overtaken).await.unwrap();
        assert_eq!(action.state, ends, "{overtaken}");
        assert!(action.detail.contains("kill by alice"), "{}", action.detail);
    }
    let approvals = leader.store.approvals(&ApprovalFilter::default()).await.unwrap();
    assert_eq!(approvals[0].status, ApprovalStatus::Superseded);
    // Whoever was sending it comes back too late.
    let late = leader.store.settle(&leader.fence, &update.id, &done(None), at(5)).await;
    assert!(is_conflict(&late), "{late:?}");
    let open = leader.store.open_intents().await.unwrap();
    assert!(open.iter().all(|intent| intent.action.as_str().starts_with("k-")), "{open:?}");
}

pub(super) async fn a_kill_waits_for_a_create_and_for_a_replacement(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let create = leader.begin("creates", "one").await;
    leader.begin_replacement("replaces", "two").await;
    for name in ["one", "two"] {
        leader.order(kill(name)).await.unwrap();
        let before = everything(&leader.store).await;
        let result = leader.begin_write(&write("k", name, ContainmentVerb::Kill)).await;
        assert!(is_conflict(&result), "{name}: {result:?}");
        assert_eq!(everything(&leader.store).await, before);
    }
    leader.store.settle(&leader.fence, &create.id, &done(None), at(3)).await.unwrap();
    leader.begin_write(&write("k", "one", ContainmentVerb::Kill)).await.unwrap();
}

pub(super) async fn a_write_follows_the_orders_of_this_moment(harness: &dyn Harness) {
    use ContainmentVerb as V;
    let leader = leader(harness).await;
    let attempt = async |id: &str, verb| leader.begin_write(&write(id, "one", verb)).await;
    let before = everything(&leader.store).await;
    let refused = attempt("k", V::Kill).await;
    assert!(is_conflict(&refused), "nobody ordered it: {refused:?}");
    assert_eq!(everything(&leader.store).await, before);
    leader.order(order(V::Pause, own("one"))).await.unwrap();
    assert!(is_conflict(&attempt("k", V::Kill).await), "a pause is no kill");
    // A kill of the domain is one of the service.
    leader.order(order(V::Kill, domain("finance"))).await.unwrap();
    assert!(is_conflict(&attempt("r", V::Resume).await), "it is killed");
    attempt("k", V::Kill).await.unwrap();
    let intent = leader.store.open_intents().await.unwrap().remove(0);
    leader.store.settle(&leader.fence, &intent.id, &done(None), at(4)).await.unwrap();
    leader.order(order(V::Resume, domain("finance"))).await.unwrap();
    assert!(is_conflict(&attempt("k2", V::Kill).await), "it is not killed any more");
    attempt("r", V::Resume).await.unwrap();
}

pub(super) async fn a_write_of_containment_is_nothing_else(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.order(kill("one")).await.unwrap();
    let good = || write("k", "one", ContainmentVerb::Kill);
    let before = everything(&leader.store).await;
    type Damage = fn(&mut ContainmentWrite);
    let damages: [(&str, Damage); 9] = [
        ("a rehearsal", |write| write.action.mode = ActuatorMode::DryRun),
        ("an ordinary action", |write| write.action.step.request = None),
        ("a granted action", |write| write.action.state = ActionState::Granted),
        ("a create", |write| write.intent.object = None),
        ("a removal", |write| write.intent.phase = IntentPhase::Remove),
        ("no Version", |write| write.intent.version = None),
        ("another key", |write| write.intent.key = key("two")),
        ("another object", |write| write.recorded.object = SwarmId::new("another")),
        ("another action's record", |write| write.recorded.last = None),
    ];
    for (what, damage) in damages {
        let mut write = good();
        damage(&mut write);
        let result = leader.begin_write(&write).await;
        assert!(is_refused(&result), "{what}: {result:?}");
        assert_eq!(everything(&leader.store).await, before, "{what}");
    }
    leader.begin_write(&good()).await.unwrap();
}

pub(super) async fn a_former_state_is_kept_until_it_is_forgotten(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let name = ServiceName::new("one");
    let state = recorded("one", None);
    leader.store.record_former_state(&leader.fence, &state, at(3)).await.unwrap();
    assert_eq!(leader.last_event().await.kind, AuditKind::FormerStateRecorded);
    let kept = async || leader.store.contained(&cluster()).await.unwrap().recorded(&name).cloned();
    assert_eq!(kept().await, Some(state));
    leader.order(kill("one")).await.unwrap();
    leader.begin_write(&write("k", "one", ContainmentVerb::Kill)).await.unwrap();
    assert_eq!(kept().await.unwrap().last, Some((ContainmentVerb::Kill, ActionId::new("k"))));
    let forget = async || {
        leader.store.forget_former_state(&leader.fence, &key("one"), "it is back", at(4)).await
    };
    assert!(forget().await.unwrap());
    let event = leader.last_event().await;
    assert_eq!((event.kind, event.detail.as_str()), (AuditKind::Restored, "it is back"));
    assert_eq!(kept().await, None);
    let before = everything(&leader.store).await;
    assert!(!forget().await.unwrap());
    assert_eq!(everything(&leader.store).await, before);
}

pub(super) async fn only_what_is_being_resumed_ends(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let end =
        async |seen: &Containment| leader.store.end_containment(&leader.fence, seen, at(5)).await;
    let killed = leader.order(kill("one")).await.unwrap().unwrap();
    assert!(is_conflict(&end(&killed).await), "a kill does not end by itself");
    let resume = || order(ContainmentVerb::Resume, own("one"));
    let old = leader.order(resume()).await.unwrap().unwrap();
    leader.order(kill("one")).await.unwrap();
    assert!(is_conflict(&end(&old).await), "it was killed again");
    let newest = leader.order(resume()).await.unwrap().unwrap();
    assert!(is_conflict(&end(&old).await), "another resume than the one that was seen");
    end(&newest).await.unwrap();
    assert_eq!(leader.last_event().await.kind, AuditKind::Restored);
    assert_eq!(leader.containments().await, []);
    assert!(is_conflict(&end(&newest).await));
}

pub(super) async fn the_mode_of_the_leader_is_known_while_it_leads(harness: &dyn Harness) {
    let (store, reader) = (harness.connect().await, harness.connect().await);
    assert_eq!(reader.leader_mode().await.unwrap(), None);
    let lease = take_lease(&store, "first").await;
    assert_eq!(reader.leader_mode().await.unwrap(), None);
    let before = reader.change_counter().await.unwrap();
    store.declare_mode(&lease.fence, ActuatorMode::Swarm).await.unwrap();
    assert_eq!(reader.leader_mode().await.unwrap(), Some(ActuatorMode::Swarm));
    assert_eq!(reader.change_counter().await.unwrap(), before, "nothing was decided");
    store.release_lease(&lease).await.unwrap();
    assert_eq!(reader.leader_mode().await.unwrap(), None);
    let lease = take_lease(&store, "second").await;
    assert_eq!(reader.leader_mode().await.unwrap(), None, "that was another leader");
    store.declare_mode(&lease.fence, ActuatorMode::DryRun).await.unwrap();
    assert_eq!(reader.leader_mode().await.unwrap(), Some(ActuatorMode::DryRun));
}

/// What a crash between intent and reply leaves is settled by the next leader like any intent.
pub(super) async fn a_new_leader_settles_a_kill(harness: &dyn Harness) {
    let old = leader(harness).await;
    old.order(kill("one")).await.unwrap();
    let kill = write("k", "one", ContainmentVerb::Kill);
    old.begin_write(&kill).await.unwrap();
    harness.advance(TTL);
    let store = harness.connect().await;
    let fence = take_lease(&store, "second").await.fence;
    let successor = Leader { store, fence };
    let open = successor.store.open_intents().await.unwrap();
    assert_eq!(open, std::slice::from_ref(&kill.intent));
    let moved = IntentOutcome::NoEffect { detail: "it moved".to_owned() };
    successor.store.settle(&successor.fence, &open[0].id, &moved, at(9)).await.unwrap();
    assert_eq!(successor.state("k").await, ActionState::Superseded);
    let again = write("k2", "one", ContainmentVerb::Kill);
    successor.begin_write(&again).await.unwrap();
    let filter = ActionFilter { keys: vec![key("one")], ..ActionFilter::default() };
    assert_eq!(successor.store.actions(&filter).await.unwrap().len(), 2);
    assert!(ActionState::Superseded.after(ActionEvent::Begin).is_err());
}

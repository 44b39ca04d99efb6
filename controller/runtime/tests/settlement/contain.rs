//! Containment against everything that can be under way: a kill wins in the end, a pause sends
//! nothing more, and what is resumed is exactly what it was.

use serde_json::{Value, json};
use skep_core::action::{ActionKind, ActionState, ActuatorMode};
use skep_core::audit::AuditKind;
use skep_core::containment::{ContainmentVerb, Order, Protected, Scope};
use skep_core::identity::{ClusterId, ObjectKey, RequestId, ServiceName};
use skep_core::ports::Clock as _;
use skep_core::request::{NewRequest, RequestState, RequestVerb};
use skep_runtime::{Options, PassReport, SystemClock, SystemRandom};
use skep_store::{
    ActionFilter, Actions as _, Audit as _, AuditFilter, Containments as _, RequestFilter,
    Requests as _,
};
use skep_swarm::fake::{EffectKind, Fault};
use tokio_util::sync::CancellationToken;

use crate::World;

use ActionState::{Executing, Failed, Pending, Succeeded, Superseded};
use ContainmentVerb::{Kill, Pause, Resume};

fn cluster() -> ClusterId {
    ClusterId::new("cluster1")
}

impl World {
    /// Orders it for the service of these tests.
    pub(crate) async fn order(&self, verb: ContainmentVerb) {
        self.order_of(verb, Scope::Service(ServiceName::new("a"))).await;
    }

    async fn order_of(&self, verb: ContainmentVerb, scope: Scope) {
        let (actor, reason) = ("alice".to_owned(), "fire".to_owned());
        let order = Order { verb, scope, actor, reason };
        let answers = self.store.order(&cluster(), &[order], SystemClock.now()).await.unwrap();
        assert!(answers[0].is_ok(), "{answers:?}");
    }

    /// What a process does that only contains.
    pub(crate) async fn contain(&self) {
        let patience = std::time::Duration::from_secs(20);
        loop {
            match self.process().contain_once(patience).await {
                Err(skep_runtime::Error::LeaseHeld { .. }) => {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                result => return result.unwrap(),
            }
        }
    }

    fn spec(&self) -> Value {
        self.swarm.service("a").unwrap()["Spec"].clone()
    }

    fn replicas(&self) -> Value {
        self.spec()["Mode"]["Replicated"]["Replicas"].clone()
    }

    async fn is_free(&self) -> bool {
        self.store.contained(&cluster()).await.unwrap().is_empty()
    }

    async fn newest(&self) -> (ActionKind, ActionState, String) {
        let action = self.store.actions(&ActionFilter::default()).await.unwrap().remove(0);
        (action.kind, action.state, action.detail)
    }
}

fn without_our_labels(mut spec: Value) -> Value {
    if let Some(labels) = spec["Labels"].as_object_mut() {
        labels.retain(|key, _| !key.starts_with("dev.skep."));
    }
    spec
}

fn codes(report: &PassReport) -> Vec<&str> {
    report.waiting.iter().map(|waiting| waiting.code.as_str()).collect()
}

#[tokio::test]
async fn a_kill_holds_until_it_is_resumed_and_leaves_nothing_behind() {
    let world = World::deployed().await;
    let before = world.spec();
    world.order(Kill).await;
    world.contain().await;
    assert_eq!((world.replicas(), world.swarm.effects()), (json!(0), 2));
    let report = world.pass().await;
    assert_eq!((codes(&report), report.divergences), (vec!["KILLED"], 0), "{report:?}");
    assert_eq!(world.swarm.effects(), 2, "held, not written again");

    world.swarm.meddle("a", "/Mode/Replicated/Replicas", json!(5));
    world.contain().await;
    assert_eq!((world.replicas(), world.swarm.effects()), (json!(0), 3));

    world.order(Resume).await;
    world.contain().await;
    assert_eq!(without_our_labels(world.spec()), without_our_labels(before));
    assert!(world.is_free().await);
    let report = world.pass().await;
    assert_eq!((report.divergences, world.swarm.effects()), (0, 4), "{report:?}");
    let trail = world.store.audit(&AuditFilter::default()).await.unwrap();
    let count = |kind| trail.iter().filter(|(_, event)| event.kind == kind).count();
    assert_eq!(count(AuditKind::Contained), 3, "each write is audited");
    assert_eq!((count(AuditKind::Killed), count(AuditKind::Resumed)), (1, 1));
}

#[tokio::test]
async fn no_rule_no_switch_and_no_source_stops_a_kill() {
    let mut world = World::deployed().await;
    world.policy = Some("version: 1\nrules: [{kind: \"*\", tier: forbidden}]\n");
    world.order(Kill).await;
    std::fs::write(world.registry(), "services: [").unwrap();
    world.swarm.hang_at_registries();
    let process = world.process_with(|options| Options { propose: false, ..options });
    process.reconcile_once(&CancellationToken::new()).await.unwrap();
    assert_eq!(world.replicas(), json!(0));
}

#[tokio::test]
async fn a_kill_is_the_one_write_during_a_rollout() {
    let world = World::deployed().await;
    world.swarm.hold_rollouts("updating");
    world.declare("host_port: 8200, env: {A: b}");
    world.attempt(&[]).await;
    assert_eq!(world.states().await.0[0], ActionState::RollingOut);
    world.order(Kill).await;
    world.contain().await;
    assert_eq!(world.replicas(), json!(0));
    let (states, _) = world.states().await;
    assert_eq!(states[..2], [Succeeded, Failed], "its rollout was overtaken");
    world.order(Resume).await;
    world.contain().await;
    assert_eq!(world.replicas(), json!(1));
}

#[tokio::test]
async fn a_pause_sends_nothing_and_ends_what_was_granted() {
    let world = World::deployed().await;
    world.declare("host_port: 8200, labels: {team: x}");
    world.pass().await;
    world.approve().await;
    world.order(Pause).await;
    let report = world.pass().await;
    assert_eq!(codes(&report), ["PAUSED"], "{report:?}");
    let (kind, state, detail) = world.newest().await;
    assert_eq!((kind, state), (ActionKind::DeployService, Superseded), "{detail}");
    assert!(detail.contains("PAUSED") && detail.contains("alice"), "{detail}");
    assert_eq!(world.swarm.effects(), 1);
    // Resuming needs another look: what was granted before is not carried out.
    world.order(Resume).await;
    world.pass().await;
    assert_eq!(world.states().await.0[..2], [Pending, Superseded]);
    assert_eq!(world.swarm.effects(), 1);
}

#[tokio::test]
async fn what_is_asked_by_hand_of_something_held_is_refused() {
    let world = World::deployed().await;
    for (verb, code) in [(Pause, "PAUSED"), (Kill, "KILLED")] {
        world.order(verb).await;
        let request = NewRequest {
            id: RequestId::generate(&SystemRandom),
            key: ObjectKey::service(&cluster(), &ServiceName::new("a")),
            verb: RequestVerb::Scale { replicas: 3 },
            actor: "bob".to_owned(),
            reason: None,
        };
        world.store.submit(&[request], SystemClock.now()).await.unwrap();
        world.pass().await;
        let state = Some(RequestState::Refused);
        let filter = RequestFilter { state, ..RequestFilter::default() };
        let refused = world.store.requests(&filter).await.unwrap();
        assert!(refused.last().unwrap().detail.starts_with(code), "{refused:?}");
    }
    assert_eq!(world.replicas(), json!(0));
}

/// Crashed between intent and reply: the write was never sent, or its reply was lost.
#[tokio::test]
async fn a_kill_wins_over_an_update_whose_outcome_is_unknown() {
    for (fault, arrived) in [(Fault::HeldBefore, false), (Fault::HeldAfter, true)] {
        let world = World::deployed().await;
        world.declare("host_port: 8200, labels: {team: x}");
        world.crash(&[fault]).await;
        assert_eq!(world.states().await.0[0], Executing);
        let before = world.swarm.effects();
        world.order(Kill).await;
        world.contain().await;
        assert_eq!(world.replicas(), json!(0), "{fault:?}");
        assert_eq!(world.swarm.effects(), before + 1, "{fault:?}: nothing but the kill was sent");
        world.pass().await;
        assert_eq!((world.swarm.effects(), world.open_intents().await), (before + 1, 0));
        assert_eq!(world.states().await.0[..2], [Succeeded, Superseded]);
        world.order(Resume).await;
        world.contain().await;
        assert_eq!(world.replicas(), json!(1));
        assert_eq!(world.label() == json!("x"), arrived, "{fault:?}");
        let report = world.pass().await;
        assert_eq!(report.divergences, usize::from(!arrived), "it is planned again: {report:?}");
    }
}

#[tokio::test]
async fn a_pause_sends_no_copy_of_an_update_whose_outcome_is_unknown() {
    let world = World::deployed().await;
    world.declare("host_port: 8200, labels: {team: x}");
    world.crash(&[Fault::HeldBefore]).await;
    world.order(Pause).await;
    for _ in 0..3 {
        world.pass().await;
    }
    assert_eq!((world.swarm.effects(), world.open_intents().await), (1, 1));
    // Somebody else's write proves that it can no longer arrive.
    world.swarm.meddle("a", "/Labels/team", json!("theirs"));
    world.pass().await;
    assert_eq!((world.states().await.0[0], world.open_intents().await), (Superseded, 0));
    assert_eq!(world.label(), json!("theirs"));
}

/// The leader crashes between the intent of the kill and its reply.
#[tokio::test]
async fn a_kill_goes_on_after_a_crash_at_any_point() {
    for fault in [Fault::HeldBefore, Fault::HeldAfter, Fault::Lost, Fault::ReplyLost] {
        let world = World::deployed().await;
        world.order(Kill).await;
        match fault {
            Fault::HeldBefore | Fault::HeldAfter => world.crash_while_settling(&[fault]).await,
            _ => world.swarm.fail_next(fault),
        }
        world.contain().await;
        assert_eq!((world.replicas(), world.swarm.effects()), (json!(0), 2), "{fault:?}");
        assert_eq!(world.open_intents().await, 0, "{fault:?}");
        // The same for the way back.
        world.order(Resume).await;
        match fault {
            Fault::HeldBefore | Fault::HeldAfter => world.crash_while_settling(&[fault]).await,
            _ => world.swarm.fail_next(fault),
        }
        world.contain().await;
        assert_eq!((world.replicas(), world.swarm.effects()), (json!(1), 3), "{fault:?}");
        assert!(world.is_free().await, "{fault:?}");
    }
}

#[tokio::test]
async fn a_kill_meets_another_writer_and_a_refusal() {
    for fault in [Fault::Overtaken, Fault::Refused(500), Fault::AppliedAndOutOfSequence] {
        let world = World::deployed().await;
        world.order(Kill).await;
        world.swarm.fail_next(fault);
        world.contain().await;
        assert_eq!(world.replicas(), json!(0), "{fault:?}");
        world.order(Resume).await;
        world.contain().await;
        assert_eq!(world.replicas(), json!(1), "{fault:?}");
        if fault == Fault::Overtaken {
            let image = world.spec()["TaskTemplate"]["ContainerSpec"]["Image"].clone();
            assert_eq!(image, "example/theirs:1", "what others wrote stays");
        }
    }
}

#[tokio::test]
async fn a_create_that_is_under_way_is_settled_and_then_killed() {
    let world = World::new().await;
    world.crash(&[Fault::HeldAfter]).await;
    world.order(Kill).await;
    world.pass().await;
    world.contain().await;
    assert_eq!((world.replicas(), world.swarm.effects()), (json!(0), 2));

    let world = World::new().await;
    world.crash(&[Fault::HeldBefore]).await;
    world.order(Kill).await;
    world.pass().await;
    world.pass().await;
    assert_eq!((world.swarm.effects(), world.open_intents().await), (0, 0), "it is not sent again");
    assert_eq!(world.states().await.0, [Superseded]);
}

#[tokio::test]
async fn a_replacement_stops_between_its_requests_and_goes_on_when_resumed() {
    let world = World::deployed().await;
    world.swarm.meddle("a", "/Mode", json!({"Global": {}}));
    world.crash(&[Fault::Passes, Fault::HeldBefore]).await;
    assert!(world.swarm.service("a").is_none());
    world.order(Kill).await;
    for _ in 0..2 {
        world.pass().await;
    }
    assert!(world.swarm.service("a").is_none(), "nothing is started while it is killed");
    assert_eq!(world.open_intents().await, 1);
    world.order(Resume).await;
    world.pass().await;
    world.pass().await;
    assert_eq!(world.replicas(), json!(1));
    assert!(world.is_free().await);
}

#[tokio::test]
async fn a_paused_replacement_does_not_leave_the_service_removed() {
    let world = World::deployed().await;
    world.swarm.meddle("a", "/Mode", json!({"Global": {}}));
    world.crash(&[Fault::Passes, Fault::HeldBefore]).await;
    world.order(Pause).await;
    world.pass().await;
    assert_eq!(world.replicas(), json!(1));
}

#[tokio::test]
async fn a_dry_run_holds_and_writes_nothing() {
    let mut world = World::deployed().await;
    world.order(Kill).await;
    world.declare("host_port: 8200, labels: {team: x}");
    world.mode = ActuatorMode::DryRun;
    world.contain().await;
    let report = world.pass().await;
    assert_eq!(codes(&report), ["KILLED"], "{report:?}");
    assert_eq!((world.replicas(), world.swarm.effects()), (json!(1), 1));
    assert_eq!(report.processed, 0);
}

#[tokio::test]
async fn a_domain_holds_what_joins_it_later() {
    let world = World::deployed().await;
    world.order_of(Kill, Scope::Domain("finance".to_owned())).await;
    world.contain().await;
    assert_eq!(world.replicas(), json!(1), "it is in another domain");
    world.declare("host_port: 8200, domain: finance");
    world.pass().await;
    world.pass().await;
    assert_eq!(world.replicas(), json!(0));
    // A new one is not even created.
    let text = std::fs::read_to_string(world.registry()).unwrap();
    let more = "  - {name: b, image: \"example/b:1\", host_port: 8201, domain: finance}\n";
    std::fs::write(world.registry(), format!("{text}{more}")).unwrap();
    let report = world.pass().await;
    let held = report.waiting.iter().find(|one| one.target == Some(ServiceName::new("b")));
    assert_eq!(held.unwrap().code, "KILLED", "{report:?}");
    assert!(world.pending().await.is_empty());
    world.order_of(Resume, Scope::Domain("finance".to_owned())).await;
    world.contain().await;
    assert_eq!(world.replicas(), json!(1));
    assert!(world.is_free().await);
    let report = world.pass().await;
    assert_eq!(report.processed, 1, "b is asked about now: {report:?}");
}

#[tokio::test]
async fn the_protected_is_neither_killed_nor_stopped() {
    let world = World::deployed().await;
    let protected = || Protected::parse(["a"]).unwrap();
    world.order_of(Kill, Scope::Domain("default".to_owned())).await;
    let process = || world.process_with(|options| Options { protected: protected(), ..options });
    process().contain_once(std::time::Duration::from_secs(5)).await.unwrap();
    assert_eq!(world.swarm.effects(), 1);
    world.order_of(Resume, Scope::Domain("default".to_owned())).await;
    process().contain_once(std::time::Duration::from_secs(5)).await.unwrap();

    world.declare("host_port: 8200, desired: stopped");
    let planned = process().plan().await.unwrap();
    let blocked = planned.plan.steps[0].blocked.clone().unwrap();
    assert_eq!((blocked.code.as_str(), planned.plan.summary.blocked), ("PROTECTED", 1));
    for verb in [RequestVerb::Stop, RequestVerb::Scale { replicas: 0 }] {
        let request = NewRequest {
            id: RequestId::generate(&SystemRandom),
            key: ObjectKey::service(&cluster(), &ServiceName::new("a")),
            verb,
            actor: "bob".to_owned(),
            reason: None,
        };
        world.store.submit(&[request], SystemClock.now()).await.unwrap();
    }
    for _ in 0..3 {
        process().reconcile_once(&CancellationToken::new()).await.unwrap();
    }
    let requests = world.store.requests(&RequestFilter::default()).await.unwrap();
    for request in requests {
        assert!(request.detail.starts_with("PROTECTED"), "{request:?}");
    }
    assert_eq!(world.swarm.effects(), 1);
}

/// Granted while nothing protected it: carried out it is not.
#[tokio::test]
async fn what_was_granted_before_it_was_protected_is_superseded() {
    let world = World::deployed().await;
    world.declare("host_port: 8200, desired: stopped");
    world.pass().await;
    world.approve().await;
    let protected = Protected::parse(["a"]).unwrap();
    let process = world.process_with(|options| Options { protected, ..options });
    process.reconcile_once(&CancellationToken::new()).await.unwrap();
    let (_, state, detail) = world.newest().await;
    assert_eq!(state, Superseded, "{detail}");
    assert_eq!(world.swarm.effects(), 1);
}

#[tokio::test]
async fn only_what_is_ours_is_killed() {
    let world = World::deployed().await;
    world.swarm.intrude("theirs");
    let before = world.swarm.service("theirs");
    world.order_of(Kill, Scope::Service(ServiceName::new("theirs"))).await;
    world.order_of(Kill, Scope::Domain("default".to_owned())).await;
    world.contain().await;
    assert_eq!(world.replicas(), json!(0));
    assert_eq!(world.swarm.service("theirs"), before);
}

/// The loop: an order that arrives while a write hangs is carried out all the same.
#[tokio::test]
async fn a_running_loop_kills_while_a_write_of_the_service_hangs() {
    let world = World::deployed().await;
    world.declare("host_port: 8200, labels: {team: x}");
    world.pass().await;
    world.approve().await;
    world.swarm.fail_next(Fault::HeldBefore);
    let process = world.process();
    let shutdown = CancellationToken::new();
    let watching = async {
        world.swarm.held().await;
        world.order(Kill).await;
        while world.replicas() != json!(0) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        shutdown.cancel();
    };
    let patience = std::time::Duration::from_secs(30);
    tokio::time::timeout(patience, watching_with(&process, &shutdown, watching)).await.unwrap();
    let journal = world.swarm.journal();
    let updates = journal.iter().filter(|effect| effect.kind == EffectKind::Update).count();
    assert_eq!(updates, 1, "the kill and nothing else: {journal:?}");
}

async fn watching_with(
    process: &skep_runtime::Controller,
    shutdown: &CancellationToken,
    watching: impl Future<Output = ()>,
) {
    let (served, ()) = tokio::join!(process.serve(shutdown.clone()), watching);
    served.unwrap();
}

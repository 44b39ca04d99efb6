//! Failed attempts: which are made again, how often, across crashes and leaders; and the letter
//! that each failure leaves.

use std::time::Duration;

use serde_json::json;
use skep_core::action::ActionState;
use skep_core::audit::AuditKind;
use skep_core::gate::{FREEZE_PRIORITY, Override};
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{ActionId, ClusterId, ObjectKey, OverrideId, RequestId, ServiceName};
use skep_core::letter::{DeadLetter, LetterReason, LetterState};
use skep_core::ports::Clock as _;
use skep_core::request::{NewRequest, RequestVerb};
use skep_crds::policy::{PolicyRule, Tier};
use skep_runtime::{SystemClock, SystemRandom};
use skep_store::{
    ActionFilter, Actions as _, Audit as _, AuditFilter, DeadLetters as _, LetterAnswer,
    LetterFilter, Operator, Overrides as _, Requests as _, Requeue, RequeueWith, Retries as _,
};

use skep_swarm::fake::Fault;
use tokio_util::sync::CancellationToken;

use crate::World;

use ActionState::{Executing, Failed, Pending, RollingOut, Succeeded};
use Fault::{HeldBefore, Lost, Passes, Refused};

impl World {
    /// A world in which nobody waits for late copies.
    async fn hasty(mut self) -> Self {
        self.conclude_after = Duration::ZERO;
        self
    }

    async fn letters(&self) -> Vec<DeadLetter> {
        self.store.letters(&LetterFilter::default()).await.unwrap()
    }

    /// The only letter; it is about the newest action.
    async fn letter(&self) -> DeadLetter {
        let mut letters = self.letters().await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        let actions = self.store.actions(&ActionFilter::default()).await.unwrap();
        let letter = letters.remove(0);
        assert_eq!(letter.id.as_str(), actions[0].id.as_str());
        assert_eq!((letter.state, letter.host.as_str()), (LetterState::Open, "localhost"));
        letter
    }

    /// How many attempts of the newest action have failed.
    async fn failed_attempts(&self) -> u32 {
        let actions = self.store.actions(&ActionFilter::default()).await.unwrap();
        let attempts = self.store.attempts(&actions[0].id).await.unwrap();
        attempts.map_or(0, |attempts| attempts.failed)
    }

    /// How often the trail says this about the newest action.
    async fn said(&self, kind: AuditKind) -> usize {
        let actions = self.store.actions(&ActionFilter::default()).await.unwrap();
        let filter = AuditFilter { action: Some(actions[0].id.clone()), ..AuditFilter::default() };
        let rows = self.store.audit(&filter).await.unwrap();
        rows.iter().filter(|(_, event)| event.kind == kind).count()
    }

    pub(crate) async fn ask_to(&self, verb: RequestVerb) {
        let request = NewRequest {
            id: RequestId::generate(&SystemRandom),
            key: ObjectKey::service(&ClusterId::new("cluster1"), &ServiceName::new("a")),
            verb,
            actor: "alice".to_owned(),
            reason: None,
        };
        self.store.submit(&[request], SystemClock.now()).await.unwrap();
    }

    /// Passes until the newest action has ended.
    async fn until_ended(&self) -> ActionState {
        for _ in 0..100 {
            let state = self.states().await.0[0];
            if !state.is_open() {
                return state;
            }
            self.pass().await;
        }
        panic!("it does not end: {:?}", self.states().await);
    }
}

const LABEL: &str = "host_port: 8200, labels: {team: x}";

/// A world in which a label is to be changed.
async fn to_be_updated() -> World {
    let world = World::deployed().await;
    world.declare(LABEL);
    world
}

#[tokio::test]
async fn two_errors_of_the_engine_and_then_a_yes_are_one_effect() {
    // A create, where nothing proves an effect but the name; and an update, fenced by its Version.
    let create = World::new().await;
    let update = to_be_updated().await;
    for (world, before) in [(create, 0), (update, 1)] {
        world.attempt(&[Refused(500), Refused(503)]).await;
        assert_eq!(world.until_ended().await, Succeeded, "{}", world.states().await.1);
        assert_eq!(world.swarm.effects(), before + 1);
        assert_eq!((world.failed_attempts().await, world.letters().await.len()), (2, 0));
        assert_eq!(world.pass().await.divergences, 0);
    }
}

#[tokio::test]
async fn three_errors_of_the_engine_are_a_failure_with_a_letter() {
    for world in [World::new().await, to_be_updated().await] {
        let world = world.hasty().await;
        let before = world.swarm.effects();
        world.attempt(&[Refused(500); 30]).await;
        let (states, detail) = world.states().await;
        assert_eq!(states[0], Failed, "{detail}");
        let letter = world.letter().await;
        assert_eq!((letter.reason, letter.attempts), (LetterReason::EngineError, 3));
        assert!(letter.detail.contains("500") && letter.detail == detail, "{letter:?}");
        assert_eq!((letter.source.as_str(), letter.event.as_str()), ("registry", "deploy_service"));
        assert_eq!(world.said(AuditKind::Failed).await, 1);
        // Each of the three is in the trail.
        let noted = world.said(AuditKind::AttemptFailed).await;
        assert_eq!(noted + world.said(AuditKind::Retried).await, 3, "each attempt once");
        // Degraded: nothing more is sent although the engine would take it now.
        world.swarm.clear_faults();
        for _ in 0..5 {
            world.pass().await;
        }
        assert_eq!((world.swarm.effects(), world.letters().await.len()), (before, 1));
    }
}

/// The last attempt may still be under way: nothing is concluded before its time, nothing is sent
/// any more, and a proof ends it at once.
#[tokio::test]
async fn after_the_last_attempt_it_is_made_sure_that_none_arrives_late() {
    for world in [World::new().await, to_be_updated().await] {
        world.attempt(&[Refused(500); 3]).await;
        let sent = world.swarm.effects();
        for _ in 0..2 {
            world.pass().await;
        }
        assert_eq!(world.states().await.0[0], Executing);
        assert_eq!((world.swarm.effects(), world.letters().await.len()), (sent, 0), "only looked");
        let label = world.store.actions(&ActionFilter::default()).await.unwrap()[0].id.to_string();
        if world.swarm.service("a").is_none() {
            continue;
        }
        // It had arrived after all.
        world.swarm.meddle("a", "/Labels/team", json!("x"));
        world.swarm.meddle("a", "/Labels/dev.skep.action", json!(label));
        world.pass().await;
        assert_eq!(world.states().await.0[0], Succeeded);
        assert_eq!(world.letters().await.len(), 0);
    }
}

#[tokio::test]
async fn a_definite_refusal_is_not_tried_again() {
    for world in [World::new().await, to_be_updated().await] {
        let before = world.swarm.effects();
        world.attempt(&[Refused(400)]).await;
        for _ in 0..3 {
            world.pass().await;
        }
        let letter = world.letter().await;
        assert_eq!((letter.reason, letter.attempts), (LetterReason::Refused, 1));
        assert_eq!((world.swarm.effects(), world.states().await.0[0]), (before, Failed));
    }
}

#[tokio::test]
async fn an_attempt_that_is_refused_after_an_error_counts_both() {
    let world = to_be_updated().await;
    world.attempt(&[Refused(500), Refused(400)]).await;
    let letter = world.letter().await;
    assert_eq!((letter.reason, letter.attempts), (LetterReason::Refused, 2));
    assert!(letter.first_seen < letter.last_seen);
}

#[tokio::test]
async fn a_create_that_never_arrives_is_sent_three_times() {
    let world = World::new().await.hasty().await;
    world.attempt(&[Lost; 30]).await;
    world.until_ended().await;
    let letter = world.letter().await;
    assert_eq!((letter.reason, letter.attempts), (LetterReason::NoReply, 3));
    assert_eq!((world.states().await.0, world.swarm.effects()), (vec![Failed], 0));
}

/// An update without an answer is unknown, not failed, however often that happens.
#[tokio::test]
async fn no_answer_is_no_failed_attempt() {
    let world = to_be_updated().await.hasty().await;
    world.attempt(&[Lost; 8]).await;
    assert_eq!((world.until_ended().await, world.failed_attempts().await), (Succeeded, 0));
    assert_eq!((world.swarm.effects(), world.letters().await.len()), (2, 0));
}

#[tokio::test]
async fn a_crash_between_attempts_keeps_the_count() {
    for world in [World::new().await, to_be_updated().await] {
        let world = world.hasty().await;
        let before = world.swarm.effects();
        // The second attempt is held when the process ends: it was never answered.
        world.crash(&[Refused(500), HeldBefore]).await;
        assert_eq!(world.failed_attempts().await, 1);
        for _ in 0..30 {
            world.swarm.fail_next(Refused(500));
        }
        world.until_ended().await;
        let letter = world.letter().await;
        assert_eq!((letter.reason, letter.attempts), (LetterReason::EngineError, 3));
        assert_eq!(world.swarm.effects(), before);
    }
}

/// What one leader counted, the next one goes on from; between them nothing is counted twice.
#[tokio::test]
async fn another_leader_keeps_the_count_and_the_pause() {
    let world = to_be_updated().await;
    world.pass().await;
    world.approve().await;
    world.swarm.fail_next(Refused(500));
    let slow = |options| skep_runtime::Options {
        pace: skep_core::retry::Pace { first: jiff::SignedDuration::from_secs(3600) },
        ..options
    };
    world.process_with(slow).reconcile_once(&CancellationToken::new()).await.unwrap();
    assert_eq!((world.failed_attempts().await, world.states().await.0[0]), (1, Executing));
    // The pause is the first leader's, and holds for whoever leads.
    world.pass().await;
    assert_eq!((world.states().await.0[0], world.swarm.effects()), (Executing, 1));
}

#[tokio::test]
async fn what_destroys_is_never_tried_again() {
    // A stop: an update like others, and tried once.
    let world = World::deployed().await.hasty().await;
    world.ask_to(RequestVerb::Stop).await;
    world.attempt(&[Refused(500)]).await;
    world.until_ended().await;
    let letter = world.letter().await;
    assert_eq!((letter.reason, letter.attempts), (LetterReason::EngineError, 1));
    assert_eq!((letter.event.as_str(), world.swarm.effects()), ("stop_service", 1));

    // A removal, the first half of a replacement.
    let world = World::deployed().await.hasty().await;
    world.swarm.meddle("a", "/Mode", json!({"Global": {}}));
    world.attempt(&[Refused(500)]).await;
    world.until_ended().await;
    let letter = world.letter().await;
    assert_eq!((letter.reason, letter.attempts), (LetterReason::EngineError, 1));
    assert!(letter.detail.contains("was not removed"), "{}", letter.detail);
    assert_eq!(world.swarm.removals(), 0);
    for _ in 0..3 {
        world.pass().await;
    }
    assert_eq!(world.swarm.removals(), 0);
}

#[tokio::test]
async fn a_replacement_that_was_taken_back_leaves_a_letter() {
    let world = World::deployed().await;
    world.swarm.meddle("a", "/Mode", json!({"Global": {}}));
    world.attempt(&[Passes, Refused(400)]).await;
    let letter = world.letter().await;
    assert_eq!((letter.reason, letter.attempts), (LetterReason::PutBack, 1));
}

/// A stop that somebody overtook is asked again, not done to what is there now.
#[tokio::test]
async fn what_destroys_and_was_overtaken_is_asked_again() {
    let world = World::deployed().await;
    world.ask_to(RequestVerb::Stop).await;
    world.attempt(&[Fault::Overtaken]).await;
    let actions = world.store.actions(&ActionFilter::default()).await.unwrap();
    let stop = actions.iter().find(|action| action.kind.as_str() == "stop_service").unwrap();
    assert_eq!(stop.state, ActionState::Superseded);
    assert_eq!((world.swarm.effects(), world.letters().await.len()), (1, 0));
}

const OTHER_IMAGE: &str = "host_port: 8200, env: {LEVEL: debug}";

#[tokio::test]
async fn a_rollout_that_hangs_ends_with_its_time_and_is_not_tried_again() {
    let mut world = World::deployed().await;
    world.swarm.hold_rollouts("updating");
    world.declare(OTHER_IMAGE);
    world.attempt(&[]).await;
    world.pass().await;
    assert_eq!((world.states().await.0[0], world.letters().await.len()), (RollingOut, 0));
    world.action_timeout = Duration::ZERO;
    world.pass().await;
    let (states, detail) = world.states().await;
    assert_eq!(states[0], Failed);
    assert!(detail.contains("timeout") && detail.contains("updating"), "{detail}");
    let letter = world.letter().await;
    assert_eq!((letter.reason, letter.attempts), (LetterReason::Timeout, 1));
    assert_eq!(world.said(AuditKind::Failed).await, 1);
    // Swarm goes on; Skep writes nothing, whatever a rule would allow.
    world.policy = Some("version: 1\nrules: [{kind: \"*\", tier: auto}]\n");
    for _ in 0..5 {
        world.pass().await;
    }
    world.swarm.roll("a", "paused");
    for _ in 0..5 {
        world.pass().await;
    }
    assert_eq!((world.swarm.effects(), world.states().await.0.len()), (2, 2));
}

#[tokio::test]
async fn a_rollout_that_swarm_ended_badly_leaves_a_letter() {
    let world = World::deployed().await;
    world.swarm.hold_rollouts("updating");
    world.declare(OTHER_IMAGE);
    world.attempt(&[]).await;
    world.swarm.fail_task("a", "No such image");
    world.swarm.roll("a", "paused");
    world.pass().await;
    let letter = world.letter().await;
    assert_eq!((letter.reason, letter.attempts), (LetterReason::RolloutFailed, 1));
    assert!(letter.detail.contains("No such image"), "{}", letter.detail);
}

/// An unknown outcome is late, and stays unknown until it is settled.
#[tokio::test]
async fn an_unknown_outcome_never_ends_by_its_age() {
    let mut world = to_be_updated().await.hasty().await;
    world.action_timeout = Duration::ZERO;
    world.crash(&[HeldBefore]).await;
    // A dry run can settle nothing of it; it only sees that it is late.
    world.mode = skep_core::action::ActuatorMode::DryRun;
    world.pass().await;
    let process = world.process();
    process.reconcile_once(&CancellationToken::new()).await.unwrap();
    assert!(process.metrics().render().contains("fleet_actions_overdue 1"));
    assert_eq!(world.states().await.0[0], Executing);
    // Turned on, it is settled by the same bytes as ever.
    world.mode = skep_core::action::ActuatorMode::Swarm;
    world.pass().await;
    assert_eq!(world.states().await.0[0], Succeeded);
    assert_eq!((world.swarm.effects(), world.letters().await.len()), (2, 0));

    // One that provably came to nothing is not begun once more.
    let mut world = World::new().await.hasty().await;
    world.action_timeout = Duration::ZERO;
    world.attempt(&[Lost]).await;
    world.until_ended().await;
    let letter = world.letter().await;
    assert_eq!((letter.reason, letter.attempts), (LetterReason::Timeout, 1));
    assert_eq!(world.swarm.effects(), 0);
}

#[tokio::test]
async fn letters_are_counted_by_where_they_come_from() {
    let world = World::new().await;
    world.pass().await;
    world.approve().await;
    world.swarm.fail_next(Refused(400));
    let process = world.process();
    process.reconcile_once(&CancellationToken::new()).await.unwrap();
    let metrics = process.metrics().render();
    let counter = "fleet_events_dlq_total{kind=\"dispatch\",source=\"registry\"} 1";
    assert!(metrics.contains(counter), "{metrics}");
    let id = ActionId::new(world.letter().await.id.as_str());
    assert_eq!(world.store.action(id.as_str()).await.unwrap().state, Failed);
}

/// A person has the only letter proposed again.
async fn requeue(world: &World) {
    let letter = world.letter().await;
    let now = SystemClock.now();
    let hold = Hold {
        key: letter.key.clone().unwrap(),
        kind: HoldKind::Retry,
        difference: None,
        until: None,
        actor: "alice".to_owned(),
        reason: String::new(),
        placed_at: now,
    };
    let by = Operator {
        actor: "alice".to_owned(),
        source: "desk:operator".to_owned(),
        initiator: "test".to_owned(),
        host: "desk".to_owned(),
    };
    let with = RequeueWith::Retry(Box::new(hold));
    let wish = Requeue { letter: letter.id, by, why: String::new(), with };
    let answer = world.store.requeue_letter(&wish, now).await.unwrap();
    assert!(matches!(answer, LetterAnswer::Changed(_)), "{answer:?}");
}

fn freeze() -> Override {
    Override {
        id: OverrideId::new("freeze"),
        rule: PolicyRule::about_everything(Tier::Forbidden, FREEZE_PRIORITY),
        reason: "release week".to_owned(),
        actor: "bob".to_owned(),
        created_at: SystemClock.now(),
        expires_at: None,
        lifted: None,
    }
}

/// Under each tier, and under a freeze: a new action or none, and never a write around the gate.
#[tokio::test]
async fn a_requeue_passes_the_gate_again() {
    for (rules, becomes, writes) in [
        ("version: 1\nrules: []\n", Some(Pending), 0),
        ("version: 1\nrules: [{kind: \"*\", tier: auto}]\n", Some(Succeeded), 1),
        ("version: 1\nrules: [{kind: \"*\", tier: auto_notify}]\n", Some(Succeeded), 1),
        ("version: 1\nrules: [{kind: \"*\", tier: forbidden}]\n", None, 0),
    ] {
        let mut world = World::new().await;
        world.attempt(&[Refused(400)]).await;
        for _ in 0..3 {
            world.pass().await;
        }
        assert_eq!(world.states().await.0, [Failed], "degraded until somebody says otherwise");
        world.policy = Some(rules);
        requeue(&world).await;
        world.pass().await;
        let states = world.states().await.0;
        assert_eq!((states.len(), world.swarm.effects()), (1 + becomes.iter().count(), writes));
        if let Some(state) = becomes {
            assert_eq!(states[0], state, "{rules}");
        }
    }
}

#[tokio::test]
async fn a_requeue_under_a_freeze_proposes_nothing_until_it_is_lifted() {
    let mut world = World::new().await;
    world.attempt(&[Refused(400)]).await;
    world.policy = Some("version: 1\nrules: [{kind: \"*\", tier: auto}]\n");
    world.store.place_override(&freeze()).await.unwrap();
    requeue(&world).await;
    for _ in 0..3 {
        let report = world.pass().await;
        let denied = report.waiting.iter().any(|one| one.code == "FROZEN");
        assert!(denied, "{report:?}");
    }
    assert_eq!((world.states().await.0, world.swarm.effects()), (vec![Failed], 0));
    world.store.lift_override("freeze", "bob", SystemClock.now()).await.unwrap();
    world.pass().await;
    assert_eq!((world.states().await.0[0], world.swarm.effects()), (Succeeded, 1));
}

//! What becomes of a write whose outcome nobody knows: one effect, and the right word for it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests report by panicking"
)]

mod canary;
mod contain;
mod disk;
mod letters;
mod meeting;
mod replace;
mod rollout;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use skep_core::action::{ActionKind, ActionState, ActuatorMode};
use skep_core::approval::ApprovalStatus;
use skep_core::digester::Digester;
use skep_core::gate::Settings;
use skep_core::plan::Masking;
use skep_core::ports::Clock;
use skep_core::retry;
use skep_images::{Credentials, Limits, Resolver};
use skep_runtime::{
    Controller, Options, Parts, PassReport, PolicySource, SourceSet, SystemClock, SystemRandom,
};
use skep_store::conformance::protection;
use skep_store::{
    ActionFilter, Actions as _, ApprovalFilter, Approvals as _, Decision, DecisionRequest,
    Intents as _,
};
use skep_store_sqlite::SqliteStore;
use skep_swarm::fake::{FakeSwarm, Fault, Pace};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

struct World {
    swarm: Arc<FakeSwarm>,
    store: SqliteStore,
    folder: TempDir,
    mode: ActuatorMode,
    policy: Option<&'static str>,
    key: u8,
    /// How long nothing of a request that came to nothing is concluded.
    conclude_after: Duration,
    action_timeout: Duration,
}

/// The swarm's clock: in the past, so that no service counts as fresh, and later at each look.
#[derive(Default)]
struct LongAgo(AtomicI64);

impl Clock for LongAgo {
    fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        start + SignedDuration::from_millis(self.0.fetch_add(100, Ordering::Relaxed))
    }
}

/// Long enough to be trusted for a while, short enough to wait for after a crash.
const LEASE: Duration = Duration::from_secs(3);

impl World {
    async fn new() -> Self {
        let world = Self {
            swarm: Arc::new(FakeSwarm::new(Arc::new(LongAgo::default()), Pace::INSTANT, 1)),
            store: SqliteStore::open_in_memory(protection()).await.unwrap(),
            folder: TempDir::new().unwrap(),
            mode: ActuatorMode::Swarm,
            policy: None,
            key: 7,
            conclude_after: Options::default().conclude_after,
            action_timeout: Options::default().action_timeout,
        };
        world.declare("host_port: 8200");
        world
    }

    /// A world in which the service runs as declared.
    async fn deployed() -> Self {
        let world = Self::new().await;
        world.pass().await;
        world.approve().await;
        world.pass().await;
        assert_eq!(world.swarm.effects(), 1);
        world
    }

    fn registry(&self) -> PathBuf {
        self.folder.path().join("registry.yml")
    }

    fn declare(&self, fields: &str) {
        let text = format!("services:\n  - {{name: a, image: \"example/a:1\", {fields}}}\n");
        std::fs::write(self.registry(), text).unwrap();
    }

    /// A fresh process.
    fn process(&self) -> Controller {
        self.process_that_waits(false)
    }

    fn process_that_waits(&self, wait_for_rollouts: bool) -> Controller {
        self.process_with(|options| Options { wait_for_rollouts, ..options })
    }

    fn process_with(&self, change: impl FnOnce(Options) -> Options) -> Controller {
        let settings = Settings::default();
        let policy = match self.policy {
            Some(text) => {
                let path = self.folder.path().join("policy.yml");
                std::fs::write(&path, text).unwrap();
                PolicySource::file(path, settings)
            }
            None => PolicySource::shipped(settings),
        };
        let parts = Parts {
            engine: Arc::clone(&self.swarm) as Arc<dyn skep_swarm::Engine>,
            store: Arc::new(self.store.clone()),
            sources: SourceSet::new(vec![self.registry()], None, Vec::new()),
            policy,
            images: Resolver::new(
                Arc::clone(&self.swarm) as Arc<dyn skep_swarm::Engine>,
                Arc::new(Credentials::none()),
                Arc::new(SystemClock),
                Limits::default(),
            ),
            masking: Masking::new(*b"key"),
            digester: Digester::new(&[7; 32]).unwrap(),
            sealer: skep_core::seal::Sealer::new(&[self.key; 32]).unwrap(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        };
        let options = Options {
            mode: self.mode,
            wait_for_rollouts: false,
            max_actions: 1000,
            lease_ttl: LEASE,
            pace: retry::Pace { first: SignedDuration::ZERO },
            conclude_after: self.conclude_after,
            action_timeout: self.action_timeout,
            ..Options::default()
        };
        Controller::new(parts, change(options))
    }

    /// One pass of a fresh process; it waits for the lease of one that crashed.
    async fn pass(&self) -> PassReport {
        loop {
            match self.process().reconcile_once(&CancellationToken::new()).await {
                Err(skep_runtime::Error::LeaseHeld { .. }) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                report => return report.unwrap(),
            }
        }
    }

    /// One pass that waits for the rollouts that it begins.
    async fn patient_pass(&self) -> PassReport {
        let process = self.process_that_waits(true);
        process.reconcile_once(&CancellationToken::new()).await.unwrap()
    }

    /// Files, approves and carries out; the process crashes where the last fault holds its write.
    async fn crash(&self, faults: &[Fault]) {
        self.pass().await;
        self.approve().await;
        self.crash_while_settling(faults).await;
    }

    /// A pass that crashes where the last fault holds its write.
    async fn crash_while_settling(&self, faults: &[Fault]) {
        for fault in faults {
            self.swarm.fail_next(*fault);
        }
        tokio::select! {
            _ = self.pass() => panic!("nothing was held"),
            () = self.swarm.held() => {}
        }
    }

    async fn pending(&self) -> Vec<skep_core::approval::Approval> {
        let status = Some(ApprovalStatus::Pending);
        self.store.approvals(&ApprovalFilter { status, ..ApprovalFilter::default() }).await.unwrap()
    }

    async fn approve(&self) {
        let now = SystemClock.now();
        for request in self.pending().await {
            let decision = DecisionRequest {
                approval: request.id,
                decision: Decision::Approve,
                actor: "tester".to_owned(),
                source: "host:operator".to_owned(),
                comment: None,
                expected_revision: None,
                expected_binding: None,
                start_by: Some(now + SignedDuration::from_mins(10)),
            };
            self.store.decide(&decision, now).await.unwrap();
        }
    }

    /// Files, approves and carries out; the fault meets the write.
    async fn attempt(&self, faults: &[Fault]) {
        self.pass().await;
        self.approve().await;
        for fault in faults {
            self.swarm.fail_next(*fault);
        }
        self.pass().await;
    }

    /// The states of the actions, newest first, with the newest one's detail.
    async fn states(&self) -> (Vec<ActionState>, String) {
        let actions = self.store.actions(&ActionFilter::default()).await.unwrap();
        let detail = actions.first().map(|action| action.detail.clone()).unwrap_or_default();
        (actions.iter().map(|action| action.state).collect(), detail)
    }

    async fn open_intents(&self) -> usize {
        self.store.open_intents().await.unwrap().len()
    }

    fn label(&self) -> Value {
        self.swarm.service("a").unwrap()["Spec"]["Labels"]["team"].clone()
    }
}

use ActionState::{Executing, Failed, Pending, Succeeded, Superseded};

#[tokio::test]
async fn a_create_with_a_lost_reply_is_ours_although_its_own_port_refuses_the_copy() {
    let world = World::new().await;
    world.attempt(&[Fault::ReplyLost]).await;
    world.pass().await;
    let (states, detail) = world.states().await;
    assert_eq!((states, world.swarm.effects()), (vec![Succeeded], 1), "{detail}");
    // On record: the next plan has nothing to adopt.
    assert_eq!(world.pass().await.divergences, 0);
}

#[tokio::test]
async fn a_create_that_never_arrived_is_sent_again() {
    let world = World::new().await;
    world.attempt(&[Fault::Lost]).await;
    world.pass().await;
    assert_eq!((world.states().await.0, world.swarm.effects()), (vec![Succeeded], 1));
}

/// It arrives after everybody had looked in vain: before the new plan, before the second copy.
#[tokio::test]
async fn a_create_that_lands_late_is_ours() {
    let lands = Fault::LandsLater(Duration::from_millis(1));
    for faults in [&[lands][..], &[Fault::Lost, lands]] {
        let world = World::new().await;
        world.attempt(faults).await;
        world.pass().await;
        let (states, detail) = world.states().await;
        assert_eq!((states, world.swarm.effects()), (vec![Succeeded], 1), "{faults:?}: {detail}");
        assert_eq!(world.pass().await.divergences, 0);
    }
}

#[tokio::test]
async fn a_create_overtaken_by_somebody_else_fails_and_names_why() {
    let world = World::new().await;
    world.attempt(&[Fault::Overtaken]).await;
    let actions = world.store.actions(&ActionFilter::default()).await.unwrap();
    let failed = actions.iter().find(|action| action.state == Failed).unwrap();
    assert!(failed.detail.contains("FOREIGN_NAME"), "{}", failed.detail);
    // And the other one's service is asked about, not written.
    assert_eq!(actions[0].kind, ActionKind::AdoptService);
    assert_eq!(world.swarm.effects(), 0);
}

#[tokio::test]
async fn an_update_with_a_lost_reply_is_done_once() {
    let world = World::deployed().await;
    world.declare("host_port: 8200, labels: {team: x}");
    world.attempt(&[Fault::ReplyLost]).await;
    world.pass().await;
    assert_eq!(world.states().await.0, [Succeeded, Succeeded]);
    assert_eq!((world.swarm.effects(), world.label()), (2, json!("x")));
}

#[tokio::test]
async fn an_update_that_moved_between_read_and_write_is_planned_again_under_the_same_grant() {
    let world = World::deployed().await;
    world.declare("host_port: 8200, labels: {team: x}");
    world.attempt(&[Fault::Overtaken]).await;
    // The other writer changed the image: what was approved no longer says everything.
    let (states, _) = world.states().await;
    assert_eq!(states[..2], [Pending, Superseded]);
    assert_eq!(world.swarm.effects(), 1);
    assert_eq!(world.open_intents().await, 0);
}

#[tokio::test]
async fn a_write_that_the_engine_did_and_denies_having_done_is_found() {
    let world = World::deployed().await;
    world.declare("host_port: 8200, labels: {team: x}");
    world.attempt(&[Fault::AppliedAndOutOfSequence]).await;
    assert_eq!(world.states().await.0, [Succeeded, Succeeded]);
    assert_eq!(world.swarm.effects(), 2);
}

#[tokio::test]
async fn an_update_lost_on_the_way_and_overtaken_is_not_forced() {
    let world = World::deployed().await;
    world.declare("host_port: 8200, labels: {team: x}");
    world.pass().await;
    world.approve().await;
    for _ in 0..30 {
        world.swarm.fail_next(Fault::Lost);
    }
    world.pass().await;
    world.swarm.clear_faults();
    assert_eq!(world.states().await.0[0], Executing);
    world.swarm.meddle("a", "/TaskTemplate/ContainerSpec/Image", json!("example/theirs:1"));
    world.pass().await;
    let (states, _) = world.states().await;
    assert_eq!(states[..2], [Pending, Superseded], "asked again, with what differs now");
    assert_eq!(world.swarm.effects(), 1);
}

#[tokio::test]
async fn a_definite_refusal_is_a_failure_and_not_repeated() {
    let world = World::new().await;
    world.attempt(&[Fault::Refused(400)]).await;
    for _ in 0..3 {
        world.pass().await;
    }
    assert_eq!(world.states().await.0, [Failed]);
    assert_eq!((world.pending().await.len(), world.swarm.effects()), (0, 0));
}

#[tokio::test]
async fn a_dry_run_settles_nothing_by_writing() {
    let mut world = World::new().await;
    world.crash(&[Fault::HeldBefore]).await;
    assert_eq!(world.states().await.0, [Executing]);
    world.mode = ActuatorMode::DryRun;
    world.pass().await;
    assert_eq!((world.states().await.0[0], world.swarm.effects()), (Executing, 0));
    // Turned on again, the same bytes do the work.
    world.mode = ActuatorMode::Swarm;
    world.pass().await;
    assert_eq!((world.states().await.0[0], world.swarm.effects()), (Succeeded, 1));
}

#[tokio::test]
async fn an_intent_for_another_swarm_is_never_sent_to_this_one() {
    let world = World::new().await;
    world.crash(&[Fault::HeldBefore]).await;
    world.swarm.move_to("cluster2");
    world.pass().await;
    assert_eq!((world.open_intents().await, world.swarm.effects()), (1, 0));
}

#[tokio::test]
async fn what_is_settled_at_the_start_of_a_pass_is_not_proposed_again_in_it() {
    let world = World::new().await;
    world.attempt(&[Fault::ReplyLost]).await;
    let before = world.states().await.0.len();
    let report = world.pass().await;
    assert_eq!(report.processed, 0, "{report:?}");
    assert_eq!(world.states().await.0.len(), before);
}

#[tokio::test]
async fn a_service_of_that_name_made_by_somebody_else_is_left_alone() {
    let world = World::new().await;
    world.swarm.intrude("a");
    let before = world.swarm.service("a");
    world.attempt(&[]).await;
    world.pass().await;
    assert_eq!(world.swarm.service("a"), before, "adopted, not written");
    assert_eq!(world.swarm.effects(), 0);
}

#[tokio::test]
async fn a_difference_that_always_comes_back_is_not_written_for_ever() {
    let world = World::deployed().await;
    for _ in 0..5 {
        world.swarm.meddle("a", "/TaskTemplate/ContainerSpec/Image", json!("example/theirs:1"));
        world.attempt(&[]).await;
    }
    // One create and three repairs; then somebody has to look.
    assert_eq!(world.swarm.effects(), 4);
    let waiting = world.pass().await.waiting;
    assert!(waiting.iter().any(|waiting| waiting.code == "COMES_BACK"), "{waiting:?}");
}

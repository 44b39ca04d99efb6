//! A swarm in memory, a database in a file, and a clock that the test moves.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use skep_core::action::{ActionState, ActuatorMode};
use skep_core::approval::{Approval, ApprovalStatus};
use skep_core::digester::Digester;
use skep_core::gate::{FREEZE_PRIORITY, Override, Settings};
use skep_core::identity::{ClusterId, ObjectKey, OverrideId, RequestId, ServiceName};
use skep_core::plan::Masking;
use skep_core::ports::Clock;
use skep_core::request::{NewRequest, RequestVerb};
use skep_crds::policy::{PolicyRule, Tier, load_strict};
use skep_images::{Credentials, Limits, Resolver};
use skep_runtime::{Controller, Options, Parts, PassReport, PolicySource, SourceSet, SystemRandom};
use skep_store::conformance::protection;
use skep_store::{
    Actions as _, ApprovalFilter, Approvals as _, Decision, DecisionRequest, DecisionRow,
    Ledger as _, LedgerFilter, Overrides as _, Requests as _,
};
use skep_store_sqlite::{OpenOptions, SqliteStore};
use skep_swarm::Engine;
use skep_swarm::fake::{FakeSwarm, Pace};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A clock that stands still until it is moved.
pub(crate) struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

pub(crate) struct World {
    pub(crate) swarm: Arc<FakeSwarm>,
    pub(crate) clock: Arc<Hands>,
    pub(crate) max_actions: u32,
    pub(crate) mode: ActuatorMode,
    folder: TempDir,
}

impl World {
    /// Services of these names are declared, under this policy.
    pub(crate) fn new(policy: &str, names: &[&str]) -> Self {
        let start: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let clock = Arc::new(Hands(AtomicI64::new(start.as_second())));
        let world = Self {
            swarm: Arc::new(FakeSwarm::new(Arc::clone(&clock) as Arc<dyn Clock>, Pace::INSTANT, 1)),
            clock,
            max_actions: 1000,
            mode: ActuatorMode::Swarm,
            folder: TempDir::new().unwrap(),
        };
        world.policy(policy);
        world.declare(names, "1");
        world
    }

    pub(crate) fn policy(&self, text: &str) {
        if let Err(problems) = load_strict("policy.yml", text.as_bytes()) {
            panic!("{problems}");
        }
        std::fs::write(self.folder.path().join("policy.yml"), text).unwrap();
    }

    pub(crate) fn declare(&self, names: &[&str], tag: &str) {
        let lines: String = names
            .iter()
            .map(|name| format!("  - {{name: {name}, image: 'x/{name}:{tag}'}}\n"))
            .collect();
        std::fs::write(self.folder.path().join("registry.yml"), format!("services:\n{lines}"))
            .unwrap();
    }

    pub(crate) fn later(&self, by: SignedDuration) {
        self.clock.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("skep.db")
    }

    pub(crate) async fn store(&self) -> SqliteStore {
        SqliteStore::open(self.database(), OpenOptions::new(protection()).creating()).await.unwrap()
    }

    /// A process that has just started, with a connection of its own: nothing but the store and
    /// the swarm is left of the one before.
    pub(crate) async fn process(&self) -> Controller {
        let engine = Arc::clone(&self.swarm) as Arc<dyn Engine>;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let path = |name| self.folder.path().join(name);
        let parts = Parts {
            engine: Arc::clone(&engine),
            store: Arc::new(self.store().await),
            sources: SourceSet::new(vec![path("registry.yml")], None, Vec::new()),
            policy: PolicySource::file(path("policy.yml"), Settings::default()),
            images: Resolver::new(
                engine,
                Arc::new(Credentials::none()),
                Arc::clone(&clock),
                Limits::default(),
            ),
            masking: Masking::new(*b"key"),
            digester: Digester::new(&[7; 32]).unwrap(),
            sealer: skep_core::seal::Sealer::new(&[7; 32]).unwrap(),
            clock,
            random: Arc::new(SystemRandom),
        };
        let options = Options {
            mode: self.mode,
            wait_for_rollouts: false,
            max_actions: self.max_actions,
            lease_ttl: Duration::from_secs(60),
            ..Options::default()
        };
        Controller::new(parts, options)
    }

    /// One pass of a new process, which leads and hands over at its end.
    pub(crate) async fn pass(&self) -> PassReport {
        pass_of(&self.process().await).await
    }

    pub(crate) async fn pending(&self) -> Vec<Approval> {
        let status = Some(ApprovalStatus::Pending);
        let filter = ApprovalFilter { status, ..ApprovalFilter::default() };
        self.store().await.approvals(&filter).await.unwrap()
    }

    pub(crate) async fn approve(&self) -> usize {
        let count = self.pending().await.len();
        self.decide_as("tester").await.unwrap();
        count
    }

    /// Says yes to everything that waits, under this name.
    pub(crate) async fn decide_as(&self, actor: &str) -> Result<(), skep_store::Error> {
        let (store, now) = (self.store().await, self.clock.now());
        for request in self.pending().await {
            let decision = DecisionRequest {
                approval: request.id.clone(),
                decision: Decision::Approve,
                actor: actor.to_owned(),
                source: "host:operator".to_owned(),
                comment: None,
                expected_revision: None,
                expected_binding: None,
                start_by: Some(now + SignedDuration::from_mins(10)),
            };
            store.decide(&decision, now).await?;
        }
        Ok(())
    }

    /// Asks by hand for a restart.
    pub(crate) async fn ask_for_restart(&self, name: &str) {
        let key = ObjectKey::service(&self.cluster().await, &ServiceName::new(name));
        let request = NewRequest {
            id: RequestId::generate(&SystemRandom),
            key,
            verb: RequestVerb::Restart,
            actor: "alice".to_owned(),
            reason: None,
        };
        self.store().await.submit(&[request], self.clock.now()).await.unwrap();
    }

    async fn cluster(&self) -> ClusterId {
        let clock: &dyn Clock = self.clock.as_ref();
        skep_swarm::observe::take_snapshot(self.swarm.as_ref(), clock).await.unwrap().cluster
    }

    pub(crate) async fn freeze(&self, target: &str, span: Option<SignedDuration>) -> Override {
        let everything = PolicyRule::about_everything(Tier::Forbidden, FREEZE_PRIORITY);
        let rule = PolicyRule { target: target.to_owned(), ..everything };
        let now = self.clock.now();
        let freeze = Override {
            id: OverrideId::new(format!("freeze-{}-{target}", now.as_second())),
            rule,
            reason: "release week".to_owned(),
            actor: "alice".to_owned(),
            created_at: now,
            expires_at: span.map(|span| now + span),
            lifted: None,
        };
        self.store().await.place_override(&freeze).await.unwrap();
        freeze
    }

    pub(crate) async fn unfreeze(&self, freeze: &Override) {
        let store = self.store().await;
        store.lift_override(freeze.id.as_str(), "alice", self.clock.now()).await.unwrap();
    }

    pub(crate) async fn decisions(&self) -> Vec<DecisionRow> {
        let filter = LedgerFilter { since: Timestamp::UNIX_EPOCH, allowed_only: false };
        self.store().await.decisions(&filter).await.unwrap()
    }

    /// The states of the actions, newest first, with the newest one's detail.
    pub(crate) async fn states(&self) -> (Vec<ActionState>, String) {
        let actions = self.store().await.actions(&Default::default()).await.unwrap();
        let detail = actions.first().map(|action| action.detail.clone()).unwrap_or_default();
        (actions.iter().map(|action| action.state).collect(), detail)
    }

    /// The image tag that a service runs.
    pub(crate) fn tag(&self, name: &str) -> String {
        let spec = self.swarm.service(name).unwrap();
        let image = spec["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"].as_str().unwrap();
        let image = image.split('@').next().unwrap();
        image.rsplit(':').next().unwrap().to_owned()
    }

    /// Makes stored bytes unreadable, as a disk does: the database still works.
    pub(crate) async fn damage(&self, from: &str, to: &str) {
        assert_eq!(from.len(), to.len());
        self.store().await.close().await;
        let mut bytes = std::fs::read(self.database()).unwrap();
        let places: Vec<usize> = bytes
            .windows(from.len())
            .enumerate()
            .filter(|(_, window)| *window == from.as_bytes())
            .map(|(place, _)| place)
            .collect();
        assert!(!places.is_empty(), "{from} is not in the database");
        for place in places {
            bytes[place..place + from.len()].copy_from_slice(to.as_bytes());
        }
        std::fs::write(self.database(), bytes).unwrap();
    }
}

pub(crate) async fn pass_of(process: &Controller) -> PassReport {
    process.reconcile_once(&CancellationToken::new()).await.unwrap()
}

/// Whether the report says that something waits under this code.
pub(crate) fn waits(report: &PassReport, code: &str) -> bool {
    report.waiting.iter().any(|waiting| waiting.code == code)
}

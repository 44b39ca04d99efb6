//! Stacks on a swarm in memory, under a clock that the test moves. Every pass is one look of a
//! process that has just started: nothing but the store and the swarm is left of the one before.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use skep_core::action::{Action, ActionState, ActuatorMode};
use skep_core::approval::{Approval, ApprovalStatus};
use skep_core::digester::Digester;
use skep_core::gate::Settings;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{ClusterId, ObjectKey, ObjectKind, RequestId, ServiceName};
use skep_core::plan::{Masking, Waiting};
use skep_core::ports::Clock;
use skep_core::request::{NewRequest, RequestVerb};
use skep_images::{Credentials, Limits, Resolver};
use skep_runtime::{
    Controller, NoRepositories, Options, Parts, PassReport, PolicySource, SourceSet, SystemRandom,
};
use skep_store::conformance::protection;
use skep_store::{
    ActionFilter, Actions as _, ApprovalFilter, Approvals as _, Decision, DecisionRequest,
    Holds as _, Requests as _,
};
use skep_store_sqlite::SqliteStore;
use skep_swarm::Engine;
use skep_swarm::fake::{EffectKind, FakeSwarm, Fault, Pace};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Everything runs by itself, but for what is about a whole stack.
pub(crate) const ASKS_ABOUT_STACKS: &str = "version: 1
rules:
- {kind: redeploy_stack, target: '*', tier: approval_required}
- {kind: '*', target: '*', tier: auto, rate_limit: {max: 1000, window_s: 1}, blast_radius: {max_targets: 1000, window_s: 1}}
";

/// How long the tasks of this world take to start.
const START: Duration = Duration::from_secs(8);

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

pub(crate) struct World {
    pub(crate) swarm: Arc<FakeSwarm>,
    pub(crate) store: SqliteStore,
    /// What Swarm does about a rollout that fails.
    pub(crate) failure_action: &'static str,
    clock: Arc<Hands>,
    folder: TempDir,
}

impl World {
    pub(crate) async fn new(stacks: &str) -> Self {
        let start: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let clock = Arc::new(Hands(AtomicI64::new(start.as_second())));
        let pace = Pace { start: START, ..Pace::INSTANT };
        let world = Self {
            swarm: Arc::new(FakeSwarm::new(Arc::clone(&clock) as Arc<dyn Clock>, pace, 1)),
            store: SqliteStore::open_in_memory(protection()).await.unwrap(),
            failure_action: "pause",
            clock,
            folder: TempDir::new().unwrap(),
        };
        world.write("stacks.yml", &format!("stacks:\n{stacks}"));
        world.policy(ASKS_ABOUT_STACKS);
        world
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).unwrap();
    }

    pub(crate) fn policy(&self, text: &str) {
        self.write("policy.yml", text);
    }

    /// Services with the tags of their images, and the service that each comes after.
    pub(crate) fn declare(&self, stack: &str, services: &[(&str, &str, Option<&str>)]) {
        let each = services.iter().map(|(name, tag, after)| {
            let after = after.map(|after| format!(", depends_on: [{after}]")).unwrap_or_default();
            let update = format!("update_config: {{failure_action: {}}}", self.failure_action);
            format!("  {name}: {{image: 'x/{name}:{tag}', deploy: {{{update}}}{after}}}\n")
        });
        let services: String = each.collect();
        self.write(&format!("{stack}.yml"), &format!("services:\n{services}"));
    }

    pub(crate) fn later(&self, by: SignedDuration) {
        self.clock.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    fn process(&self) -> Controller {
        let engine = Arc::clone(&self.swarm) as Arc<dyn Engine>;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let path = |name| self.folder.path().join(name);
        let sources = SourceSet::new(Vec::new(), None, Vec::new())
            .with_stacks(vec![path("stacks.yml")], Arc::new(NoRepositories));
        let parts = Parts {
            engine: Arc::clone(&engine),
            store: Arc::new(self.store.clone()),
            sources,
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
            mode: ActuatorMode::Swarm,
            wait_for_rollouts: false,
            patience: Duration::ZERO,
            max_actions: 1000,
            lease_ttl: Duration::from_secs(3),
            ..Options::default()
        };
        Controller::new(parts, options)
    }

    /// One look of a new process; it waits for the lease of one that crashed.
    pub(crate) async fn pass(&self) -> PassReport {
        loop {
            match self.process().reconcile_once(&CancellationToken::new()).await {
                Err(skep_runtime::Error::LeaseHeld { .. }) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                report => return report.unwrap(),
            }
        }
    }

    /// Looks while time goes by, until nothing of it moves the swarm any more.
    pub(crate) async fn settle(&self) {
        let mut still = 0;
        while still < 4 {
            let before = (self.swarm.effects(), self.states().await);
            self.pass().await;
            self.later(SignedDuration::from_secs(10));
            let after = (self.swarm.effects(), self.states().await);
            still = if before == after { still + 1 } else { 0 };
        }
    }

    /// A pass that crashes where its write is held.
    pub(crate) async fn crash(&self, fault: Fault) {
        self.swarm.fail_next(fault);
        tokio::select! {
            _ = self.pass() => panic!("nothing was held"),
            () = self.swarm.held() => {}
        }
    }

    pub(crate) async fn waiting(&self) -> Vec<Waiting> {
        self.process().plan().await.unwrap().plan.waiting
    }

    /// The code and the reason that the plan gives for a service.
    pub(crate) async fn why(&self, service: &str) -> Option<(String, String)> {
        let waiting = self.waiting().await;
        let found = waiting.into_iter().find(|one| {
            one.target.as_ref().is_some_and(|name| name.as_str() == service) && !one.is_remark()
        });
        found.map(|one| (one.code, one.reason))
    }

    pub(crate) async fn actions(&self) -> Vec<Action> {
        self.store.actions(&ActionFilter::default()).await.unwrap()
    }

    pub(crate) async fn states(&self) -> Vec<(String, ActionState)> {
        let actions = self.actions().await;
        actions.into_iter().map(|action| (action.key.name, action.state)).collect()
    }

    /// The newest action of an object.
    pub(crate) async fn newest(&self, name: &str) -> Option<Action> {
        self.actions().await.into_iter().find(|action| action.key.name == name)
    }

    pub(crate) async fn pending(&self) -> Vec<Approval> {
        let status = Some(ApprovalStatus::Pending);
        self.store.approvals(&ApprovalFilter { status, ..ApprovalFilter::default() }).await.unwrap()
    }

    pub(crate) async fn decide(&self, decision: Decision) {
        let now = self.clock.now();
        for request in self.pending().await {
            let request = DecisionRequest {
                approval: request.id,
                decision,
                actor: "tester".to_owned(),
                source: "host:operator".to_owned(),
                comment: None,
                expected_revision: None,
                expected_binding: None,
                start_by: Some(now + SignedDuration::from_mins(10)),
            };
            self.store.decide(&request, now).await.unwrap();
        }
    }

    fn cluster(&self) -> ClusterId {
        ClusterId::new("cluster1")
    }

    /// Somebody asks for the way back of a stack by hand.
    pub(crate) async fn ask_back(&self, stack: &str) {
        let target = ServiceName::object(ObjectKind::Stack, stack);
        let request = NewRequest {
            id: RequestId::generate(&SystemRandom),
            key: ObjectKey::of(&self.cluster(), &target),
            verb: RequestVerb::RollbackStack { automatic: false },
            actor: "tester".to_owned(),
            reason: None,
        };
        self.store.submit(&[request], self.clock.now()).await.unwrap();
    }

    /// `skep service retry`.
    pub(crate) async fn retry(&self, service: &str) {
        let hold = Hold {
            key: ObjectKey::service(&self.cluster(), &ServiceName::new(service)),
            kind: HoldKind::Retry,
            difference: None,
            until: None,
            actor: "tester".to_owned(),
            reason: String::new(),
            placed_at: self.clock.now(),
        };
        self.store.place_hold(&hold).await.unwrap();
    }

    /// The services that were written, in order.
    pub(crate) fn written(&self, kind: EffectKind) -> Vec<String> {
        let journal = self.swarm.journal().into_iter();
        let services = journal.filter(|one| one.kind == kind && !one.name.contains('/'));
        services.map(|one| one.name).collect()
    }

    /// The tag of the image that a service is to run.
    pub(crate) fn tag(&self, service: &str) -> String {
        let live = self.swarm.service(service).unwrap();
        let image = live.pointer("/Spec/TaskTemplate/ContainerSpec/Image").and_then(Value::as_str);
        image.unwrap().rsplit(':').next().unwrap().to_owned()
    }
}

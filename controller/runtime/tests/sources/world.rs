//! A fleet of stacks in folders and repositories, with everything allowed that a policy can allow:
//! what is not removed is not removed by the rules of pruning alone.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use skep_core::action::{Action, ActionState, ActuatorMode};
use skep_core::approval::{Approval, ApprovalStatus};
use skep_core::digester::Digester;
use skep_core::gate::Settings;
use skep_core::observed::Snapshot;
use skep_core::plan::{Masking, Waiting};
use skep_core::ports::Clock;
use skep_core::resolution::ResolveImage;
use skep_crds::stack::Files;
use skep_crds::stacks::GitOrigin;
use skep_git::{Before, Limits as GitLimits, Reader, Reference, Source};
use skep_images::{Credentials, Limits, Resolver};
use skep_runtime::{
    Controller, Options, Parts, PassReport, PolicySource, Repositories, SourceSet, SystemRandom,
};
use skep_sources::{Checkout, Commit};
use skep_store::conformance::protection;
use skep_store::{
    ActionFilter, Actions as _, ApprovalFilter, Approvals as _, Decision, DecisionRequest,
    Ownership as _,
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

/// The repository of a stack, as the laboratory gives it.
pub(crate) struct Git {
    pub(crate) reader: Reader,
    pub(crate) source: Source,
}

#[async_trait]
impl Repositories for Git {
    async fn checkout(
        &self,
        _: &str,
        _: &GitOrigin,
        before: Option<&Commit>,
    ) -> Result<Checkout, String> {
        let base = before.and_then(Commit::base);
        let known = base.as_ref().map(|base| {
            let Ok(Reference::Commit(commit)) = Reference::commit(&base.id) else { panic!() };
            Before { commit, at: base.made_at }
        });
        let read = self.reader.read(&self.source, known.as_ref()).await;
        let snapshot = read.map_err(|error| error.to_string())?;
        let commit = Commit {
            id: snapshot.commit.id.as_str().to_owned(),
            author: snapshot.commit.author.name.clone(),
            subject: snapshot.commit.subject.clone(),
            made_at: Some(snapshot.commit.committer.at),
            replaces: base.filter(|_| snapshot.relation.is_rewrite()),
        };
        Ok(Checkout::new(commit, Arc::new(OfCommit(snapshot.files))))
    }
}

struct OfCommit(skep_git::Files);

impl Files for OfCommit {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.read(path).map(<[u8]>::to_vec).map_err(|error| error.to_string())
    }
}

/// No longer than a test wants to wait for a server that does not answer.
pub(crate) fn impatient() -> GitLimits {
    GitLimits { time: Duration::from_secs(2), ..GitLimits::default() }
}

pub(crate) struct World {
    pub(crate) swarm: Arc<FakeSwarm>,
    pub(crate) clock: Arc<Hands>,
    pub(crate) git: Option<Arc<Git>>,
    registry: bool,
    folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let start: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let clock = Arc::new(Hands(AtomicI64::new(start.as_second())));
        let world = Self {
            swarm: Arc::new(FakeSwarm::new(Arc::clone(&clock) as Arc<dyn Clock>, Pace::INSTANT, 1)),
            clock,
            git: None,
            registry: false,
            folder: TempDir::new().unwrap(),
        };
        world.write("policy.yml", "rules: [{tier: auto}]");
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A registry with connectors of these names.
    pub(crate) fn connectors(&mut self, names: &[&str]) {
        self.registry = true;
        let line = |name: &&str| format!("  - {{name: {name}, image: 'x/{name}:1'}}\n");
        let lines: String = names.iter().map(line).collect();
        self.write("registry.yml", &format!("services:\n{lines}"));
    }

    /// Sets the clock forward, or back.
    pub(crate) fn later(&self, by: SignedDuration) {
        self.clock.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    pub(crate) async fn store(&self) -> SqliteStore {
        let options = OpenOptions::new(protection()).creating();
        SqliteStore::open(self.path("skep.db"), options).await.unwrap()
    }

    /// A process that has just started: nothing but the store and the swarm is left of the one
    /// before.
    pub(crate) async fn process(&self) -> Controller {
        let engine = Arc::clone(&self.swarm) as Arc<dyn Engine>;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let registry = if self.registry { vec![self.path("registry.yml")] } else { Vec::new() };
        let mut sources = SourceSet::new(registry, None, Vec::new());
        let stacks = self.path("stacks.yml");
        let repositories: Arc<dyn Repositories> = match &self.git {
            Some(git) => Arc::clone(git) as Arc<dyn Repositories>,
            None => Arc::new(skep_runtime::NoRepositories),
        };
        sources = sources.with_stacks(vec![stacks], repositories);
        let parts = Parts {
            engine: Arc::clone(&engine),
            store: Arc::new(self.store().await),
            sources,
            policy: PolicySource::file(self.path("policy.yml"), Settings::default()),
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
            max_actions: 1000,
            resolve_image: ResolveImage::Never,
            lease_ttl: Duration::from_secs(60),
            ..Options::default()
        };
        Controller::new(parts, options)
    }

    /// Passes of a new process, which leads and hands over at its end.
    pub(crate) async fn pass(&self) -> PassReport {
        self.process().await.reconcile_once(&CancellationToken::new()).await.unwrap()
    }

    /// Passes of new processes until nothing more is asked of anybody; approves what is asked.
    pub(crate) async fn settle(&self) {
        for _ in 0..12 {
            let report = self.pass().await;
            let asked = self.approve().await;
            if asked == 0 && report.divergences == 0 {
                return;
            }
        }
        panic!("it does not come to rest: {:#?}", self.pass().await);
    }

    pub(crate) async fn pending(&self) -> Vec<Approval> {
        let status = Some(ApprovalStatus::Pending);
        let filter = ApprovalFilter { status, ..ApprovalFilter::default() };
        self.store().await.approvals(&filter).await.unwrap()
    }

    /// Says yes to everything that waits.
    pub(crate) async fn approve(&self) -> usize {
        let (store, now) = (self.store().await, self.clock.now());
        let pending = self.pending().await;
        for request in &pending {
            let decision = DecisionRequest {
                approval: request.id.clone(),
                decision: Decision::Approve,
                actor: "tester".to_owned(),
                source: "host:operator".to_owned(),
                comment: None,
                expected_revision: None,
                expected_binding: None,
                start_by: Some(now + SignedDuration::from_mins(10)),
            };
            store.decide(&decision, now).await.unwrap();
        }
        pending.len()
    }

    /// Why a person is asked, for each action that waits for one.
    pub(crate) async fn asked(&self) -> Vec<String> {
        let filter = ActionFilter { states: vec![ActionState::Pending], ..ActionFilter::default() };
        let actions = self.store().await.actions(&filter).await.unwrap();
        actions.into_iter().map(|action| action.step.confirm.unwrap_or_default()).collect()
    }

    /// The removals that have a step, with their states; oldest first.
    pub(crate) async fn removals(&self) -> Vec<(String, ActionState)> {
        let actions = self.store().await.actions(&Default::default()).await.unwrap();
        let removals = actions.iter().rev().filter(|action| action.kind.is_removal());
        let told = |action: &Action| (action.step.target.to_string(), action.state);
        removals.map(told).collect()
    }

    /// What is on the swarm.
    pub(crate) async fn snapshot(&self) -> Snapshot {
        let clock: &dyn Clock = self.clock.as_ref();
        skep_swarm::observe::take_snapshot(self.swarm.as_ref(), clock).await.unwrap()
    }

    /// What is on record as ours.
    pub(crate) async fn recorded(&self) -> Vec<String> {
        let store = self.store().await;
        let clusters = store.owned_clusters().await.unwrap();
        let mut names = Vec::new();
        for cluster in clusters {
            let owned = store.owned(&cluster).await.unwrap();
            names.extend(owned.iter().map(|one| one.key.target().to_string()));
        }
        names.sort();
        names
    }
}

/// A stack file with services of these numbers, one a line, on the network that every stack has.
pub(crate) fn services(numbers: impl IntoIterator<Item = usize>) -> String {
    let mut text = "services:\n".to_owned();
    for number in numbers {
        writeln!(text, "  s{number:02}: {{image: 'w:1'}}").unwrap();
    }
    text
}

/// The waiting line with this code.
pub(crate) fn waiting<'a>(report: &'a PassReport, code: &str) -> Option<&'a Waiting> {
    report.waiting.iter().find(|one| one.code == code)
}

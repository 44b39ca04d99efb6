//! One world: a swarm, a database, files that declare things, people, and processes that come and
//! go. The processes are the real controller.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use skep_core::action::{ActionState, ActuatorMode};
use skep_core::digester::Digester;
use skep_core::gate::Settings;
use skep_core::identity::{ClusterId, ObjectKey, ServiceName};
use skep_core::plan::Masking;
use skep_core::ports::Clock as _;
use skep_core::seal::Sealer;
use skep_images::{Credentials, Limits, Resolver};
use skep_runtime::{Controller, Error, Options, Parts, PassReport, PolicySource};
use skep_store::{ActionFilter, Actions as _, Intents as _, Store};
use skep_swarm::Engine;
use skep_swarm::fake::{FakeSwarm, Pace};
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::files::Files;
use crate::recording::{Left, Recorder, what_is_left};
use crate::tap::{Intruder, Process, TappedEngine, TappedStore};
use crate::time::{Seeded, VirtualClock};

/// The swarm that every world has.
pub const CLUSTER: &str = "cluster1";

/// Short, so that rollouts take less than a second and a crashed leader's lease runs out soon.
const PACE: Pace = Pace {
    allocate: Duration::from_millis(2),
    begin: Duration::from_millis(2),
    start: Duration::from_millis(40),
    restart: Duration::from_secs(5),
    monitors: true,
};

/// How long a lease lasts that nobody renews, and a little more.
const LEASE: Duration = Duration::from_millis(6100);
/// How long a process that only contains goes on trying.
const CONTAINING: Duration = Duration::from_secs(60);

/// A policy that allows everything by itself.
pub const ALL_ALLOWED: &str = "version: 1\ndefaults:\n  tier: auto\n  rate_limit: {max: 1000000, \
    window_s: 1}\n  blast_radius: {max_targets: 1000000, window_s: 1}\nrules:\n  \
    - {kind: \"*\", tier: auto}\n";

/// A policy that asks about everything, shorter to read than the shipped one.
const ALL_ASKED: &str = "version: 1\nrules: []\n";

/// A world at work.
#[derive(Debug)]
pub struct World {
    /// The swarm.
    pub swarm: Arc<FakeSwarm>,
    /// The database.
    pub database: Arc<Database>,
    /// What is declared.
    pub files: Arc<Files>,
    /// The wall clock of everybody.
    pub clock: VirtualClock,
    /// How actions are carried out from now on.
    pub mode: ActuatorMode,
    /// Keeps what crashes would leave.
    pub recorder: Option<Arc<Recorder>>,
    /// Meets the next process that is started.
    pub intruder: Option<Intruder>,
    /// Prints the calls of processes.
    pub traces: bool,
    people: TappedStore,
    pub(crate) random: Arc<Seeded>,
}

impl World {
    /// An empty world.
    ///
    /// # Panics
    /// When the database cannot be opened.
    pub async fn new(seed: u64, files: Arc<Files>) -> Self {
        Self::at_pace(seed, files, PACE).await
    }

    /// An empty world whose swarm takes so long for what it does.
    ///
    /// # Panics
    /// When the database cannot be opened.
    pub async fn at_pace(seed: u64, files: Arc<Files>, pace: Pace) -> Self {
        files.policy(ALL_ASKED);
        let clock = VirtualClock::starting_at("2027-01-01T00:00:00Z".parse().unwrap());
        let swarm = Arc::new(FakeSwarm::new(Arc::new(clock), pace, seed));
        let database = Arc::new(Database::open(None, Duration::ZERO).await);
        Self::of(swarm, database, files, clock, seed)
    }

    /// The world that a crash left.
    ///
    /// # Panics
    /// When the database cannot be opened.
    pub async fn after(left: &Left, files: Arc<Files>, seed: u64) -> Self {
        let clock = VirtualClock::starting_at(left.at);
        let database = Arc::new(Database::open(Some(&left.database), left.ahead).await);
        Self::of(left.swarm_on(clock), database, files, clock, seed)
    }

    fn of(
        swarm: Arc<FakeSwarm>,
        database: Arc<Database>,
        files: Arc<Files>,
        clock: VirtualClock,
        seed: u64,
    ) -> Self {
        let people = TappedStore::new(Arc::clone(&database), Arc::new(Process::new(None)));
        Self {
            swarm,
            database,
            files,
            clock,
            mode: ActuatorMode::Swarm,
            recorder: None,
            intruder: None,
            traces: false,
            people,
            random: Arc::new(Seeded::new(seed ^ 0x5eed)),
        }
    }

    /// From here on everything is kept that crashes would leave.
    pub fn record(&mut self) -> Arc<Recorder> {
        let (swarm, database) = (Arc::clone(&self.swarm), Arc::clone(&self.database));
        let recorder = Recorder::new(swarm, database, self.clock);
        self.recorder = Some(Arc::clone(&recorder));
        recorder
    }

    /// The world as it is now, to be lived on from several times.
    pub async fn left(&self, step: usize) -> Left {
        what_is_left(&self.swarm, &self.database, self.clock, step).await
    }

    /// The store, for people and assertions.
    #[must_use]
    pub fn store(&self) -> &TappedStore {
        &self.people
    }

    /// A process that nobody disturbs but whoever is waiting in [`Self::intruder`].
    pub fn process(&mut self) -> Arc<Process> {
        let process =
            Process::new(self.recorder.clone()).meeting(self.intruder.take()).tracing(self.traces);
        Arc::new(process)
    }

    /// A controller as this process starts it.
    ///
    /// # Panics
    /// Never; the key has the right length.
    #[must_use]
    pub fn controller(
        &self,
        process: &Arc<Process>,
        change: impl FnOnce(Options) -> Options,
    ) -> Controller {
        let engine = TappedEngine::new(Arc::clone(&self.swarm), Arc::clone(process));
        let engine: Arc<dyn Engine> = Arc::new(engine);
        let store = TappedStore::new(Arc::clone(&self.database), Arc::clone(process));
        let store: Arc<dyn Store> = Arc::new(store);
        let policy = self.files.path("policy.yml");
        let settings = Settings::default();
        let clock = Arc::new(self.clock);
        let parts = Parts {
            engine: Arc::clone(&engine),
            store,
            sources: self.files.sources(),
            policy: PolicySource::file(policy, settings),
            images: Resolver::new(
                engine,
                Arc::new(Credentials::none()),
                clock.clone(),
                Limits::default(),
            ),
            masking: Masking::new(*b"key"),
            digester: Digester::new(&[7; 32]).unwrap(),
            sealer: Sealer::new(&[7; 32]).unwrap(),
            clock,
            random: Arc::new(Seeded::new(self.random.next())),
        };
        let options = Options {
            mode: self.mode,
            max_actions: 1000,
            holder: "simulated".to_owned(),
            ..Options::default()
        };
        Controller::new(parts, change(options))
    }

    /// One pass of a fresh process; it waits for the lease of one that crashed.
    ///
    /// # Panics
    /// When it fails for another reason.
    pub async fn pass(&self, process: &Arc<Process>, wait_for_rollouts: bool) -> PassReport {
        loop {
            let controller =
                self.controller(process, |options| Options { wait_for_rollouts, ..options });
            match controller.reconcile_once(&CancellationToken::new()).await {
                Err(Error::LeaseHeld { .. }) => tokio::time::sleep(LEASE).await,
                report => return report.unwrap_or_else(|error| panic!("a pass failed: {error}")),
            }
        }
    }

    /// What a fresh process does that only contains; it waits for the lease as well.
    ///
    /// # Panics
    /// When it fails for another reason.
    pub async fn contain(&self, process: &Arc<Process>) {
        loop {
            let controller = self.controller(process, |options| options);
            match controller.contain_once(CONTAINING).await {
                Err(Error::LeaseHeld { .. }) => tokio::time::sleep(LEASE).await,
                ended => return ended.unwrap_or_else(|error| panic!("not contained: {error}")),
            }
        }
    }

    /// The loop of a fresh process for so long, while something else happens; then it hands over.
    ///
    /// # Panics
    /// When it fails in a way that no retry can mend.
    pub async fn serve(
        &self,
        process: &Arc<Process>,
        length: Duration,
        meanwhile: impl Future<Output = ()>,
    ) {
        let controller = self.controller(process, |options| options);
        let stop = CancellationToken::new();
        let ends = async {
            tokio::join!(tokio::time::sleep(length), meanwhile);
            stop.cancel();
        };
        let swarm = Arc::clone(&self.swarm);
        tokio::select! {
            () = swarm.run() => {}
            (served, ()) = async { tokio::join!(controller.serve(stop.clone()), ends) } => {
                served.unwrap();
            }
        }
    }

    /// True when the files of the database hold this text, as it is or in base64.
    pub async fn holds(&self, text: &str) -> bool {
        let _gate = self.database.gate.lock().await;
        self.database.image().contains(&[text.as_bytes(), STANDARD.encode(text).as_bytes()])
    }

    /// True when an action is allowed or under way.
    ///
    /// # Panics
    /// When the store cannot be read.
    pub async fn is_busy(&self) -> bool {
        let states = vec![ActionState::Granted, ActionState::Executing, ActionState::RollingOut];
        let filter = ActionFilter { states, ..ActionFilter::default() };
        !self.people.actions(&filter).await.unwrap().is_empty()
            || !self.people.open_intents().await.unwrap().is_empty()
    }

    /// The time in this world.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The key of a service.
#[must_use]
pub fn key(name: &str) -> ObjectKey {
    ObjectKey::service(&ClusterId::new(CLUSTER), &ServiceName::new(name))
}

//! What a crash would leave at each moment of each call of an undisturbed run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use skep_core::identity::{ObjectKind, SwarmId};
use skep_core::ports::Clock as _;
use skep_swarm::Engine as _;
use skep_swarm::fake::FakeSwarm;

use crate::database::{Database, Image};
use crate::tap::{MOMENTS, Moment, Place};
use crate::time::VirtualClock;

/// A write on its way to the engine.
#[derive(Debug, Clone)]
pub enum Write {
    /// Of a service.
    Create(Bytes),
    /// Of a service at a Version.
    Update(SwarmId, u64, Bytes),
    /// Of a service.
    Remove(SwarmId),
    /// Of a network, config or secret.
    CreateObject(ObjectKind, Bytes),
    /// Of the labels of a config or secret at a Version.
    UpdateObject(ObjectKind, SwarmId, u64, Bytes),
    /// Of a network, config or secret.
    RemoveObject(ObjectKind, SwarmId),
}

impl Write {
    /// It arrives; true when it had an effect. Nobody waits for the answer.
    pub async fn land(&self, swarm: &FakeSwarm) -> bool {
        match self {
            Self::Create(spec) => swarm.create_service(spec.clone(), None).await.is_ok(),
            Self::Update(id, version, spec) => {
                swarm.update_service(id, *version, spec.clone(), None).await.is_ok()
            }
            Self::Remove(id) => swarm.remove_service(id).await.is_ok(),
            Self::CreateObject(kind, request) => {
                swarm.create_object(*kind, request.clone()).await.is_ok()
            }
            Self::UpdateObject(kind, id, version, request) => {
                swarm.update_object(*kind, id, *version, request.clone()).await.is_ok()
            }
            Self::RemoveObject(kind, id) => swarm.remove_object(*kind, id).await.is_ok(),
        }
    }
}

/// The world without its processes at one moment.
#[derive(Debug)]
pub struct Left {
    /// The step of the scenario that was under way.
    pub step: usize,
    /// When.
    pub at: Timestamp,
    /// The swarm.
    pub swarm: FakeSwarm,
    /// The database.
    pub database: Arc<Image>,
    /// How far the database's clock was ahead of the machine's.
    pub ahead: Duration,
    /// A write that is still on its way.
    pub on_its_way: Option<Write>,
    /// How it is called in reports.
    pub name: String,
}

/// One place at which a crash was looked at.
#[derive(Debug)]
pub struct CrashPoint {
    /// Where.
    pub place: Place,
    /// Which of the worlds in [`Recording::left`] a crash there leaves.
    pub left: usize,
}

/// All places of a run.
#[derive(Debug, Default)]
pub struct Recording {
    /// Every moment of every call.
    pub points: Vec<CrashPoint>,
    /// Different worlds that crashes leave. Between two of them neither the swarm nor the
    /// database has changed, so that a new process cannot tell the places apart.
    pub left: Vec<Left>,
    /// Worlds with a write that is still on its way.
    pub on_its_way: Vec<Left>,
}

impl Recording {
    /// How many calls were looked at in this moment.
    #[must_use]
    pub fn count(&self, moment: Moment) -> usize {
        self.points.iter().filter(|point| point.place.moment == moment).count()
    }

    /// How many moments never came: a call that its own process gave up has fewer.
    #[must_use]
    pub fn given_up(&self) -> usize {
        let begun = self.count(Moment::BeforeSend);
        MOMENTS.iter().map(|moment| begun - self.count(*moment)).sum()
    }
}

/// Keeps what is left at each moment.
#[derive(Debug)]
pub struct Recorder {
    swarm: Arc<FakeSwarm>,
    database: Arc<Database>,
    clock: VirtualClock,
    step: std::sync::atomic::AtomicUsize,
    recording: Mutex<Recording>,
}

impl Recorder {
    /// Of this world.
    #[must_use]
    pub fn new(swarm: Arc<FakeSwarm>, database: Arc<Database>, clock: VirtualClock) -> Arc<Self> {
        let (step, recording) = Default::default();
        Arc::new(Self { swarm, database, clock, step, recording })
    }

    /// From here on this step is under way.
    pub fn begin_step(&self, step: usize) {
        self.step.store(step, std::sync::atomic::Ordering::SeqCst);
    }

    /// What was kept.
    #[must_use]
    pub fn take(&self) -> Recording {
        std::mem::take(&mut *self.recording())
    }

    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self, name: String, on_its_way: Option<Write>) -> Left {
        let step = self.step.load(std::sync::atomic::Ordering::SeqCst);
        let left = what_is_left(&self.swarm, &self.database, self.clock, step).await;
        Left { on_its_way, name, ..left }
    }

    pub(crate) async fn keep(&self, place: Place) {
        if !self.is_as_kept().await {
            let left = self.look(place.to_string(), None).await;
            self.recording().left.push(left);
        }
        let mut recording = self.recording();
        let left = recording.left.len() - 1;
        recording.points.push(CrashPoint { place, left });
    }

    /// True when neither the swarm nor the database has changed since the last world was kept.
    async fn is_as_kept(&self) -> bool {
        let _gate = self.database.gate.lock().await;
        let database = self.database.image();
        let recording = self.recording();
        recording.left.last().is_some_and(|last| {
            last.step == self.step.load(std::sync::atomic::Ordering::SeqCst)
                && last.swarm.index() == self.swarm.index()
                && Arc::ptr_eq(&last.database, &database)
        })
    }

    /// The sender crashes with this write under way; it arrives in time for a successor to meet it.
    pub(crate) async fn keep_on_its_way(&self, call: &str, write: Write) {
        let left = self.look(format!("{call} on its way"), Some(write)).await;
        self.recording().on_its_way.push(left);
    }
}

/// The world without its processes as it is now.
pub(crate) async fn what_is_left(
    swarm: &FakeSwarm,
    database: &Database,
    clock: VirtualClock,
    step: usize,
) -> Left {
    let _gate = database.gate.lock().await;
    Left {
        step,
        at: clock.now(),
        swarm: swarm.fork(Arc::new(clock)),
        database: database.image(),
        ahead: database.ahead(),
        on_its_way: None,
        name: String::new(),
    }
}

impl Left {
    /// A fork of the swarm on another clock, for one more run.
    #[must_use]
    pub fn swarm_on(&self, clock: VirtualClock) -> Arc<FakeSwarm> {
        Arc::new(self.swarm.fork(Arc::new(clock)))
    }
}

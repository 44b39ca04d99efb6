//! Between a process and the world: every call to the engine or the store passes here, so that
//! none can be forgotten. A process can be stopped in any call, and what a crash would leave is
//! kept at each.

mod calls;
mod engine;
mod store;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;
use skep_swarm::fake::FakeSwarm;
use tokio::sync::watch;

pub use self::engine::TappedEngine;
pub use self::store::TappedStore;
use crate::recording::{Recorder, Write};

/// Which moment of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// It has not been sent.
    BeforeSend,
    /// It has had its effect and there is no reply yet.
    SentWithoutReply,
    /// The reply is there and nothing has followed from it.
    AfterReply,
}

/// All moments of a call.
pub const MOMENTS: [Moment; 3] = [Moment::BeforeSend, Moment::SentWithoutReply, Moment::AfterReply];

/// A call and one of its moments, counted over one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// How many calls the process had made before.
    pub index: usize,
    /// The method.
    pub call: &'static str,
    /// Which moment.
    pub moment: Moment,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {} ({}) {:?}", self.index, self.call, self.moment)
    }
}

/// One process, as far as the world sees it.
#[derive(Debug)]
pub struct Process {
    runs: watch::Sender<bool>,
    calls: AtomicUsize,
    seen: AtomicUsize,
    writes: AtomicUsize,
    in_write: AtomicBool,
    recorder: Option<Arc<Recorder>>,
    /// Where it stops by itself.
    stops_at: Option<(usize, Moment)>,
    /// What arrives at the swarm right before one of its calls.
    intruder: Option<Intruder>,
    /// Who sees what it does, and under which name.
    witness: Option<(Arc<dyn Witness>, String)>,
    traces: bool,
}

/// A write of somebody who is gone, which arrives right before a call of a process.
#[derive(Debug, Clone)]
pub struct Intruder {
    /// Before which of the calls that it matters to. The others commute with its arrival.
    pub before: usize,
    /// The write.
    pub write: Write,
    /// Where it arrives.
    pub swarm: Arc<FakeSwarm>,
    /// What has become of it.
    pub fate: Arc<Mutex<Fate>>,
}

/// Somebody who sees what processes do, right after they have done it.
#[async_trait]
pub trait Witness: fmt::Debug + Send + Sync {
    /// The store has done this for the process of this name.
    async fn recorded(&self, process: &str, call: &'static str);

    /// A write of the process had its effect; these services and configs were there before.
    async fn took_effect(&self, process: &str, write: &Write, before: &[Value]);
}

/// What has become of a write that was on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fate {
    /// It has not arrived.
    #[default]
    OnItsWay,
    /// It had its effect.
    Landed,
    /// The engine refused it.
    Refused,
}

impl Process {
    /// A process that runs.
    #[must_use]
    pub fn new(recorder: Option<Arc<Recorder>>) -> Self {
        let runs = watch::Sender::new(true);
        let (calls, seen, writes, in_write) = Default::default();
        let (stops_at, intruder, witness, traces) = Default::default();
        Self { runs, calls, seen, writes, in_write, recorder, stops_at, intruder, witness, traces }
    }

    /// It stops by itself at this moment of this call.
    #[must_use]
    pub fn stopping_at(mut self, call: usize, moment: Moment) -> Self {
        self.stops_at = Some((call, moment));
        self
    }

    /// Somebody sees what it does.
    #[must_use]
    pub fn seen_by(mut self, witness: Arc<dyn Witness>, name: &str) -> Self {
        self.witness = Some((witness, name.to_owned()));
        self
    }

    /// How many calls it has made.
    #[must_use]
    pub fn calls_made(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// It prints its calls.
    #[must_use]
    pub fn tracing(mut self, traces: bool) -> Self {
        self.traces = traces;
        self
    }

    /// Somebody else's write arrives right before one of its calls.
    #[must_use]
    pub fn meeting(mut self, intruder: Option<Intruder>) -> Self {
        self.intruder = intruder;
        self
    }

    /// How many writes to the swarm it has begun.
    #[must_use]
    pub fn writes_begun(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    /// True while a write to the swarm is under way.
    #[must_use]
    pub fn is_in_a_write(&self) -> bool {
        self.in_write.load(Ordering::SeqCst)
    }

    /// As `kill -STOP` does: no call goes out and no reply comes in.
    pub fn stop(&self) {
        self.runs.send_replace(false);
    }

    /// As `kill -CONT` does.
    pub fn resume(&self) {
        self.runs.send_replace(true);
    }

    /// Waits until it is stopped.
    pub async fn stopped(&self) {
        let mut runs = self.runs.subscribe();
        // The sender lives as long as this.
        let _stopped = runs.wait_for(|runs| !runs).await;
    }

    async fn running(&self) {
        let mut runs = self.runs.subscribe();
        let _running = runs.wait_for(|runs| *runs).await;
    }

    async fn at(&self, place: Place) {
        if self.stops_at == Some((place.index, place.moment)) {
            self.stop();
        }
        if let Some(recorder) = &self.recorder {
            recorder.keep(place).await;
        }
        self.running().await;
    }

    /// A call with its moments.
    async fn call<T>(&self, call: &'static str, work: impl Future<Output = T>) -> T {
        let index = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.traces {
            println!("call {index} {call}");
        }
        if let Some(intruder) = self.intruder.as_ref().filter(|one| one.write.meets(call)) {
            let seen = self.seen.fetch_add(1, Ordering::SeqCst);
            if intruder.before == seen {
                let landed = intruder.write.land(&intruder.swarm).await;
                let fate = if landed { Fate::Landed } else { Fate::Refused };
                *intruder.fate.lock().unwrap_or_else(PoisonError::into_inner) = fate;
            }
        }
        let is_write = calls::is_write(call);
        if is_write {
            self.writes.fetch_add(1, Ordering::SeqCst);
            self.in_write.store(true, Ordering::SeqCst);
        }
        let at = |moment| self.at(Place { index, call, moment });
        at(Moment::BeforeSend).await;
        let result = work.await;
        at(Moment::SentWithoutReply).await;
        if is_write {
            self.in_write.store(false, Ordering::SeqCst);
        }
        at(Moment::AfterReply).await;
        result
    }
}

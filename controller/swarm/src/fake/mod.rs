//! A swarm in memory behind the client's own trait: what a real engine cannot be made to do on
//! demand can be scripted here, and everything else behaves as the real one does.
//!
//! Its refusals, their texts and their order, and what an update does to a service, are those of
//! engine 20.10.24: one script of operations runs against both and compares (`tests/live`). It is
//! compiled only for tests (feature `fake`).
//!
//! # Guarantees
//! - The same seed, the same calls at the same times give the same answers.
//! - Nothing happens by itself but by the injected clock: what is due is done when the fake is
//!   next asked, or by [`FakeSwarm::run`].
//!
//! # Caveats
//! - Containers, images and addresses do not exist. Whether a task starts is decided by its
//!   placement and by [`FakeSwarm::break_image`].

mod calls;
mod engine;
mod feed;
mod fill;
mod journal;
mod objects;
mod refusals;
mod requests;
mod rollout;
mod scheduling;
mod script;
mod service;
mod state;
mod tasks;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use skep_core::identity::SwarmId;
use skep_core::ports::Clock;
use tokio::sync::Notify;

pub use self::calls::{CallSite, Fault};
pub use self::feed::EventFault;
pub use self::journal::{Effect, EffectKind};
pub use self::objects::Refusal;
pub use self::script::{Chances, Script};
use self::state::State;
use crate::registry::Distribution;

/// How long the engine takes for what it does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From a create or update to the change of Version with which ports and addresses are given
    /// out.
    pub allocate: Duration,
    /// From an update to the beginning of its rollout.
    pub begin: Duration,
    /// From a new task to its running, failing or completing.
    pub start: Duration,
    /// The least that a task waits before it is started again after a failure.
    pub restart: Duration,
    /// Whether the monitor times of update and rollback configurations are kept.
    pub monitors: bool,
}

impl Pace {
    /// About that of a real engine on an idle machine.
    pub const REAL: Self = Self {
        allocate: Duration::from_millis(2),
        begin: Duration::from_millis(2),
        start: Duration::from_millis(300),
        restart: Duration::from_secs(5),
        monitors: true,
    };

    /// Everything that ends well has ended before the call returns.
    pub const INSTANT: Self = Self {
        allocate: Duration::ZERO,
        begin: Duration::ZERO,
        start: Duration::ZERO,
        restart: Duration::from_secs(5),
        monitors: false,
    };
}

/// Whether the managers can decide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quorum {
    /// They can.
    #[default]
    Kept,
    /// The others are gone and this one has not noticed: lists and `/info` look well, the nodes
    /// are marked as unreachable, writes fail.
    Losing,
    /// It has noticed: `/info` says so. Lists still answer, with what was there before.
    Lost,
}

/// A swarm in memory.
pub struct FakeSwarm {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    /// A call is held.
    held: Notify,
    /// Something new is due.
    stirred: Notify,
}

impl fmt::Debug for FakeSwarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeSwarm").finish_non_exhaustive()
    }
}

impl FakeSwarm {
    /// An empty swarm of one manager.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, pace: Pace, seed: u64) -> Self {
        Self::of(State::new(pace, seed), clock)
    }

    fn of(state: State, clock: Arc<dyn Clock>) -> Self {
        let (held, stirred) = (Notify::new(), Notify::new());
        Self { state: Mutex::new(state), clock, held, stirred }
    }

    /// Another swarm that is exactly where this one is now: nobody follows its events and no fault
    /// is scripted.
    #[must_use]
    pub fn fork(&self, clock: Arc<dyn Clock>) -> Self {
        Self::of(self.at_once().forked(), clock)
    }

    /// Does what is due at its time, for as long as it is polled. Without it, what is due is done
    /// when somebody asks.
    pub async fn run(&self) {
        loop {
            let due = self.up_to_now().next_due();
            let wait = async {
                match due {
                    Some(at) => {
                        let left = at.duration_since(self.clock.now());
                        tokio::time::sleep(left.try_into().unwrap_or_default()).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => {}
                () = self.stirred.notified() => {}
            }
        }
    }

    /// The state with everything done that was due.
    fn up_to_now(&self) -> MutexGuard<'_, State> {
        let mut state = self.at_once();
        state.advance(self.clock.now());
        state
    }

    /// The state as the last call left it. A poisoned lock only means that a test ended inside.
    fn at_once(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Faults.
impl FakeSwarm {
    /// The fault of the next write that has none yet.
    pub fn fail_next(&self, fault: Fault) {
        self.at_once().script.push(fault);
    }

    /// Takes back the faults of writes that have not happened yet.
    pub fn clear_faults(&self) {
        self.at_once().script.clear();
    }

    /// Asks this for the fault of each call that [`Self::fail_next`] says nothing about.
    pub fn script(&self, script: Script) {
        self.at_once().script.replace(script);
    }

    /// Comes back when a call is held.
    pub async fn held(&self) {
        self.held.notified().await;
    }

    /// What happens to events from now on; `None` delivers them.
    pub fn events_meet(&self, fault: impl FnMut(usize) -> Option<EventFault> + Send + 'static) {
        self.at_once().feed.meets(fault);
    }

    /// Whether the managers can decide from now on.
    pub fn quorum(&self, quorum: Quorum) {
        self.up_to_now().set_quorum(quorum);
    }

    /// Another manager leads: Versions and times of change move, and no spec does.
    pub fn change_leader(&self) {
        self.up_to_now().change_leader();
    }

    /// From now on registries do not answer.
    pub fn hang_at_registries(&self) {
        self.at_once().registries = None;
    }

    /// What a registry has under this reference.
    pub fn publish(&self, reference: &str, found: Distribution) {
        if let Some(registries) = &mut self.at_once().registries {
            registries.insert(reference.to_owned(), found);
        }
    }

    /// Tasks of this image never start; the error is the engine's word on it.
    pub fn break_image(&self, image: &str, error: &str) {
        self.at_once().broken.insert(image.to_owned(), error.to_owned());
    }

    /// Tasks of this image start again.
    pub fn mend_image(&self, image: &str) {
        self.at_once().broken.remove(image);
    }
}

/// What others do.
impl FakeSwarm {
    /// From now on the state of every rollout is this one at once and stays.
    pub fn hold_rollouts(&self, state: &str) {
        self.at_once().held_rollout = Some(state.to_owned());
    }

    /// The rollout of a service has come to this state.
    pub fn roll(&self, name: &str, to: &str) {
        self.up_to_now().roll(name, to);
    }

    /// Swarm takes the last update back, because a task failed.
    pub fn roll_back(&self, name: &str, error: &str) {
        self.up_to_now().roll_back(name, error);
    }

    /// No task of the service runs any more, nor after any change: the last one failed.
    pub fn fail_task(&self, name: &str, error: &str) {
        self.at_once().say_failed(name, error, false);
    }

    /// The address leads to another, empty swarm.
    pub fn move_to(&self, cluster: &str) {
        self.at_once().move_to(cluster);
    }

    /// Somebody else changes one field of a service.
    pub fn meddle(&self, name: &str, pointer: &str, value: Value) {
        self.up_to_now().meddle(name, pointer, value);
    }

    /// Somebody else creates a service.
    pub fn intrude(&self, name: &str) {
        let spec = json!({"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "x"}}});
        self.create_by_others(&spec);
    }

    /// Somebody else creates a service with this spec, whatever it is.
    pub fn create_by_others(&self, spec: &Value) {
        let mut state = self.up_to_now();
        state.create(spec);
        self.stirred.notify_one();
    }

    /// Somebody else removes a service.
    pub fn remove_by_others(&self, name: &str) {
        let mut state = self.up_to_now();
        if let Some(id) = state.id_of(name) {
            state.remove(&id);
        }
    }
}

/// What is there, for assertions.
impl FakeSwarm {
    /// The service of this name as the engine reports it, without any fault.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<Value> {
        let state = self.up_to_now();
        state.id_of(name).and_then(|id| Some(state.services.get(&id)?.reported()))
    }

    /// All services as the engine reports them, by name.
    #[must_use]
    pub fn services(&self) -> Vec<Value> {
        let state = self.up_to_now();
        let mut all: Vec<_> = state.services.values().map(|one| one.reported()).collect();
        all.sort_by_key(|one| one.pointer("/Spec/Name").map(Value::to_string));
        all
    }

    /// How many creates and updates by the API took effect.
    #[must_use]
    pub fn effects(&self) -> usize {
        self.journal().iter().filter(|effect| effect.kind != EffectKind::Remove).count()
    }

    /// How many removals by the API took effect.
    #[must_use]
    pub fn removals(&self) -> usize {
        self.journal().iter().filter(|effect| effect.kind == EffectKind::Remove).count()
    }

    /// Every write by the API that took effect, oldest first.
    #[must_use]
    pub fn journal(&self) -> Vec<Effect> {
        self.at_once().journal.clone()
    }

    /// How many entries the swarm's log has: it grows with every change of anything.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.at_once().last_index()
    }

    /// How many calls have been made.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.at_once().calls
    }

    /// True when nothing is due and no rollout runs.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let state = self.up_to_now();
        state.due.is_empty()
    }

    /// The id of the service of this name.
    #[must_use]
    pub fn id_of(&self, name: &str) -> Option<SwarmId> {
        self.at_once().id_of(name).map(SwarmId::new)
    }
}

/// A later moment.
fn after(moment: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    moment.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;

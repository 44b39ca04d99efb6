//! The newest snapshot, kept new.
//!
//! The reflector lists the swarm, follows its events, and re-reads only what an event names. As
//! events are not enough (there are none about tasks, and a stream can go silent without ending)
//! it also polls the tasks, more often those of services that are not at rest, and lists
//! everything again at intervals.
//!
//! One [`Service`] writes; any number of [`Handle`]s read.
//!
//! # Guarantees
//! - Readers get an immutable snapshot; a failed read keeps the last one and says since when and
//!   why it is [`State::Stale`]. It never becomes empty or partial.
//! - The stream is opened before the lists are read, so nothing falls in between.
//! - After [`Handle::refresh_service`] returned, every reader sees at least what was read then.
//!
//! # Assumptions
//! - A change of a service's spec moves its Version.
//!
//! # Caveats
//! - [`skep_core::observed::Snapshot::taken_at`] is the time of the last full list. Single
//!   services in it may be newer.

mod backoff;
mod content;
mod schedule;
mod watcher;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use skep_core::identity::SwarmId;
use skep_core::observed::Snapshot;
use skep_core::ports::{Clock, Random};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::watcher::Watcher;
use crate::engine::Engine;
use crate::error::Error;

/// How often what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Between two full lists: the longest time that a change can go unseen.
    pub relist: Duration,
    /// How long events are collected before what they name is read, after one was answered.
    pub coalesce: Duration,
    /// Between two looks at services that are not at rest.
    pub poll: Duration,
    /// Between two looks at the tasks of all services: a task can die without any event.
    pub tasks: Duration,
    /// The first wait after a failure; it doubles.
    pub first_wait: Duration,
    /// The longest wait after a failure.
    pub longest_wait: Duration,
}

impl Default for Options {
    /// The waits are those of Kubernetes' clients. `tasks` stays under the five seconds within
    /// which a dead task should be noticed.
    fn default() -> Self {
        Self {
            relist: Duration::from_secs(30),
            coalesce: Duration::from_millis(50),
            poll: Duration::from_secs(2),
            tasks: Duration::from_secs(4),
            first_wait: Duration::from_millis(800),
            longest_wait: Duration::from_secs(30),
        }
    }
}

/// What readers see.
#[derive(Debug, Clone)]
pub struct View {
    /// The newest snapshot; none until the first one was read.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Whether it can be relied upon.
    pub state: State,
}

impl View {
    /// The snapshot, if it can be relied upon.
    #[must_use]
    pub fn ready(&self) -> Option<&Arc<Snapshot>> {
        match self.state {
            State::Ready => self.snapshot.as_ref(),
            State::Starting | State::Stale { .. } => None,
        }
    }
}

/// Whether a snapshot can be relied upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing was read yet.
    Starting,
    /// The last read succeeded.
    Ready,
    /// The last read failed.
    Stale {
        /// When it first failed.
        since: Timestamp,
        /// Why it failed last.
        reason: String,
    },
}

/// Why a refresh that was asked for did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RefreshError {
    /// The reflector has been stopped.
    #[error("the swarm is no longer watched")]
    Stopped,
    /// The engine could not be read.
    #[error("the swarm cannot be read")]
    Failed(#[source] Arc<Error>),
}

type Reply = oneshot::Sender<Result<Arc<Snapshot>, Arc<Error>>>;

/// A refresh that somebody waits for.
struct Request {
    /// One service, or everything.
    service: Option<SwarmId>,
    reply: Reply,
}

/// The one writer. It works while [`Service::run`] is polled.
pub struct Service {
    watcher: Watcher,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    /// A reflector of the swarm that `engine` manages; nothing is read yet.
    #[must_use]
    pub fn new(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: Options,
    ) -> (Self, Handle) {
        let (view, seen) = watch::channel(View { snapshot: None, state: State::Starting });
        // A few waiting refreshes are answered by one read; more callers than this wait a little.
        let (requests, asked) = mpsc::channel(64);
        let watcher = Watcher::new(engine, clock, random, options, view, asked);
        (Self { watcher }, Handle { seen, requests })
    }

    /// Watches until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        // Cancelling drops calls that are under way; all of them only read.
        let _cancelled = stop.run_until_cancelled_owned(self.watcher.run()).await;
    }
}

/// Reads what the [`Service`] writes; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    seen: watch::Receiver<View>,
    requests: mpsc::Sender<Request>,
}

impl Handle {
    /// What is known now.
    #[must_use]
    pub fn view(&self) -> View {
        self.seen.borrow().clone()
    }

    /// Wakes when the swarm or the state has changed. A list that found nothing new renews
    /// `taken_at` without a wake-up.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<View> {
        self.seen.clone()
    }

    /// Waits for a snapshot that can be relied upon.
    ///
    /// # Errors
    /// [`RefreshError::Stopped`].
    pub async fn ready(&self) -> Result<Arc<Snapshot>, RefreshError> {
        let mut seen = self.seen.clone();
        let view = seen
            .wait_for(|view| view.ready().is_some())
            .await
            .map_err(|_closed| RefreshError::Stopped)?;
        view.ready().cloned().ok_or(RefreshError::Stopped)
    }

    /// Reads one service and its tasks now; the answer and every later [`Self::view`] contain
    /// what was read. Call it after a write, before the next plan.
    ///
    /// # Errors
    /// When the engine cannot be read, or the reflector has been stopped.
    pub async fn refresh_service(&self, id: &SwarmId) -> Result<Arc<Snapshot>, RefreshError> {
        self.request(Some(id.clone())).await
    }

    /// Lists everything now.
    ///
    /// # Errors
    /// When the engine cannot be read, or the reflector has been stopped.
    pub async fn refresh_now(&self) -> Result<Arc<Snapshot>, RefreshError> {
        self.request(None).await
    }

    async fn request(&self, service: Option<SwarmId>) -> Result<Arc<Snapshot>, RefreshError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(Request { service, reply })
            .await
            .map_err(|_closed| RefreshError::Stopped)?;
        match answer.await {
            Ok(result) => result.map_err(RefreshError::Failed),
            Err(_dropped) => Err(RefreshError::Stopped),
        }
    }
}

#[cfg(test)]
mod tests;

//! The state machine of the reflector: open, follow, wait, and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt as _;
use skep_core::identity::{ObjectKind, SwarmId};
use skep_core::observed::Snapshot;
use skep_core::ports::{Clock, Random};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::schedule::{Schedule, Work};
use super::{Options, Request, State, View, content};
use crate::engine::{Engine, Event, EventStream, Services};
use crate::error::Error;
use crate::listed::Said;
use crate::{observe, tasks};

/// Where the machine stands.
enum Phase {
    /// Open the event stream, then list everything: in this order nothing falls in between.
    Open,
    /// Listen, and read what is due.
    Follow { events: EventStream, since: Instant },
    /// Something failed. Listing begins again afterwards, so nothing else is read meanwhile.
    Wait { until: Instant },
}

pub(super) struct Watcher {
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    options: Options,
    backoff: Backoff,
    schedule: Schedule,
    view: watch::Sender<View>,
    requests: mpsc::Receiver<Request>,
}

impl Watcher {
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: Options,
        view: watch::Sender<View>,
        requests: mpsc::Receiver<Request>,
    ) -> Self {
        let backoff = Backoff::new(random, options.first_wait, options.longest_wait);
        let schedule = Schedule::new(options, Instant::now());
        Self { engine, clock, options, backoff, schedule, view, requests }
    }

    /// Works until it is dropped.
    pub(super) async fn run(mut self) {
        let mut phase = Phase::Open;
        loop {
            phase = match phase {
                Phase::Open => self.open().await,
                Phase::Follow { events, since } => self.follow(events, since).await,
                Phase::Wait { until } => self.wait(until).await,
            };
        }
    }

    async fn open(&mut self) -> Phase {
        let events = self.engine.events().await;
        let listed = self.perform(Work::Everything).await;
        match (events, listed) {
            (Ok(events), Ok(())) => {
                // What the list found is not news that the new stream should have told.
                self.schedule = Schedule::new(self.options, Instant::now());
                self.look_for_restless();
                Phase::Follow { events, since: Instant::now() }
            }
            (Err(error), Ok(())) => {
                // The snapshot is right; it is just that changes are seen later.
                tracing::warn!(
                    error.kind = error.kind(),
                    error.message = %error.with_causes(),
                    "the swarm's events cannot be followed"
                );
                self.later()
            }
            (_, Err(_reported)) => self.later(),
        }
    }

    async fn follow(&mut self, mut events: EventStream, since: Instant) -> Phase {
        let ended = tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => {
                    self.heard(&event);
                    false
                }
                Some(Err(error)) => {
                    tracing::warn!(
                        error.kind = error.kind(),
                        error.message = %error.with_causes(),
                        "the stream of the swarm's events broke"
                    );
                    true
                }
                None => {
                    tracing::info!("the stream of the swarm's events ended");
                    true
                }
            },
            Some(request) = self.requests.recv() => self.serve(request).await.is_err(),
            () = sleep_until(self.schedule.next()) => match self.schedule.take(Instant::now()) {
                None => false,
                Some(Work::Reopen) => {
                    tracing::warn!("the swarm changed without an event; the stream is opened again");
                    return Phase::Open;
                }
                Some(work) => self.perform(work).await.is_err(),
            },
        };
        // A stream that lasted was a success; one that ends at once must not be opened in a loop.
        if since.elapsed() >= self.options.longest_wait {
            self.backoff.reset();
        }
        if ended { self.later() } else { Phase::Follow { events, since } }
    }

    async fn wait(&mut self, until: Instant) -> Phase {
        tokio::select! {
            () = sleep_until(until) => Phase::Open,
            Some(request) = self.requests.recv() => {
                let _told_to_the_caller = self.serve(request).await;
                Phase::Wait { until }
            }
        }
    }

    fn later(&mut self) -> Phase {
        Phase::Wait { until: Instant::now() + self.backoff.next() }
    }

    fn heard(&mut self, event: &Event) {
        tracing::debug!(
            event.object = ?event.object,
            event.action = %event.action,
            event.name = event.name.as_deref().unwrap_or_default(),
            "the swarm reported an event"
        );
        self.schedule.note(event, Instant::now());
    }

    /// Answers this request and those that wait behind it with one read.
    async fn serve(&mut self, first: Request) -> Result<(), Arc<Error>> {
        let mut replies = vec![first.reply];
        let mut services: Option<BTreeSet<SwarmId>> = first.service.map(|id| [id].into());
        while let Ok(request) = self.requests.try_recv() {
            replies.push(request.reply);
            services = services.zip(request.service).map(|(mut ids, id)| {
                ids.insert(id);
                ids
            });
        }
        let work = services.map_or(Work::Everything, Work::Services);
        let result = self.perform(work).await;
        let snapshot = self.view.borrow().snapshot.clone();
        for reply in replies {
            let answer = match (&result, &snapshot) {
                (Ok(()), Some(snapshot)) => Ok(Arc::clone(snapshot)),
                (Err(error), _) => Err(Arc::clone(error)),
                // A success always leaves a snapshot; dropping the reply says *stopped*.
                (Ok(()), None) => continue,
            };
            let _caller_may_have_left = reply.send(answer);
        }
        result
    }

    /// Reads and publishes; a failure is published, too.
    async fn perform(&mut self, work: Work) -> Result<(), Arc<Error>> {
        let known = self.view.borrow().snapshot.clone();
        let result = match (work, known) {
            (Work::Services(ids), Some(known)) => self.read_services(&known, &ids).await,
            (Work::Objects(kinds), Some(known)) => self.read_objects(&known, &kinds).await,
            (Work::Tasks, Some(known)) => self.read_tasks(&known).await,
            (_, known) => self.read_everything(known.as_deref()).await,
        };
        result.map_err(|error| {
            let error = Arc::new(error);
            self.publish_failure(&error);
            error
        })
    }

    async fn read_everything(&mut self, known: Option<&Snapshot>) -> Result<(), Error> {
        let snapshot = observe::take_snapshot(&*self.engine, &*self.clock).await?;
        let changed = known.map(|known| content::changed(known, &snapshot)).unwrap_or_default();
        self.schedule.listed(&changed, Instant::now());
        self.publish(snapshot, true);
        Ok(())
    }

    async fn read_services(
        &mut self,
        known: &Snapshot,
        ids: &BTreeSet<SwarmId>,
    ) -> Result<(), Error> {
        let wanted: Vec<_> = ids.iter().cloned().collect();
        let read = observe::read_services(&*self.engine, &wanted).await?;
        let (snapshot, lagging) = content::with_services(known, ids, read);
        self.schedule.read_again(lagging, Instant::now());
        self.publish(snapshot, false);
        Ok(())
    }

    async fn read_objects(
        &mut self,
        known: &Snapshot,
        kinds: &BTreeMap<ObjectKind, Said>,
    ) -> Result<(), Error> {
        let mut snapshot = known.clone();
        for (kind, said) in kinds {
            let listed = observe::list_objects(&*self.engine, *kind, &known.cluster).await?;
            let Some(mut listed) = listed else { return self.read_everything(Some(known)).await };
            if listed.keep_newer(known) || !said.is_shown_by(&listed) {
                self.schedule.list_again(*kind, said.clone(), Instant::now());
            }
            listed.put_into(&mut snapshot);
        }
        self.publish(snapshot, false);
        Ok(())
    }

    async fn read_tasks(&mut self, known: &Snapshot) -> Result<(), Error> {
        let started = Instant::now();
        let tasks = self.engine.list_tasks(&Services::All).await?;
        let mut summaries = tasks::summaries(&tasks);
        for service in known.services.values() {
            if let Some(summary) = summaries.get_mut(&service.id) {
                tasks::hide_secrets(service, summary);
            }
        }
        let now = Instant::now();
        self.schedule.tasks_listed(now - started, now);
        if content::tasks_differ(known, &summaries) {
            self.publish(content::with_tasks(known, summaries), false);
        } else {
            self.look_for_restless();
        }
        Ok(())
    }

    /// Only a full list makes a stale snapshot good again: a part says nothing about the rest.
    fn publish(&mut self, snapshot: Snapshot, full: bool) {
        let snapshot = Arc::new(snapshot);
        self.view.send_if_modified(|view| {
            let recovered = full && view.state != State::Ready;
            let changed =
                view.snapshot.as_ref().is_none_or(|known| !content::same(known, &snapshot));
            view.snapshot = Some(snapshot);
            if full {
                view.state = State::Ready;
            }
            changed || recovered
        });
        self.look_for_restless();
    }

    fn publish_failure(&self, error: &Error) {
        let reason = error.with_causes();
        tracing::warn!(
            error.kind = error.kind(),
            error.message = %reason,
            "the swarm cannot be read; the last snapshot is kept"
        );
        let now = self.clock.now();
        self.view.send_if_modified(|view| {
            let since = match &view.state {
                State::Stale { since, .. } => *since,
                State::Starting | State::Ready => now,
            };
            let state = State::Stale { since, reason };
            let changed = view.state != state;
            view.state = state;
            changed
        });
    }

    fn look_for_restless(&mut self) {
        let snapshot = self.view.borrow().snapshot.clone();
        let restless = snapshot.map(|known| content::restless(&known)).unwrap_or_default();
        self.schedule.watch(restless, Instant::now());
    }
}

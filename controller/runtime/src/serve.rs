//! The loop: lead or follow, pass when something wakes it, keep the workers busy, hand over.

use std::sync::Arc;
use std::time::Duration;

use skep_core::action::{Action, ActionState};
use skep_core::identity::ServiceName;
use skep_store::ActionFilter;
use skep_swarm::reflector;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::backoff::Backoff;
use crate::controller::{Context, Controller, waits_for};
use crate::leader::Leadership;
use crate::reconcile::act::{Attempt, carry_out};
use crate::reconcile::{self, Pass};
use crate::report::{ActionReport, Health, PassReport};
use crate::{Error, wake};

/// How often a follower asks for the lease.
const FOLLOWER_POLL: Duration = Duration::from_millis(500);
/// After a failed pass the next waits this long, doubling up to [`LONGEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(10);
/// How long running writes may take at shutdown; the engine's own limit is 20 s.
const DRAIN: Duration = Duration::from_secs(25);
/// How long one pass by hand waits for dependencies to come up.
const ONCE_PATIENCE: Duration = Duration::from_secs(60);

type Ended = (Action, Result<Attempt, Error>);

impl Controller {
    /// Runs until `shutdown`: leads when it can, follows when it cannot, hands over at the end.
    ///
    /// # Errors
    /// Only what no retry can mend. An unreachable engine or a busy store is waited for.
    pub async fn serve(&self, shutdown: CancellationToken) -> Result<(), Error> {
        let context = &self.context;
        let (service, handle) = reflector::Service::new(
            Arc::clone(&context.engine),
            Arc::clone(&context.clock),
            Arc::clone(&context.random),
            reflector::Options::default(),
        );
        let _watching = AbortOnDropHandle::new(tokio::spawn(service.run(shutdown.clone())));
        // Set once; a second `serve` on the same controller keeps using the first one's.
        let _ = context.reflector.set(handle);
        while !shutdown.is_cancelled() {
            let random = context.random.as_ref();
            let options = &context.options;
            let asked =
                Leadership::acquire(&context.store, random, &options.holder, options.lease_ttl)
                    .await;
            match asked {
                Ok(Ok(leadership)) => {
                    let leadership = Arc::new(leadership);
                    self.status.send_modify(|status| {
                        status.leader = true;
                        status.epoch = Some(leadership.fence().epoch);
                        status.holder = None;
                    });
                    context.metrics.leader.set(1);
                    Lead::new(self, Arc::clone(&leadership)).run(&shutdown).await;
                    context.metrics.leader.set(0);
                    self.status.send_modify(|status| {
                        status.leader = false;
                        status.epoch = None;
                    });
                    leadership.release().await;
                }
                Ok(Err(holder)) => {
                    self.status.send_modify(|status| status.holder = Some(holder.holder.clone()));
                    wake::pause(FOLLOWER_POLL, random.bits128(), &shutdown).await;
                }
                Err(error) => {
                    tracing::warn!(error = %error, "leader.acquire_failed");
                    self.status.send_modify(|status| status.last_error = Some(error.to_string()));
                    wake::pause(FOLLOWER_POLL, random.bits128(), &shutdown).await;
                }
            }
        }
        Ok(())
    }

    /// One pass in the foreground: proposes, carries out what is granted, returns the report.
    ///
    /// # Errors
    /// [`Error::LeaseHeld`] while another process leads; whatever stops the pass.
    pub async fn reconcile_once(&self) -> Result<PassReport, Error> {
        let context = &self.context;
        let options = &context.options;
        let random = context.random.as_ref();
        let leadership =
            Leadership::acquire(&context.store, random, &options.holder, options.lease_ttl)
                .await?
                .map_err(|holder| Error::LeaseHeld { holder })?;
        let leadership = Arc::new(leadership);
        let mut lead = Lead::new(self, Arc::clone(&leadership));
        let result = lead.once().instrument(tracing::info_span!("pass")).await;
        leadership.release().await;
        result
    }
}

/// One leadership at work.
struct Lead<'a> {
    controller: &'a Controller,
    context: Arc<Context>,
    leadership: Arc<Leadership>,
    workers: JoinSet<Ended>,
    backoff: Backoff,
    ended: Vec<ActionReport>,
    swarm: Option<watch::Receiver<reflector::View>>,
}

impl<'a> Lead<'a> {
    fn new(controller: &'a Controller, leadership: Arc<Leadership>) -> Self {
        Self {
            controller,
            context: Arc::clone(&controller.context),
            leadership,
            workers: JoinSet::new(),
            backoff: Backoff::default(),
            ended: Vec::new(),
            swarm: controller.context.reflector.get().map(reflector::Handle::subscribe),
        }
    }

    async fn run(&mut self, shutdown: &CancellationToken) {
        let mut retry = FIRST_RETRY;
        while !shutdown.is_cancelled() && self.leadership.is_trusted() {
            let started = Instant::now();
            // Both before the pass: what changes or is decided during it wakes the next one.
            if let Some(swarm) = &mut self.swarm {
                swarm.mark_unchanged();
            }
            let counter = self.context.store.change_counter().await.ok();
            let outcome = self.pass().instrument(tracing::info_span!("pass")).await;
            self.context.metrics.pass_seconds.observe(started.elapsed().as_secs_f64());
            let next = match outcome {
                Ok(()) => {
                    retry = FIRST_RETRY;
                    started + self.context.options.interval
                }
                Err(Error::LeaseLost | Error::Store(skep_store::Error::Fenced { .. })) => break,
                Err(error) => {
                    self.note_failure(&error);
                    let at = Instant::now() + retry;
                    retry = (retry * 2).min(LONGEST_RETRY);
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = sleep_until(at) => {}
                    }
                    continue;
                }
            };
            self.wait(next, counter, shutdown).await;
        }
        self.drain().await;
    }

    /// Waits until there is a reason to look again. The reason only wakes: the pass reads the
    /// facts anew.
    async fn wait(&mut self, next: Instant, counter: Option<i64>, shutdown: &CancellationToken) {
        let until = self.backoff.next_ready().map_or(next, |ready| ready.min(next));
        let context = Arc::clone(&self.context);
        let leadership = Arc::clone(&self.leadership);
        let reason = tokio::select! {
            () = shutdown.cancelled() => "shutdown",
            () = sleep_until(until) => "timer",
            () = wake::changed(self.swarm.as_mut()) => "swarm",
            () = wake::store_changed(&context, counter) => "store",
            () = wake::sources_changed(&context) => "sources",
            () = wake::lease_lost(&leadership) => "lease",
            Some(ended) = self.workers.join_next(), if !self.workers.is_empty() => {
                self.note_end(ended);
                "worker"
            }
        };
        tracing::debug!(reason, "loop.woken");
    }

    async fn pass(&mut self) -> Result<(), Error> {
        while let Some(ended) = self.workers.try_join_next() {
            self.note_end(ended);
        }
        let pass = reconcile::decide(&self.context, &self.leadership).await?;
        if self.context.options.propose {
            self.start_granted(&pass).instrument(tracing::info_span!("act")).await?;
        }
        tracing::info_span!("record").in_scope(|| self.record(pass));
        Ok(())
    }

    /// Stage 5: gives granted actions to workers, one per key, no more than allowed side by side.
    async fn start_granted(&mut self, pass: &Pass) -> Result<usize, Error> {
        let filter = ActionFilter { states: vec![ActionState::Granted], ..ActionFilter::default() };
        let mut granted = self.context.store.actions(&filter).await?;
        // Oldest decision first; earlier waves first.
        granted.sort_by(|a, b| (a.step.wave, a.granted_at).cmp(&(b.step.wave, b.granted_at)));
        let mut started = 0;
        for action in granted {
            let name = ServiceName::new(action.key.name.as_str());
            let chosen = self.context.options.only.as_ref().is_none_or(|only| only.contains(&name));
            if self.workers.len() >= self.context.options.max_parallel {
                break;
            }
            if !chosen || !self.backoff.is_ready(&name, Instant::now()) {
                continue;
            }
            if let Some(reason) = waits_for(&self.context, &pass.world, &pass.plan, &action) {
                tracing::debug!(service.name = %name, reason, "act.waiting");
                continue;
            }
            if !self.context.in_flight.claim(&action.key) {
                continue;
            }
            started += 1;
            self.context.metrics.inflight.inc();
            let (context, leadership) = (Arc::clone(&self.context), Arc::clone(&self.leadership));
            let world = Arc::clone(&pass.world);
            let work = async move {
                let result = carry_out(&context, &leadership, &world, &action).await;
                refresh(&context, &action).await;
                context.in_flight.free(&action.key);
                context.metrics.inflight.dec();
                (action, result)
            };
            self.workers.spawn(work.in_current_span());
        }
        Ok(started)
    }

    fn note_end(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let (action, result) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(error = %error, "act.worker_died");
                return;
            }
        };
        let name = ServiceName::new(action.key.name.as_str());
        let (state, detail) = match result {
            Ok(Attempt::Ended(state, detail)) => {
                self.backoff.reset(&name);
                self.context.metrics.count_action(action.kind.as_str(), state);
                (state, detail)
            }
            Ok(Attempt::Waiting(detail)) => ("granted", detail),
            Ok(Attempt::Retry(detail)) => {
                self.backoff.failed(&name, Instant::now());
                ("retrying", detail)
            }
            Err(error) => {
                self.backoff.failed(&name, Instant::now());
                ("retrying", error.to_string())
            }
        };
        tracing::info!(
            action.id = %action.id,
            action.kind = %action.kind,
            service.name = %name,
            action.state = state,
            detail,
            "action.attempted"
        );
        self.ended.push(ActionReport {
            kind: action.kind.to_string(),
            target: name.to_string(),
            reason: action.reason.clone(),
            decision: action.rule.clone(),
            action_id: Some(action.id.to_string()),
            approval_id: action.approval.as_ref().map(ToString::to_string),
            state: Some(state.to_owned()),
            execution: Some(detail),
        });
    }

    /// Stage 6: what happened, for whoever asks.
    fn record(&mut self, pass: Pass) -> PassReport {
        let mut report = pass.report;
        report.approved_drained = std::mem::take(&mut self.ended);
        let metrics = &self.context.metrics;
        metrics.passes.inc();
        let now = self.context.clock.now();
        // Whole milliseconds are exact enough for "how long ago".
        #[allow(clippy::cast_precision_loss)]
        metrics.last_pass.set(now.as_millisecond() as f64 / 1000.0);
        let kept = report.clone();
        self.controller.status.send_modify(|status| {
            status.last_pass_at = Some(now);
            status.last_pass = Some(kept);
            status.last_error = None;
            status.stale_reason = None;
            status.sources.clone_from(&pass.world.desired.sources);
            status.observed_at = Some(pass.world.snapshot.taken_at);
        });
        if report.processed > 0 || !report.approved_drained.is_empty() {
            tracing::info!(
                divergences = report.divergences,
                processed = report.processed,
                deferred = report.deferred.len(),
                approved_drained = report.approved_drained.len(),
                actuator = report.actuator,
                "pass.done"
            );
        }
        report
    }

    fn note_failure(&self, error: &Error) {
        self.context.metrics.count_error(error.code());
        tracing::warn!(error.code = error.code(), error = %Chain(error), "pass.failed");
        let reason = Chain(error).to_string();
        self.controller.status.send_modify(|status| {
            status.last_error = Some(reason.clone());
            if matches!(error, Error::Engine(_)) {
                status.stale_reason = Some(reason);
            }
        });
    }

    /// Passes until nothing granted is left that can run.
    async fn once(&mut self) -> Result<PassReport, Error> {
        let deadline = Instant::now() + ONCE_PATIENCE;
        let mut total: Option<PassReport> = None;
        loop {
            let pass = reconcile::decide(&self.context, &self.leadership).await?;
            let started = if self.context.options.propose {
                self.start_granted(&pass).instrument(tracing::info_span!("act")).await?
            } else {
                0
            };
            while let Some(ended) = self.workers.join_next().await {
                self.note_end(ended);
            }
            let waiting = self.granted_left(&pass).await?;
            let report = self.record(pass);
            total = Some(merged(total, report));
            if started == 0 && (!waiting || Instant::now() >= deadline) {
                break;
            }
            if started == 0 {
                tokio::time::sleep(FIRST_RETRY).await;
            }
        }
        let mut report = total.unwrap_or_default();
        if report.health.status.is_empty() {
            report.health = Health { status: "healthy".to_owned(), reason: None };
        }
        Ok(report)
    }

    /// True while a granted action of this pass's scope waits for a dependency or a retry.
    async fn granted_left(&self, pass: &Pass) -> Result<bool, Error> {
        if !self.context.options.propose {
            return Ok(false);
        }
        let filter = ActionFilter { states: vec![ActionState::Granted], ..ActionFilter::default() };
        let granted = self.context.store.actions(&filter).await?;
        Ok(granted.iter().any(|action| {
            let name = ServiceName::new(action.key.name.as_str());
            let chosen = self.context.options.only.as_ref().is_none_or(|only| only.contains(&name));
            let dependency = waits_for(&self.context, &pass.world, &pass.plan, action).is_some();
            chosen && (dependency || !self.backoff.is_ready(&name, Instant::now()))
        }))
    }

    /// Lets running writes end: their outcome is worth a few seconds.
    async fn drain(&mut self) {
        let deadline = Instant::now() + DRAIN;
        while !self.workers.is_empty() {
            match tokio::time::timeout_at(deadline, self.workers.join_next()).await {
                Ok(Some(ended)) => self.note_end(ended),
                Ok(None) => break,
                Err(_) => {
                    tracing::warn!(open = self.workers.len(), "shutdown.writes_left_open");
                    self.workers.shutdown().await;
                    break;
                }
            }
        }
    }
}

/// Reads what was just written before the key is free again: the next plan must see it.
async fn refresh(context: &Context, action: &Action) {
    let Some(reflector) = context.reflector.get() else { return };
    let refreshed = match &action.step.object {
        Some(id) => reflector.refresh_service(id).await,
        None => reflector.refresh_now().await,
    };
    if let Err(error) = refreshed {
        // The reflector keeps trying, and a stale picture stops the next pass by itself.
        tracing::warn!(error = %error, "act.refresh_failed");
    }
}

fn merged(earlier: Option<PassReport>, mut later: PassReport) -> PassReport {
    if let Some(mut earlier) = earlier {
        later.processed += earlier.processed;
        earlier.actions.append(&mut later.actions);
        later.actions = earlier.actions;
        earlier.approved_drained.append(&mut later.approved_drained);
        later.approved_drained = earlier.approved_drained;
    }
    later
}

/// An error with its causes in one line.
struct Chain<'a>(&'a Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = std::error::Error::source(self.0);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

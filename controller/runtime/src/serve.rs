//! The loop: lead or follow, pass when something wakes it, keep the workers busy, hand over.

mod once;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use skep_core::stack::{DEPENDENCY, STAGED};
use skep_swarm::reflector;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::announcements::Desk;
use crate::contain::{self, Keeper};
use crate::controller::{Context, Controller};
use crate::error::Chain;
use crate::leader::Leadership;
use crate::readiness::{Prober, ReadinessReport};
use crate::reconcile::{self, Memory, Pass};
use crate::report::PassReport;
use crate::workers::Workers;
use crate::{Error, notify, previews, updates, wake};

/// How often a follower asks for the lease.
const FOLLOWER_POLL: Duration = Duration::from_millis(500);
/// After a failed pass the next waits this long, doubling up to [`LONGEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(10);
/// While actions are being carried out, a pass is followed by so many times its own length
/// without one, up to [`MOST_REST`].
const REST_PER_PASS: u32 = 5;
const MOST_REST: Duration = Duration::from_millis(500);

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
        let _asking = context.options.probing.clone().map(|probing| {
            let prober = Prober::new(Arc::clone(context), self.status.clone(), probing);
            AbortOnDropHandle::new(tokio::spawn(prober.run(shutdown.clone())))
        });
        let updates = updates::watch(Arc::clone(context), self.status.clone(), shutdown.clone());
        let _looking = AbortOnDropHandle::new(tokio::spawn(updates));
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
    /// [`Error::LeaseHeld`] while another process leads; whatever stops the pass. After
    /// `shutdown` nothing more is started.
    pub async fn reconcile_once(&self, shutdown: &CancellationToken) -> Result<PassReport, Error> {
        let context = &self.context;
        let options = &context.options;
        let random = context.random.as_ref();
        let leadership =
            Leadership::acquire(&context.store, random, &options.holder, options.lease_ttl)
                .await?
                .map_err(|holder| Error::LeaseHeld { holder })?;
        let leadership = Arc::new(leadership);
        context.sources.lock().await.wait_for_repositories();
        let mut lead = Lead::new(self, Arc::clone(&leadership));
        let result = lead.once(shutdown).instrument(tracing::info_span!("pass")).await;
        leadership.release().await;
        result
    }
}

impl Controller {
    /// Carries out what is ordered to be contained, and nothing else: for when nobody leads. No
    /// plan is made and no policy is asked.
    ///
    /// # Errors
    /// [`Error::LeaseHeld`] while another process leads, which then does it.
    pub async fn contain_once(&self, patience: Duration) -> Result<(), Error> {
        let context = &self.context;
        let options = &context.options;
        let random = context.random.as_ref();
        let leadership =
            Leadership::acquire(&context.store, random, &options.holder, options.lease_ttl)
                .await?
                .map_err(|holder| Error::LeaseHeld { holder })?;
        let leadership = Arc::new(leadership);
        let mut lead = Lead::new(self, Arc::clone(&leadership));
        lead.declare_mode().await;
        let result = match lead.take_in().await {
            Ok(()) => lead.keeper().settle(patience).await,
            Err(error) => Err(error),
        };
        leadership.release().await;
        result.map(drop)
    }
}

/// One leadership at work.
struct Lead<'a> {
    controller: &'a Controller,
    context: Arc<Context>,
    leadership: Arc<Leadership>,
    workers: Workers,
    swarm: Option<watch::Receiver<reflector::View>>,
    memory: Memory,
    readiness: watch::Receiver<Arc<ReadinessReport>>,
    /// What was announced from outside and is not answered yet.
    desk: Desk,
    /// Whether what was killed without the store is on record.
    has_taken_in: bool,
    /// True while a granted action waits for another service.
    has_dependents: bool,
    /// When everything is looked at the next time, whatever wakes the loop before.
    whole_at: Instant,
}

impl<'a> Lead<'a> {
    fn new(controller: &'a Controller, leadership: Arc<Leadership>) -> Self {
        let context = Arc::clone(&controller.context);
        let workers = Workers::new(Arc::clone(&context), Arc::clone(&leadership));
        let swarm = context.reflector.get().map(reflector::Handle::subscribe);
        let readiness = context.readiness.subscribe();
        Self {
            controller,
            context,
            leadership,
            workers,
            swarm,
            memory: Memory::default(),
            readiness,
            desk: Desk::default(),
            has_taken_in: false,
            has_dependents: false,
            whole_at: Instant::now(),
        }
    }

    async fn run(&mut self, shutdown: &CancellationToken) {
        self.declare_mode().await;
        self.context.sources.lock().await.begin_anew();
        let _keeping = AbortOnDropHandle::new(tokio::spawn(self.keeper().run()));
        let _telling = notify::start(&self.context, &self.leadership);
        let _previewing = previews::start(&self.context, &self.leadership, self.desk.proposals());
        let mut retry = FIRST_RETRY;
        while !shutdown.is_cancelled() && self.leadership.is_trusted() {
            let started = Instant::now();
            // Both before the pass: what changes or is decided during it wakes the next one.
            if let Some(swarm) = &mut self.swarm {
                swarm.mark_unchanged();
            }
            self.readiness.mark_unchanged();
            let counter = self.context.store.change_counter().await.ok();
            // Counted from the last whole look and not from the last pass: in a fleet where
            // something changes all the time, nobody else looks at what only time changes.
            if started >= self.whole_at {
                self.memory.forget();
            }
            if self.memory.looks_at_everything() {
                self.whole_at = started + self.context.options.interval;
            }
            let outcome = tokio::select! {
                // What a pass leaves half done is a read, a transaction that rolls back, or an
                // intent that the next leader settles.
                () = shutdown.cancelled() => break,
                outcome = self.pass().instrument(tracing::info_span!("pass")) => outcome,
            };
            self.context.metrics.pass_seconds.observe(started.elapsed().as_secs_f64());
            match outcome {
                Ok(()) => {
                    retry = FIRST_RETRY;
                    let rested =
                        Instant::now() + (started.elapsed() * REST_PER_PASS).min(MOST_REST);
                    let reason = self.wait(started, counter, shutdown).await;
                    self.keep_writing(rested, shutdown).await;
                    // The reason is not known per key.
                    if matches!(reason, "sources" | "lease") {
                        self.memory.forget();
                    }
                }
                Err(Error::LeaseLost | Error::Store(skep_store::Error::Fenced { .. })) => break,
                Err(error) => {
                    self.memory.forget();
                    self.note_failure(&error);
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = sleep(retry) => {}
                    }
                    retry = (retry * 2).min(LONGEST_RETRY);
                }
            }
        }
        self.workers.drain().await;
    }

    /// What keeps the contained as it is to be, whatever the passes are busy with.
    fn keeper(&self) -> Keeper {
        let (context, leadership) = (Arc::clone(&self.context), Arc::clone(&self.leadership));
        Keeper::new(context, leadership, self.controller.status.clone())
    }

    /// Before anything is decided: what was killed while the store was out of reach.
    async fn take_in(&mut self) -> Result<(), Error> {
        let context = &self.context;
        if let Some(spool) = context.options.spool.as_deref().filter(|_| !self.has_taken_in) {
            let cluster = context.engine.info().await?.trusted_cluster()?;
            let (fence, now) = (self.leadership.fence(), context.clock.now());
            contain::take_in(context.store.as_ref(), fence, &cluster, spool, now).await?;
        }
        self.has_taken_in = true;
        Ok(())
    }

    /// Others tell people with it what will become of an order.
    async fn declare_mode(&self) {
        let fence = self.leadership.fence();
        if let Err(error) = self.context.store.declare_mode(fence, self.context.options.mode).await
        {
            tracing::warn!(error = %error, "leader.mode_not_declared");
        }
    }

    /// While actions are being carried out, their own effects call for a pass after each of them.
    /// The machine is left to them for a while: what a pass would find is still there afterwards.
    async fn keep_writing(&mut self, until: Instant, shutdown: &CancellationToken) {
        while self.workers.count() > 0 && Instant::now() < until {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep_until(until) => return,
                () = self.workers.next_end() => {}
            }
        }
    }

    /// Waits until there is a reason to look again. The reason only wakes: the pass reads the
    /// facts anew.
    async fn wait(
        &mut self,
        started: Instant,
        counter: Option<i64>,
        shutdown: &CancellationToken,
    ) -> &'static str {
        // From the start of the pass: a delay that ended during it has not been looked at.
        let ready = self.context.retries().next_ready(started);
        let reasons = [ready, self.workers.next_due()];
        let until = reasons.into_iter().flatten().fold(self.whole_at, Instant::min);
        let context = Arc::clone(&self.context);
        let leadership = Arc::clone(&self.leadership);
        let reason = tokio::select! {
            () = shutdown.cancelled() => "shutdown",
            () = sleep_until(until) => "timer",
            () = context.options.wake.woken() => "announcement",
            () = wake::changed(self.swarm.as_mut()) => "swarm",
            Ok(()) = self.readiness.changed(), if self.has_dependents => "readiness",
            () = wake::store_changed(&context, counter) => "store",
            () = wake::sources_changed(&context) => "sources",
            () = wake::lease_lost(&leadership) => "lease",
            () = self.workers.next_end() => "worker",
        };
        tracing::debug!(reason, "loop.woken");
        reason
    }

    async fn pass(&mut self) -> Result<(), Error> {
        self.take_in().await?;
        self.workers.note_ended();
        // What is declared is known from the second pass on; the first one asks every source.
        let is_first = self.context.declared().is_none();
        if !is_first {
            self.desk.take_in(&self.context, &self.leadership).await?;
        }
        let mut pass =
            reconcile::decide(&self.context, &self.leadership, &mut self.workers, &mut self.memory)
                .await?;
        if self.context.options.propose {
            self.workers.start(&mut pass).instrument(tracing::info_span!("act")).await?;
        }
        if is_first {
            self.desk.take_in(&self.context, &self.leadership).await?;
        }
        self.desk.answer(&self.context, &self.leadership, &pass).await?;
        // Monitoring only; a store that cannot be read stops the next pass by itself.
        if let Ok(open) = self.context.store.open_letters().await {
            self.context.metrics.show_letters(open);
        }
        tracing::info_span!("record").in_scope(|| self.record(pass));
        Ok(())
    }

    /// Stage 6: what happened, for whoever asks.
    fn record(&mut self, pass: Pass) -> PassReport {
        let mut report = pass.report;
        report.approved_drained = self.workers.take_reports();
        let depends = |code: &str| code == DEPENDENCY || code == STAGED;
        self.has_dependents = report.waiting.iter().any(|waiting| depends(&waiting.code));
        let metrics = &self.context.metrics;
        metrics.passes.inc();
        metrics.inflight.set(i64::try_from(self.workers.count()).unwrap_or(i64::MAX));
        let degraded: BTreeSet<_> = report
            .waiting
            .iter()
            .filter(|waiting| waiting.code == "DEGRADED")
            .map(|waiting| &waiting.target)
            .collect();
        metrics.degraded.set(i64::try_from(degraded.len()).unwrap_or(i64::MAX));
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
            if matches!(error, Error::Engine(_) | Error::Stale { .. }) {
                status.stale_reason = Some(reason);
            }
        });
    }
}

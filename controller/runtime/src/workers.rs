//! Stage 5 at work: granted actions are carried out side by side, one per key.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use skep_core::action::{Action, ActionState, ActuatorMode};
use skep_core::identity::{ActionId, ClusterId, ObjectKind, ServiceName};
use skep_core::observed::Snapshot;
use skep_core::plan::Operation;
use skep_store::{ActionFilter, Intent};
use skep_swarm::observe;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::controller::Context;
use crate::leader::Leadership;
use crate::rate::Rate;
use crate::reconcile::act::{Attempt, carry_out};
use crate::reconcile::{Pass, World};
use crate::report::ActionReport;
use crate::stacks::sort_out;
use crate::waits::{self, Waits};
use crate::{Error, rollout, settle};

/// How long running writes may take when the leadership ends. One that takes longer is left to
/// the next leader, who finds its intent.
const DRAIN: Duration = Duration::from_secs(5);

type Ended = (Action, Result<Attempt, Error>);

/// The workers of one leadership.
pub(crate) struct Workers {
    context: Arc<Context>,
    leadership: Arc<Leadership>,
    running: JoinSet<Ended>,
    ended: Vec<ActionReport>,
    rate: Rate,
    /// When the overall rate lets the next one start, if it held one back.
    held_until: Option<Instant>,
    /// What the newest pass found able to run and has not started yet.
    queue: VecDeque<(Arc<World>, Action)>,
    /// Those of this leadership's own actions whose rollout runs.
    rolling: BTreeSet<ActionId>,
    /// When the rollouts are to be looked at again, whether something changes or not.
    follow_until: Option<Instant>,
}

/// What [`Workers::start`] left for later.
#[derive(Debug, Default)]
pub(crate) struct Started {
    /// True when a granted action is left that may be able to run soon.
    pub(crate) more_to_come: bool,
}

impl Workers {
    pub(crate) fn new(context: Arc<Context>, leadership: Arc<Leadership>) -> Self {
        Self {
            context,
            leadership,
            running: JoinSet::new(),
            ended: Vec::new(),
            rate: Rate::new(Instant::now()),
            held_until: None,
            queue: VecDeque::new(),
            rolling: BTreeSet::new(),
            follow_until: None,
        }
    }

    /// Ends the actions whose rollout Swarm has ended, whoever began them.
    pub(crate) async fn follow(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        let followed = rollout::follow(&self.context, &self.leadership, snapshot).await?;
        self.context.metrics.rollouts.set(number(followed.running.len()));
        self.context.metrics.overdue.set(number(followed.overdue));
        let now = self.context.clock.now();
        self.follow_until = followed.look_again.map(|at| {
            Instant::now() + Duration::try_from(at.duration_since(now)).unwrap_or_default()
        });
        for (action, state, detail) in followed.ended {
            self.context.metrics.count_action(action.kind.as_str(), state);
            self.say(&action, state, detail);
        }
        self.rolling.retain(|id| followed.running.contains(id));
        Ok(())
    }

    /// How many of this leadership's own actions are being rolled out.
    pub(crate) fn rolling(&self) -> usize {
        self.rolling.len()
    }

    /// Gives intents of a swarm that an earlier leader, or a lost reply, left open to workers.
    pub(crate) async fn settle(&mut self, open: Vec<Intent>, on: &ClusterId) -> Result<(), Error> {
        let resting = if open.is_empty() { HashMap::new() } else { self.resting().await? };
        for intent in open {
            let name = ServiceName::new(intent.key.name.as_str());
            if let Some(wait) = resting.get(&intent.action) {
                self.context.retries().later(&name, Instant::now(), *wait);
            }
            let is_ready = self.context.retries().is_ready(&name, Instant::now());
            if intent.key.cluster != *on || !is_ready || !self.is_chosen(&name) {
                continue;
            }
            let Some(claim) = self.context.in_flight.claim(&intent.key) else { continue };
            let action = match self.context.store.action(intent.action.as_str()).await {
                Ok(action) => action,
                // One row that cannot be read must not keep all other keys from moving.
                Err(error @ skep_store::Error::Corrupt { .. }) => {
                    tracing::error!(action.id = %intent.action, error = %error, "settle.unreadable");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            // The keeper settles its own.
            if action.is_containment() {
                continue;
            }
            let (context, leadership) = (Arc::clone(&self.context), Arc::clone(&self.leadership));
            let work = async move {
                let result = settle::settle(&context, &leadership, &action, &intent).await;
                refresh(&context, &action, &result).await;
                drop(claim);
                (action, result)
            };
            self.running.spawn(work.in_current_span());
        }
        Ok(())
    }

    /// The actions whose next attempt has to wait, whoever made the last one, and how long.
    async fn resting(&self) -> Result<HashMap<ActionId, Duration>, Error> {
        let now = self.context.clock.now();
        let attempts = self.context.store.open_attempts().await?.into_iter();
        let wait = |until: Timestamp| Duration::try_from(until.duration_since(now)).ok();
        Ok(attempts
            .filter_map(|attempts| Some((attempts.action, wait(attempts.not_before)?)))
            .filter(|(_, wait)| !wait.is_zero())
            .collect())
    }

    fn is_chosen(&self, name: &ServiceName) -> bool {
        self.context.options.only.as_ref().is_none_or(|only| only.contains(name))
    }

    /// Queues the granted actions that can run, and starts as many as may run side by side; each
    /// that ends makes room for the next without another pass.
    pub(crate) async fn start(&mut self, pass: &mut Pass) -> Result<Started, Error> {
        let filter = ActionFilter { states: vec![ActionState::Granted], ..ActionFilter::default() };
        let mut granted = self.context.store.actions(&filter).await?;
        // Earlier waves first, then the oldest decision, then by name.
        granted.sort_by(|one, other| {
            let key = |action: &Action| (action.step.wave, action.granted_at);
            key(one).cmp(&key(other)).then_with(|| one.step.target.cmp(&other.step.target))
        });
        if !granted.is_empty() && self.context.options.mode == ActuatorMode::Swarm {
            // A manager that has lost the others goes on answering for seconds as if it had not;
            // and the address may lead to another swarm by now.
            let (nodes, info) =
                tokio::try_join!(self.context.engine.nodes(), self.context.engine.info())?;
            nodes.quorum()?;
            if info.trusted_cluster()? != pass.world.snapshot.cluster {
                let reason = "the address leads to another swarm than a moment ago".to_owned();
                return Err(Error::Stale { reason });
            }
        }
        let resting = if granted.is_empty() { HashMap::new() } else { self.resting().await? };
        let active = self.active(&granted).await?;
        let mut started = Started::default();
        let mut waits = Waits::new(pass.world.now);
        self.queue.clear();
        let mut able = Vec::new();
        for action in granted {
            let name = ServiceName::new(action.key.name.as_str());
            let is_meant = !self.context.options.requests_only || action.step.request.is_some();
            if !self.is_chosen(&name) || !is_meant {
                continue;
            }
            let now = Instant::now();
            if let Some(wait) = resting.get(&action.id) {
                self.context.retries().later(&name, now, *wait);
                // The grant's time does not run while we make it wait.
                waits.wait(&action, waits::NEXT_ATTEMPT, "waits for its next attempt");
            }
            if !self.context.retries().is_ready(&name, now) {
                started.more_to_come |= self.context.retries().is_retrying(&name, now);
                continue;
            }
            if is_rolling(pass, &name) {
                let reason = "Swarm is still rolling out an earlier change";
                waits.wait(&action, waits::ROLLOUT_RUNNING, reason);
                continue;
            }
            able.push(action);
        }
        let sorted = sort_out(&self.context, &pass.world, able, &active).await?;
        started.more_to_come |= sorted.tell(&mut waits, &mut pass.report);
        self.queue = sorted.ready.into_iter().map(|one| (Arc::clone(&pass.world), one)).collect();
        self.fill();
        for (_, action) in &mut self.queue {
            action.wait = waits.wait(action, waits::CAPACITY, "waits for its turn");
        }
        waits.store(&self.context, &self.leadership).await?;
        started.more_to_come |= !self.queue.is_empty();
        Ok(started)
    }

    /// Starts queued actions while there is room and the overall rate allows it.
    fn fill(&mut self) {
        self.held_until = None;
        while self.running.len() < self.context.options.max_parallel && !self.queue.is_empty() {
            // A rehearsal costs the engine nothing worth sparing.
            let is_live = self.context.options.mode == ActuatorMode::Swarm;
            if is_live && let Err(until) = self.rate.take(Instant::now()) {
                self.held_until = Some(until);
                return;
            }
            if let Some((world, action)) = self.queue.pop_front() {
                self.spawn(world, action);
            }
        }
    }

    /// How many granted actions within the scope have not started.
    pub(crate) async fn granted_left(&self) -> Result<usize, Error> {
        if !self.context.options.propose {
            return Ok(0);
        }
        let filter = ActionFilter { states: vec![ActionState::Granted], ..ActionFilter::default() };
        let granted = self.context.store.actions(&filter).await?;
        Ok(granted.iter().filter(|action| self.is_chosen(&action.step.target)).count())
    }

    /// The services with an action that is allowed or under way.
    async fn active(&self, granted: &[Action]) -> Result<BTreeSet<ServiceName>, Error> {
        let states = vec![ActionState::Executing, ActionState::RollingOut];
        let under_way =
            self.context.store.actions(&ActionFilter { states, ..ActionFilter::default() }).await?;
        let names = under_way.iter().chain(granted).map(|action| action.step.target.clone());
        Ok(names.collect())
    }

    fn spawn(&mut self, world: Arc<World>, action: Action) {
        let Some(claim) = self.context.in_flight.claim(&action.key) else { return };
        let (context, leadership) = (Arc::clone(&self.context), Arc::clone(&self.leadership));
        let work = async move {
            let result = carry_out(&context, &leadership, &world, &action).await;
            waits::note_attempt(&context, &leadership, &action, &result).await;
            refresh(&context, &action, &result).await;
            drop(claim);
            (action, result)
        };
        self.running.spawn(work.in_current_span());
    }

    /// Waits until a worker has ended and none is left to take its place; never returns while
    /// there is no worker.
    pub(crate) async fn next_end(&mut self) {
        loop {
            match self.running.join_next().await {
                Some(ended) => self.note(ended),
                None => std::future::pending().await,
            }
            self.fill();
            if self.queue.is_empty() || self.running.is_empty() {
                return;
            }
        }
    }

    /// Notes workers that have ended, without waiting.
    pub(crate) fn note_ended(&mut self) {
        while let Some(ended) = self.running.try_join_next() {
            self.note(ended);
        }
    }

    /// Waits for all workers.
    pub(crate) async fn join_all(&mut self) {
        while let Some(ended) = self.running.join_next().await {
            self.note(ended);
            self.fill();
        }
    }

    /// Lets running writes end: their outcome is worth a few seconds.
    pub(crate) async fn drain(&mut self) {
        self.queue.clear();
        if tokio::time::timeout(DRAIN, self.join_all()).await.is_err() {
            tracing::warn!(open = self.running.len(), "shutdown.writes_left_open");
            self.running.shutdown().await;
        }
    }

    /// When there is something to do even if nothing changes: the overall rate lets the next
    /// action start, or a rollout is to be looked at again.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.held_until.into_iter().chain(self.follow_until).min()
    }

    /// How many are running.
    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }

    /// What has ended since the last call.
    pub(crate) fn take_reports(&mut self) -> Vec<ActionReport> {
        std::mem::take(&mut self.ended)
    }

    fn note(&mut self, ended: Result<Ended, JoinError>) {
        let (action, result) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(error = %error, "act.worker_died");
                return;
            }
        };
        let name = ServiceName::new(action.key.name.as_str());
        let attempt = result.unwrap_or_else(|error| Attempt::Retry(error.to_string()));
        self.context.note(&name, &attempt);
        let (state, detail) = match attempt {
            Attempt::Ended(state, detail) => {
                self.context.metrics.count_action(action.kind.as_str(), state);
                if state == settle::ROLLING_OUT {
                    self.rolling.insert(action.id.clone());
                }
                (state, detail)
            }
            Attempt::Waiting(_, detail) => {
                // Looked at every few seconds for as long as it lasts: no news for a log.
                tracing::debug!(action.id = %action.id, service.name = %name, detail, "action.waiting");
                self.ended.push(report(&action, "waiting", detail));
                return;
            }
            Attempt::Retry(detail) | Attempt::After(_, detail) => ("retrying", detail),
        };
        self.say(&action, state, detail);
    }

    fn say(&mut self, action: &Action, state: &str, detail: String) {
        tracing::info!(
            action.id = %action.id,
            action.kind = %action.kind,
            service.name = %action.key.name,
            action.state = state,
            detail,
            "action.attempted"
        );
        self.ended.push(report(action, state, detail));
    }
}

fn report(action: &Action, state: &str, detail: String) -> ActionReport {
    ActionReport {
        kind: action.kind.to_string(),
        target: action.step.target.to_string(),
        reason: action.reason.clone(),
        decision: action.rule.clone(),
        action_id: Some(action.id.to_string()),
        approval_id: action.approval.as_ref().map(ToString::to_string),
        state: Some(state.to_owned()),
        execution: Some(detail),
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// True while Swarm is busy with the service; an event tells when it is done.
fn is_rolling(pass: &Pass, name: &ServiceName) -> bool {
    let live = pass.world.snapshot.services.get(name);
    live.and_then(|live| live.update.as_ref()).is_some_and(|update| update.is_rolling())
}

/// Reads what was just written before the key is free again: the next plan must see it.
async fn refresh(context: &Context, action: &Action, result: &Result<Attempt, Error>) {
    let Some(reflector) = context.reflector.get() else { return };
    let wrote_nothing = matches!(result, Ok(Attempt::Waiting(..)))
        || context.options.mode == ActuatorMode::DryRun
        || action.kind.needs_no_intent();
    if wrote_nothing {
        return;
    }
    let refreshed = match (&action.step.object, &action.step.operation) {
        _ if action.key.kind != ObjectKind::Service => reflector.refresh_now().await,
        // What was made has an id that is not known yet; a replacement has another one.
        (None, _) | (_, Operation::Replace { .. }) => {
            match context.engine.inspect_service(&action.key.name).await.and_then(observe::service)
            {
                Ok(made) if action.step.object.is_none() => {
                    reflector.refresh_service(&made.id).await
                }
                _ => reflector.refresh_now().await,
            }
        }
        (Some(id), _) => reflector.refresh_service(id).await,
    };
    if let Err(error) = refreshed {
        // The reflector keeps trying, and a stale picture stops the next pass by itself.
        tracing::warn!(error = %error, "act.refresh_failed");
    }
}

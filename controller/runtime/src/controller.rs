//! The controller: one pass by hand, or a loop that passes run in while this process leads.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use skep_core::action::ActionState;
use skep_core::containment::Contained;
use skep_core::desired::{Desired, SourceState};
use skep_core::digester::Digester;
use skep_core::gate::{Policy, Verdict};
use skep_core::identity::{IntentId, ObjectKey, ServiceName};
use skep_core::observed::Snapshot;
use skep_core::plan::{Masking, Memo, Owned, Plan, Step, Waiting, plan_with};
use skep_core::ports::{Clock, Random};
use skep_core::seal::Sealer;
use skep_images::Resolver;
use skep_store::{ActionFilter, Store};
use skep_swarm::{Engine, reflector};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::disruption::Disruption;
use crate::history::VersionsSeen;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::policy::PolicySource;
use crate::readiness::ReadinessReport;
use crate::reconcile::act::Attempt;
use crate::reconcile::gate::preview;
use crate::reconcile::holdings::Looks;
use crate::reconcile::standing::{degraded, is_forgotten, retried_at};
use crate::reconcile::{Memory, World};
use crate::refusals::Refusals;
use crate::sources::{Refresh, SourceSet, StackOrigin};
use crate::status::Status;
use crate::{Error, contain, stacks};

/// What a controller works with.
pub struct Parts {
    /// The swarm.
    pub engine: Arc<dyn Engine>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// What is declared.
    pub sources: SourceSet,
    /// The policy.
    pub policy: PolicySource,
    /// What image registries are asked through.
    pub images: Resolver,
    /// How secret values are shown and fingerprinted.
    pub masking: Masking,
    /// What digests over values are made with.
    pub digester: Digester,
    /// What specs are sealed with before they reach the store.
    pub sealer: Sealer,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Random bits.
    pub random: Arc<dyn Random>,
}

/// Everything that the stages share.
pub(crate) struct Context {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sources: Arc<tokio::sync::Mutex<SourceSet>>,
    pub(crate) policy: Arc<PolicySource>,
    pub(crate) images: Arc<Resolver>,
    pub(crate) masking: Masking,
    pub(crate) digester: Digester,
    pub(crate) sealer: Sealer,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) options: Options,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) in_flight: InFlight,
    pub(crate) disruption: Disruption,
    pub(crate) refusals: Refusals,
    memo: Mutex<Memo>,
    retries: Mutex<Backoff>,
    asking: Mutex<HashMap<IntentId, Instant>>,
    /// Whether the connectors answer, as far as this process has asked; announced when a state
    /// changes.
    pub(crate) readiness: watch::Sender<Arc<ReadinessReport>>,
    /// What was declared when it was last looked at.
    declared: Mutex<Option<Arc<Desired>>>,
    versions_seen: Mutex<VersionsSeen>,
    /// Set while the loop runs; without it each snapshot is read when it is asked for.
    pub(crate) reflector: OnceLock<reflector::Handle>,
}

/// The keys that this process is writing to right now.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<BTreeSet<ObjectKey>>>);

/// A claimed key; free again when this is dropped, however its holder ends.
#[derive(Debug)]
pub(crate) struct Claim {
    keys: InFlight,
    key: ObjectKey,
}

impl InFlight {
    /// Claims a key; `None` when it is claimed already.
    pub(crate) fn claim(&self, key: &ObjectKey) -> Option<Claim> {
        let is_new = lock(&self.0).insert(key.clone());
        is_new.then(|| Claim { keys: self.clone(), key: key.clone() })
    }

    /// The claimed keys.
    pub(crate) fn keys(&self) -> BTreeSet<ObjectKey> {
        lock(&self.0).clone()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.keys.0).remove(&self.key);
    }
}

/// A poisoned lock only means that another thread ended inside; the values are whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    /// The policy in force now.
    pub(crate) async fn policy(&self) -> Arc<Policy> {
        self.policy.current(self.store.as_ref(), self.clock.now()).await
    }

    /// What earlier passes compared and found equal.
    pub(crate) fn memo(&self) -> MutexGuard<'_, Memo> {
        lock(&self.memo)
    }

    /// When keys may be tried again.
    pub(crate) fn retries(&self) -> MutexGuard<'_, Backoff> {
        lock(&self.retries)
    }

    /// Up to which Version each service has been compared with its history.
    pub(crate) fn versions_seen(&self) -> MutexGuard<'_, VersionsSeen> {
        lock(&self.versions_seen)
    }

    /// Since when this process has been sending an intent.
    pub(crate) fn asking_since(&self, intent: &IntentId) -> Instant {
        *lock(&self.asking).entry(intent.clone()).or_insert_with(Instant::now)
    }

    /// Remembers what came of an attempt.
    pub(crate) fn note(&self, name: &ServiceName, attempt: &Attempt) {
        let now = Instant::now();
        match attempt {
            Attempt::Ended(..) => self.retries().reset(name),
            Attempt::Waiting(..) => self.retries().rests(name, now),
            Attempt::Retry(_) => {
                self.retries().failed(name, now);
            }
            Attempt::After(wait, _) => self.retries().later(name, now, *wait),
        }
    }

    /// Stage 1: the newest picture of the swarm. Never an old one without saying so.
    pub(crate) async fn observe(&self) -> Result<Arc<Snapshot>, Error> {
        match self.reflector.get() {
            Some(reflector) => reflected(reflector).await,
            None => {
                let clock = self.clock.as_ref();
                Ok(Arc::new(skep_swarm::observe::take_snapshot(self.engine.as_ref(), clock).await?))
            }
        }
    }

    /// Stage 2: what is declared now, or was last declared validly. With a leadership, new
    /// content is also stored as the last good one. What is known already is good enough while no
    /// file has another time or size.
    pub(crate) async fn desire(
        &self,
        leadership: Option<&Leadership>,
        known: Option<Arc<Desired>>,
    ) -> Result<Arc<Desired>, Error> {
        let mut sources = self.sources.lock().await;
        let is_ready = |desired: &Arc<Desired>| {
            desired.sources.iter().all(|source| source.state == SourceState::Ready)
        };
        if let Some(known) = known.filter(is_ready)
            && !sources.has_changed().await
        {
            return Ok(known);
        }
        let fence = leadership.map(Leadership::fence);
        let refresh = Refresh {
            store: self.store.as_ref(),
            fence,
            masking: &self.masking,
            digester: &self.digester,
            now: self.clock.now(),
            random: self.random.as_ref(),
        };
        let desired = sources.refresh(&refresh).await?;
        let not_ready =
            desired.sources.iter().filter(|source| source.state != SourceState::Ready).count();
        self.metrics.sources_not_ready.set(i64::try_from(not_ready).unwrap_or(i64::MAX));
        *lock(&self.declared) = Some(Arc::clone(&desired));
        Ok(desired)
    }

    /// What was declared when it was last looked at.
    pub(crate) fn declared(&self) -> Option<Arc<Desired>> {
        lock(&self.declared).clone()
    }
}

/// How long a pass waits for the first snapshot, or for a broken one to be renewed.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

async fn reflected(reflector: &reflector::Handle) -> Result<Arc<Snapshot>, Error> {
    match tokio::time::timeout(PATIENCE, reflector.ready()).await {
        Ok(Ok(snapshot)) => Ok(snapshot),
        Ok(Err(_stopped)) => Err(Error::Stopped),
        Err(_elapsed) => {
            let reason = match reflector.view().state {
                reflector::State::Stale { reason, .. } => reason,
                reflector::State::Starting | reflector::State::Ready => {
                    "the engine has not been read yet".to_owned()
                }
            };
            Err(Error::Stale { reason })
        }
    }
}

/// A plan with what it was made from.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// What people paused and killed.
    pub contained: Arc<Contained>,
    /// What was observed.
    pub snapshot: Arc<Snapshot>,
    /// What was declared.
    pub desired: Arc<Desired>,
    /// What is on record as ours.
    pub owned: Owned,
}

/// A controller for one fleet on one swarm.
pub struct Controller {
    pub(crate) context: Arc<Context>,
    pub(crate) status: watch::Sender<Status>,
}

impl Controller {
    /// A controller that has not started anything yet.
    #[must_use]
    pub fn new(parts: Parts, options: Options) -> Self {
        let context = Context {
            engine: parts.engine,
            store: parts.store,
            sources: Arc::new(tokio::sync::Mutex::new(parts.sources)),
            policy: Arc::new(parts.policy),
            images: Arc::new(parts.images),
            masking: parts.masking,
            digester: parts.digester,
            sealer: parts.sealer,
            clock: parts.clock,
            random: parts.random,
            options,
            metrics: Arc::new(Metrics::default()),
            in_flight: InFlight::default(),
            disruption: Disruption::default(),
            refusals: Refusals::default(),
            memo: Mutex::default(),
            retries: Mutex::default(),
            asking: Mutex::default(),
            readiness: watch::Sender::default(),
            declared: Mutex::default(),
            versions_seen: Mutex::default(),
            reflector: OnceLock::new(),
        };
        Self { context: Arc::new(context), status: watch::Sender::new(Status::default()) }
    }

    /// A controller that files and carries out only what people asked for by hand about these
    /// services; it shares everything else with this one.
    #[must_use]
    pub fn for_requests(&self, only: BTreeSet<ServiceName>) -> Self {
        self.narrowed(only, true)
    }

    /// A controller that looks after these services only; it shares everything else with this one.
    #[must_use]
    pub fn for_services(&self, only: BTreeSet<ServiceName>) -> Self {
        self.narrowed(only, false)
    }

    fn narrowed(&self, only: BTreeSet<ServiceName>, requests_only: bool) -> Self {
        let context = &self.context;
        let options = Options {
            only: Some(only),
            requests_only,
            // Whoever asked looks again by himself.
            wait_for_rollouts: false,
            propose: true,
            ..context.options.clone()
        };
        let context = Context {
            engine: Arc::clone(&context.engine),
            store: Arc::clone(&context.store),
            sources: Arc::clone(&context.sources),
            policy: Arc::clone(&context.policy),
            images: Arc::clone(&context.images),
            masking: context.masking.clone(),
            digester: context.digester.clone(),
            sealer: context.sealer.clone(),
            clock: Arc::clone(&context.clock),
            random: Arc::clone(&context.random),
            options,
            metrics: Arc::clone(&context.metrics),
            in_flight: context.in_flight.clone(),
            disruption: context.disruption.clone(),
            refusals: context.refusals.clone(),
            memo: Mutex::default(),
            retries: Mutex::default(),
            asking: Mutex::default(),
            versions_seen: Mutex::default(),
            readiness: context.readiness.clone(),
            declared: Mutex::default(),
            reflector: OnceLock::new(),
        };
        Self { context: Arc::new(context), status: watch::Sender::new(Status::default()) }
    }

    /// Looks and compares; writes nothing anywhere.
    ///
    /// # Errors
    /// When the engine or the store cannot be read. A broken source is no error: it is in the
    /// plan's `waiting`.
    pub async fn plan(&self) -> Result<Planned, Error> {
        Ok(self.look().await?.0)
    }

    /// The same, with what the policy would say now about each step, in their order.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub async fn plan_judged(&self) -> Result<(Planned, Vec<Verdict>), Error> {
        let (planned, world) = self.look().await?;
        let verdicts = preview(&self.context, &world, &planned.plan).await;
        Ok((planned, verdicts))
    }

    async fn look(&self) -> Result<(Planned, World), Error> {
        let snapshot = self.context.observe().await?;
        let desired = self.context.desire(None, None).await?;
        let recorded = Memory::default().owned(&self.context, None, &snapshot.cluster).await?;
        let world = World::gather(
            &self.context,
            Arc::clone(&snapshot),
            Arc::clone(&desired),
            recorded,
            &BTreeSet::new(),
            Looks::Only,
        )
        .await?;
        let plan = plan_with(&world.input(&self.context), &mut self.context.memo());
        let mut plan = contain::guarded(&self.context, plan, &world.contained, &world.snapshot);
        let degraded = self.degraded(&plan, &world).await?;
        plan.waiting.extend(degraded);
        let stopped = stacks::stopped_steps(&self.context, &world, &plan).await?;
        plan.waiting.extend(stopped);
        let contained = Arc::clone(&world.contained);
        let owned = Owned::clone(&world.owned);
        Ok((Planned { plan, contained, snapshot, desired, owned }, world))
    }

    /// The steps that are not asked again because the newest action of their service failed at
    /// the same.
    async fn degraded(&self, plan: &Plan, world: &World) -> Result<Vec<Waiting>, Error> {
        let states = vec![ActionState::Failed];
        let filter = ActionFilter { states, latest_per_key: true, ..ActionFilter::default() };
        let failed = self.context.store.actions(&filter).await?;
        let holds = self.context.store.holds(&world.snapshot.cluster).await?;
        let of_step = |step: &Step| {
            let key = ObjectKey::service(&world.snapshot.cluster, &step.target);
            let last = failed.iter().find(|action| action.key == key)?;
            let hold = holds.iter().find(|hold| hold.key == key);
            let is_forgotten = is_forgotten(last, retried_at(hold));
            degraded(last, step, world).filter(|_| !is_forgotten)
        };
        Ok(plan.steps.iter().filter_map(of_step).collect())
    }

    /// The declared stacks, as far as they have been looked at.
    pub async fn stacks(&self) -> Vec<StackOrigin> {
        self.context.sources.lock().await.stacks()
    }

    /// The state of the running loop; changes are announced.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// The metrics of this controller.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.context.metrics)
    }
}

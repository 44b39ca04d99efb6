//! The controller: one pass by hand, or a loop that passes run in while this process leads.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use skep_core::action::Action;
use skep_core::desired::Desired;
use skep_core::identity::ObjectKey;
use skep_core::observed::Snapshot;
use skep_core::plan::{Masking, Owned, Plan, plan};
use skep_core::ports::{Clock, Random};
use skep_store::Store;
use skep_swarm::{Engine, reflector};
use tokio::sync::watch;

use crate::Error;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::policy::PolicySource;
use crate::reconcile::World;
use crate::sources::SourceSet;
use crate::status::Status;

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
    /// How secret values are shown and fingerprinted.
    pub masking: Masking,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Random bits.
    pub random: Arc<dyn Random>,
}

/// Everything that the stages share.
pub(crate) struct Context {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sources: tokio::sync::Mutex<SourceSet>,
    pub(crate) policy: PolicySource,
    pub(crate) masking: Masking,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) options: Options,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) in_flight: InFlight,
    /// Set while the loop runs; without it each snapshot is read when it is asked for.
    pub(crate) reflector: OnceLock<reflector::Handle>,
}

/// The keys that this process is writing to right now.
#[derive(Debug, Default)]
pub(crate) struct InFlight(Mutex<BTreeSet<ObjectKey>>);

impl InFlight {
    /// Claims a key; false when it is claimed already.
    pub(crate) fn claim(&self, key: &ObjectKey) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone())
    }

    pub(crate) fn free(&self, key: &ObjectKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// The claimed keys.
    pub(crate) fn keys(&self) -> BTreeSet<ObjectKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn contains(&self, key: &ObjectKey) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }
}

impl Context {
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
    /// content is also stored as the last good one.
    pub(crate) async fn desire(
        &self,
        leadership: Option<&Leadership>,
    ) -> Result<Arc<Desired>, Error> {
        let mut sources = self.sources.lock().await;
        let fence = leadership.map(Leadership::fence);
        let desired =
            sources.refresh(self.store.as_ref(), fence, &self.masking, self.clock.now()).await?;
        let not_ready = desired
            .sources
            .iter()
            .filter(|source| source.state != skep_core::desired::SourceState::Ready)
            .count();
        self.metrics.sources_not_ready.set(i64::try_from(not_ready).unwrap_or(i64::MAX));
        Ok(desired)
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
            sources: tokio::sync::Mutex::new(parts.sources),
            policy: parts.policy,
            masking: parts.masking,
            clock: parts.clock,
            random: parts.random,
            options,
            metrics: Arc::new(Metrics::default()),
            in_flight: InFlight::default(),
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
        let snapshot = self.context.observe().await?;
        let desired = self.context.desire(None).await?;
        let world =
            World::gather(&self.context, Arc::clone(&snapshot), Arc::clone(&desired)).await?;
        let plan = plan(&world.input(&self.context));
        Ok(Planned { plan, snapshot, desired, owned: world.owned })
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

/// Why a granted action has to wait for another service, if it has to.
pub(crate) fn waits_for(
    context: &Context,
    world: &World,
    plan: &Plan,
    action: &Action,
) -> Option<String> {
    // A rehearsal creates nothing that could be waited for.
    if context.options.mode == skep_core::action::ActuatorMode::DryRun {
        return None;
    }
    let name = &action.step.target;
    let service = world.desired.services.get(name)?;
    service.depends_on.iter().find_map(|dependency| {
        let wanted = world.desired.services.get(dependency)?;
        let has_step = plan.steps.iter().any(|step| step.target == *dependency);
        let live = world.snapshot.services.get(dependency);
        let runs = live.is_some_and(|live| live.tasks.running > 0);
        let replicas = wanted.spec.pointer("/Mode/Replicated/Replicas");
        let wants_none = replicas.and_then(serde_json::Value::as_u64) == Some(0);
        if has_step {
            Some(format!("waits for {dependency}, which is not as declared yet"))
        } else if wanted.running && !wants_none && !runs {
            Some(format!("waits for {dependency}, which has no running task yet"))
        } else {
            None
        }
    })
}

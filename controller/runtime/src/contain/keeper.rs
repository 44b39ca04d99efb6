//! The keeper: looks at everything that is contained, and at each service of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use skep_core::action::{ActionState, ActuatorMode};
use skep_core::containment::{Contained, ContainmentVerb, RecordedState};
use skep_core::desired::Desired;
use skep_core::gate::{Containing, Wanted, contain};
use skep_core::identity::{ClusterId, ObjectKey, ServiceName};
use skep_swarm::{Error as EngineError, reflector};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::case::{self, Case};
use super::write::{self, Written};
use crate::controller::Context;
use crate::error::Chain;
use crate::leader::Leadership;
use crate::status::Status;
use crate::{Error, wake};

/// When nothing tells that something has changed, this tells it.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// A write that did not go through is tried again after this, doubling up to [`LONGEST_REST`].
const FIRST_REST: Duration = Duration::from_millis(200);
const LONGEST_REST: Duration = Duration::from_secs(10);
/// How many services are written at once.
const AT_ONCE: usize = 16;

/// Keeps what is contained as it is to be, for as long as this process leads.
pub(crate) struct Keeper {
    context: Arc<Context>,
    leadership: Arc<Leadership>,
    status: watch::Sender<Status>,
    swarm: Option<watch::Receiver<reflector::View>>,
    resting: HashMap<ServiceName, Rest>,
    /// The swarm of the last look.
    known: Option<ClusterId>,
}

struct Rest {
    until: Instant,
    time: Duration,
}

/// What a look left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing is contained.
    Nothing,
    /// Everything contained is as it is to be.
    Kept,
    /// Something is still on its way.
    Moving,
}

impl Keeper {
    pub(crate) fn new(
        context: Arc<Context>,
        leadership: Arc<Leadership>,
        status: watch::Sender<Status>,
    ) -> Self {
        let swarm = context.reflector.get().map(reflector::Handle::subscribe);
        Self { context, leadership, status, swarm, resting: HashMap::new(), known: None }
    }

    /// Looks whenever something changes, until the leadership ends.
    pub(crate) async fn run(mut self) {
        while self.leadership.is_trusted() {
            let counter = self.context.store.change_counter().await.ok();
            if let Some(swarm) = &mut self.swarm {
                swarm.mark_unchanged();
            }
            let left = match self.look().await {
                Ok(left) => left,
                Err(Error::LeaseLost | Error::Store(skep_store::Error::Fenced { .. })) => return,
                Err(error) => {
                    tracing::warn!(error.code = error.code(), error = %Chain(&error), "contain.failed");
                    self.context.metrics.count_error(error.code());
                    Left::Moving
                }
            };
            let soon = self.resting.values().map(|rest| rest.until).min();
            let again = match left {
                Left::Moving => soon.unwrap_or_else(|| Instant::now() + FIRST_REST),
                Left::Nothing | Left::Kept => Instant::now() + LOOK_AGAIN,
            };
            tokio::select! {
                () = sleep_until(again) => {}
                () = wake::store_changed(&self.context, counter) => {}
                () = wake::changed(self.swarm.as_mut()), if left != Left::Nothing => {}
            }
        }
    }

    /// Looks until everything is as it is to be, or the time is up.
    pub(crate) async fn settle(&mut self, patience: Duration) -> Result<Left, Error> {
        let deadline = Instant::now() + patience;
        loop {
            let left = self.look().await?;
            if left != Left::Moving || Instant::now() >= deadline {
                return Ok(left);
            }
            sleep(FIRST_REST).await;
        }
    }

    /// One look at everything that is contained.
    async fn look(&mut self) -> Result<Left, Error> {
        if let Some(known) = &self.known
            && self.context.store.contained(known).await?.is_empty()
        {
            self.show(&Contained::default());
            self.resting.clear();
            return Ok(Left::Nothing);
        }
        let cluster = self.cluster().await?;
        self.known = Some(cluster.clone());
        let contained = self.context.store.contained(&cluster).await?;
        self.show(&contained);
        if contained.is_empty() {
            self.resting.clear();
            return Ok(Left::Nothing);
        }
        // A dry run holds what it holds, and writes nothing.
        if self.context.options.mode == ActuatorMode::DryRun {
            return Ok(Left::Kept);
        }
        let desired = self.desired().await;
        let cases = case::all(&self.context, &cluster, &contained, desired.as_deref()).await?;
        let mut changed = false;
        let mut writes = Vec::new();
        for case in cases {
            match self.consider(&cluster, &contained, &case).await? {
                Considered::Kept => {
                    self.resting.remove(&case.name);
                }
                Considered::Changed => changed = true,
                Considered::Write(wanted) => writes.push((case, wanted)),
            }
        }
        let now = Instant::now();
        let is_ready =
            |name: &ServiceName| self.resting.get(name).is_none_or(|rest| rest.until <= now);
        let waiting = writes.iter().any(|(case, _)| !is_ready(&case.name));
        writes.retain(|(case, _)| is_ready(&case.name));
        changed |= !writes.is_empty();
        self.write_all(&cluster, writes).await?;
        changed |= self.end(&cluster, desired.as_deref()).await?;
        Ok(if changed || waiting { Left::Moving } else { Left::Kept })
    }

    async fn cluster(&self) -> Result<ClusterId, Error> {
        // Asked each time: the address may lead to another swarm by now.
        Ok(self.context.engine.info().await?.trusted_cluster()?)
    }

    /// What was last declared, which says who is in which domain. What was declared before is good
    /// enough, and a source that cannot be read is no reason to wait.
    async fn desired(&self) -> Option<Arc<Desired>> {
        match self.context.declared() {
            Some(declared) => Some(declared),
            None => match self.context.desire(None, None).await {
                Ok(desired) => Some(desired),
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "contain.sources_unreadable");
                    None
                }
            },
        }
    }

    /// What is to be done about one service; what needs no write is done here.
    async fn consider(
        &self,
        cluster: &ClusterId,
        contained: &Contained,
        case: &Case,
    ) -> Result<Considered, Error> {
        let key = ObjectKey::service(cluster, &case.name);
        let recorded = contained.recorded(&case.name);
        let Some(live) = &case.live else {
            // What is not settled may bring it back.
            let is_over = case.open.is_none() && self.is_gone(recorded).await?;
            if is_over && recorded.is_some() {
                return self.forget(&key, "the service is gone, or not ours any more").await;
            }
            return Ok(Considered::Kept);
        };
        if recorded.is_some_and(|state| state.object != live.id) {
            return self.forget(&key, "another service has its name now").await;
        }
        // Its write was accepted: whatever came after is somebody else's wish.
        if contained.in_force(&case.name, &case.domain).is_none()
            && let Some((ContainmentVerb::Resume, action)) =
                recorded.and_then(|state| state.last.as_ref())
            && self.context.store.action(action.as_str()).await?.state == ActionState::Succeeded
        {
            return self.forget(&key, "it is as it was before the kill").await;
        }
        let wanted = contain(Containing {
            contained,
            protected: &self.context.options.protected,
            cluster,
            live,
            domain: &case.domain,
            digester: &self.context.digester,
        });
        match wanted {
            // What is not settled may still change it.
            Wanted::Nothing | Wanted::Forget | Wanted::Record(_) if case.open.is_some() => {
                Ok(Considered::Write(Wanted::Nothing))
            }
            Wanted::Nothing => Ok(Considered::Kept),
            Wanted::Skipped { code, reason } => {
                tracing::debug!(service.name = %case.name, code, reason, "contain.skipped");
                Ok(Considered::Kept)
            }
            Wanted::Forget => self.forget(&key, "it is as it was before the kill").await,
            Wanted::Record(former) => {
                let state = RecordedState {
                    key,
                    object: live.id.clone(),
                    domain: case.domain.clone(),
                    former,
                    last: None,
                };
                let (fence, now) = (self.leadership.fence(), self.context.clock.now());
                self.context.store.record_former_state(fence, &state, now).await?;
                Ok(Considered::Changed)
            }
            Wanted::Write { .. } => Ok(Considered::Write(wanted)),
        }
    }

    async fn forget(&self, key: &ObjectKey, why: &str) -> Result<Considered, Error> {
        let (fence, now) = (self.leadership.fence(), self.context.clock.now());
        self.context.store.forget_former_state(fence, key, why, now).await?;
        Ok(Considered::Changed)
    }

    /// Whether the service that was killed is not there any more; an empty list is no proof.
    async fn is_gone(&self, recorded: Option<&RecordedState>) -> Result<bool, Error> {
        let Some(state) = recorded else { return Ok(true) };
        match self.context.engine.inspect_service(state.object.as_str()).await {
            Ok(_) => {
                let keys = [state.key.clone()];
                Ok(self.context.store.owned_of(&keys).await?.is_empty())
            }
            Err(EngineError::NotFound { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes side by side; one that fails keeps no other from being stopped.
    async fn write_all(
        &mut self,
        cluster: &ClusterId,
        writes: Vec<(Case, Wanted)>,
    ) -> Result<(), Error> {
        let (context, leadership) = (&self.context, &self.leadership);
        let done: Vec<(ServiceName, Result<Written, Error>)> = stream::iter(writes)
            .map(|(case, wanted)| async move {
                let Case { name, domain, live, open } = case;
                let work = write::Work { context, leadership, cluster, name: &name, domain };
                let result = work.carry_out(live, open, wanted).await;
                (name, result)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut lost = None;
        for (name, result) in done {
            match result {
                Ok(Written::Done) => {
                    self.resting.remove(&name);
                }
                Ok(Written::Again) => self.rest(name),
                Err(error @ (Error::LeaseLost | Error::Store(_))) => lost = Some(error),
                Err(error) => {
                    tracing::warn!(service.name = %name, error = %Chain(&error), "contain.not_written");
                    self.rest(name);
                }
            }
        }
        lost.map_or(Ok(()), Err)
    }

    fn rest(&mut self, name: ServiceName) {
        let before = self.resting.get(&name).map(|rest| rest.time);
        let time = before.map_or(FIRST_REST, |time| (time * 2).min(LONGEST_REST));
        self.resting.insert(name, Rest { until: Instant::now() + time, time });
    }

    /// Ends the containments that have nothing left to put back.
    async fn end(&self, cluster: &ClusterId, desired: Option<&Desired>) -> Result<bool, Error> {
        let contained = self.context.store.contained(cluster).await?;
        let mut changed = false;
        let over = contained.containments().filter(|one| contained.is_restored(one, desired));
        for containment in over {
            let (fence, now) = (self.leadership.fence(), self.context.clock.now());
            match self.context.store.end_containment(fence, containment, now).await {
                Ok(()) => changed = true,
                // Killed again in this very moment.
                Err(skep_store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.show(&contained);
        Ok(changed)
    }

    fn show(&self, contained: &Contained) {
        let containments: Vec<_> = contained.containments().cloned().collect();
        self.status.send_if_modified(|status| {
            let differs = status.containments != containments;
            status.containments = containments;
            differs
        });
    }
}

/// What one look at a service comes to.
enum Considered {
    /// It is as it is to be.
    Kept,
    /// Something was put on record.
    Changed,
    /// This is to be written, or something open to be settled.
    Write(Wanted),
}

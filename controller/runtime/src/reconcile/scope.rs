//! What a pass has to look at again: the keys for which something changed since the pass before.
//!
//! The plan itself is always that of the whole fleet (what is equal costs a look-up); the scope
//! says for which keys the store is read, history compared and the gate asked. A pass without a
//! scope looks at everything: the first of a leadership, one at each interval, and whenever
//! something changed that is not known per key.
//!
//! # Guarantees
//! - A key is in scope if its service, its step, what it waits for or its rows in the store
//!   changed, or if a worker was busy with it.
//! - After a pass that failed everything is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skep_core::canonical::Digest;
use skep_core::desired::Desired;
use skep_core::gate::Policy;
use skep_core::identity::{ClusterId, ObjectKey, ObjectKind, ServiceName};
use skep_core::observed::Snapshot;
use skep_core::plan::{Plan, Step, Waiting};
use skep_store::{AuditFilter, OwnedObject};

use super::holdings::Tally;
use crate::Error;
use crate::controller::Context;
use crate::report::ActionReport;

/// Keys to look at; `None` for all.
pub(crate) type Scope = Option<BTreeSet<ServiceName>>;

/// More rows than this are cheaper to answer by looking at everything.
const MOST_ROWS: u32 = 500;

/// What the passes of one leadership leave for the next one.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    last: Option<Last>,
    owned: Option<Recorded>,
    tally: Tally,
}

/// What is on record as ours, and at which state of the store.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    counter: i64,
    cluster: ClusterId,
    pub(super) objects: Arc<[OwnedObject]>,
    pub(super) clusters: Arc<[ClusterId]>,
}

/// The pass before.
#[derive(Debug)]
struct Last {
    counter: i64,
    snapshot: Arc<Snapshot>,
    desired: Arc<Desired>,
    policy: Arc<Policy>,
    plan: Judged,
    busy: BTreeSet<ServiceName>,
    /// What the gate left waiting and deferred.
    waiting: Vec<Waiting>,
    deferred: Vec<ActionReport>,
}

/// What a pass is about to decide on.
pub(super) struct Now<'a> {
    pub(super) counter: Option<i64>,
    pub(super) snapshot: &'a Arc<Snapshot>,
    pub(super) desired: &'a Arc<Desired>,
    pub(super) policy: &'a Arc<Policy>,
    pub(super) plan: &'a Plan,
    pub(super) busy: &'a BTreeSet<ObjectKey>,
}

impl Memory {
    /// What is remembered about what is ours as a whole. It outlives a pass that failed.
    pub(super) fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// What is on record as ours; every change of it moves the store's counter.
    pub(crate) async fn owned(
        &mut self,
        context: &Context,
        counter: Option<i64>,
        cluster: &ClusterId,
    ) -> Result<Recorded, Error> {
        if let Some(known) = &self.owned
            && Some(known.counter) == counter
            && known.cluster == *cluster
        {
            return Ok(known.clone());
        }
        let read = Recorded {
            counter: counter.unwrap_or(i64::MIN),
            cluster: cluster.clone(),
            objects: context.store.owned(cluster).await?.into(),
            clusters: context.store.owned_clusters().await?.into(),
        };
        self.owned = counter.is_some().then(|| read.clone());
        Ok(read)
    }

    /// The scope of a pass, and what the gate said before about the keys outside of it. Forgets
    /// the pass before: if this one fails, the next looks at everything.
    pub(super) async fn scope(
        &mut self,
        context: &Context,
        now: &Now<'_>,
    ) -> Result<(Scope, Vec<Waiting>, Vec<ActionReport>), Error> {
        let everything = (None, Vec::new(), Vec::new());
        let Some(last) = self.last.take() else { return Ok(everything) };
        let same = Arc::ptr_eq(&last.desired, now.desired)
            && Arc::ptr_eq(&last.policy, now.policy)
            && last.snapshot.cluster == now.snapshot.cluster;
        let Some(counter) = now.counter.filter(|_| same) else { return Ok(everything) };
        let Some(mut scope) = written(context, now, last.counter, counter).await? else {
            return Ok(everything);
        };
        let differing = now.snapshot.services.differing(&last.snapshot.services);
        differing.iter().for_each(|name| context.retries().stirred(name));
        scope.extend(differing);
        let (before, after) = (&last.snapshot.objects, &now.snapshot.objects);
        if !Arc::ptr_eq(before, after) {
            let targets = before.keys().chain(after.keys());
            scope.extend(targets.filter(|key| before.get(*key) != after.get(*key)).cloned());
        }
        scope.extend(last.plan.differing(&Judged::of(now.plan)));
        scope.extend(last.busy);
        let is_outside = |name: &ServiceName| !scope.contains(name);
        let has_step: BTreeSet<&ServiceName> =
            now.plan.steps.iter().map(|step| &step.target).collect();
        let mut waiting = last.waiting;
        waiting.retain(|one| {
            one.target.as_ref().is_some_and(|name| is_outside(name) && has_step.contains(name))
        });
        let mut deferred = last.deferred;
        deferred.retain(|one| is_outside(&ServiceName::new(one.target.as_str())));
        Ok((Some(scope), waiting, deferred))
    }

    /// Remembers a pass that went through.
    pub(super) fn keep(&mut self, now: &Now<'_>, waiting: &[Waiting], deferred: &[ActionReport]) {
        self.last = now.counter.map(|counter| Last {
            counter,
            snapshot: Arc::clone(now.snapshot),
            desired: Arc::clone(now.desired),
            policy: Arc::clone(now.policy),
            plan: Judged::of(now.plan),
            busy: now.busy.iter().map(|key| ServiceName::new(key.name.as_str())).collect(),
            waiting: waiting.to_vec(),
            deferred: deferred.to_vec(),
        });
    }

    /// What the pass before took for declared; none when this one has to look itself.
    pub(super) fn desired(&self) -> Option<Arc<Desired>> {
        self.last.as_ref().map(|last| Arc::clone(&last.desired))
    }

    /// Whether the next pass looks at everything, as far as that is known before it.
    pub(crate) fn looks_at_everything(&self) -> bool {
        self.last.is_none()
    }

    /// Makes the next pass look at everything.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }
}

/// The services that the store says something new about; `None` when that is not all it says.
async fn written(
    context: &Context,
    now: &Now<'_>,
    from: i64,
    to: i64,
) -> Result<Option<BTreeSet<ServiceName>>, Error> {
    let Ok(rows) = u32::try_from(to.saturating_sub(from)) else { return Ok(None) };
    if rows == 0 {
        return Ok(Some(BTreeSet::new()));
    }
    if rows > MOST_ROWS {
        return Ok(None);
    }
    // Rows that came meanwhile are newer than these; they wake the next pass.
    let filter = AuditFilter { limit: MOST_ROWS, ..AuditFilter::default() };
    let read = context.store.audit(&filter).await?;
    // Something came between that no row of these tells about.
    if read.last().is_some_and(|(oldest, _)| *oldest > from + 1) {
        return Ok(None);
    }
    let new = read.into_iter().filter(|(number, _)| *number > from);
    Ok(new
        .map(|(_, event)| {
            // What becomes of a whole stack concerns all of its services.
            let is_of_one = |key: &ObjectKey| {
                key.cluster == now.snapshot.cluster && key.kind != ObjectKind::Stack
            };
            let key = event.key.filter(is_of_one)?;
            Some(ServiceName::new(key.name))
        })
        .collect())
}

/// What a plan says about each service, as far as the gate cares.
#[derive(Debug, Default, PartialEq, Eq)]
struct Judged(BTreeMap<ServiceName, Digest>);

impl Judged {
    fn of(plan: &Plan) -> Self {
        let steps = plan.steps.iter().map(|step| (step.target.clone(), judged(step)));
        let waiting = plan.waiting.iter().filter_map(|waiting| {
            let target = waiting.target.clone()?;
            Some((target, Digest::of_bytes(waiting.code.as_bytes())))
        });
        Self(waiting.chain(steps).collect())
    }

    fn differing(&self, other: &Self) -> BTreeSet<ServiceName> {
        let names = self.0.keys().chain(other.0.keys());
        names.filter(|name| self.0.get(*name) != other.0.get(*name)).cloned().collect()
    }
}

/// The digest of a step covers neither what is in its way nor which incident it is about.
fn judged(step: &Step) -> Digest {
    let blocked = step.blocked.as_ref().map(|blocked| blocked.code.as_str());
    let observed_at = step.observed_at.map(|at| at.to_string());
    let parts = [
        Some(step.digest.as_str()),
        blocked,
        step.confirm.as_deref(),
        observed_at.as_deref(),
        Some(step.class.as_str()),
    ];
    let text: Vec<&str> = parts.into_iter().map(Option::unwrap_or_default).collect();
    Digest::of_bytes(text.join("\n").as_bytes())
}

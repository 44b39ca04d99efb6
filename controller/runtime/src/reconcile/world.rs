//! Everything that one pass decides on, fixed for the length of the pass.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use skep_core::desired::Desired;
use skep_core::identity::{ClusterId, ObjectKey, ObjectKind, ServiceName};
use skep_core::observed::{ObservedService, Snapshot};
use skep_core::plan::{Fresh, Owned, PlanIndex, PlanInput};

use super::scope::Recorded;
use crate::controller::Context;

/// The facts of one pass.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) desired: Arc<Desired>,
    pub(crate) owned: Arc<Owned>,
    pub(crate) known_clusters: Arc<[ClusterId]>,
    pub(crate) now: Timestamp,
    /// What planning asks about all of it, found once.
    index: Arc<PlanIndex>,
    /// One service that was read again after the snapshot.
    fresh: Option<(ServiceName, Option<ObservedService>)>,
}

impl World {
    /// Adds what is on record to what was observed and declared.
    pub(crate) fn gather(
        context: &Context,
        snapshot: Arc<Snapshot>,
        desired: Arc<Desired>,
        recorded: Recorded,
        busy: &BTreeSet<ObjectKey>,
    ) -> Self {
        let owned: Owned = recorded
            .objects
            .iter()
            .filter(|object| object.key.kind == ObjectKind::Service)
            // A worker may have created and recorded it since the snapshot was taken: that is no
            // service that has vanished.
            .filter(|object| {
                let name = ServiceName::new(object.key.name.as_str());
                snapshot.services.contains_key(&name) || !busy.contains(&object.key)
            })
            .map(|object| (ServiceName::new(object.key.name.as_str()), object.id.clone()))
            .collect();
        let (owned, known_clusters) = (Arc::new(owned), recorded.clusters);
        let now = context.clock.now();
        let index = PlanIndex::of(&PlanInput {
            desired: &desired,
            observed: &snapshot,
            owned: &owned,
            known_clusters: &known_clusters,
            masking: &context.masking,
            now,
            fresh: None,
            only: None,
            index: None,
        });
        let index = Arc::new(index);
        Self { snapshot, desired, owned, known_clusters, now, index, fresh: None }
    }

    /// The same world with one service as it is now. Copies nothing of the others.
    pub(crate) fn with(
        &self,
        name: ServiceName,
        live: Option<ObservedService>,
        now: Timestamp,
    ) -> Self {
        Self { fresh: Some((name, live)), now, ..self.clone() }
    }

    /// The service of this name, as it was last read.
    pub(crate) fn live(&self, name: &ServiceName) -> Option<&ObservedService> {
        match &self.fresh {
            Some((fresh, live)) if fresh == name => live.as_ref(),
            Some(_) | None => self.snapshot.services.get(name),
        }
    }

    /// What planning looks at.
    pub(crate) fn input<'a>(&'a self, context: &'a Context) -> PlanInput<'a> {
        PlanInput {
            desired: &self.desired,
            observed: &self.snapshot,
            owned: &self.owned,
            known_clusters: &self.known_clusters,
            masking: &context.masking,
            now: self.now,
            fresh: self.fresh.as_ref().map(|(name, live)| Fresh { name, live: live.as_ref() }),
            only: context.options.only.as_ref(),
            index: Some(&self.index),
        }
    }
}

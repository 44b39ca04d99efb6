//! Everything that one pass decides on, fixed for the length of the pass.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use skep_core::desired::Desired;
use skep_core::identity::{ClusterId, ObjectKey, ObjectKind, ServiceName};
use skep_core::observed::Snapshot;
use skep_core::plan::{Owned, PlanInput};

use crate::Error;
use crate::controller::Context;

/// The facts of one pass.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) desired: Arc<Desired>,
    pub(crate) owned: Owned,
    pub(crate) known_clusters: Vec<ClusterId>,
    pub(crate) now: Timestamp,
}

impl World {
    /// Adds what is on record to what was observed and declared.
    pub(crate) async fn gather(
        context: &Context,
        snapshot: Arc<Snapshot>,
        desired: Arc<Desired>,
        busy: &BTreeSet<ObjectKey>,
    ) -> Result<Self, Error> {
        let owned = context
            .store
            .owned(&snapshot.cluster)
            .await?
            .into_iter()
            .filter(|object| object.key.kind == ObjectKind::Service)
            // A worker may have created and recorded it since the snapshot was taken: that is no
            // service that has vanished.
            .filter(|object| {
                let name = ServiceName::new(object.key.name.as_str());
                snapshot.services.contains_key(&name) || !busy.contains(&object.key)
            })
            .map(|object| (ServiceName::new(object.key.name), object.id))
            .collect();
        let known_clusters = context.store.owned_clusters().await?;
        Ok(Self { snapshot, desired, owned, known_clusters, now: context.clock.now() })
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
            only: context.options.only.as_ref(),
        }
    }
}

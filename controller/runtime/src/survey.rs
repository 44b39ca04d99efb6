//! A look at the fleet without planning: enough to say what is contained and what would be, with
//! no registry asked and no policy read.

use std::sync::Arc;

use skep_core::containment::{Contained, Protected};
use skep_core::desired::Desired;
use skep_core::identity::{ObjectKind, ServiceName};
use skep_core::observed::{ObservedService, Snapshot};
use skep_core::plan::Owned;

use crate::Error;
use crate::controller::Controller;

/// What is there, what is declared, whose it is, and what people hold.
pub struct Survey {
    /// What is there.
    pub snapshot: Arc<Snapshot>,
    /// What is declared, or was last declared validly.
    pub desired: Arc<Desired>,
    /// What is on record as ours.
    pub owned: Owned,
    /// What people paused and killed.
    pub contained: Contained,
    protected: Protected,
}

impl Survey {
    /// The service of this name, when it is on record as ours.
    #[must_use]
    pub fn ours(&self, name: &ServiceName) -> Option<&ObservedService> {
        let live = self.snapshot.services.get(name)?;
        (self.owned.get(name) == Some(&live.id)).then_some(live)
    }

    /// Why nobody may stop a service, if nobody may.
    #[must_use]
    pub fn protected(&self, live: &ObservedService) -> Option<String> {
        self.protected.why(live)
    }

    /// The domain of a service.
    #[must_use]
    pub fn domain(&self, name: &ServiceName) -> &str {
        self.contained.domain(Some(&self.desired), name)
    }
}

impl Controller {
    /// Looks; writes nothing anywhere.
    ///
    /// # Errors
    /// When the engine or the store cannot be read.
    pub async fn survey(&self) -> Result<Survey, Error> {
        let context = &self.context;
        let snapshot = context.observe().await?;
        let desired = context.desire(None, None).await?;
        let owned = context.store.owned(&snapshot.cluster).await?;
        let owned = owned
            .into_iter()
            .filter(|object| object.key.kind == ObjectKind::Service)
            .map(|object| (ServiceName::new(object.key.name), object.id))
            .collect();
        let contained = context.store.contained(&snapshot.cluster).await?;
        let protected = context.options.protected.clone();
        Ok(Survey { snapshot, desired, owned, contained, protected })
    }
}

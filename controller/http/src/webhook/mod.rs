//! Webhooks of forges: `POST /api/v1/webhooks/{forgejo,gitea,github,gitlab}`.
//!
//! A delivery is bounded before it is read, verified before it is parsed, and taken once. What it
//! says wakes whoever waits for it, and is not believed: the repository is asked what is true.

mod payload;
mod rate;
mod replay;
mod route;
mod verify;

use std::collections::BTreeMap;
use std::sync::Arc;

use skep_core::ports::{Clock, SecretSource};
use skep_core::push::{Announcements, Provider};

pub(crate) use self::route::router;
pub use self::verify::{SHORTEST_SECRET, is_strong};

/// Which forges may announce something, and who is told.
#[derive(Clone)]
pub struct Webhooks {
    secrets: BTreeMap<Provider, Vec<Arc<dyn SecretSource>>>,
    announcements: Arc<dyn Announcements>,
    clock: Arc<dyn Clock>,
}

impl Webhooks {
    /// Nobody may announce anything yet.
    #[must_use]
    pub fn new(announcements: Arc<dyn Announcements>, clock: Arc<dyn Clock>) -> Self {
        Self { secrets: BTreeMap::new(), announcements, clock }
    }

    /// Whoever knows one of these secrets may announce in the name of this forge; two during a
    /// rotation. They are read anew for each delivery.
    #[must_use]
    pub fn with(mut self, provider: Provider, secrets: Vec<Arc<dyn SecretSource>>) -> Self {
        self.secrets.insert(provider, secrets);
        self
    }
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Webhooks").field(&self.secrets.keys()).finish()
    }
}

//! Webhooks of forges: `POST /api/v1/webhooks/{forgejo,gitea,github,gitlab}`.
//!
//! A delivery is bounded before it is read, verified before it is parsed, and taken once: whoever
//! waits for it keeps it, and knows it again. What it says is not believed: the repository is
//! asked what is true.

mod payload;
mod rate;
mod route;
mod verify;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use skep_core::ports::{Clock, SecretSource};
use skep_core::push::{Matter, Provider};

pub(crate) use self::route::router;
pub use self::verify::{Identity, SHORTEST_SECRET, is_strong};

/// Who takes what was verified. It is told to the sender as taken only after this has returned.
#[async_trait]
pub trait Announcements: Send + Sync {
    /// Takes a delivery, once: a copy is known by what it is, whatever its headers say.
    ///
    /// # Errors
    /// When it cannot be kept. The sender may send it again.
    async fn take(&self, identity: Identity, matter: Matter) -> Result<Taken, NotTaken>;

    /// Counts what became of a delivery, taken or not, for monitoring.
    fn count(&self, provider: Provider, outcome: Outcome);
}

/// How a delivery ended, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It is kept, and acted on.
    Taken,
    /// It is about something that nobody waits for.
    Ignored,
    /// It was not shown to be from the forge.
    BadSignature,
    /// It was taken before.
    Replayed,
    /// It is too large, too many, not understood, or cannot be kept.
    Refused,
}

impl Outcome {
    /// Its word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "ok",
            Self::Ignored => "ignored",
            Self::BadSignature => "bad_signature",
            Self::Replayed => "replayed",
            Self::Refused => "refused",
        }
    }
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is kept.
    New,
    /// It, or another one of its name, was taken before.
    Known,
}

/// Why a delivery cannot be kept, in words for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotTaken(pub String);

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

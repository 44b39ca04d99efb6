//! What is on record as ours. A service that is not on record is never touched.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::Source;
use skep_core::identity::{ClusterId, ObjectKey, SwarmId};

use crate::Result;

/// One object on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedObject {
    /// Its identity.
    pub key: ObjectKey,
    /// The engine's id: another object under the same name is not ours.
    pub id: SwarmId,
    /// Which source declared it.
    pub source: Source,
    /// The stack that took it over while its labels said another one, or none; `None` when its
    /// labels tell.
    pub stack: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// The ownership records of one database. They change only with an intent's outcome.
#[async_trait]
pub trait Ownership {
    /// Everything on record for a cluster, by name.
    async fn owned(&self, cluster: &ClusterId) -> Result<Vec<OwnedObject>>;

    /// What is on record for these objects, by name; cheap when they are few.
    async fn owned_of(&self, keys: &[ObjectKey]) -> Result<Vec<OwnedObject>>;

    /// The clusters that anything is on record for.
    async fn owned_clusters(&self) -> Result<Vec<ClusterId>>;
}

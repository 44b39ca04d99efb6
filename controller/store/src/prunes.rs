//! What removals are measured against, so that no restart and no other leader begins anew.

use async_trait::async_trait;
use skep_core::identity::ClusterId;
use skep_core::plan::PruneMark;

use crate::{Fence, Result};

/// The marks of one database.
#[async_trait]
pub trait Prunes {
    /// The most objects of a cluster that were on record at once; `None` before the first look.
    async fn prune_mark(&self, cluster: &ClusterId) -> Result<Option<PruneMark>>;

    /// Replaces it. Fenced. Decides nothing: nothing is audited, nobody wakes.
    async fn put_prune_mark(
        &self,
        fence: &Fence,
        cluster: &ClusterId,
        mark: &PruneMark,
    ) -> Result<()>;
}

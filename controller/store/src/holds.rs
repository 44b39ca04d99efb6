//! Holds: what a person said about an object that outweighs the plan.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::hold::Hold;
use skep_core::identity::{ClusterId, ObjectKey};

use crate::Result;

/// The holds of one database. One of kind `manual` also comes with an outcome
/// ([`crate::Effects::hold`]).
#[async_trait]
pub trait Holds {
    /// Places a hold; it replaces the one that the object has. Audited under its actor, at
    /// [`Hold::placed_at`].
    async fn place_hold(&self, hold: &Hold) -> Result<()>;

    /// Takes an object's hold away; `false` when there is none. Audited.
    async fn lift_hold(&self, key: &ObjectKey, actor: &str, now: Timestamp) -> Result<bool>;

    /// The holds of a cluster, by name, also those whose time is over ([`Hold::is_active`]).
    async fn holds(&self, cluster: &ClusterId) -> Result<Vec<Hold>>;
}

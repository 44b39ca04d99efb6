//! Stacks as a whole: in which order their services start, what a failure stops, and how all of
//! them return to how they were. Decides; carries nothing out.
//!
//! # Guarantees
//! - Nothing here remembers anything: every answer follows from what is declared, live and on
//!   record, so that a restart or another leader gives the same one.

mod batches;
mod declaration;
mod failure;
mod health;
mod order;
#[cfg(test)]
mod properties;
mod returning;

use serde::{Deserialize, Serialize};

pub use self::batches::{Batch, Member, STAGED, YOUNG, batch};
pub use self::declaration::declaration;
pub use self::failure::{Failure, STOPPED, stopped_by};
pub use self::health::unhealthy;
pub use self::order::{DEPENDENCY, Order, Wait, levels};
pub use self::returning::{
    Former, NotCovered, Progress, RETURNING, covers, held_by, plan_return, progress, waits_its_turn,
};
use crate::canonical::Digest;
use crate::identity::{ActionId, ServiceName};
use crate::plan::Step;

/// The rollout of a stack that a step belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutOf {
    /// The stack.
    pub stack: String,
    /// What the stack declared: two rollouts of a stack differ in this.
    pub declaration: Digest,
    /// The action about the whole stack that this step is a member of.
    #[serde(default)]
    pub member_of: Option<ActionId>,
}

/// One service of a stack that is returned to an earlier revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StackMember {
    /// The number of the revision.
    pub revision: u32,
    /// What is done. Its wave is that of the rollout: the highest goes back first.
    pub step: Step,
}

impl StackMember {
    /// The service.
    #[must_use]
    pub fn service(&self) -> &ServiceName {
        &self.step.target
    }
}

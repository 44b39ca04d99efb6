//! Containment at work: beside the passes and ahead of them, so that a slow registry, a broken
//! source or a long plan cannot keep a kill waiting.
//!
//! The keeper looks at what is contained whenever the store or the swarm changes, and makes the
//! swarm equal to it: level-based, as a pass is. It asks no policy; what it may write is decided by
//! [`skep_core::gate::contain`] alone.

mod case;
mod guard;
mod keeper;
mod spool;
mod write;

pub(crate) use self::guard::{
    Settling, before_sending, guarded, held, protect_request, protect_step, settle_held, withdraw,
};
pub(crate) use self::keeper::Keeper;
pub(crate) use self::spool::take_in;
pub use self::spool::{SpoolError, SpooledKill, WithoutStore};

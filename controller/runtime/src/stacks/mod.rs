//! Stacks as a whole: what keeps an action of one from starting, and the way back of all of it.
//! Gathers facts and carries out; what follows from the facts is decided in `skep_core::stack`.

mod automatic;
mod declared;
mod facts;
mod returning;
mod starting;
mod whole;

pub(crate) use self::automatic::{is_overtaken, propose_returns};
pub(crate) use self::declared::Declared;
pub(crate) use self::facts::{Facts, stopped_steps};
pub(crate) use self::returning::replan;
pub(crate) use self::starting::sort_out;
pub(crate) use self::whole::{carry_on, file_members, has_begun, whole_of};

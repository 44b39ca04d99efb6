//! What can happen to a call on its way, and the call as a script sees it.

use std::time::Duration;

use crate::error::Call;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Passes,
    /// It is held before it arrives, for ever: the moment to crash, or half of a connection.
    HeldBefore,
    /// It takes effect and its reply is held for ever.
    HeldAfter,
    /// It never arrives; the connection ends.
    Lost,
    /// It arrives and takes effect; the connection ends before the reply.
    ReplyLost,
    /// The connection ends now and the request, which is under way, takes effect later.
    LandsLater(Duration),
    /// It takes effect, and the client's patience ends before the reply comes.
    TimesOut(Duration),
    /// The reply takes this long.
    Slow(Duration),
    /// The engine refuses with this status.
    Refused(u16),
    /// The manager has lost the leadership: it refuses, although the next leader may still commit
    /// what it had accepted. `true`: it does.
    LeaderLost(bool),
    /// Another writer is faster.
    Overtaken,
    /// It takes effect, and the engine says that it came too late: a manager that repeated it for
    /// a leader that changed.
    AppliedAndOutOfSequence,
    /// The manager that answers a read has not seen the last so many changes of the swarm.
    Stale(usize),
    /// No connection can be made.
    Unreachable,
}

/// A call as a script sees it.
#[derive(Debug, Clone)]
pub struct CallSite {
    /// How many calls came before it.
    pub index: usize,
    /// The request.
    pub call: Call,
}

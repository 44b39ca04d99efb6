//! What can go wrong with the store, and what the caller should do about it.

use skep_core::action::IllegalTransition;

/// An error of a repository.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lease moved on: this process no longer leads, nothing was written.
    #[error("this process no longer holds the lease (epoch {epoch}); nothing was written")]
    Fenced {
        /// The epoch of the refused writer.
        epoch: i64,
    },
    /// The row has changed since it was read.
    #[error("{what} {id} has changed meanwhile: it is {current}")]
    Conflict {
        /// What kind of row.
        what: &'static str,
        /// Its id.
        id: String,
        /// Its state now.
        current: String,
    },
    /// The change of state is not possible.
    #[error(transparent)]
    Transition(#[from] IllegalTransition),
    /// The request contradicts what is stored, whoever asks and whenever.
    #[error("{what} {id} is refused: {why}")]
    Refused {
        /// What kind of row.
        what: &'static str,
        /// Its id.
        id: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// No such row.
    #[error("there is no {what} {id}")]
    NotFound {
        /// What kind of row.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Several rows start with the given prefix.
    #[error("{prefix} is the start of {count} {what} ids; give more of it")]
    Ambiguous {
        /// What kind of row.
        what: &'static str,
        /// The given prefix.
        prefix: String,
        /// How many match.
        count: usize,
    },
    /// Another connection holds the database longer than we wait.
    #[error("the database is busy; nothing was written")]
    Busy(#[source] BoxError),
    /// The connection was lost while the database confirmed a write, and the database could not be
    /// asked what became of it. Repeating the call is safe: what is there already is recognised by
    /// its id and answered with [`Error::Conflict`] or with what was recorded.
    #[error(
        "the connection to the database was lost while it confirmed the attempt to {operation}: \
         that may have happened or not"
    )]
    OutcomeUnknown {
        /// What was tried.
        operation: &'static str,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The database refuses to work: read-only, full, damaged, unreachable.
    #[error("the store cannot {operation}")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// A stored row cannot be read: written by a newer version or damaged.
    #[error("a stored {what} cannot be read")]
    Corrupt {
        /// What kind of row.
        what: &'static str,
        /// Why.
        #[source]
        source: BoxError,
    },
}

/// Any error of a database driver.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a caller should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// The same call may succeed in a moment.
    Retry,
    /// It will not succeed until something else changes; look again.
    WaitForChange,
    /// A person has to act.
    NeedsPerson,
}

impl Error {
    /// Drives retries and is the metric label.
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::Busy(_) | Self::OutcomeUnknown { .. } => Category::Retry,
            Self::Fenced { .. }
            | Self::Conflict { .. }
            | Self::Transition(_)
            | Self::Refused { .. }
            | Self::NotFound { .. }
            | Self::Ambiguous { .. } => Category::WaitForChange,
            Self::Unavailable { .. } | Self::Corrupt { .. } => Category::NeedsPerson,
        }
    }
}

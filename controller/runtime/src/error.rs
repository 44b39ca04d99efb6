//! What stops the loop or one command, with a stable code and the next thing to do.

use skep_store::LeaseHolder;

/// An error of the runtime.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine cannot be used.
    #[error("the Docker engine cannot be observed")]
    Engine(#[from] skep_swarm::Error),
    /// The picture of the swarm is old and cannot be renewed; nothing is decided on it.
    #[error("the picture of the swarm is not fresh: {reason}")]
    Stale {
        /// Why it could not be renewed.
        reason: String,
    },
    /// The loop has ended.
    #[error("the controller has been stopped")]
    Stopped,
    /// The store cannot be used.
    #[error("the store cannot be used")]
    Store(#[from] skep_store::Error),
    /// What the store keeps sealed cannot be opened.
    #[error("a sealed revision cannot be used")]
    Sealed(#[from] skep_core::seal::SealError),
    /// Another process leads.
    #[error("{} holds the lease (epoch {}, until {})", .holder.holder, .holder.epoch, .holder.expires_at)]
    LeaseHeld {
        /// Who.
        holder: LeaseHolder,
    },
    /// The lease was lost during the pass.
    #[error("the lease was lost during the pass; what was not started stays as it was")]
    LeaseLost,
}

impl Error {
    /// A stable code, for scripts and for looking it up.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Engine(error) => engine_code(error),
            Self::Stale { .. } => "EVIDENCE_STALE",
            Self::Stopped => "STOPPED",
            Self::Store(skep_store::Error::Corrupt { .. }) => "STORE_CORRUPT",
            Self::Store(_) => "STORE_UNAVAILABLE",
            Self::Sealed(_) => "KEY_UNAVAILABLE",
            Self::LeaseHeld { .. } => "LEASE_HELD",
            Self::LeaseLost => "LEASE_LOST",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(_) | Self::Stale { .. } => Some(
                "check DOCKER_HOST and that the engine is a swarm manager: docker node ls"
                    .to_owned(),
            ),
            Self::Store(_) => {
                Some("check the path and its permissions: skep config show".to_owned())
            }
            Self::LeaseHeld { .. } => Some(
                "a running `skep serve` does the work by itself; stop it to run a pass by hand. \
                 After a crash the lease ends by itself within seconds"
                    .to_owned(),
            ),
            Self::Sealed(_) => Some(
                "restore the key that lies beside the database (<database>.key) from a backup"
                    .to_owned(),
            ),
            Self::LeaseLost | Self::Stopped => Some("run it again".to_owned()),
        }
    }
}

fn engine_code(error: &skep_swarm::Error) -> &'static str {
    match error {
        skep_swarm::Error::NotManager { .. } => "NOT_A_MANAGER",
        skep_swarm::Error::NoQuorum { .. } => "NO_QUORUM",
        skep_swarm::Error::Address(_) => "CONFIG_INVALID",
        skep_swarm::Error::ApiVersion { .. } => "UNSUPPORTED_VERSION",
        skep_swarm::Error::Unreachable { .. }
        | skep_swarm::Error::Timeout { .. }
        | skep_swarm::Error::ConnectionLost { .. } => "ENGINE_UNREACHABLE",
        _ => "ENGINE_ERROR",
    }
}

/// An error with its causes in one line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

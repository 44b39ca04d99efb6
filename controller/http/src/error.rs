//! Why the listener could not start.

use std::net::SocketAddr;

/// An error of the HTTP side.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address can be reached from other machines, and nobody would have to sign in.
    #[error("{address} is not a loopback address, and there is no authentication yet")]
    BindRefused {
        /// The refused address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// A stable code, for scripts and for looking it up.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BindRefused { .. } => "BIND_REFUSED",
            Self::Listen { .. } => "LISTEN_FAILED",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::BindRefused { address } => format!(
                "listen on 127.0.0.1:{} and put a proxy that authenticates in front of it",
                address.port()
            ),
            Self::Listen { .. } => {
                "choose another address with --listen, for example --listen 127.0.0.1:0".to_owned()
            }
        }
    }
}

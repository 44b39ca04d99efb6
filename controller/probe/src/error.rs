//! Why there was no valid answer, and whether that says anything about the server.

use std::io;
use std::time::Duration;

/// What a failed question says about the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Nothing: it cannot be reached from here, which may be as it should be.
    Nobody,
    /// Nothing listens there. Its fault if it was reached before, otherwise unknown.
    Listener,
    /// It was reached and does not answer as an MCP server must.
    Server,
}

/// A question without a valid answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The target cannot be written as a request.
    #[error("{target} is no address that can be asked")]
    Target {
        /// The target.
        target: String,
        /// Why.
        #[source]
        source: http::Error,
    },
    /// Something on the way refuses or gives up.
    #[error("{target} cannot be reached from here")]
    Unreachable {
        /// The target.
        target: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No connection within its limit.
    #[error("{target} cannot be reached from here: no connection within {after:?}")]
    ConnectTimeout {
        /// The target.
        target: String,
        /// The limit.
        after: Duration,
    },
    /// The machine answers and nothing listens on the port.
    #[error("nothing listens on {target}")]
    Refused {
        /// The target.
        target: String,
    },
    /// Connected, and no complete answer within the limit.
    #[error("it took the connection and gave no answer within {after:?}")]
    TooSlow {
        /// The limit.
        after: Duration,
    },
    /// What it sent is no HTTP, or it hung up in the middle.
    #[error("it hung up or does not speak HTTP")]
    Http {
        /// What the parser says.
        #[source]
        source: hyper::Error,
    },
    /// It speaks HTTP and refuses the request.
    #[error("it answered HTTP {status}{}", said(message.as_deref()))]
    Status {
        /// The status.
        status: u16,
        /// What it said about it, when that can be read.
        message: Option<String>,
    },
    /// It understood the message and refuses it.
    #[error("it refused the handshake with error {code}{}", said(Some(message)))]
    Rpc {
        /// JSON-RPC's code.
        code: i64,
        /// What it said about it.
        message: String,
    },
    /// It answered something that is no answer to the handshake.
    #[error("it does not answer as an MCP server: {why}")]
    NotMcp {
        /// What is wrong with the answer.
        why: String,
    },
    /// Its answer is larger than any real one.
    #[error("its answer has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

impl Error {
    /// What it says about the server.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Target { .. } | Self::Unreachable { .. } | Self::ConnectTimeout { .. } => {
                Blame::Nobody
            }
            Self::Refused { .. } => Blame::Listener,
            Self::TooSlow { .. }
            | Self::Http { .. }
            | Self::Status { .. }
            | Self::Rpc { .. }
            | Self::NotMcp { .. }
            | Self::TooLarge { .. } => Blame::Server,
        }
    }

    pub(crate) fn not_mcp(why: impl Into<String>) -> Self {
        Self::NotMcp { why: why.into() }
    }

    /// True for what a server says that knows no `initialize` any more: the specification asks for
    /// 400, 404 or 405, or an error in JSON-RPC.
    pub(crate) fn refuses_the_message(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 400 | 404 | 405),
            Self::Rpc { .. } => true,
            _ => false,
        }
    }
}

fn said(message: Option<&str>) -> String {
    message.filter(|text| !text.is_empty()).map_or(String::new(), |text| format!(": {text}"))
}

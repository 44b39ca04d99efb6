//! Asks an MCP server, over streamable HTTP, whether it speaks the protocol: what "ready" means
//! for a connector beyond a process that runs and a port that is open.
//!
//! A running task with a passing health check can still refuse every client. One handshake tells:
//! `initialize`, as revisions up to 2025-11-25 have it, and `server/discover` where `initialize` is
//! refused, as revision 2026-07-28 abolished it
//! (<https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning>).
//!
//! # Guarantees
//! - One call has a limit in time and reads a limited number of bytes, whatever the server does.
//! - No redirect is followed, no proxy of the environment is used, no credential is sent.
//! - A session that the server opened for the question is ended again.
//! - What the server says is cut short and cleared of control characters before anybody sees it.
//!
//! # Caveats
//! Plain HTTP only. Which replica of a service answers is up to the swarm.

mod connection;
mod error;
mod handshake;
mod message;
mod sse;
mod text;

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

pub use self::error::{Blame, Error};

/// Where an MCP server is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// A name or an IP address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path of the MCP endpoint, from its slash on.
    pub path: String,
}

impl Target {
    /// The host and port as they stand in an address or a `Host` header.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.path)
    }
}

/// How far one question may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until a connection is open.
    pub connect: Duration,
    /// For everything together.
    pub total: Duration,
    /// Bytes of one body; a head has a quarter of the default.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A connector is in the same data centre, or not reachable from here.
            connect: Duration::from_secs(2),
            // A server that needs longer to say its name keeps its clients waiting, too.
            total: Duration::from_secs(5),
            // Instructions for a model may be long; real answers have a few kilobytes.
            body: 64 * 1024,
        }
    }
}

/// What an MCP server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It introduced itself.
    Introduced {
        /// The revision that it chose, or its newest.
        protocol_version: String,
        /// Its name; revisions from 2026-07-28 on leave it optional.
        server_name: Option<String>,
        /// Its version.
        server_version: Option<String>,
        /// From the first packet to the answer.
        took: Duration,
    },
    /// It wants to know first who asks: it listens and guards its door.
    WantsCredentials {
        /// 401 or 403.
        status: u16,
        /// From the first packet to the answer.
        took: Duration,
    },
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Introduced { protocol_version, server_name, server_version, .. } => {
                f.write_str(server_name.as_deref().unwrap_or("a server without a name"))?;
                if let Some(version) = server_version {
                    write!(f, " {version}")?;
                }
                write!(f, " (MCP {protocol_version})")
            }
            Self::WantsCredentials { status, .. } => {
                write!(f, "it answers and wants credentials (HTTP {status})")
            }
        }
    }
}

/// Asks once.
///
/// # Errors
/// When there is no valid answer; [`Error::blame`] tells whether that says anything about the
/// server.
pub async fn ask(target: &Target, limits: &Limits) -> Result<Answer, Error> {
    let began = Instant::now();
    let deadline = began + limits.total;
    let asked = tokio::time::timeout_at(deadline, handshake::begin(target, limits)).await;
    let (outcome, session) = asked.map_err(|_| Error::TooSlow { after: limits.total })??;
    let answer = outcome.answer(began.elapsed());
    if let Some(session) = session {
        // Only politeness: what the server makes of it changes nothing about its answer.
        let _ended = tokio::time::timeout_at(deadline, session.end(target, limits)).await;
    }
    Ok(answer)
}

#[cfg(test)]
mod tests;

//! What one client may cost. All of it is loopback traffic from monitoring, so the limits are
//! tight: they exist so that a stuck or hostile client cannot hold the process.

use std::time::Duration;

/// Limits of the listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a client may take to send its request line and headers.
    pub headers: Duration,
    /// How long an answer may take. A readiness check asks the engine and the store.
    pub request: Duration,
    /// The largest request body, in bytes, of routes that read none.
    pub body: usize,
    /// The largest body of a webhook, in bytes. What is larger waits for the next poll.
    pub delivery: usize,
    /// Connections served at once; more wait in the kernel's queue.
    pub connections: usize,
    /// How long running requests may take to finish at shutdown.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(5),
            request: Duration::from_secs(10),
            body: 64 * 1024,
            delivery: 1 << 20,
            connections: 128,
            drain: Duration::from_secs(2),
        }
    }
}

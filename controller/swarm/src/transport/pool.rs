//! Connections that are kept open between calls.
//!
//! A kept connection is only ever used after the whole reply of its last call was read, so a
//! reply can never be taken for the answer to another call.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::dial::{self, Complaint, Stream};
use crate::address::EngineAddress;
use crate::error::Cause;

/// More are closed instead of kept: a burst of calls must not hold ssh processes for ever.
const MOST_KEPT: usize = 8;

/// Shorter than what proxies and firewalls between Skep and an engine forget a connection after.
const LONGEST_IDLE: Duration = Duration::from_secs(20);

/// An open connection that is not in use by a call.
pub(crate) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    complaint: Complaint,
}

impl Connection {
    /// Opens a connection to the engine.
    pub(super) async fn open(address: &EngineAddress) -> Result<Self, Cause> {
        let (stream, complaint) = dial::dial(address).await?;
        Self::over(stream, complaint).await
    }

    /// Speaks HTTP over a stream.
    pub(super) async fn over(stream: Stream, complaint: Complaint) -> Result<Self, Cause> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // The call that uses the connection gets the same error and reports it.
            let _reported_by_the_call = connection.await;
        });
        Ok(Self { sender, complaint })
    }

    /// The reason of a failure, with what ssh said when it was ssh that failed.
    pub(super) async fn explain(&mut self, error: hyper::Error) -> Cause {
        match self.complaint.hear().await {
            Some(complaint) => format!("{error} (ssh: {complaint})").into(),
            None => error.into(),
        }
    }
}

/// The connections that wait for their next call.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<(Connection, Instant)>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Pool").field("idle", &idle).finish()
    }
}

impl Pool {
    /// A kept connection that is still open, the most recently used one.
    pub(super) async fn take(&self) -> Option<Connection> {
        while let Some(mut connection) = self.pop() {
            // Its last reply has been read, so this is at most one turn of its driver.
            if connection.sender.ready().await.is_ok() {
                return Some(connection);
            }
        }
        None
    }

    fn pop(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(connection, since)| {
            !connection.sender.is_closed() && since.elapsed() < LONGEST_IDLE
        });
        idle.pop().map(|(connection, _)| connection)
    }

    /// Keeps a connection whose last reply was read to its end.
    pub(super) fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !connection.sender.is_closed() && idle.len() < MOST_KEPT {
            idle.push((connection, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http_body_util::BodyExt as _;
    use tokio::process::Command;

    use super::*;

    async fn over_a_program(script: &str) -> Connection {
        let (stream, complaint) = dial::spawn(Command::new("sh").args(["-c", script])).unwrap();
        Connection::over(stream, complaint).await.unwrap()
    }

    fn request() -> Request<Full<Bytes>> {
        Request::get("/info").header("Host", "x").body(Full::default()).unwrap()
    }

    #[tokio::test]
    async fn a_program_carries_requests_and_replies() {
        let script = r#"while read -r line && [ "${#line}" -gt 1 ]; do :; done
            printf 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'; read -r end"#;
        let mut connection = over_a_program(script).await;
        let reply = connection.sender.send_request(request()).await.unwrap();
        assert_eq!(reply.into_body().collect().await.unwrap().to_bytes(), "ok");
    }

    #[tokio::test]
    async fn a_program_that_fails_says_why() {
        let mut connection =
            over_a_program("echo 'Permission denied (publickey)' >&2; exit 255").await;
        let error = connection.sender.send_request(request()).await.unwrap_err();
        let cause = connection.explain(error).await.to_string();
        assert!(cause.contains("ssh: Permission denied (publickey)"), "{cause}");
    }
}

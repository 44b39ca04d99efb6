//! The few engine calls that the rig makes itself, over the socket.
//!
//! HTTP/1.0 on a fresh connection: the engine then answers without chunks and
//! closes, so a reply is everything up to the end of the stream. The command
//! line would do, at forty times the cost for each of seventy image tags.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::Error;

/// Nothing that the rig asks for takes the engine longer than a few seconds.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Status and body of one reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Sends one request and reads the whole reply, whatever its status.
pub(crate) fn call(
    socket: &Path,
    method: &str,
    path: &str,
    body: Option<&serde_json::Value>,
) -> Result<Reply, Error> {
    let failed = |source| Error::Call { request: format!("{method} {path}"), source };
    exchange(socket, method, path, body).map_err(failed)
}

/// As [`call`], but a status from 400 on is an error.
pub(crate) fn expect_success(
    socket: &Path,
    method: &str,
    path: &str,
    body: Option<&serde_json::Value>,
) -> Result<String, Error> {
    let reply = call(socket, method, path, body)?;
    if reply.status < 400 {
        Ok(reply.body)
    } else {
        Err(Error::Refused {
            request: format!("{method} {path}"),
            status: reply.status,
            body: reply.body.trim().to_owned(),
        })
    }
}

fn exchange(
    socket: &Path,
    method: &str,
    path: &str,
    body: Option<&serde_json::Value>,
) -> std::io::Result<Reply> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let body = body.map(serde_json::Value::to_string).unwrap_or_default();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: docker\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len(),
    )?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    parse(&reply).ok_or_else(|| std::io::Error::other("the reply is not HTTP"))
}

fn parse(reply: &str) -> Option<Reply> {
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Reply { status, body: body.to_owned() })
}

/// Percent-encodes a value for a query string.
pub(crate) fn encode(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_split_into_status_and_body() {
        let reply =
            parse("HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\n{\"message\":\"no\"}").unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (404, "{\"message\":\"no\"}"));
        assert!(parse("nonsense").is_none());
    }

    #[test]
    fn a_filter_survives_a_query_string() {
        assert_eq!(encode(r#"{"name":["a b"]}"#), "%7B%22name%22%3A%5B%22a%20b%22%5D%7D");
    }
}

//! The event stream: JSON objects, one to a line, until somebody ends it.

use bytes::{Buf as _, BytesMut};
use futures::StreamExt as _;
use futures::stream;
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::Deserialize;
use skep_core::identity::SwarmId;

use crate::engine::{Event, EventObject, EventStream};
use crate::error::{Call, Error};
use crate::transport::Connection;

pub(crate) const PATH: &str = "/events";

/// An event carries the labels of its object; this is more than Swarm lets them be.
const LONGEST_LINE: usize = 4 << 20;

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "Type", default)]
    object: String,
    #[serde(rename = "Action", default)]
    action: String,
    #[serde(rename = "Actor", default)]
    actor: Actor,
}

#[derive(Deserialize, Default)]
struct Actor {
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(rename = "Attributes", default)]
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
struct Attributes {
    name: Option<String>,
}

fn call() -> Call {
    Call { method: Method::GET, path: PATH }
}

/// Reads one line; blank lines and the separators of newer engines (RFC 7464) say nothing.
fn event(line: &[u8]) -> Option<Result<Event, Error>> {
    let line = line.strip_prefix(b"\x1e").unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return None;
    }
    Some(match serde_json::from_slice::<Wire>(line) {
        Ok(wire) => Ok(Event {
            object: match wire.object.as_str() {
                "service" => EventObject::Service,
                "network" => EventObject::Network,
                "node" => EventObject::Node,
                "secret" => EventObject::Secret,
                "config" => EventObject::Config,
                _ => EventObject::Other,
            },
            action: wire.action,
            id: SwarmId::new(wire.actor.id),
            name: wire.actor.attributes.and_then(|attributes| attributes.name),
        }),
        Err(error) => Err(Error::Protocol { call: call(), source: error.into() }),
    })
}

struct Lines {
    body: Incoming,
    /// Dropping it would end the body.
    _connection: Connection,
    buffer: BytesMut,
    /// Up to here the buffer has no line end.
    searched: usize,
}

impl Lines {
    /// The next event, or none when the stream has ended.
    async fn next(&mut self) -> Option<Result<Event, Error>> {
        loop {
            let fresh = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(end) = fresh.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + end);
                self.buffer.advance(1);
                self.searched = 0;
                if let Some(event) = event(&line) {
                    return Some(event);
                }
                continue;
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > LONGEST_LINE {
                return Some(Err(Error::TooLarge { call: call(), limit: LONGEST_LINE }));
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Err(error) => {
                    return Some(Err(Error::ConnectionLost { call: call(), source: error.into() }));
                }
            }
        }
    }
}

/// The events of a reply's body; after an error there is nothing more.
pub(crate) fn decode(body: Incoming, connection: Connection) -> EventStream {
    let lines = Lines { body, _connection: connection, buffer: BytesMut::new(), searched: 0 };
    stream::unfold(Some(lines), |lines| async move {
        let mut lines = lines?;
        let event = lines.next().await?;
        let rest = event.is_ok().then_some(lines);
        Some((event, rest))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_the_engine_is_read() {
        let line = br#"{"Type":"service","Action":"update","Actor":{"ID":"x1","Attributes":{"name":"web","updatestate.new":"completed"}},"scope":"swarm","time":1,"timeNano":1}"#;
        let read = event(line).unwrap().unwrap();
        assert_eq!(read.object, EventObject::Service);
        assert_eq!((read.action.as_str(), read.id.as_str()), ("update", "x1"));
        assert_eq!(read.name.as_deref(), Some("web"));
    }

    #[test]
    fn what_is_no_event_is_skipped_or_reported_but_never_guessed() {
        assert!(event(b"  \r").is_none());
        assert!(event(b"\x1e{}").unwrap().is_ok());
        assert!(event(b"{\"Type\":\"ser").unwrap().is_err());
    }
}

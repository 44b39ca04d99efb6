//! The messages of the handshake: JSON-RPC 2.0 as MCP uses it. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use crate::text::clean;
use crate::{Answer, Error};

/// The newest revision that begins with `initialize`; servers of older ones answer with their own.
pub(crate) const HANDSHAKE_REVISION: &str = "2025-11-25";
/// The first revision without it.
pub(crate) const STATELESS_REVISION: &str = "2026-07-28";

/// `initialize` with the id 1.
pub(crate) fn initialize() -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": HANDSHAKE_REVISION,
            "capabilities": {},
            "clientInfo": client(),
        },
    })
}

/// `notifications/initialized`.
pub(crate) fn initialized() -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })
}

/// `server/discover` with the id 2.
pub(crate) fn discover() -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": 2,
        "method": "server/discover",
        "params": { "_meta": {
            "io.modelcontextprotocol/protocolVersion": STATELESS_REVISION,
            "io.modelcontextprotocol/clientInfo": client(),
            "io.modelcontextprotocol/clientCapabilities": {},
        } },
    })
}

fn client() -> Value {
    json!({ "name": "skep", "version": env!("CARGO_PKG_VERSION") })
}

/// How a server introduces itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// As the server wrote it: it goes back in a header.
    pub(crate) protocol_version: String,
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
}

impl Introduction {
    pub(crate) fn answer(self, took: Duration) -> Answer {
        Answer::Introduced {
            protocol_version: clean(&self.protocol_version),
            server_name: self.name,
            server_version: self.version,
            took,
        }
    }

    /// From the result of `initialize`.
    pub(crate) fn of_initialize(result: &Value) -> Result<Self, Error> {
        let protocol_version = text(result, "/protocolVersion")
            .ok_or_else(|| Error::not_mcp("its result names no protocolVersion"))?;
        let name = text(result, "/serverInfo/name")
            .ok_or_else(|| Error::not_mcp("its result names no server in serverInfo"))?;
        Ok(Self {
            protocol_version: protocol_version.to_owned(),
            name: Some(clean(name)),
            version: text(result, "/serverInfo/version").map(clean),
        })
    }

    /// From the result of `server/discover`.
    pub(crate) fn of_discover(result: &Value) -> Result<Self, Error> {
        let versions = result.get("supportedVersions").and_then(Value::as_array);
        // Dates, so the newest is the greatest.
        let newest = versions.into_iter().flatten().filter_map(Value::as_str).max();
        let newest =
            newest.ok_or_else(|| Error::not_mcp("its result names no supportedVersions"))?;
        // Where drafts of the revision have it, and where the final one has it.
        let places = ["/_meta/io.modelcontextprotocol~1serverInfo", "/serverInfo"];
        let info = places.iter().find_map(|place| result.pointer(place)).unwrap_or(&Value::Null);
        Ok(Self {
            protocol_version: newest.to_owned(),
            name: text(info, "/name").map(clean),
            version: text(info, "/version").map(clean),
        })
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}

/// A response to the request of this id. `Ok(None)` for a message that is something else.
pub(crate) fn response(message: &Value, id: u64) -> Result<Option<Value>, Error> {
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Ok(None);
    }
    let answers = message.get("id").and_then(Value::as_u64) == Some(id);
    // A request that could not be read is answered without an id.
    let is_anonymous = message.get("id").is_none_or(Value::is_null);
    match (message.get("result"), message.get("error")) {
        (Some(result), None) if answers => Ok(Some(result.clone())),
        (None, Some(error)) if answers || is_anonymous => Err(Error::Rpc {
            code: error.get("code").and_then(Value::as_i64).unwrap_or_default(),
            message: clean(error.get("message").and_then(Value::as_str).unwrap_or_default()),
        }),
        _ => Ok(None),
    }
}

/// What the body of a refusal says, when it says it in JSON-RPC.
pub(crate) fn refusal(body: &[u8]) -> Option<String> {
    let message: Value = serde_json::from_slice(body).ok()?;
    Some(clean(text(&message, "/error/message")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_response_to_the_request_counts() {
        let result = json!({ "jsonrpc": "2.0", "id": 1, "result": { "a": 1 } });
        assert_eq!(response(&result, 1).unwrap(), Some(json!({ "a": 1 })));
        for other in [
            json!({ "jsonrpc": "2.0", "id": 2, "result": {} }),
            json!({ "jsonrpc": "2.0", "id": "1", "result": {} }),
            json!({ "jsonrpc": "1.0", "id": 1, "result": {} }),
            json!({ "jsonrpc": "2.0", "id": 1, "result": {}, "error": {} }),
            // The request itself, echoed.
            initialize(),
            json!({ "jsonrpc": "2.0", "method": "notifications/message" }),
            json!([]),
        ] {
            assert_eq!(response(&other, 1).unwrap(), None, "{other}");
        }
        for id in [json!(1), Value::Null] {
            let error = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -1, "message": "\u{7}no" } });
            let error = response(&error, 1).unwrap_err();
            assert_eq!(error.to_string(), "it refused the handshake with error -1: no");
        }
    }

    #[test]
    fn an_introduction_needs_a_version_and_once_a_name() {
        let complete = json!({ "protocolVersion": "2025-03-26", "serverInfo": { "name": "a" } });
        let read = Introduction::of_initialize(&complete).unwrap();
        assert_eq!((read.name.as_deref(), read.version), (Some("a"), None));
        for bad in [
            json!({}),
            json!({ "protocolVersion": 1, "serverInfo": { "name": "a" } }),
            json!({ "protocolVersion": "2025-03-26" }),
            json!({ "protocolVersion": "2025-03-26", "serverInfo": { "name": "" } }),
        ] {
            assert!(Introduction::of_initialize(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_stateless_revision_names_its_server_in_either_place_or_not() {
        let read = |result: Value| {
            Introduction::of_discover(&result).map(|it| (it.protocol_version, it.name))
        };
        let versions = json!(["2025-11-25", "2026-07-28"]);
        let info = json!({ "name": "a", "version": "1" });
        for (result, name) in [
            (json!({ "supportedVersions": versions }), None),
            (json!({ "supportedVersions": versions, "serverInfo": info }), Some("a")),
            (
                json!({ "supportedVersions": versions, "_meta": { "io.modelcontextprotocol/serverInfo": info } }),
                Some("a"),
            ),
        ] {
            let expected = ("2026-07-28".to_owned(), name.map(str::to_owned));
            assert_eq!(read(result).unwrap(), expected);
        }
        assert!(read(json!({ "supportedVersions": [] })).is_err());
        assert!(read(json!({})).is_err());
    }
}

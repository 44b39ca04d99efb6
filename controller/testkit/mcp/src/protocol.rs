//! The part of the Model Context Protocol that a connector must speak to be
//! taken for a live one: JSON-RPC 2.0 messages of revisions 2024-11-05 to
//! 2025-06-18 (<https://modelcontextprotocol.io/specification/>).

use serde_json::{Value, json};

/// Newest first: the first is offered to a client that asks for an unknown one.
pub(crate) const REVISIONS: [&str; 3] = ["2025-06-18", "2025-03-26", "2024-11-05"];

const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;

/// What to send back for one POSTed message.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// A notification or a client's own response: 202 without a body.
    Accepted,
    /// A JSON-RPC response or error.
    Message(Value),
    /// Not a JSON-RPC message: 400 with this error.
    Malformed(Value),
}

/// Answers one message.
pub(crate) fn answer(body: &[u8]) -> Reply {
    let Ok(message) = serde_json::from_slice::<Value>(body) else {
        return Reply::Malformed(error(&Value::Null, PARSE_ERROR, "not JSON"));
    };
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Reply::Malformed(error(&Value::Null, INVALID_REQUEST, "not a JSON-RPC message"));
    }
    let id = message.get("id").filter(|id| id.is_string() || id.is_number());
    match (message.get("method").and_then(Value::as_str), id) {
        (Some(method), Some(id)) => {
            Reply::Message(call(method, message.get("params").unwrap_or(&Value::Null), id))
        }
        (Some(_), None) => Reply::Accepted,
        (None, Some(_)) if message.get("result").is_some() || message.get("error").is_some() => {
            Reply::Accepted
        }
        (None, _) => {
            Reply::Malformed(error(&Value::Null, INVALID_REQUEST, "neither method nor result"))
        }
    }
}

fn call(method: &str, params: &Value, id: &Value) -> Value {
    match method {
        "initialize" => result(
            id,
            json!({
                "protocolVersion": negotiate(params),
                "capabilities": { "tools": { "listChanged": false } },
                "serverInfo": { "name": "skep-test-mcp", "version": env!("CARGO_PKG_VERSION") },
            }),
        ),
        "ping" => result(id, json!({})),
        "tools/list" => result(
            id,
            json!({ "tools": [{
                "name": "echo",
                "description": "Returns the text that it is given.",
                "inputSchema": {
                    "type": "object",
                    "properties": { "text": { "type": "string" } },
                    "required": ["text"],
                },
            }] }),
        ),
        "tools/call" => match (
            params.get("name").and_then(Value::as_str),
            params.pointer("/arguments/text").and_then(Value::as_str),
        ) {
            (Some("echo"), Some(text)) => {
                result(id, json!({ "content": [{ "type": "text", "text": text }] }))
            }
            _ => error(id, INVALID_PARAMS, "the only tool is `echo` with a `text`"),
        },
        _ => error(id, METHOD_NOT_FOUND, "unknown method"),
    }
}

/// The revision that the client asked for when it is known, else our newest.
fn negotiate(params: &Value) -> &str {
    let asked = params.get("protocolVersion").and_then(Value::as_str);
    REVISIONS
        .into_iter()
        .find(|known| Some(*known) == asked)
        .or(REVISIONS.first().copied())
        .unwrap_or_default()
}

fn result(id: &Value, result: Value) -> Value {
    let mut message = json!({ "jsonrpc": "2.0", "id": id });
    if let Some(object) = message.as_object_mut() {
        object.insert("result".to_owned(), result);
    }
    message
}

fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(message: &Value) -> Reply {
        answer(message.to_string().as_bytes())
    }

    fn message(message: &Value) -> Value {
        let reply = reply(message);
        let Reply::Message(value) = reply else { panic!("expected a message, got {reply:?}") };
        value
    }

    fn initialize(revision: &str) -> Value {
        message(&json!({
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": { "protocolVersion": revision, "capabilities": {} },
        }))
    }

    #[test]
    fn a_known_revision_is_kept_and_an_unknown_one_gets_our_newest() {
        for revision in REVISIONS {
            assert_eq!(initialize(revision)["result"]["protocolVersion"], revision);
        }
        assert_eq!(initialize("1999-01-01")["result"]["protocolVersion"], REVISIONS[0]);
    }

    #[test]
    fn the_id_comes_back_as_it_was_sent() {
        for id in [json!(7), json!("seven")] {
            let answer = message(&json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }));
            assert_eq!(answer["id"], id);
            assert_eq!(answer["result"], json!({}));
        }
    }

    #[test]
    fn notifications_and_responses_are_accepted_without_an_answer() {
        for accepted in [
            json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
            json!({ "jsonrpc": "2.0", "id": 3, "result": {} }),
        ] {
            assert_eq!(reply(&accepted), Reply::Accepted);
        }
    }

    #[test]
    fn what_is_not_a_message_is_malformed_and_an_unknown_method_is_an_error() {
        for bad in [&b"{"[..], b"[]", b"{}", br#"{"jsonrpc":"2.0"}"#] {
            assert!(matches!(answer(bad), Reply::Malformed(_)), "{bad:?}");
        }
        let unknown = message(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/destroy" }));
        assert_eq!(unknown["error"]["code"], METHOD_NOT_FOUND);
    }

    #[test]
    fn the_tool_that_is_listed_can_be_called() {
        let tools = message(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }));
        let called = message(&json!({
            "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": { "name": tools["result"]["tools"][0]["name"], "arguments": { "text": "bee" } },
        }));
        assert_eq!(called["result"]["content"][0]["text"], "bee");
    }
}

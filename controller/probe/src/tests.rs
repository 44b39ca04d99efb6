//! Against a local server that answers whatever a test wants it to, byte by byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"bees\u001b[2J","version":"1.2"}}}"#;
const DISCOVERED: &str = r#"{"jsonrpc":"2.0","id":2,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{}}}"#;

/// What a server does with the request of this number, counted over all connections.
#[derive(Clone)]
enum Does {
    /// Sends these bytes.
    Says(Vec<u8>),
    /// Sends these bytes and hangs up.
    SaysAndHangsUp(Vec<u8>),
    /// Sends these bytes one by one and never ends.
    Dribbles(Vec<u8>),
    /// Repeats these bytes as long as somebody takes them.
    Floods(Vec<u8>, Vec<u8>),
}

struct Server {
    target: Target,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(script: Vec<Does>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let script = Arc::new(script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&seen)));
            }
        });
        let target = Target { host: "127.0.0.1".to_owned(), port, path: "/mcp".to_owned() };
        Self { target, requests }
    }

    async fn ask(&self) -> Result<Answer, Error> {
        ask(&self.target, &Limits::default()).await
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Vec<Does>>, seen: Arc<Mutex<Vec<String>>>) {
    while let Some(request) = request(&mut stream).await {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request);
            seen.len() - 1
        };
        let sent = match script.get(number).cloned() {
            Some(Does::Says(bytes)) => stream.write_all(&bytes).await,
            Some(Does::SaysAndHangsUp(bytes)) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Some(Does::Dribbles(bytes)) => loop {
                for byte in &bytes {
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            },
            Some(Does::Floods(first, again)) => {
                let _ = stream.write_all(&first).await;
                while stream.write_all(&again).await.is_ok() {}
                return;
            }
            None => stream.write_all(&plain("405 Method Not Allowed", "")).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(text).unwrap().to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

fn reply(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into()
}

fn plain(status: &str, body: &str) -> Vec<u8> {
    reply(status, "Content-Type: text/plain\r\n", body)
}

fn json(status: &str, body: &str) -> Vec<u8> {
    reply(status, "Content-Type: application/json; charset=utf-8\r\n", body)
}

async fn answer(script: Vec<Does>) -> Result<Answer, Error> {
    Server::start(script).await.ask().await
}

fn introduced(answer: &Answer) -> (&str, Option<&str>, Option<&str>) {
    match answer {
        Answer::Introduced { protocol_version, server_name, server_version, .. } => {
            (protocol_version, server_name.as_deref(), server_version.as_deref())
        }
        Answer::WantsCredentials { .. } => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn a_handshake_is_complete_and_its_session_is_ended() {
    let hello = reply("200 OK", "Content-Type: application/json\r\nMcp-Session-Id: s-1\r\n", HELLO);
    let accepted = plain("202 Accepted", "");
    let server = Server::start(vec![Does::Says(hello), Does::Says(accepted)]).await;
    let answer = server.ask().await.unwrap();
    assert_eq!(introduced(&answer), ("2025-06-18", Some("bees[2J"), Some("1.2")));
    assert_eq!(answer.to_string(), "bees[2J 1.2 (MCP 2025-06-18)");
    let requests = server.requests();
    assert_eq!(requests.len(), 3, "{requests:#?}");
    assert!(requests[0].starts_with("post /mcp http/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].contains("accept: application/json, text/event-stream\r\n"));
    assert!(!requests[0].contains("mcp-protocol-version"), "{}", requests[0]);
    assert!(requests[1].contains("notifications/initialized"), "{}", requests[1]);
    assert!(requests[2].starts_with("delete /mcp "), "{}", requests[2]);
    for request in &requests[1..] {
        assert!(request.contains("mcp-session-id: s-1\r\n"), "{request}");
        assert!(request.contains("mcp-protocol-version: 2025-06-18\r\n"), "{request}");
    }
}

#[tokio::test]
async fn an_answer_in_a_stream_is_found_behind_comments_and_other_messages() {
    let stream = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nMcp-Session-Id: s\r\n\r\n: hi\n\n\
         data: ping\n\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}}\n\n\
         event: message\r\nid: 1\r\ndata: {HELLO}\r\n\r\n"
    );
    let accepted = Does::Says(plain("202 Accepted", ""));
    // The stream stays open, as that of some servers does.
    let server = Server::start(vec![Does::Says(stream.into()), accepted]).await;
    assert_eq!(introduced(&server.ask().await.unwrap()).1, Some("bees[2J"));
    assert_eq!(server.requests().len(), 3, "the session is ended on a new connection");
}

#[tokio::test]
async fn a_server_without_the_old_handshake_is_asked_in_the_new_way() {
    let refusal = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"Unsupported protocol version"}}"#;
    for status in ["400 Bad Request", "404 Not Found", "200 OK"] {
        let script =
            vec![Does::Says(json(status, refusal)), Does::Says(json("200 OK", DISCOVERED))];
        let server = Server::start(script).await;
        let answer = server.ask().await.unwrap();
        assert_eq!(introduced(&answer), ("2026-07-28", None, None));
        let requests = server.requests();
        assert_eq!(requests.len(), 2, "there is no session to end: {requests:#?}");
        assert!(requests[1].contains("mcp-protocol-version: 2026-07-28\r\n"), "{}", requests[1]);
        assert!(requests[1].contains("mcp-method: server/discover\r\n"), "{}", requests[1]);
    }
    let script = vec![Does::Says(json("400 Bad Request", refusal))];
    let error = answer(script).await.unwrap_err();
    assert_eq!(error.to_string(), "it answered HTTP 400: Unsupported protocol version");
}

#[tokio::test]
async fn a_guarded_server_is_reached() {
    for (line, expected) in [("401 Unauthorized", 401), ("403 Forbidden", 403)] {
        let answer = answer(vec![Does::Says(plain(line, "who are you?"))]).await.unwrap();
        assert!(
            matches!(answer, Answer::WantsCredentials { status, .. } if status == expected),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn what_is_no_mcp_server_is_told_apart() {
    let redirect = reply("302 Found", "Location: http://127.0.0.1:1/\r\n", "");
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (plain("200 OK", "welcome to nginx"), "the reply is text/plain"),
        (reply("200 OK", "", "x"), "no content type"),
        (plain("404 Not Found", "no"), "HTTP 404"),
        (plain("500 Internal Server Error", "no"), "HTTP 500"),
        (plain("202 Accepted", ""), "HTTP 202"),
        (redirect, "HTTP 302"),
        (json("200 OK", "{\"jsonrpc\":"), "bad JSON"),
        (json("200 OK", &"[".repeat(5_000)), "bad JSON"),
        (json("200 OK", "{}"), "no response"),
        (json("200 OK", r#"{"jsonrpc":"2.0","id":9,"result":{}}"#), "no response"),
        (json("200 OK", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), "protocolVersion"),
        (
            json("200 OK", r#"{"jsonrpc":"2.0","id":1,"error":{"code":-3,"message":"no"}}"#),
            "-3: no",
        ),
        (
            reply("200 OK", "Content-Type: text/event-stream\r\n", "data: {}\n\n"),
            "without a response",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "does not speak HTTP"),
    ];
    for (bytes, expected) in cases {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let error = answer(vec![Does::SaysAndHangsUp(bytes)]).await.unwrap_err();
        assert_eq!(error.blame(), Blame::Server, "{shown}: {error}");
        assert!(error.to_string().contains(expected), "{shown}: {error}");
    }
    let error = answer(vec![Does::SaysAndHangsUp(Vec::new())]).await.unwrap_err();
    assert!(matches!(error, Error::Http { .. }), "{error}");
}

#[tokio::test]
async fn more_than_enough_is_not_read() {
    let head = |kind: &str, more: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{more}\r\n").into_bytes()
    };
    for script in [
        Does::Floods(head("application/json", ""), b" ".repeat(4096)),
        Does::Floods(head("text/event-stream", ""), b": still here\n".repeat(100)),
        Does::Floods(head("text/event-stream", ""), b"data: x".repeat(100)),
        Does::Says(head("application/json", "Content-Length: 99999999999\r\n")),
    ] {
        let error = answer(vec![script]).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 65_536 }), "{error}");
    }
    for head in [b"X-Long: y".repeat(100_000), b"X-Many: y\r\n".repeat(100_000)] {
        let start = b"HTTP/1.1 200 OK\r\n".to_vec();
        let error = answer(vec![Does::Floods(start, head)]).await.unwrap_err();
        assert!(matches!(error, Error::Http { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_slow_server_ends_the_patience_and_not_the_prober() {
    let limits = Limits { total: Duration::from_millis(200), ..Limits::default() };
    for script in [
        Does::Dribbles(b"HTTP/1.1 200 OK\r\nX-A: b\r\n".to_vec()),
        Does::Says(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: wait\n".to_vec()),
        Does::Says(Vec::new()),
    ] {
        let server = Server::start(vec![script]).await;
        let error = ask(&server.target, &limits).await.unwrap_err();
        assert!(matches!(error, Error::TooSlow { .. }), "{error}");
        assert_eq!(error.blame(), Blame::Server);
    }
    // Slow only when it is over: the answer holds.
    let hello = reply("200 OK", "Content-Type: application/json\r\nMcp-Session-Id: s\r\n", HELLO);
    let server = Server::start(vec![Does::Says(hello), Does::Says(Vec::new())]).await;
    ask(&server.target, &limits).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_reached_is_nobodys_fault() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let target = |host: &str, port| Target { host: host.to_owned(), port, path: "/mcp".to_owned() };
    let refused = ask(&target("127.0.0.1", unused), &Limits::default()).await.unwrap_err();
    assert_eq!(refused.blame(), Blame::Listener, "{refused}");
    let unknown = ask(&target("no such host", 80), &Limits::default()).await.unwrap_err();
    assert_eq!(unknown.blame(), Blame::Nobody, "{unknown}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut bad = target("127.0.0.1", listener.local_addr().unwrap().port());
    bad.path = "/a b".to_owned();
    let error = ask(&bad, &Limits::default()).await.unwrap_err();
    assert!(matches!(error, Error::Target { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn garbage_is_an_error_and_nothing_else(
        head in prop_oneof![
            Just(Vec::new()),
            Just(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
            Just(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n".to_vec()),
            Just(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ".to_vec()),
            Just(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
        ],
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bytes = [head, body].concat();
        let outcome = runtime.block_on(answer(vec![Does::SaysAndHangsUp(bytes)]));
        prop_assert_eq!(outcome.unwrap_err().blame(), Blame::Server);
    }
}

//! The client against a small engine of our own that misbehaves on request.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use skep_core::identity::SwarmId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::*;
use crate::docker::DockerEngine;
use crate::engine::{Engine as _, Services};
use crate::registry::Proof;

/// What the server does once it has read a request.
#[derive(Debug, Clone)]
enum Step {
    Send(Vec<u8>),
    /// Sends one byte at a time until the client leaves.
    Drip,
    /// Keeps the connection open and silent.
    Hang,
    /// Ends the connection.
    Close,
}

fn send(text: impl Into<String>) -> Step {
    Step::Send(text.into().into_bytes())
}

fn json(body: &str) -> Step {
    send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

fn status(status: u16, message: &str) -> Step {
    let body = format!("{{\"message\":\"{message}\"}}");
    send(format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

#[derive(Debug, Clone)]
struct Seen {
    connection: usize,
    line: String,
    head: String,
    body: Vec<u8>,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

struct Server {
    _folder: tempfile::TempDir,
    socket: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers `/version` by itself and everything else with the next script, the last one for
    /// ever.
    fn start(scripts: Vec<Vec<Step>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let scripts = Arc::new(Mutex::new(scripts));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, connection, Arc::clone(&scripts), Arc::clone(&log)));
                connection += 1;
            }
        });
        Self { _folder: folder, socket, seen }
    }

    async fn engine(&self) -> DockerEngine {
        DockerEngine::connect_with(&EngineAddress::Unix(self.socket.clone()), limits())
            .await
            .unwrap()
    }

    fn seen(&self, line: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.line.contains(line)).cloned().collect()
    }
}

fn limits() -> Limits {
    let short = Duration::from_millis(300);
    Limits {
        connect: short,
        read: short,
        list: 2 * short,
        registry: short,
        write: short,
        reply: 10_000,
    }
}

async fn serve(
    mut stream: UnixStream,
    connection: usize,
    scripts: Arc<Mutex<Vec<Vec<Step>>>>,
    log: Arc<Mutex<Vec<Seen>>>,
) {
    while let Some((head, body)) = request(&mut stream).await {
        let line = head.lines().next().unwrap().to_owned();
        let version = line.starts_with("GET /version ");
        log.lock().unwrap().push(Seen { connection, line, head, body });
        let steps = if version {
            vec![json(r#"{"ApiVersion":"1.41","MinAPIVersion":"1.12"}"#)]
        } else {
            let mut scripts = scripts.lock().unwrap();
            if scripts.len() > 1 { scripts.remove(0) } else { scripts[0].clone() }
        };
        for step in steps {
            match step {
                Step::Send(bytes) => stream.write_all(&bytes).await.unwrap(),
                Step::Close => return,
                Step::Hang => std::future::pending().await,
                Step::Drip => {
                    while stream.write_all(b" ").await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    return;
                }
            }
        }
    }
}

async fn request(stream: &mut UnixStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

async fn read_error(steps: Vec<Step>) -> Error {
    let server = Server::start(vec![steps]);
    server.engine().await.list_services(&Services::All).await.unwrap_err()
}

async fn write_error(steps: Vec<Step>) -> Error {
    let server = Server::start(vec![steps]);
    let engine = server.engine().await;
    let error = engine.create_service(Bytes::from_static(b"{}"), None).await.unwrap_err();
    assert_eq!(server.seen("/create").len(), 1, "a write is never sent twice");
    error
}

#[tokio::test]
async fn a_body_goes_out_as_it_is_and_a_chunked_reply_is_put_together() {
    let chunked = "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n\
                   6\r\n{\"ID\":\r\n4\r\n\"s\"}\r\n0\r\n\r\n";
    let server = Server::start(vec![vec![send(chunked)]]);
    let body = Bytes::from_static(b"{ \"Name\" : \"x\",\n \"A\":1.50 }");
    let created = server.engine().await.create_service(body.clone(), None).await.unwrap();
    assert_eq!(created.id.as_str(), "s");
    let seen = server.seen("POST /v1.41/services/create HTTP/1.1");
    assert_eq!(seen[0].body, body);
}

#[tokio::test]
async fn a_version_is_sent_and_a_query_is_escaped() {
    let server = Server::start(vec![vec![json("{}")], vec![json("[]")]]);
    let engine = server.engine().await;
    engine.update_service(&SwarmId::new("a b"), u64::MAX, Bytes::new(), None).await.unwrap();
    engine.list_services(&Services::NamePrefix("x&y".to_owned())).await.unwrap();
    assert_eq!(
        server.seen("POST /v1.41/services/a%20b/update?version=18446744073709551615 ").len(),
        1
    );
    assert_eq!(server.seen("filters=%7B%22name%22%3A%5B%22x%26y%22%5D%7D ").len(), 1);
}

#[tokio::test]
async fn credentials_go_out_only_where_they_are_given() {
    let distribution = r#"{"Descriptor":{"digest":"sha256:1"},"Platforms":[{"os":"linux"}]}"#;
    let server = Server::start(vec![vec![json(distribution)], vec![json("{}")]]);
    let engine = server.engine().await;
    let proof = Proof::IdentityToken("hunter2".to_owned());
    let auth = RegistryAuth { server: "ghcr.io".to_owned(), proof };
    let found = engine.distribution("ghcr.io/a/b:1", Some(&auth)).await.unwrap();
    assert_eq!(found.digest, "sha256:1");
    engine.update_service(&SwarmId::new("a"), 1, Bytes::new(), None).await.unwrap();
    let asked = server.seen("GET /v1.41/distribution/ghcr.io%2Fa%2Fb%3A1/json ").remove(0);
    let header = auth.header().unwrap();
    assert_eq!(asked.header("x-registry-auth"), Some(header.to_str().unwrap()));
    assert_eq!(server.seen("/update")[0].header("x-registry-auth"), None);
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::start(vec![vec![json("[]")]]);
    let engine = server.engine().await;
    for _ in 0..3 {
        engine.list_services(&Services::All).await.unwrap();
    }
    assert!(server.seen("").iter().all(|seen| seen.connection == 0));
}

#[tokio::test]
async fn a_write_without_an_answer_may_have_had_an_effect() {
    for steps in [
        vec![Step::Hang],
        vec![Step::Close],
        vec![send("HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"ID"), Step::Close],
        vec![send("HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"ID"), Step::Hang],
        vec![
            send("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"ID"),
            Step::Close,
        ],
        vec![send("HTTP/1.1 201 Created\r\nContent-Length: 9000\r\n\r\n"), Step::Drip],
        vec![json("not json")],
        vec![send("SSH-2.0-OpenSSH\r\n"), Step::Close],
        vec![status(500, "raft: failed to process the request: node lost leader status")],
    ] {
        let error = write_error(steps.clone()).await;
        assert!(error.may_have_had_effect(), "{steps:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_refused_write_has_had_none() {
    for (code, message, kind) in [
        (500, "rpc error: code = Unknown desc = update out of sequence", "out_of_sequence"),
        (409, "rpc error: name conflicts with an existing object", "conflict"),
        (400, "port is in use", "refused"),
        (503, "This node is not a swarm manager.", "not_manager"),
    ] {
        let error = write_error(vec![status(code, message)]).await;
        assert_eq!((error.kind(), error.may_have_had_effect()), (kind, false));
    }
}

#[tokio::test]
async fn a_refusal_never_repeats_a_value_of_the_request() {
    let spec =
        Bytes::from_static(br#"{"TaskTemplate": {"ContainerSpec": {"Env": ["TOKEN=hunter2"]}}}"#);
    for code in [400, 404, 409, 500, 503] {
        let server = Server::start(vec![vec![status(code, "invalid environment: TOKEN=hunter2")]]);
        let engine = server.engine().await;
        let error = engine.create_service(spec.clone(), None).await.unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(!said.contains("hunter2") && said.contains("(masked)"), "{said}");
    }
}

#[tokio::test]
async fn a_write_that_was_never_sent_has_had_none() {
    let server = Server::start(vec![vec![json("[]")]]);
    let engine = server.engine().await;
    // Empties the pool: the next call has to dial.
    drop(engine.transport_for_tests().pool.take().await);
    std::fs::remove_file(&server.socket).unwrap();
    let error = engine.create_service(Bytes::from_static(b"{}"), None).await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_had_effect()), ("unreachable", false));
    assert_eq!(error.category(), crate::Category::Retry);
}

#[tokio::test]
async fn an_engine_that_takes_connections_and_does_nothing_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    // Bound and never accepted: what a stopped process looks like.
    let _listener = UnixListener::bind(&socket).unwrap();
    let error =
        DockerEngine::connect_with(&EngineAddress::Unix(socket), limits()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { sent: true, .. }), "{error:?}");
}

#[tokio::test]
async fn a_reply_that_never_ends_is_given_up() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n";
    for steps in [vec![send(head), Step::Drip], vec![send(head), Step::Hang], vec![Step::Hang]] {
        let error = read_error(steps.clone()).await;
        assert_eq!(error.kind(), "timeout", "{steps:?}");
        assert!(!error.may_have_had_effect(), "a read has no effect");
    }
}

#[tokio::test]
async fn a_reply_of_any_size_is_not_read() {
    let announced = "HTTP/1.1 200 OK\r\nContent-Length: 10001\r\n\r\n";
    assert_eq!(read_error(vec![send(announced), Step::Hang]).await.kind(), "too_large");
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    assert_eq!(read_error(vec![send(chunked + &chunk.repeat(3))]).await.kind(), "too_large");
}

/// Just inside the limit, so that the test above cannot pass for another reason.
#[tokio::test]
async fn a_reply_of_the_allowed_size_is_read() {
    let body = format!("[{}]", " ".repeat(9_998));
    let server = Server::start(vec![vec![json(&body)]]);
    assert!(server.engine().await.list_services(&Services::All).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced_for_a_read_only() {
    let scripts = vec![vec![json("[]")], vec![Step::Close], vec![json("[]")]];
    let server = Server::start(scripts);
    let engine = server.engine().await;
    engine.list_services(&Services::All).await.unwrap();
    engine.list_services(&Services::All).await.unwrap();
    let connections: Vec<_> = server.seen("/services").iter().map(|s| s.connection).collect();
    assert_eq!(connections, [0, 0, 1]);

    let server = Server::start(vec![vec![json("[]")], vec![Step::Close], vec![json("{}")]]);
    let engine = server.engine().await;
    engine.list_services(&Services::All).await.unwrap();
    let error = engine.remove_service(&SwarmId::new("s")).await.unwrap_err();
    assert!(error.may_have_had_effect(), "{error:?}");
    assert_eq!(server.seen("DELETE").len(), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_does_not_disturb_a_write() {
    let server = Server::start(vec![vec![json("[]"), Step::Close], vec![json(r#"{"ID":"s"}"#)]]);
    let engine = server.engine().await;
    engine.list_services(&Services::All).await.unwrap();
    // The close is seen by the connection's own task; give it its turn.
    let pool = &engine.transport_for_tests().pool;
    while let Some(connection) = pool.take().await {
        pool.give_back(connection);
        tokio::task::yield_now().await;
    }
    engine.create_service(Bytes::from_static(b"{}"), None).await.unwrap();
}

#[tokio::test]
async fn events_are_read_line_by_line_until_the_stream_breaks() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let server = Server::start(vec![vec![
        send(head),
        send("14\r\n{\"Type\":\"service\",\"A\r\n"),
        send("1a\r\nction\":\"create\"}\n{\"Type\":\"\r\n"),
        send("7\r\nnode\"}\n\r\n"),
        send("3\r\n{\"T\r\n"),
        Step::Close,
    ]]);
    let mut events = server.engine().await.events().await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().action, "create");
    assert_eq!(events.next().await.unwrap().unwrap().object, crate::engine::EventObject::Node);
    assert_eq!(events.next().await.unwrap().unwrap_err().kind(), "connection_lost");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn neither_bodies_nor_targets_are_in_errors() {
    let server = Server::start(vec![vec![Step::Close]]);
    let engine = server.engine().await;
    let body = Bytes::from_static(b"{\"Env\":[\"PASSWORD=hunter2\"]}");
    let error = engine.update_service(&SwarmId::new("hunter2"), 1, body, None).await.unwrap_err();
    let text = format!("{error} {error:?} {} {engine:?}", error.with_causes());
    assert!(!text.contains("hunter2"), "{text}");
}

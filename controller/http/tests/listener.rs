//! The routes and limits, over real sockets.
#![allow(clippy::unwrap_used, reason = "tests report by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use skep_http::{Check, Error, Limits, Probe, Readiness, Server, Status};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[derive(Default)]
struct Fake {
    broken: AtomicBool,
    hangs: AtomicBool,
}

#[async_trait]
impl Probe for Fake {
    async fn readiness(&self) -> Readiness {
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let store = if self.broken.load(Ordering::Relaxed) {
            Check::failed("the database is busy")
        } else {
            Check::passed("sqlite")
        };
        Readiness::of(BTreeMap::from([("store", store), ("engine", Check::passed("1.41"))]))
    }

    fn metrics(&self) -> (String, &'static str) {
        ("# TYPE skep_passes counter\n".to_owned(), "text/plain; version=0.0.4")
    }

    async fn status(&self) -> Status {
        Status {
            version: "0.1.0",
            commit: None,
            pid: 1,
            started_at: Timestamp::UNIX_EPOCH,
            now: Timestamp::UNIX_EPOCH,
            actuator: "dryrun".to_owned(),
            leader: true,
            epoch: Some(3),
            holder: None,
            last_pass_at: None,
            last_pass: Value::Null,
            last_error: None,
            containments: Value::Array(Vec::new()),
            sources: Value::Array(Vec::new()),
            readiness: Value::Null,
            services: Value::Null,
            dead_letters: Value::Null,
            overdue: Value::Null,
        }
    }
}

struct Running {
    address: SocketAddr,
    probe: Arc<Fake>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(limits: Limits) -> Running {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).await.unwrap();
    let (address, probe, shutdown) =
        (server.address(), Arc::new(Fake::default()), CancellationToken::new());
    let task = tokio::spawn(server.serve(Arc::clone(&probe) as Arc<dyn Probe>, shutdown.clone()));
    Running { address, probe, shutdown, task }
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    let reply = ask(address, &request).await;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

#[tokio::test]
async fn health_is_the_word_ok() {
    let running = start(Limits::default()).await;
    let (head, body) = get(running.address, "/healthz").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/plain"), "{head}");
    assert_eq!(body, "ok");
}

#[tokio::test]
async fn readiness_follows_its_checks() {
    let running = start(Limits::default()).await;
    let (head, body) = get(running.address, "/readyz").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let json: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["ready"], true);

    running.probe.broken.store(true, Ordering::Relaxed);
    let (head, body) = get(running.address, "/readyz").await;
    assert!(head.starts_with("http/1.1 503"), "{head}");
    let json: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["ready"], false);
    assert_eq!(json["checks"]["store"]["detail"], "the database is busy");
    assert_eq!(json["checks"]["engine"]["ok"], true);
}

#[tokio::test]
async fn metrics_and_status_are_typed_and_private() {
    let running = start(Limits::default()).await;
    let (head, body) = get(running.address, "/metrics").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.starts_with("# TYPE"), "{body}");
    let (head, body) = get(running.address, "/status").await;
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert!(!head.contains("evil.example") && !body.contains("evil.example"));
    let json: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&json["leader"], &json["epoch"]), (&Value::Bool(true), &Value::from(3)));
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_in_json() {
    let running = start(Limits::default()).await;
    let (head, body) = get(running.address, "/nothing").await;
    assert!(head.starts_with("http/1.1 404"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["error"]["code"], "NOT_FOUND");
    let reply =
        ask(running.address, "DELETE /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await;
    assert!(reply.starts_with("HTTP/1.1 405"), "{reply}");
    assert!(reply.to_ascii_lowercase().contains("allow: get"), "{reply}");
}

#[tokio::test]
async fn a_large_body_is_refused_before_it_is_read() {
    let running = start(Limits::default()).await;
    let reply = ask(
        running.address,
        "GET /status HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(reply.starts_with("HTTP/1.1 413"), "{reply}");
}

#[tokio::test]
async fn a_hanging_check_and_a_silent_client_are_cut_off() {
    let short = Duration::from_millis(50);
    let running = start(Limits { request: short, headers: short, ..Limits::default() }).await;
    running.probe.hangs.store(true, Ordering::Relaxed);
    let (head, body) = get(running.address, "/readyz").await;
    assert!(head.starts_with("http/1.1 503"), "{head}");
    assert!(body.contains("TIMEOUT"), "{body}");
    // Never finishes its headers: the server hangs up, so reading comes to an end.
    ask(running.address, "GET /healthz HTTP/1.1\r\nHost:").await;
}

#[tokio::test]
async fn clients_beyond_the_limit_wait_for_their_turn() {
    let running = start(Limits { connections: 1, ..Limits::default() }).await;
    let first = TcpStream::connect(running.address).await.unwrap();
    let second = tokio::spawn(get_owned(running.address));
    // Long enough to be answered if it were served; a slow machine can only hide a fault here.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!second.is_finished());
    drop(first);
    assert_eq!(second.await.unwrap(), "ok");
}

async fn get_owned(address: SocketAddr) -> String {
    get(address, "/healthz").await.1
}

#[tokio::test]
async fn shutdown_ends_it_even_with_an_idle_connection() {
    let running = start(Limits::default()).await;
    let _idle = TcpStream::connect(running.address).await.unwrap();
    running.shutdown.cancel();
    running.task.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn it_refuses_to_listen_beyond_loopback() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80", "[::ffff:192.0.2.1]:80"] {
        let refused = Server::bind(address.parse().unwrap(), Limits::default()).await;
        let error = refused.expect_err(address);
        assert!(matches!(error, Error::BindRefused { .. }), "{address}: {error}");
        assert_eq!(error.code(), "BIND_REFUSED");
        assert!(error.hint().contains("127.0.0.1"), "{}", error.hint());
    }
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let running = start(Limits::default()).await;
    let error = Server::bind(running.address, Limits::default()).await.unwrap_err();
    assert_eq!(error.code(), "LISTEN_FAILED");
    assert!(error.to_string().contains(&running.address.to_string()));
}

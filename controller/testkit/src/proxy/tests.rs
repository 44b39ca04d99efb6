//! The proxy against a small server that counts what reaches it.

use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::Empty;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::*;

/// Bounds a broken proxy, nothing else.
const LIMIT: Duration = Duration::from_secs(20);

/// A body that grows as the test feeds it.
struct Fed(mpsc::UnboundedReceiver<&'static str>);

impl Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let line = self.0.poll_recv(context);
        line.map(|line| line.map(|line| Ok(Frame::data(Bytes::from_static(line.as_bytes())))))
    }
}

/// What stands in for the engine: echoes bodies, streams `/events`, upgrades
/// `/attach`, and counts what has an effect.
struct Upstream {
    folder: tempfile::TempDir,
    effects: Arc<AtomicUsize>,
    events: mpsc::UnboundedSender<&'static str>,
}

impl Upstream {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("engine.sock")).unwrap();
        let effects = Arc::new(AtomicUsize::new(0));
        let (events, feed) = mpsc::unbounded_channel();
        let feed = Arc::new(Mutex::new(Some(feed)));
        let counter = Arc::clone(&effects);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (counter, feed) = (Arc::clone(&counter), Arc::clone(&feed));
                let service = service_fn(move |request| {
                    answer(request, Arc::clone(&counter), Arc::clone(&feed))
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades(),
                );
            }
        });
        Self { folder, effects, events }
    }

    fn proxy(&self) -> RecordingProxy {
        RecordingProxy::start(&self.folder.path().join("engine.sock")).unwrap()
    }

    fn effects(&self) -> usize {
        self.effects.load(Ordering::SeqCst)
    }
}

async fn answer(
    mut request: Request<Incoming>,
    effects: Arc<AtomicUsize>,
    feed: Arc<Mutex<Option<mpsc::UnboundedReceiver<&'static str>>>>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    match request.uri().path() {
        "/v1.41/events" => Ok(Response::new(Fed(feed.lock().unwrap().take().unwrap()).boxed())),
        "/attach" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                let mut word = [0; 4];
                stream.read_exact(&mut word).await.unwrap();
                word.reverse();
                stream.write_all(&word).await.unwrap();
            });
            let answer = Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header("connection", "upgrade")
                .header("upgrade", "tcp");
            Ok(answer.body(Empty::new().boxed()).unwrap())
        }
        _ => {
            if request.method() != "GET" {
                effects.fetch_add(1, Ordering::SeqCst);
            }
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let mut answer = Response::new(Full::new(body).boxed());
            *answer.status_mut() = StatusCode::CREATED;
            Ok(answer)
        }
    }
}

/// Sends one request through the proxy.
async fn send(
    proxy: &RecordingProxy,
    method: &str,
    path: &str,
    body: &str,
) -> Result<Response<Incoming>, hyper::Error> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "docker")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    exchange(proxy, request).await
}

async fn exchange(
    proxy: &RecordingProxy,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, hyper::Error> {
    let stream = UnixStream::connect(proxy.socket()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await
}

async fn text(answer: Response<Incoming>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn create() -> Matcher {
    Matcher::new("POST", "/services/create")
}

#[tokio::test]
async fn what_passes_is_recorded_and_reads_are_told_from_mutations() {
    let upstream = Upstream::start();
    let proxy = upstream.proxy();
    let answer = send(&proxy, "POST", "/v1.41/services/create?x=1", "{\"Name\":\"a\"}").await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(text(answer).await, "{\"Name\":\"a\"}");
    send(&proxy, "GET", "/v1.41/services", "").await.unwrap();
    assert_eq!(proxy.requests().len(), 2);
    let mutations = proxy.mutations();
    assert_eq!(mutations.len(), 1);
    assert_eq!(mutations[0].path, "/v1.41/services/create?x=1");
    assert_eq!(mutations[0].endpoint(), "/services/create");
    assert_eq!(mutations[0].status, Some(201));
    assert_eq!(mutations[0].json()["Name"], "a");
    proxy.clear();
    assert!(proxy.requests().is_empty());
}

#[tokio::test]
async fn a_lost_request_has_no_effect_and_a_lost_reply_has_one() {
    let upstream = Upstream::start();
    let proxy = upstream.proxy();
    for (kind, effects) in [(FaultKind::DropBeforeSend, 0), (FaultKind::DropReplyAfterEffect, 1)] {
        let fault = proxy.fail_next(kind, create());
        assert!(send(&proxy, "POST", "/services/create", "{}").await.is_err(), "{kind:?}");
        assert!(fault.was_reached());
        assert_eq!(upstream.effects(), effects, "{kind:?}");
    }
    let statuses: Vec<_> =
        proxy.requests().iter().map(|seen| (seen.forwarded, seen.status)).collect();
    assert_eq!(statuses, [(false, None), (true, Some(201))]);
    send(&proxy, "POST", "/services/create", "{}").await.unwrap();
    assert_eq!(upstream.effects(), 2, "a fault is met once");
}

#[tokio::test]
async fn a_held_request_reaches_the_engine_only_when_it_is_released() {
    let upstream = Upstream::start();
    let proxy = Arc::new(upstream.proxy());
    let fault = proxy.fail_next(FaultKind::HoldBeforeSend, create());
    let client = tokio::spawn({
        let proxy = Arc::clone(&proxy);
        async move { send(&proxy, "POST", "/services/create", "{}").await.unwrap().status() }
    });
    tokio::time::timeout(LIMIT, fault.reached()).await.unwrap();
    // Gives a request that is not held the time to arrive.
    send(&proxy, "GET", "/services", "").await.unwrap();
    assert_eq!(upstream.effects(), 0);
    fault.release();
    assert_eq!(client.await.unwrap(), StatusCode::CREATED);
    assert_eq!(upstream.effects(), 1);
}

#[tokio::test]
async fn a_client_that_dies_takes_its_held_request_with_it() {
    let upstream = Upstream::start();
    let proxy = upstream.proxy();
    let fault = proxy.fail_next(FaultKind::HoldBeforeSend, create());
    let mut dying = UnixStream::connect(proxy.socket()).await.unwrap();
    let request = b"POST /services/create HTTP/1.1\r\nhost: docker\r\ncontent-length: 0\r\n\r\n";
    dying.write_all(request).await.unwrap();
    tokio::time::timeout(LIMIT, fault.reached()).await.unwrap();
    drop(dying);
    // A later request on the same thread has passed, so the end of the first
    // connection has been seen before the release below.
    send(&proxy, "GET", "/services", "").await.unwrap();
    fault.release();
    send(&proxy, "GET", "/services", "").await.unwrap();
    assert_eq!(upstream.effects(), 0);
    assert!(!proxy.mutations()[0].forwarded);
}

#[tokio::test]
async fn a_held_reply_comes_after_the_effect() {
    let upstream = Upstream::start();
    let proxy = Arc::new(upstream.proxy());
    let fault = proxy.fail_next(FaultKind::HoldReply, create());
    let client = tokio::spawn({
        let proxy = Arc::clone(&proxy);
        async move { send(&proxy, "POST", "/services/create", "{}").await.unwrap().status() }
    });
    tokio::time::timeout(LIMIT, fault.reached()).await.unwrap();
    assert_eq!(upstream.effects(), 1);
    assert!(!client.is_finished());
    drop(fault);
    assert_eq!(client.await.unwrap(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_refusal_looks_like_the_engines() {
    let upstream = Upstream::start();
    let proxy = upstream.proxy();
    proxy.fail_next(FaultKind::Refuse(500), Matcher::any());
    let answer = send(&proxy, "GET", "/services", "").await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text(answer).await.contains("\"message\""));
}

#[tokio::test]
async fn events_arrive_while_the_stream_is_open() {
    let upstream = Upstream::start();
    let proxy = upstream.proxy();
    let mut body = send(&proxy, "GET", "/v1.41/events", "").await.unwrap().into_body();
    for event in ["first\n", "second\n"] {
        upstream.events.send(event).unwrap();
        let frame = tokio::time::timeout(LIMIT, body.frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), event.as_bytes());
    }
}

#[tokio::test]
async fn an_upgraded_connection_passes_in_both_directions() {
    let upstream = Upstream::start();
    let proxy = upstream.proxy();
    let request = Request::post("/attach")
        .header("host", "docker")
        .header("connection", "upgrade")
        .header("upgrade", "tcp")
        .body(Full::default())
        .unwrap();
    let mut answer = exchange(&proxy, request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut stream = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
    stream.write_all(b"bees").await.unwrap();
    let mut word = [0; 4];
    tokio::time::timeout(LIMIT, stream.read_exact(&mut word)).await.unwrap().unwrap();
    assert_eq!(&word, b"seeb");
}

//! A proxy in front of an engine's socket that records and disturbs.
//!
//! The strongest claim about a controller is that it did *not* call the engine;
//! only something between the two can prove it. The same place is where a call
//! can be lost on its way, or its answer on the way back.
//!
//! Bodies pass through as they come, in both directions, so that event streams,
//! builds and upgraded connections work. The proxy runs on a thread of its own
//! and serves tests with and without a runtime.

mod fault;
mod record;

use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;

use crate::Error;
use fault::{Fault, Faults};
pub use fault::{FaultHandle, FaultKind, Matcher};
pub use record::RecordedRequest;
use record::{Entry, Journal};

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// Why a client's connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("a fault was ordered")]
    Ordered,
    #[error("the engine is gone")]
    Connect(#[from] std::io::Error),
    #[error("the engine broke the connection")]
    Exchange(#[from] hyper::Error),
}

/// A running proxy. Dropping it ends it and closes its connections.
#[derive(Debug)]
pub struct RecordingProxy {
    socket: PathBuf,
    // Removed, with the socket, after the thread has ended.
    _folder: tempfile::TempDir,
    journal: Journal,
    faults: Faults,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl RecordingProxy {
    /// Starts a proxy in front of the engine that listens on `upstream`.
    ///
    /// # Errors
    /// When there is no room for a socket or a thread.
    pub fn start(upstream: &Path) -> Result<Self, Error> {
        let temporary = std::env::temp_dir();
        let folder = tempfile::Builder::new()
            .prefix("skep-proxy-")
            .tempdir()
            .map_err(Error::file("create a folder in", temporary))?;
        let socket = folder.path().join("docker.sock");
        let failed = || Error::file("listen on", &socket);
        // Bound before this returns: the caller can connect at once.
        let listener = StdListener::bind(&socket).map_err(failed())?;
        listener.set_nonblocking(true).map_err(failed())?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed())?;
        let passage = Passage {
            upstream: upstream.into(),
            journal: Journal::default(),
            faults: Faults::default(),
        };
        let (journal, faults) = (passage.journal.clone(), passage.faults.clone());
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = passage.listen(listener) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self {
            socket,
            _folder: folder,
            journal,
            faults,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where clients connect.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The socket as a value for `DOCKER_HOST`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Every request since the start or the last [`Self::clear`], in the order
    /// of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.journal.all()
    }

    /// Those that may have changed something.
    #[must_use]
    pub fn mutations(&self) -> Vec<RecordedRequest> {
        let mut requests = self.requests();
        requests.retain(RecordedRequest::is_mutation);
        requests
    }

    /// Forgets all requests and all faults that were not met.
    pub fn clear(&self) {
        self.journal.clear();
        self.faults.clear();
    }

    /// Orders a fault for the next request that matches.
    pub fn fail_next(&self, kind: FaultKind, matcher: Matcher) -> FaultHandle {
        self.faults.order(kind, matcher)
    }
}

impl Drop for RecordingProxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ended_already = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// What every connection needs.
#[derive(Debug, Clone)]
struct Passage {
    upstream: Arc<Path>,
    journal: Journal,
    faults: Faults,
}

impl Passage {
    async fn listen(self, listener: StdListener) {
        let Ok(listener) = UnixListener::from_std(listener) else { return };
        while let Ok((stream, _)) = listener.accept().await {
            let passage = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let passage = passage.clone();
                    async move { passage.pass(request).await }
                });
                // Ends with an error whenever a fault was ordered.
                let _ended = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades()
                    .await;
            });
        }
    }

    async fn pass(&self, request: Request<Incoming>) -> Result<Answer, Broken> {
        let method = request.method().as_str().to_owned();
        let path = request.uri().to_string();
        let entry = self.journal.open(&method, &path);
        let fault = self.faults.meet(&method, &path);
        if let Some(fault) = &fault
            && let Some(answer) = before_send(fault).await?
        {
            return Ok(answer);
        }
        let answer = self.forward(request, &entry).await?;
        match fault {
            Some(fault) => after_reply(&fault, answer).await,
            None => Ok(answer),
        }
    }

    /// One connection to the engine per request: nothing that a fault does to
    /// one can reach another.
    async fn forward(
        &self,
        mut request: Request<Incoming>,
        entry: &Entry,
    ) -> Result<Answer, Broken> {
        let stream = UnixStream::connect(&self.upstream).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        let client_side = hyper::upgrade::on(&mut request);
        let reads = matches!(request.method().as_str(), "GET" | "HEAD");
        let recorded = (!reads).then(|| Arc::clone(entry));
        record::update(entry, |recorded| recorded.forwarded = true);
        let sent = sender.send_request(request.map(|inner| Tee { inner, entry: recorded })).await;
        let mut answer = sent?;
        record::update(entry, |recorded| {
            recorded.status = Some(answer.status().as_u16());
            recorded.answered = Some(std::time::Instant::now());
        });
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let engine_side = hyper::upgrade::on(&mut answer);
            tokio::spawn(async move {
                if let (Ok(client), Ok(engine)) = tokio::join!(client_side, engine_side) {
                    let (mut client, mut engine) = (TokioIo::new(client), TokioIo::new(engine));
                    let _ended = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
                }
            });
        }
        Ok(answer.map(BodyExt::boxed))
    }
}

/// What a fault does while the engine knows nothing; an answer ends the request.
async fn before_send(fault: &Fault) -> Result<Option<Answer>, Broken> {
    match fault.kind {
        FaultKind::DropBeforeSend => {
            fault.mark_reached();
            Err(Broken::Ordered)
        }
        FaultKind::Delay(time) => {
            fault.mark_reached();
            tokio::time::sleep(time).await;
            Ok(None)
        }
        FaultKind::HoldBeforeSend => {
            fault.mark_reached();
            fault.wait_for_release().await;
            Ok(None)
        }
        FaultKind::Refuse(status) => {
            fault.mark_reached();
            let message = serde_json::json!({ "message": "refused by the recording proxy" });
            let body = Full::new(Bytes::from(message.to_string()));
            let mut answer = Response::new(body.map_err(|never| match never {}).boxed());
            *answer.status_mut() =
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Ok(Some(answer))
        }
        FaultKind::DropReplyAfterEffect | FaultKind::HoldReply => Ok(None),
    }
}

/// What a fault does once the engine has answered.
async fn after_reply(fault: &Fault, answer: Answer) -> Result<Answer, Broken> {
    match fault.kind {
        FaultKind::DropReplyAfterEffect => {
            // The engine is done when its whole answer is there.
            let _lost = answer.into_body().collect().await?;
            fault.mark_reached();
            Err(Broken::Ordered)
        }
        FaultKind::HoldReply => {
            fault.mark_reached();
            fault.wait_for_release().await;
            Ok(answer)
        }
        FaultKind::DropBeforeSend
        | FaultKind::Delay(_)
        | FaultKind::HoldBeforeSend
        | FaultKind::Refuse(_) => Ok(answer),
    }
}

/// A request body that is written down while it passes.
struct Tee {
    inner: Incoming,
    entry: Option<Entry>,
}

impl Body for Tee {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        if let (Poll::Ready(Some(Ok(frame))), Some(entry)) = (&frame, &self.entry)
            && let Some(bytes) = frame.data_ref()
        {
            record::add_body(entry, bytes);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests;

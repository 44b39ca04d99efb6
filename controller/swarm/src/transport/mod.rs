//! One HTTP/1.1 client for the engine, for every kind of address, with a limit on everything.
//!
//! Why not a ready-made client: a write whose reply is lost must be told apart from one that was
//! never sent, no body may reach a log, and every read needs a limit in time *and* in size. That
//! needs the connection itself.
//!
//! # Guarantees
//! - Every call ends: connecting, the whole call and each gap in a reply have a limit.
//! - A request that writes is handed to a connection once. It is given to a second connection only
//!   when the first one gave it back unsent.
//! - Neither request nor reply bodies are logged.

mod dial;
mod pool;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::time::timeout;
use tracing::{Instrument as _, field};

pub(crate) use self::pool::Connection;
use self::pool::Pool;
use crate::address::{EngineAddress, bracketed};
use crate::error::{Call, Cause, Error};
use crate::registry::{self, RegistryAuth};

/// How long and how big things may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Opening a connection.
    pub connect: Duration,
    /// A read of one object, from the request to the end of the reply.
    pub read: Duration,
    /// A read of a list, whose reply may be large. A silence as long as `read` ends it earlier.
    pub list: Duration,
    /// A question that the engine passes on to an image registry.
    pub registry: Duration,
    /// A write. Above the daemon's own limit of 20 s, so that its answer is heard.
    pub write: Duration,
    /// The size of a reply in bytes.
    pub reply: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(5),
            list: Duration::from_secs(30),
            // A registry that answers at all does so within a second or two; one that drops packets
            // would keep the engine waiting for half a minute.
            registry: Duration::from_secs(10),
            write: Duration::from_secs(25),
            reply: 64 << 20,
        }
    }
}

/// The time that one call may take.
#[derive(Debug, Clone, Copy)]
struct Budget {
    total: Duration,
    /// The longest silence.
    gap: Duration,
}

/// What kind of call it is, for its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// One object.
    One,
    /// A list of any length.
    List,
}

/// What a request carries.
#[derive(Clone, Default)]
struct Payload {
    body: Bytes,
    auth: Option<HeaderValue>,
}

// Specs hold values of the environment.
impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reply({} bytes)", self.body.len())
    }
}

/// A successful reply.
pub(crate) struct Reply {
    pub(crate) body: Bytes,
}

/// The client.
#[derive(Debug)]
pub(crate) struct Transport {
    address: EngineAddress,
    host: HeaderValue,
    limits: Limits,
    pool: Pool,
}

impl Transport {
    /// A client for the engine at `address`; nothing is dialled yet.
    pub(crate) fn new(address: EngineAddress, limits: Limits) -> Self {
        let host = match &address {
            EngineAddress::Tcp { host, port } => format!("{}:{port}", bracketed(host)),
            EngineAddress::Unix(_) | EngineAddress::Ssh { .. } => "localhost".to_owned(),
        };
        let host = HeaderValue::try_from(host)
            .unwrap_or_else(|_never_after_parsing| HeaderValue::from_static("localhost"));
        Self { address, host, limits, pool: Pool::default() }
    }

    /// Reads; a reply with another status than success is an error.
    ///
    /// A read that finds a kept connection dead is sent again on a new one.
    pub(crate) async fn get(
        &self,
        path: &'static str,
        target: &str,
        size: Size,
    ) -> Result<Reply, Error> {
        let call = Call { method: Method::GET, path };
        let total = match size {
            Size::One => self.limits.read,
            Size::List => self.limits.list,
        };
        let budget = Budget { total, gap: self.limits.read };
        self.call(call, target, Payload::default(), budget).await
    }

    /// Reads what a registry answers to the engine.
    pub(crate) async fn ask_registry(
        &self,
        path: &'static str,
        target: &str,
        auth: Option<&RegistryAuth>,
    ) -> Result<Reply, Error> {
        let budget = Budget { total: self.limits.registry, gap: self.limits.registry };
        let payload = Payload { body: Bytes::new(), auth: auth.and_then(RegistryAuth::header) };
        self.call(Call { method: Method::GET, path }, target, payload, budget).await
    }

    /// Writes exactly these bytes, with credentials for the nodes that pull an image for it.
    pub(crate) async fn write(
        &self,
        method: Method,
        path: &'static str,
        target: &str,
        body: Bytes,
        auth: Option<&RegistryAuth>,
    ) -> Result<Reply, Error> {
        let budget = Budget { total: self.limits.write, gap: self.limits.write };
        let payload = Payload { body, auth: auth.and_then(RegistryAuth::header) };
        self.call(Call { method, path }, target, payload, budget).await
    }

    async fn call(
        &self,
        call: Call,
        target: &str,
        payload: Payload,
        budget: Budget,
    ) -> Result<Reply, Error> {
        let span = span(&call);
        let body = payload.body.clone();
        let work = async {
            let sent = AtomicBool::new(false);
            let exchange = self.exchange(&call, target, payload, budget, &sent);
            let result = match timeout(budget.total, exchange).await {
                Ok(result) => result,
                Err(_elapsed) => Err(Error::Timeout {
                    call: call.clone(),
                    after: budget.total,
                    sent: sent.load(Ordering::Relaxed),
                }),
            };
            // What was sent holds values that the engine's sentence may repeat.
            let result = result.map_err(|error| error.without_values_of(&body));
            record_failure(&result);
            result
        };
        work.instrument(span).await
    }

    async fn exchange(
        &self,
        call: &Call,
        target: &str,
        payload: Payload,
        budget: Budget,
        sent: &AtomicBool,
    ) -> Result<Reply, Error> {
        let (status, mut incoming, connection) =
            self.send(call, target, payload, budget.gap, sent).await?;
        let body = self.collect(call, &mut incoming, budget.gap).await?;
        self.pool.give_back(connection);
        if status.is_success() {
            Ok(Reply { body })
        } else {
            Err(Error::from_reply(call.clone(), status, &body))
        }
    }

    /// Opens a stream that goes on until the engine or the caller ends it. Only the beginning has
    /// a limit; the caller watches over its silence.
    pub(crate) async fn open(
        &self,
        path: &'static str,
        target: &str,
    ) -> Result<(Incoming, Connection), Error> {
        let call = Call { method: Method::GET, path };
        let span = span(&call);
        let work = async {
            let sent = AtomicBool::new(false);
            let result = async {
                let (status, mut incoming, connection) =
                    self.send(&call, target, Payload::default(), self.limits.read, &sent).await?;
                if status.is_success() {
                    return Ok((incoming, connection));
                }
                let collect = self.collect(&call, &mut incoming, self.limits.read);
                let body = match timeout(self.limits.read, collect).await {
                    Ok(body) => body?,
                    Err(_elapsed) => Bytes::new(),
                };
                Err(Error::from_reply(call.clone(), status, &body))
            }
            .await;
            record_failure(&result);
            result
        };
        work.instrument(span).await
    }

    /// Sends the request and waits for the head of the reply.
    async fn send(
        &self,
        call: &Call,
        target: &str,
        payload: Payload,
        gap: Duration,
        sent: &AtomicBool,
    ) -> Result<(StatusCode, Incoming, Connection), Error> {
        let mut kept = self.pool.take().await;
        loop {
            let reused = kept.is_some();
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => self.connect(call).await?,
            };
            let request = self.request(call, target, payload.clone())?;
            sent.store(true, Ordering::Relaxed);
            let reply = match timeout(gap, connection.sender.try_send_request(request)).await {
                Err(_elapsed) => {
                    return Err(Error::Timeout { call: call.clone(), after: gap, sent: true });
                }
                Ok(reply) => reply,
            };
            match reply {
                Ok(response) => {
                    let (head, incoming) = response.into_parts();
                    tracing::Span::current().record("docker.status", head.status.as_u16());
                    return Ok((head.status, incoming, connection));
                }
                // The engine closes connections that were idle. If the request came back
                // unsent, or reading twice does no harm, a new connection gets it.
                Err(error) if reused && (error.message().is_some() || !call.is_write()) => {
                    sent.store(false, Ordering::Relaxed);
                }
                Err(error) if error.message().is_some() => {
                    sent.store(false, Ordering::Relaxed);
                    let source = connection.explain(error.into_error()).await;
                    return Err(self.unreachable(source));
                }
                Err(error) => {
                    let source = connection.explain(error.into_error()).await;
                    return Err(Error::ConnectionLost { call: call.clone(), source });
                }
            }
        }
    }

    async fn connect(&self, call: &Call) -> Result<Connection, Error> {
        match timeout(self.limits.connect, Connection::open(&self.address)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(source)) => Err(self.unreachable(source)),
            Err(_elapsed) => {
                Err(Error::Timeout { call: call.clone(), after: self.limits.connect, sent: false })
            }
        }
    }

    fn unreachable(&self, source: Cause) -> Error {
        Error::Unreachable { address: self.address.to_string(), source }
    }

    fn request(
        &self,
        call: &Call,
        target: &str,
        payload: Payload,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(target)
            .header(header::HOST, self.host.clone())
            .header(header::USER_AGENT, concat!("skep/", env!("CARGO_PKG_VERSION")));
        let Payload { body, auth } = payload;
        if let Some(auth) = auth {
            request = request.header(registry::HEADER, auth);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::new(body))
            .map_err(|error| Error::Protocol { call: call.clone(), source: error.into() })
    }

    async fn collect(
        &self,
        call: &Call,
        incoming: &mut Incoming,
        gap: Duration,
    ) -> Result<Bytes, Error> {
        let too_large = || Error::TooLarge { call: call.clone(), limit: self.limits.reply };
        let announced = hyper::body::Body::size_hint(incoming).lower();
        if usize::try_from(announced).map_or(true, |size| size > self.limits.reply) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        loop {
            let frame = match timeout(gap, incoming.frame()).await {
                Err(_elapsed) => {
                    return Err(Error::Timeout { call: call.clone(), after: gap, sent: true });
                }
                Ok(None) => return Ok(body.freeze()),
                Ok(Some(Err(error))) => {
                    return Err(Error::ConnectionLost { call: call.clone(), source: error.into() });
                }
                Ok(Some(Ok(frame))) => frame,
            };
            if let Ok(data) = frame.into_data() {
                if body.len().saturating_add(data.len()) > self.limits.reply {
                    return Err(too_large());
                }
                body.extend_from_slice(&data);
            }
        }
    }
}

fn span(call: &Call) -> tracing::Span {
    tracing::info_span!(
        "docker.call",
        docker.method = %call.method,
        docker.path = call.path,
        docker.status = field::Empty,
        docker.error = field::Empty,
    )
}

fn record_failure<T>(result: &Result<T, Error>) {
    if let Err(error) = result {
        tracing::Span::current().record("docker.error", error.kind());
    }
}

#[cfg(test)]
mod tests;

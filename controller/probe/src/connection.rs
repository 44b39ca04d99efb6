//! One limited HTTP/1.1 connection: requests out, bounded replies in.

use std::io;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::message;
use crate::sse::Events;
use crate::{Error, Limits, Target};

/// A head has at most this many bytes and headers; no real server comes near.
const LARGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 100;

/// A connection that ends when it is dropped.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<()>,
}

/// A connection with what it is opened for; opened again when the server closes it in between.
pub(crate) struct Line<'a> {
    target: &'a Target,
    limits: &'a Limits,
    open: Option<Connection>,
}

impl<'a> Line<'a> {
    pub(crate) async fn open(target: &'a Target, limits: &'a Limits) -> Result<Self, Error> {
        let open = Some(Connection::open(target, limits).await?);
        Ok(Self { target, limits, open })
    }

    pub(crate) fn resume(target: &'a Target, limits: &'a Limits, open: Option<Connection>) -> Self {
        Self { target, limits, open }
    }

    /// The connection, if it can be used again. The same one reaches the same replica.
    pub(crate) fn into_connection(self) -> Option<Connection> {
        self.open
    }

    /// Sends a request and waits for the head of the reply.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        headers: HeaderMap,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, Error> {
        let request = request(self.target, method, headers, body)?;
        let kept = match self.open.take() {
            Some(mut kept) => kept.sender.ready().await.is_ok().then_some(kept),
            None => None,
        };
        let mut connection = match kept {
            Some(kept) => kept,
            None => Connection::open(self.target, self.limits).await?,
        };
        let sent = connection.sender.send_request(request).await;
        let response = sent.map_err(|source| Error::Http { source })?;
        self.open = Some(connection);
        Ok(response)
    }

    /// Reads the response to the request of this id.
    pub(crate) async fn response(
        &mut self,
        reply: Response<Incoming>,
        id: u64,
    ) -> Result<Value, Error> {
        let (head, body) = reply.into_parts();
        if !head.status.is_success() {
            let message = self.refusal(body).await;
            return Err(Error::Status { status: head.status.as_u16(), message });
        }
        if head.status != StatusCode::OK {
            return Err(Error::not_mcp(format!("HTTP {} has no message", head.status.as_u16())));
        }
        self.check_announced(&head.headers)?;
        match media_type(&head.headers).as_str() {
            "application/json" => {
                let body = self.collect(body).await?;
                let message: Value = serde_json::from_slice(&body)
                    .map_err(|error| Error::not_mcp(format!("bad JSON: {error}")))?;
                message::response(&message, id)?
                    .ok_or_else(|| Error::not_mcp("the message is no response to the request"))
            }
            "text/event-stream" => self.response_in_stream(body, id).await,
            "" => Err(Error::not_mcp("the reply names no content type")),
            other => Err(Error::not_mcp(format!("the reply is {}", crate::text::clean(other)))),
        }
    }

    /// What a refusal says. Nothing about it may hide the refusal itself.
    async fn refusal(&mut self, body: Incoming) -> Option<String> {
        message::refusal(&self.collect(body).await.ok()?)
    }

    async fn response_in_stream(&mut self, mut body: Incoming, id: u64) -> Result<Value, Error> {
        let (mut events, mut taken) = (Events::default(), 0);
        while let Some(data) = self.next(&mut body, &mut taken).await? {
            for text in events.push(&data) {
                // Servers may send notifications first, and some send words of their own.
                let message = serde_json::from_str(&text).unwrap_or(Value::Null);
                if let Some(result) = message::response(&message, id)? {
                    // The stream may stay open; it is not waited for.
                    self.open = None;
                    return Ok(result);
                }
            }
        }
        Err(Error::not_mcp("the stream ended without a response"))
    }

    /// Reads a body that nobody needs, so that the connection can be used again.
    pub(crate) async fn skip(&mut self, reply: Response<Incoming>) {
        if self.collect(reply.into_body()).await.is_err() {
            self.open = None;
        }
    }

    async fn collect(&mut self, mut body: Incoming) -> Result<Bytes, Error> {
        let (mut all, mut taken) = (BytesMut::new(), 0);
        while let Some(data) = self.next(&mut body, &mut taken).await? {
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    }

    async fn next(
        &mut self,
        body: &mut Incoming,
        taken: &mut usize,
    ) -> Result<Option<Bytes>, Error> {
        loop {
            match body.frame().await {
                None => return Ok(None),
                Some(Err(source)) => return Err(Error::Http { source }),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    *taken = taken.saturating_add(data.len());
                    if *taken > self.limits.body {
                        return Err(Error::TooLarge { limit: self.limits.body });
                    }
                    return Ok(Some(data));
                }
            }
        }
    }

    fn check_announced(&self, headers: &HeaderMap) -> Result<(), Error> {
        let announced =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        match announced {
            Some(length) if self.limits.body < length => {
                Err(Error::TooLarge { limit: self.limits.body })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Connection {
    async fn open(target: &Target, limits: &Limits) -> Result<Self, Error> {
        let connecting = TcpStream::connect((target.host.as_str(), target.port));
        let stream = match timeout(limits.connect, connecting).await {
            Err(_elapsed) => {
                let (target, after) = (target.to_string(), limits.connect);
                return Err(Error::ConnectTimeout { target, after });
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(Error::Refused { target: target.to_string() });
            }
            Ok(Err(source)) => {
                return Err(Error::Unreachable { target: target.to_string(), source });
            }
            Ok(Ok(stream)) => stream,
        };
        let handshake = http1::Builder::new()
            .max_buf_size(LARGEST_HEAD)
            .max_headers(MOST_HEADERS)
            .handshake(TokioIo::new(stream));
        let (sender, driver) = handshake.await.map_err(|source| Error::Http { source })?;
        // How it ends shows where it is used.
        let driver = tokio::spawn(async move {
            let _ended = driver.await;
        });
        Ok(Self { sender, _driver: AbortOnDropHandle::new(driver) })
    }
}

fn request(
    target: &Target,
    method: Method,
    headers: HeaderMap,
    body: Option<&Value>,
) -> Result<Request<Full<Bytes>>, Error> {
    let mut builder = Request::builder()
        .method(method)
        .uri(&target.path)
        .header(HOST, target.authority())
        .header(USER_AGENT, concat!("skep/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/json, text/event-stream");
    if body.is_some() {
        builder = builder.header(CONTENT_TYPE, "application/json");
    }
    let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let mut request = builder
        .body(Full::new(body))
        .map_err(|source| Error::Target { target: target.to_string(), source })?;
    request.headers_mut().extend(headers);
    Ok(request)
}

/// The content type without its parameters, in lower case; empty when there is none.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

//! The listener: `POST /mcp`, `GET /health`, and the probe that asks for it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::behaviour::Behaviour;
use crate::protocol::{self, REVISIONS, Reply};

/// Larger than any message of a test, small enough to bound a broken client.
const LARGEST_MESSAGE: usize = 1 << 20;

/// Docker's own default for a health check is 30 s; a connector on loopback
/// that needs a tenth of that is not healthy.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Serves until the listener breaks, and returns why.
pub(crate) async fn listen(behaviour: &Behaviour) -> std::io::Error {
    tokio::time::sleep(behaviour.slow_start).await;
    let listener = match TcpListener::bind((behaviour.host, behaviour.port)).await {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    serve(listener, behaviour.unhealthy).await
}

async fn serve(listener: TcpListener, unhealthy: bool) -> std::io::Error {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => return error,
        };
        tokio::spawn(async move {
            // A client that goes away in the middle is no news.
            let _ended = hyper::server::conn::http1::Builder::new()
                .serve_connection(
                    TokioIo::new(stream),
                    service_fn(move |request| route(request, unhealthy)),
                )
                .await;
        });
    }
}

async fn route(
    request: Request<Incoming>,
    unhealthy: bool,
) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match (request.method().clone(), request.uri().path()) {
        (Method::GET, "/health") if unhealthy => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "unhealthy\n")
        }
        (Method::GET, "/health") => plain(StatusCode::OK, "ok\n"),
        (Method::POST, "/mcp") => message(request).await,
        // No stream of the server's own messages and no sessions to end: the
        // protocol's answer to both is 405.
        (_, "/mcp") => with_header(plain(StatusCode::METHOD_NOT_ALLOWED, ""), ALLOW, "POST"),
        (_, "/health") => with_header(plain(StatusCode::METHOD_NOT_ALLOWED, ""), ALLOW, "GET"),
        _ => plain(StatusCode::NOT_FOUND, "not found\n"),
    })
}

async fn message(request: Request<Incoming>) -> Response<Full<Bytes>> {
    if !origin_is_local(request.headers()) {
        return plain(StatusCode::FORBIDDEN, "foreign origin\n");
    }
    let revision = request.headers().get("mcp-protocol-version");
    if revision.is_some_and(|asked| !REVISIONS.iter().any(|known| asked == known)) {
        return plain(StatusCode::BAD_REQUEST, "unsupported MCP-Protocol-Version\n");
    }
    match Limited::new(request.into_body(), LARGEST_MESSAGE).collect().await {
        Err(_) => plain(StatusCode::PAYLOAD_TOO_LARGE, "message too large\n"),
        Ok(body) => match protocol::answer(&body.to_bytes()) {
            Reply::Accepted => plain(StatusCode::ACCEPTED, ""),
            Reply::Message(answer) => json(StatusCode::OK, &answer),
            Reply::Malformed(error) => json(StatusCode::BAD_REQUEST, &error),
        },
    }
}

/// The protocol asks servers to refuse browsers on other sites (DNS rebinding).
fn origin_is_local(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let Some((_, authority)) = origin.split_once("://") else { return false };
    let name = authority.rsplit_once(':').map_or(authority, |(name, _port)| name);
    name == "localhost" || name == "127.0.0.1" || name == "[::1]"
}

/// Whether the server on this machine's loopback answers `/health` with 200.
pub(crate) async fn probe(port: u16) -> bool {
    tokio::time::timeout(PROBE_TIMEOUT, ask_health(port)).await == Ok(Some(StatusCode::OK))
}

async fn ask_health(port: u16) -> Option<StatusCode> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = Request::get("/health")
        .header(HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .ok()?;
    Some(sender.send_request(request).await.ok()?.status())
}

fn plain(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    with_header(response, CONTENT_TYPE, "text/plain; charset=utf-8")
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    with_header(response, CONTENT_TYPE, "application/json")
}

fn with_header(
    mut response: Response<Full<Bytes>>,
    name: hyper::header::HeaderName,
    value: &'static str,
) -> Response<Full<Bytes>> {
    response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn started(unhealthy: bool) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(serve(listener, unhealthy));
        port
    }

    async fn send(port: u16, request: Request<Full<Bytes>>) -> (StatusCode, String) {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn post(body: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
        let mut request = Request::post("/mcp").header(HOST, "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
    }

    #[tokio::test]
    async fn the_probe_tells_healthy_from_unhealthy_from_absent() {
        assert!(probe(started(false).await).await);
        assert!(!probe(started(true).await).await);
        let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = unused.local_addr().unwrap().port();
        drop(unused);
        assert!(!probe(port).await);
    }

    #[tokio::test]
    async fn a_client_can_initialize_over_http() {
        let port = started(false).await;
        let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26"}}"#;
        let (status, body) = send(port, post(hello, &[])).await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("2025-03-26") && body.contains("skep-test-mcp"), "{body}");
        let ready = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let (status, body) =
            send(port, post(ready, &[("mcp-protocol-version", "2025-03-26")])).await;
        assert_eq!((status, body.as_str()), (StatusCode::ACCEPTED, ""));
    }

    #[tokio::test]
    async fn what_the_protocol_forbids_is_refused() {
        let port = started(false).await;
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        for (headers, expected) in [
            ([("origin", "https://evil.example")], StatusCode::FORBIDDEN),
            ([("origin", "http://localhost:3000")], StatusCode::OK),
            ([("mcp-protocol-version", "1999-01-01")], StatusCode::BAD_REQUEST),
        ] {
            assert_eq!(send(port, post(ping, &headers)).await.0, expected, "{headers:?}");
        }
        let large = "x".repeat(LARGEST_MESSAGE + 1);
        assert_eq!(send(port, post(&large, &[])).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        let stream = Request::get("/mcp").header(HOST, "h").body(Full::default()).unwrap();
        assert_eq!(send(port, stream).await.0, StatusCode::METHOD_NOT_ALLOWED);
    }
}

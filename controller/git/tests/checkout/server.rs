//! A git server behind TLS, as friendly or as hostile as a test needs it: `git http-backend`, or
//! something else in its place.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use skep_git::{RemoteUrl, Source};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::lab::{Lab, secret};

/// What the server does.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// What it should.
    Serve,
    /// Always the same status and body.
    Say(u16, &'static str),
    /// Sends whoever asks to another place.
    Redirect(String),
    /// Ends packs after so many bytes.
    Truncate(usize),
    /// Accepts the connection and never answers.
    Hang,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) authorisation: Option<String>,
}

struct State {
    root: PathBuf,
    manner: Mutex<Manner>,
    authorisation: Option<String>,
    asked: Mutex<Vec<Asked>>,
}

/// A running server; ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: String,
    state: Arc<State>,
    _serving: AbortOnDropHandle<()>,
}

impl Server {
    /// Serves the repositories of a lab to everybody.
    pub(crate) async fn open(lab: &Lab) -> Self {
        Self::start(lab, None).await
    }

    /// Serves them to whoever sends this header.
    pub(crate) async fn private(lab: &Lab, authorisation: &str) -> Self {
        Self::start(lab, Some(authorisation.to_owned())).await
    }

    async fn start(lab: &Lab, authorisation: Option<String>) -> Self {
        let own = rcgen::generate_simple_self_signed(["git.test".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            root: lab.path("."),
            manner: Mutex::new(Manner::Serve),
            authorisation,
            asked: Mutex::default(),
        });
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let serving = tokio::spawn(serve(listener, acceptor, Arc::clone(&state)));
        let certificate = own.cert.pem();
        Self { address, certificate, state, _serving: AbortOnDropHandle::new(serving) }
    }

    pub(crate) fn behaves(&self, manner: Manner) {
        *self.state.manner.lock().unwrap() = manner;
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("https://git.test:{}/origin.git", self.address.port())
    }

    /// The repository of the lab, with this server's certificate.
    pub(crate) fn source(&self) -> Source {
        let source = Source::new(RemoteUrl::parse(&self.url()).unwrap());
        Source { authorities: Some(secret(&self.certificate)), ..source }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| answer(request, Arc::clone(&state)));
            let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _hung_up = serving.await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<State>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let asked = Asked { path: request.uri().to_string(), authorisation: header("authorization") };
    state.asked.lock().unwrap().push(asked.clone());
    let manner = state.manner.lock().unwrap().clone();
    let reply = |status: u16| Response::builder().status(status);
    match &manner {
        Manner::Say(status, body) => {
            return Ok(reply(*status)
                .body(Full::from(Bytes::from_static(body.as_bytes())))
                .unwrap());
        }
        Manner::Redirect(to) => {
            return Ok(reply(302).header("location", to).body(Full::default()).unwrap());
        }
        Manner::Hang => std::future::pending().await,
        Manner::Serve | Manner::Truncate(_) => {}
    }
    if state.authorisation.is_some() && state.authorisation != asked.authorisation {
        let challenge = reply(401).header("www-authenticate", "Basic realm=\"git\"");
        return Ok(challenge.body(Full::default()).unwrap());
    }
    let (head, mut body) = backend(request, &state.root).await;
    if let Manner::Truncate(at) = manner
        && crate::lab::contains(&body, "packfile")
    {
        body.truncate(at);
    }
    let mut response = Response::builder();
    for line in head.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap()),
            _ => response.header(name, value),
        };
    }
    Ok(response.body(Full::from(body)).unwrap())
}

/// `git http-backend`, as a CGI program.
async fn backend(request: Request<Incoming>, root: &std::path::Path) -> (String, Vec<u8>) {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let body = body.collect().await.unwrap().to_bytes();
    let mut stdin = child.stdin.take().unwrap();
    let feed = async move {
        let _closed = stdin.write_all(&body).await;
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.unwrap().stdout;
    let end = output.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(output[..end].to_vec()).unwrap();
    (head, output[end + 4..].to_vec())
}

//! The only way of git's programs to the network: a listener on loopback that lives as long as
//! one of them, leads to one host and one port, and opens each connection through [`Dialer`].
//!
//! curl reaches it as an HTTP proxy (`CONNECT`) and proves with a password made for this run that
//! git sent it. ssh knows no proxies, so for it the listener is the server itself.
//!
//! # Caveats
//! Who can open a connection on this machine's loopback can use the one for ssh while it lives.
//! It leads to the port of a server that the settings allow, and proves nothing there.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::dial::{DialError, Dialer};

/// How a client says where it wants to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// `CONNECT host:port`, with the password of this run.
    Proxy,
    /// Not at all: there is one place.
    Direct,
}

/// Where a forwarder leads.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// How many bytes may come back, over all connections.
    pub(crate) most: u64,
}

/// A running forwarder; ends, with all its connections, when it is dropped.
pub(crate) struct Forwarder {
    address: SocketAddr,
    password: String,
    problem: Arc<Mutex<Option<DialError>>>,
    _serving: AbortOnDropHandle<()>,
}

/// What a connection needs.
#[derive(Clone)]
struct Shared {
    manner: Manner,
    target: Target,
    authorisation: String,
    dialer: Dialer,
    received: Arc<AtomicU64>,
    problem: Arc<Mutex<Option<DialError>>>,
}

/// The user of the proxy's password.
const USER: &str = "skep";
/// How long a client may take to say where it wants to go.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// The longest head of a request.
const HEAD_BYTES: usize = 8 << 10;
/// Connections at once; git opens one or two.
const CONNECTIONS: usize = 8;
const CHUNK: usize = 64 << 10;

impl Forwarder {
    /// Listens, with a password that nobody has used before.
    ///
    /// # Errors
    /// When this machine has no port or no random bytes left.
    pub(crate) async fn start(
        manner: Manner,
        target: Target,
        dialer: Dialer,
    ) -> std::io::Result<Self> {
        let mut random = [0_u8; 24];
        getrandom::fill(&mut random).map_err(std::io::Error::other)?;
        let password = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random);
        let authorisation = format!("Basic {}", STANDARD.encode(format!("{USER}:{password}")));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let problem = Arc::new(Mutex::new(None));
        let shared = Shared {
            manner,
            target,
            authorisation,
            dialer,
            received: Arc::default(),
            problem: Arc::clone(&problem),
        };
        let serving = AbortOnDropHandle::new(tokio::spawn(serve(listener, shared)));
        Ok(Self { address, password, problem, _serving: serving })
    }

    /// The port on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The proxy as curl takes it.
    pub(crate) fn proxy(&self) -> String {
        format!("http://{USER}:{}@{}", self.password, self.address)
    }

    /// The password of this run, which must not be repeated to anybody.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// Why a connection was not opened or was ended, if one was.
    pub(crate) fn problem(&self) -> Option<DialError> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(listener: TcpListener, shared: Shared) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS {
            connections.join_next().await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = shared.clone();
                connections.spawn(async move {
                    // Whoever hangs up knows why; what was refused is noted.
                    let _ended = connection(stream, &shared).await;
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

impl Shared {
    fn note(&self, problem: DialError) {
        let mut noted = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        // The first one is the cause of what follows.
        noted.get_or_insert(problem);
    }
}

async fn connection(mut client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    if shared.manner == Manner::Proxy {
        let head = tokio::time::timeout(HEAD_WITHIN, read_head(&mut client)).await;
        let Ok(head) = head else { return Ok(()) };
        if let Err(answer) = check(&head?, shared) {
            return client.write_all(answer.as_bytes()).await;
        }
    }
    let Target { host, port, .. } = &shared.target;
    let server = match shared.dialer.dial(host, *port).await {
        Ok(server) => server,
        Err(problem) => {
            shared.note(problem);
            if shared.manner == Manner::Proxy {
                client.write_all(BAD_GATEWAY.as_bytes()).await?;
            }
            return Ok(());
        }
    };
    if shared.manner == Manner::Proxy {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let copied = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _gone = to_server.shutdown().await;
        copied.map(drop)
    };
    let down = async {
        let mut chunk = vec![0_u8; CHUNK];
        loop {
            let count = from_server.read(&mut chunk).await?;
            let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else {
                return to_client.shutdown().await;
            };
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            let before = shared.received.fetch_add(count, Ordering::Relaxed);
            if before.saturating_add(count) > shared.target.most {
                let host = host.clone();
                shared.note(DialError::TooMuch { host, limit: shared.target.most });
                return Err(std::io::ErrorKind::QuotaExceeded.into());
            }
            to_client.write_all(bytes).await?;
        }
    };
    // Ends with the first error: dropping the halves closes both sides.
    tokio::try_join!(up, down).map(drop)
}

async fn read_head(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    // Byte by byte: what follows the head belongs to the tunnel.
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES {
        head.push(client.read_u8().await?);
    }
    Ok(head)
}

const BAD_REQUEST: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n";
const BAD_GATEWAY: &str = "HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n";
const WHO: &str = "HTTP/1.1 407 Proxy Authentication Required\r\n\
                   Proxy-Authenticate: Basic realm=\"skep\"\r\nConnection: close\r\n\r\n";

/// Whether the request leads to the one place and comes from git.
fn check(head: &[u8], shared: &Shared) -> Result<(), &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    if !request.parse(head).is_ok_and(|status| status.is_complete()) {
        return Err(BAD_REQUEST);
    }
    let given = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("proxy-authorization"));
    let expected = shared.authorisation.as_bytes();
    if !given.is_some_and(|given| bool::from(given.value.ct_eq(expected))) {
        return Err(WHO);
    }
    let Target { host, port, .. } = &shared.target;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let wanted = format!("{host}:{port}");
    let is_there = request.path.is_some_and(|path| path.eq_ignore_ascii_case(&wanted));
    if request.method == Some("CONNECT") && is_there { Ok(()) } else { Err(FORBIDDEN) }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use async_trait::async_trait;

    use super::*;
    use crate::access::Access;
    use crate::dial::Resolve;

    /// A name that means another machine each time that it is asked for.
    struct Moving(Mutex<Vec<IpAddr>>);

    #[async_trait]
    impl Resolve for Moving {
        async fn resolve(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
            let mut answers = self.0.lock().expect("not poisoned");
            let next = if answers.len() > 1 { answers.remove(0) } else { answers[0] };
            Ok(vec![next])
        }
    }

    async fn start(manner: Manner, port: u16, most: u64, answers: &[&str]) -> Forwarder {
        let access = Access {
            networks: vec!["127.0.0.1/32".parse().expect("a network")],
            ..Access::default()
        };
        let answers = answers.iter().map(|text| text.parse().expect("an address")).collect();
        let dialer = Dialer::new(Arc::new(access), Arc::new(Moving(Mutex::new(answers))));
        let target = Target { host: "git.test".to_owned(), port, most };
        Forwarder::start(manner, target, dialer).await.expect("a forwarder")
    }

    /// A server that says the same to everybody.
    async fn server(says: Vec<u8>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _hung_up = stream.write_all(&says).await;
            }
        });
        port
    }

    async fn ask(forwarder: &Forwarder, request: &str) -> String {
        let mut stream = TcpStream::connect(forwarder.address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("text")
    }

    fn connect(forwarder: &Forwarder, to: &str) -> String {
        let password = STANDARD.encode(format!("{USER}:{}", forwarder.password));
        format!("CONNECT {to} HTTP/1.1\r\nProxy-Authorization: Basic {password}\r\n\r\n")
    }

    #[tokio::test]
    async fn it_leads_to_one_place_and_only_for_git() {
        let port = server(b"hello".to_vec()).await;
        let forwarder = start(Manner::Proxy, port, 1000, &["127.0.0.1"]).await;
        let right = connect(&forwarder, &format!("git.test:{port}"));
        assert!(ask(&forwarder, &right).await.ends_with("hello"));
        for (request, status) in [
            (connect(&forwarder, "git.test:1"), "403"),
            (connect(&forwarder, &format!("other.test:{port}")), "403"),
            (connect(&forwarder, &format!("127.0.0.1:{port}")), "403"),
            (right.replace("CONNECT ", "GET http://"), "403"),
            (right.replace("Basic ", "Basic x"), "407"),
            (format!("CONNECT git.test:{port} HTTP/1.1\r\n\r\n"), "407"),
            ("nonsense\r\n\r\n".to_owned(), "400"),
        ] {
            let answer = ask(&forwarder, &request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
            assert!(!answer.contains("hello"), "{answer}");
        }
        assert_eq!(forwarder.problem(), None, "a stranger is no problem of the repository");
    }

    #[tokio::test]
    async fn a_name_that_moves_to_loopback_leads_nowhere() {
        let port = server(b"hello".to_vec()).await;
        // 127.0.0.1 stands for the public machine, 127.0.0.2 for the one behind the wall.
        let inner = TcpListener::bind(("127.0.0.2", port)).await.expect("a port");
        let forwarder = start(Manner::Proxy, port, 1000, &["127.0.0.1", "127.0.0.2"]).await;
        let request = connect(&forwarder, &format!("git.test:{port}"));
        assert!(ask(&forwarder, &request).await.ends_with("hello"));
        assert!(ask(&forwarder, &request).await.starts_with("HTTP/1.1 502"));
        let problem = forwarder.problem().expect("a problem");
        assert!(matches!(problem, DialError::Forbidden { .. }), "{problem}");
        let nobody = tokio::time::timeout(Duration::from_millis(50), inner.accept()).await;
        assert!(nobody.is_err(), "it was dialled");
    }

    #[tokio::test]
    async fn no_more_comes_through_than_is_allowed() {
        let port = server(vec![b'x'; 100_000]).await;
        let forwarder = start(Manner::Direct, port, 70_000, &["127.0.0.1"]).await;
        let got = ask(&forwarder, "").await.len();
        assert!(got <= 70_000, "{got}");
        assert!(matches!(forwarder.problem(), Some(DialError::TooMuch { limit: 70_000, .. })));
    }
}

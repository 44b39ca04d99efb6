//! A server that takes webhooks, and somebody who sends them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::Value;
use sha2::Sha256;
use skep_core::ports::{Clock, SecretSource};
use skep_core::push::{Matter, Provider, PullRequest, Push};
use skep_http::{
    Announcements, Identity, Limits, NotTaken, Outcome, Probe, Readiness, Server, Status, Taken,
    Webhooks,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "a secret of good length";
pub(crate) const SIGNING_KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// When the clock of these servers stands.
pub(crate) fn started_at() -> i64 {
    1_764_363_600
}

#[derive(Debug, Default)]
pub(crate) struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(started_at()).unwrap()
    }
}

/// Everything that somebody was told.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) pushes: Mutex<Vec<Push>>,
    pub(crate) requests: Mutex<Vec<PullRequest>>,
    known: Mutex<Vec<[u8; 32]>>,
    /// How every delivery ended.
    pub(crate) counted: Mutex<Vec<(Provider, Outcome)>>,
    /// True while nothing can be kept.
    pub(crate) is_broken: AtomicBool,
}

struct Listening(Arc<Heard>);

#[async_trait]
impl Announcements for Listening {
    async fn take(&self, identity: Identity, matter: Matter) -> Result<Taken, NotTaken> {
        if self.0.is_broken.load(Ordering::Relaxed) {
            return Err(NotTaken("the disk of db1.internal is full".to_owned()));
        }
        let mut known = self.0.known.lock().unwrap();
        let digests = [Some(identity.content), identity.name];
        if digests.iter().flatten().any(|digest| known.contains(digest)) {
            return Ok(Taken::Known);
        }
        known.extend(digests.into_iter().flatten());
        match matter {
            Matter::Push(push) => self.0.pushes.lock().unwrap().push(push),
            Matter::Proposal(request) => self.0.requests.lock().unwrap().push(request),
            Matter::Sync { .. } => unreachable!("no forge wishes for one"),
        }
        Ok(Taken::New)
    }

    fn count(&self, provider: Provider, outcome: Outcome) {
        self.0.counted.lock().unwrap().push((provider, outcome));
    }
}

struct Fixed(Arc<Mutex<String>>);

impl SecretSource for Fixed {
    fn reveal(&self) -> Result<String, String> {
        Ok(self.0.lock().unwrap().clone())
    }
}

struct Nothing;

#[async_trait]
impl Probe for Nothing {
    async fn readiness(&self) -> Readiness {
        Readiness::of(BTreeMap::new())
    }

    fn metrics(&self) -> (String, &'static str) {
        (String::new(), "text/plain")
    }

    async fn status(&self) -> Status {
        unreachable!("nobody asks for it here")
    }
}

pub(crate) struct Running {
    address: SocketAddr,
    pub(crate) heard: Arc<Heard>,
}

/// A server that every forge may tell something.
pub(crate) async fn start() -> Running {
    let secrets = [
        (Provider::GitHub, SECRET),
        (Provider::Gitea, SECRET),
        (Provider::Forgejo, SECRET),
        (Provider::GitLab, SIGNING_KEY),
    ];
    start_with(&secrets, Now).await
}

pub(crate) async fn start_with(secrets: &[(Provider, &str)], now: Now) -> Running {
    let secrets = secrets
        .iter()
        .map(|(provider, secret)| (*provider, Arc::new(Mutex::new((*secret).to_owned()))));
    serve(secrets.collect(), now).await
}

pub(crate) async fn start_rotating(secret: Arc<Mutex<String>>) -> Running {
    serve(vec![(Provider::GitHub, secret)], Now).await
}

async fn serve(secrets: Vec<(Provider, Arc<Mutex<String>>)>, now: Now) -> Running {
    let heard = Arc::new(Heard::default());
    let mut webhooks = Webhooks::new(Arc::new(Listening(Arc::clone(&heard))), Arc::new(now));
    for (provider, secret) in secrets {
        webhooks = webhooks.with(provider, vec![Arc::new(Fixed(secret))]);
    }
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), Limits::default()).await.unwrap();
    let server = server.with_webhooks(webhooks);
    let address = server.address();
    tokio::spawn(server.serve(Arc::new(Nothing), CancellationToken::new()));
    Running { address, heard }
}

/// A request of a forge.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    forge: String,
    pub(crate) body: Vec<u8>,
    headers: BTreeMap<String, String>,
}

impl Delivery {
    pub(crate) fn new(forge: &str, body: &[u8]) -> Self {
        let json = ("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned());
        Self { forge: forge.to_owned(), body: body.to_vec(), headers: BTreeMap::from([json]) }
    }

    /// The same, sent to another forge's address.
    pub(crate) fn to(mut self, forge: &str) -> Self {
        self.forge = forge.to_owned();
        self
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// A signed delivery of GitHub.
pub(crate) fn github(body: &[u8], event: &str, id: &str) -> Delivery {
    Delivery::new("github", body)
        .with("X-GitHub-Event", event)
        .with("X-GitHub-Delivery", id)
        .with("X-Hub-Signature-256", &format!("sha256={}", hmac_hex(body)))
}

pub(crate) fn mac(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(bytes);
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn hmac_hex(body: &[u8]) -> String {
    mac(SECRET.as_bytes(), body).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Running {
    /// Sends it and gives the status and the answer.
    pub(crate) async fn post(&self, delivery: &Delivery) -> (u16, Value) {
        let mut head = format!(
            "POST /api/v1/webhooks/{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Length: {}\r\n",
            delivery.forge,
            delivery.body.len()
        );
        for (name, value) in &delivery.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let request = [head.as_bytes(), b"\r\n", &delivery.body].concat();
        let reply = self.ask(&request).await;
        let status = reply.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = reply.split_once("\r\n\r\n").unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// Sends bytes and gives what comes back. A server that has heard enough hangs up.
    pub(crate) async fn ask(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        let mut reply = Vec::new();
        let send = async { drop(writing.write_all(request).await) };
        let receive = async { drop(reading.read_to_end(&mut reply).await) };
        tokio::join!(send, receive);
        String::from_utf8_lossy(&reply).into_owned()
    }
}

//! The connection is lost around a COMMIT: what became of the write is found out, and repeating
//! the call does nothing twice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests report by panicking"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{ClusterId, ObjectKey, RequestId, ServiceName, TermId};
use skep_core::request::{NewRequest, RequestVerb};
use skep_store::conformance::protection;
use skep_store::{
    Audit as _, AuditFilter, Category, Error, Holds as _, LeaseRequest, Leases as _, Requests as _,
    Store as _,
};
use skep_store_postgres::{Address, OpenOptions, PostgresStore};
use skep_testkit::Postgres;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// What happens to the next COMMIT.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Cut {
    /// Nothing.
    Nowhere = 0,
    /// It never reaches the server.
    Before = 1,
    /// It does; its answer never reaches us.
    After = 2,
    /// The same, and nobody can connect any more.
    AfterAndDown = 3,
    /// Nobody can connect.
    Down = 4,
}

/// Between us and the server: passes everything on, and knows a COMMIT when it sees one.
struct Proxy {
    port: u16,
    cut: Arc<AtomicU8>,
}

impl Proxy {
    async fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicU8::new(Cut::Nowhere as u8));
        let seen = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if seen.load(Ordering::SeqCst) == Cut::Down as u8 {
                    continue;
                }
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&seen)));
            }
        });
        Self { port, cut }
    }

    fn cut(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }
}

/// Passes messages on until a COMMIT is cut off. Dropping both ends closes them.
async fn pass(client: TcpStream, server: UnixStream, cut: Arc<AtomicU8>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move {
        let _either_side_ends = tokio::io::copy(&mut from_server, &mut to_client).await;
    });
    // The first message has no type.
    let mut typed = false;
    while let Some(message) = message(&mut from_client, typed).await {
        typed = true;
        let is_commit = message.starts_with(b"Q") && message[5..].starts_with(b"COMMIT");
        let now = cut.load(Ordering::SeqCst);
        if now == Cut::Down as u8 {
            return;
        }
        if is_commit && now != Cut::Nowhere as u8 {
            answers.abort();
            let _gone = answers.await;
            if now == Cut::Before as u8 {
                cut.store(Cut::Nowhere as u8, Ordering::SeqCst);
                return;
            }
            to_server.write_all(&message).await.unwrap();
            // The end of what the server sends follows its COMMIT: it has been carried out.
            to_server.shutdown().await.unwrap();
            let next = if now == Cut::AfterAndDown as u8 { Cut::Down } else { Cut::Nowhere };
            cut.store(next as u8, Ordering::SeqCst);
            return;
        }
        if to_server.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn message(from: &mut (impl tokio::io::AsyncRead + Unpin), typed: bool) -> Option<Vec<u8>> {
    let mut whole = vec![0; if typed { 5 } else { 4 }];
    from.read_exact(&mut whole).await.ok()?;
    let at = whole.len() - 4;
    let length = u32::from_be_bytes(whole[at..].try_into().unwrap()) as usize;
    let start = whole.len();
    whole.resize(at + length, 0);
    from.read_exact(&mut whole[start..]).await.ok()?;
    Some(whole)
}

fn options() -> OpenOptions {
    OpenOptions::new(protection())
}

struct Rig {
    proxy: Proxy,
    /// Through the proxy.
    store: PostgresStore,
    /// Past it.
    direct: PostgresStore,
}

impl Rig {
    async fn new() -> Self {
        let url = Postgres::shared().unwrap().fresh_database().unwrap();
        let direct: Address = url.parse().unwrap();
        let direct = PostgresStore::open(&direct, options()).await.unwrap();
        let (rest, folder) = url.split_once("?host=").unwrap();
        let database = rest.rsplit_once('/').unwrap().1;
        let socket = PathBuf::from(folder.replace("%2F", "/")).join(".s.PGSQL.5432");
        let proxy = Proxy::start(socket).await;
        let through =
            format!("postgres://skep@127.0.0.1:{}/{database}?sslmode=disable", proxy.port);
        let through: Address = through.parse().unwrap();
        let store = PostgresStore::open(&through, options()).await.unwrap();
        // The first write of an opening begins its chain of the audit trail, with a COMMIT of its
        // own; these tests are about the others.
        store.place_hold(&hold("before")).await.unwrap();
        Self { proxy, store, direct }
    }

    async fn trail(&self) -> usize {
        self.direct.audit(&AuditFilter::default()).await.unwrap().len() - 1
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::service(&ClusterId::new("cluster"), &ServiceName::new(name))
}

fn hold(name: &str) -> Hold {
    Hold {
        key: key(name),
        kind: HoldKind::Manual,
        difference: None,
        until: None,
        actor: "alice@vm".to_owned(),
        reason: "looking".to_owned(),
        placed_at: Timestamp::UNIX_EPOCH,
    }
}

fn request() -> NewRequest {
    NewRequest {
        id: RequestId::new("request-1"),
        key: key("one"),
        verb: RequestVerb::Restart,
        actor: "alice@vm".to_owned(),
        reason: None,
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_has_happened() {
    let rig = Rig::new().await;
    rig.proxy.cut(Cut::After);
    rig.store.place_hold(&hold("one")).await.unwrap();
    assert_eq!(rig.trail().await, 1);
    assert_eq!(rig.direct.holds(&ClusterId::new("cluster")).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_commit_that_never_arrives_has_not_happened() {
    let rig = Rig::new().await;
    rig.proxy.cut(Cut::Before);
    let error = rig.store.place_hold(&hold("one")).await.unwrap_err();
    assert!(matches!(error, Error::Busy(_)), "{error:?}");
    assert_eq!(error.category(), Category::Retry);
    assert_eq!(rig.trail().await, 0, "nothing was written");
    rig.store.place_hold(&hold("one")).await.unwrap();
    assert_eq!(rig.trail().await, 1, "the same call again");
}

#[tokio::test]
async fn a_commit_that_nobody_can_be_asked_about_is_unknown_and_is_recognised_later() {
    let rig = Rig::new().await;
    rig.proxy.cut(Cut::AfterAndDown);
    let error = rig.store.submit(&[request()], Timestamp::UNIX_EPOCH).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
    assert!(error.to_string().contains("may have happened"), "{error}");
    rig.proxy.cut(Cut::Nowhere);
    let again = rig.store.submit(&[request()], Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(again[0].id, request().id);
    assert_eq!(rig.trail().await, 1, "it was filed once");
}

#[tokio::test]
async fn a_lease_that_was_taken_without_an_answer_is_ours() {
    let rig = Rig::new().await;
    let asked = LeaseRequest {
        term: TermId::new("term"),
        holder: "first".to_owned(),
        ttl: Duration::from_secs(60),
    };
    rig.proxy.cut(Cut::AfterAndDown);
    let lost = rig.store.acquire_lease(&asked).await;
    assert!(matches!(lost, Err(Error::OutcomeUnknown { .. })), "{lost:?}");
    rig.proxy.cut(Cut::Nowhere);
    let lease = rig.store.acquire_lease(&asked).await.unwrap().unwrap();
    assert_eq!(lease.fence.epoch, 1, "the same epoch again");
    assert_eq!(rig.trail().await, 1);
}

#[tokio::test]
async fn a_server_that_is_gone_is_named_and_comes_back() {
    let rig = Rig::new().await;
    rig.store.ping().await.unwrap();
    rig.proxy.cut(Cut::AfterAndDown);
    let _unknown = rig.store.place_hold(&hold("one")).await.unwrap_err();
    let error = rig.store.ping().await.unwrap_err();
    let text = format!("{:#?} {}", error, std::error::Error::source(&error).unwrap());
    assert!(matches!(error, Error::Unavailable { .. }), "{text}");
    rig.proxy.cut(Cut::Nowhere);
    rig.store.ping().await.unwrap();
}

/// A pooler that knows no prepared statements.
#[tokio::test]
async fn it_works_without_named_statements() {
    let url = Postgres::shared().unwrap().fresh_database().unwrap();
    let address: Address = format!("{url}&statement-cache-capacity=0").parse().unwrap();
    let store = PostgresStore::open(&address, options()).await.unwrap();
    store.place_hold(&hold("one")).await.unwrap();
    store.submit(&[request()], Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(store.holds(&ClusterId::new("cluster")).await.unwrap().len(), 1);
    assert_eq!(store.audit(&AuditFilter::default()).await.unwrap().len(), 2);
}

//! Messages over a real connection to a receiver of our own: signed, at least once, under one id,
//! and nobody waits for an endpoint that hangs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use skep_core::identity::TermId;
use skep_core::notice::{DeliveryState, Notice};
use skep_core::ports::{Clock, Random, SecretSource};
use skep_notify::{Client, Endpoint, Notifier, Pace, SendError, SigningKey, Timeouts};
use skep_store::conformance::protection;
use skep_store::{DeliveryFilter, Fence, LeaseRequest, Leases as _, Outbox as _, Store};
use skep_store_sqlite::SqliteStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEXT_KEY: &str = "whsec_AAKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What a receiver does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Status(u16),
    Redirect,
    /// Reads it and says nothing, for ever.
    Hang,
    /// Closes the connection in the middle.
    Reset,
}

#[derive(Debug, Clone)]
struct Received {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Receiver {
    url: String,
    received: watch::Receiver<Vec<Received>>,
    answers: Arc<Mutex<Vec<Answer>>>,
}

impl Receiver {
    /// Gives these answers in turn, the last one from then on.
    async fn start(answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook/secret-path", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(answers.iter().rev().copied().collect::<Vec<_>>()));
        let (sender, received) = watch::channel(Vec::new());
        let (script, sender) = (Arc::clone(&answers), Arc::new(sender));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = {
                    let mut script = script.lock().unwrap();
                    if script.len() > 1 { script.pop().unwrap() } else { script[0] }
                };
                tokio::spawn(serve(stream, answer, Arc::clone(&sender)));
            }
        });
        Self { url, received, answers }
    }

    fn endpoint(&self, keys: &[&'static str]) -> Arc<Endpoint> {
        let source = |key: &&'static str| Arc::new(Fixed(key)) as Arc<dyn SecretSource>;
        Arc::new(Endpoint::new(&self.url, keys.iter().map(source).collect()).unwrap())
    }

    async fn got(&self, count: usize) -> Vec<Received> {
        let mut received = self.received.clone();
        let all = received.wait_for(|all| all.len() >= count);
        let all = tokio::time::timeout(Duration::from_secs(20), all).await;
        all.expect("it was not asked in time").unwrap().clone()
    }
}

async fn serve(
    mut stream: tokio::net::TcpStream,
    answer: Answer,
    sender: Arc<watch::Sender<Vec<Received>>>,
) {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        bytes.extend_from_slice(&chunk[..read]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse::<usize>().unwrap());
            bytes.drain(..end + 4);
            break (head, length);
        }
    };
    while bytes.len() < length {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..read]);
    }
    let headers = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    sender.send_modify(|all| all.push(Received { headers, body: bytes }));
    let reply = match answer {
        Answer::Hang => {
            std::future::pending::<()>().await;
            unreachable!()
        }
        // With unread bytes of its own in the way, the close becomes a reset.
        Answer::Reset => return,
        Answer::Status(status) => format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n"),
        Answer::Redirect => "HTTP/1.1 302 x\r\nlocation: http://127.0.0.1:1/\r\n\
                             content-length: 0\r\n\r\n"
            .to_owned(),
    };
    let _ = stream.write_all(reply.as_bytes()).await;
    let _ = stream.shutdown().await;
}

struct Fixed(&'static str);

impl SecretSource for Fixed {
    fn reveal(&self) -> Result<String, String> {
        Ok(self.0.to_owned())
    }
}

/// A clock that runs with the machine's and can be put forward.
#[derive(Default)]
struct Shifted(Mutex<SignedDuration>);

impl Clock for Shifted {
    fn now(&self) -> Timestamp {
        Timestamp::now() + *self.0.lock().unwrap()
    }
}

struct NoJitter;

impl Random for NoJitter {
    fn bits128(&self) -> u128 {
        0
    }
}

struct Office {
    store: Arc<SqliteStore>,
    fence: Fence,
    clock: Arc<Shifted>,
    notifier: Arc<Notifier>,
}

fn client() -> Client {
    Client::new(Timeouts { connect: Duration::from_millis(500), total: Duration::from_millis(500) })
        .unwrap()
}

impl Office {
    async fn new(endpoints: Vec<Arc<Endpoint>>) -> Self {
        let store = Arc::new(SqliteStore::open_in_memory(protection()).await.unwrap());
        let request = LeaseRequest {
            term: TermId::new("term"),
            holder: "leader".to_owned(),
            ttl: Duration::from_secs(3600),
        };
        let fence = store.acquire_lease(&request).await.unwrap().unwrap().fence;
        let clock = Arc::new(Shifted::default());
        let names: Vec<_> = endpoints.iter().map(|endpoint| endpoint.name().to_owned()).collect();
        store.spread(&fence, &names, clock.now()).await.unwrap();
        let notifier = Arc::new(Notifier {
            endpoints,
            client: client(),
            store: Arc::clone(&store) as Arc<dyn Store>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random: Arc::new(NoJitter),
            pace: Pace {
                poll: Duration::from_millis(10),
                housekeeping: Duration::from_millis(50),
                ..Pace::default()
            },
        });
        Self { store, fence, clock, notifier }
    }

    fn work(&self) -> tokio::task::JoinHandle<()> {
        let (notifier, fence) = (Arc::clone(&self.notifier), self.fence.clone());
        tokio::spawn(async move { notifier.run(&fence).await })
    }

    async fn tell(&self, nonce: &str) -> Notice {
        let notice = Notice::test("alice", nonce, self.clock.now());
        self.store.enqueue(std::slice::from_ref(&notice)).await.unwrap();
        notice
    }

    /// Puts the clock forward until every delivery is as it should be.
    async fn until(&self, state: DeliveryState, count: usize) {
        let filter = DeliveryFilter { state: Some(state), ..DeliveryFilter::default() };
        let done = async {
            while self.store.deliveries(&filter).await.unwrap().len() < count {
                *self.clock.0.lock().unwrap() += SignedDuration::from_mins(30);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), done).await.expect("it never came to that");
    }
}

#[tokio::test]
async fn a_message_is_signed_so_that_its_receiver_can_check_it() {
    let receiver = Receiver::start(&[Answer::Status(204)]).await;
    let endpoint = receiver.endpoint(&[NEXT_KEY, KEY]);
    let notice = Notice::test("alice", "1", Timestamp::now());
    client().send(&endpoint, &notice, Timestamp::now()).await.unwrap();
    let got = receiver.got(1).await.remove(0);
    let (id, timestamp) = (&got.headers["webhook-id"], &got.headers["webhook-timestamp"]);
    assert_eq!(id, notice.id.as_str());
    let seconds: i64 = timestamp.parse().unwrap();
    assert!((Timestamp::now().as_second() - seconds).abs() <= 5);
    // Whoever knows either key finds a signature by it.
    let signatures: Vec<_> = got.headers["webhook-signature"].split(' ').collect();
    for key in [KEY, NEXT_KEY] {
        let expected = SigningKey::parse(key).unwrap().sign(id, seconds, &got.body);
        assert!(signatures.contains(&expected.as_str()), "{signatures:?}");
    }
    let body: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(body["type"], "notify.test");
    assert_eq!(body, notice.body);
}

#[tokio::test]
async fn what_is_no_success_is_an_error_that_names_no_path() {
    for (answer, expected) in [
        (Answer::Status(500), "500"),
        (Answer::Status(404), "404"),
        (Answer::Redirect, "redirects"),
        (Answer::Status(410), "gone"),
        (Answer::Hang, "in time"),
        (Answer::Reset, ""),
    ] {
        let receiver = Receiver::start(&[answer]).await;
        let notice = Notice::test("alice", "1", Timestamp::now());
        let endpoint = receiver.endpoint(&[KEY]);
        let error = client().send(&endpoint, &notice, Timestamp::now()).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(expected), "{answer:?}: {text}");
        assert!(!text.contains("secret-path"), "{answer:?}: {text}");
        let concerns = matches!(answer, Answer::Hang | Answer::Reset);
        assert_eq!(error.concerns_the_endpoint(), concerns, "{answer:?}");
    }
    // Nobody listens there at all.
    let nobody = Endpoint::new("http://127.0.0.1:1/x", vec![Arc::new(Fixed(KEY))]).unwrap();
    let notice = Notice::test("alice", "1", Timestamp::now());
    let error = client().send(&nobody, &notice, Timestamp::now()).await.unwrap_err();
    assert!(matches!(error, SendError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn a_message_is_repeated_under_the_same_id_until_it_is_taken() {
    let script =
        [Answer::Status(503), Answer::Reset, Answer::Redirect, Answer::Hang, Answer::Status(200)];
    let receiver = Receiver::start(&script).await;
    let office = Office::new(vec![receiver.endpoint(&[KEY])]).await;
    let working = office.work();
    let notice = office.tell("1").await;
    office.until(DeliveryState::Delivered, 1).await;
    let all = receiver.got(5).await;
    assert_eq!(all.len(), 5);
    for one in &all {
        assert_eq!(one.headers["webhook-id"], notice.id.as_str());
        assert_eq!(one.body, all[0].body);
    }
    let delivery = office.store.deliveries(&DeliveryFilter::default()).await.unwrap().remove(0);
    assert_eq!((delivery.attempts, delivery.last_error), (5, None));
    working.abort();
}

#[tokio::test]
async fn an_endpoint_that_hangs_holds_up_nobody_else() {
    let (stuck, well) =
        (Receiver::start(&[Answer::Hang]).await, Receiver::start(&[Answer::Status(200)]).await);
    let office = Office::new(vec![stuck.endpoint(&[KEY]), well.endpoint(&[KEY])]).await;
    let working = office.work();
    for n in 0..20 {
        office.tell(&n.to_string()).await;
    }
    well.got(20).await;
    // And the store goes on taking messages while the other one is asked.
    stuck.got(1).await;
    office.tell("more").await;
    well.got(21).await;
    let endpoint = Some(stuck.endpoint(&[KEY]).name().to_owned());
    let state = Some(DeliveryState::Waiting);
    let waiting = DeliveryFilter { state, endpoint, ..DeliveryFilter::default() };
    let waiting = office.store.deliveries(&waiting).await.unwrap();
    assert_eq!(waiting.len(), 21, "none is lost");
    working.abort();
}

#[tokio::test]
async fn what_nobody_takes_for_days_is_dead_and_can_be_started_again() {
    let receiver = Receiver::start(&[Answer::Status(500)]).await;
    let office = Office::new(vec![receiver.endpoint(&[KEY])]).await;
    let working = office.work();
    office.tell("1").await;
    office.until(DeliveryState::Dead, 1).await;
    let dead = office.store.deliveries(&DeliveryFilter::default()).await.unwrap().remove(0);
    assert_eq!(dead.last_error.as_deref(), Some("the endpoint answered 500"));
    *receiver.answers.lock().unwrap() = vec![Answer::Status(200)];
    let all = DeliveryFilter::default();
    let now = office.clock.now();
    assert_eq!(office.store.retry_deliveries(&all, "alice", now).await.unwrap(), 1);
    office.until(DeliveryState::Delivered, 1).await;
    working.abort();
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_not_asked_again() {
    let receiver = Receiver::start(&[Answer::Status(410)]).await;
    let office = Office::new(vec![receiver.endpoint(&[KEY])]).await;
    let working = office.work();
    office.tell("1").await;
    office.until(DeliveryState::Dead, 1).await;
    assert_eq!(receiver.got(1).await.len(), 1);
    working.abort();
}

#[tokio::test]
async fn who_no_longer_leads_stops_by_himself() {
    let receiver = Receiver::start(&[Answer::Status(200)]).await;
    let office = Office::new(vec![receiver.endpoint(&[KEY])]).await;
    let lease = skep_store::Lease { fence: office.fence.clone(), ttl: Duration::from_secs(1) };
    office.store.release_lease(&lease).await.unwrap();
    office.tell("1").await;
    let ended = tokio::time::timeout(Duration::from_secs(20), office.work()).await;
    ended.expect("it went on").unwrap();
    assert!(receiver.received.borrow().is_empty());
}

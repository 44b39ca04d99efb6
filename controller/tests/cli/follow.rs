//! `skep audit list --follow`: rows as they come, over the end of a leader's term, until Ctrl-C.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use skep_core::identity::TermId;
use skep_runtime::SystemRandom;
use skep_store::{Lease, LeaseRequest, Leases as _, Protection};
use skep_store_sqlite::{OpenOptions, SqliteStore};

use super::Home;

const STORE: &str = "sqlite:skep.db";

/// The command that follows; it ends with the test.
struct Following {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Following {
    fn start(home: &Home, more: &[&str]) -> Self {
        let mut command = home.command(&["audit", "list", "--follow", "--store", STORE]);
        command.args(["-o", "json"]).args(more);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next row: its number, what happened, and who did it. Blocks until there is one; a run of
    /// tests has a limit of its own.
    fn next(&mut self) -> (i64, String, String) {
        let line = self.lines.next().expect("it ended").unwrap();
        let row: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        (row["sequence"].as_i64().unwrap(), text("kind"), text("actor"))
    }

    fn interrupt(&mut self) -> (Option<i32>, Duration) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let asked = Instant::now();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        (self.child.wait().unwrap().code(), asked.elapsed())
    }
}

async fn store(home: &Home) -> SqliteStore {
    // Makes the database and its key.
    assert_eq!(home.run(&["audit", "list", "--store", STORE]).code(), 0);
    let key = std::fs::read(home.path("skep.db.key")).unwrap();
    let protection = Protection::new(&key, Arc::new(SystemRandom)).unwrap();
    SqliteStore::open(home.path("skep.db"), OpenOptions::new(protection)).await.unwrap()
}

async fn lead(store: &SqliteStore, term: &str) -> Lease {
    let request = LeaseRequest {
        term: TermId::new(term),
        holder: format!("holder-{term}"),
        ttl: Duration::from_secs(60),
    };
    store.acquire_lease(&request).await.unwrap().unwrap()
}

fn row(number: i64, kind: &str, term: &str) -> (i64, String, String) {
    (number, kind.to_owned(), format!("holder-{term}"))
}

#[tokio::test]
async fn rows_are_followed_over_the_end_of_a_term_until_it_is_interrupted() {
    let home = Home::new();
    let store = store(&home).await;
    let first = lead(&store, "one").await;

    let mut following = Following::start(&home, &[]);
    assert_eq!(following.next(), row(1, "leader_started", "one"), "what was there before");
    store.release_lease(&first).await.unwrap();
    assert_eq!(following.next(), row(2, "leader_released", "one"));
    let second = lead(&store, "two").await;
    assert_eq!(following.next(), row(3, "leader_started", "two"), "a chain of another term");
    store.release_lease(&second).await.unwrap();
    assert_eq!(following.next(), row(4, "leader_released", "two"));

    let (code, took) = following.interrupt();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(following.lines.next().is_none(), "each row was shown once");
}

/// The list that it begins with is as long as asked; what comes after it is not cut.
#[tokio::test]
async fn a_limit_is_about_what_was_there_before() {
    let home = Home::new();
    let store = store(&home).await;
    for term in ["one", "two"] {
        store.release_lease(&lead(&store, term).await).await.unwrap();
    }
    let mut following = Following::start(&home, &["--limit", "1"]);
    assert_eq!(following.next(), row(4, "leader_released", "two"));
    let third = lead(&store, "three").await;
    store.release_lease(&third).await.unwrap();
    assert_eq!(following.next(), row(5, "leader_started", "three"));
    assert_eq!(following.next(), row(6, "leader_released", "three"));
}

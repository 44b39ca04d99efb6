//! A store that cannot be written, is locked, or is damaged: what only reads works all the same or
//! says what to do, and no action is filed.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};

use crate::engine::FakeEngine;
use crate::fleet::REGISTRY;
use crate::{Home, Run};

/// Verbs that only read.
const READING: [&[&str]; 7] = [
    &["plan"],
    &["service", "status"],
    &["service", "list"],
    &["approvals", "list"],
    &["actions", "list"],
    &["audit", "list"],
    &["audit", "verify"],
];

struct Fleet {
    home: Home,
    engine: FakeEngine,
    registry: String,
}

impl Fleet {
    /// With two actions that wait for a decision.
    fn new() -> Self {
        let home = Home::new();
        let engine = FakeEngine::start(&home);
        let registry = home.file("fleet.yml", REGISTRY);
        fs::create_dir(home.path("state")).unwrap();
        let fleet = Self { home, engine, registry };
        fleet.run(&["reconcile", "--once"]).json();
        assert_eq!(fleet.filed(), (2, 2));
        fleet
    }

    fn database(&self) -> PathBuf {
        self.home.path("state/skep.db")
    }

    /// The program, started by another one when there is one.
    fn command(&self, by: &[&str], verb: &[&str]) -> Command {
        let skep = env!("CARGO_BIN_EXE_skep");
        let all: Vec<_> = by.iter().chain([&skep]).chain(verb).collect();
        let (first, rest) = all.split_first().unwrap();
        let mut command = Command::new(first);
        command
            .args(rest)
            .args(["--store", "sqlite:state/skep.db", "-o", "json"])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.home.path(""))
            .env("USER", "tester")
            .env("DOCKER_HOST", &self.engine.host)
            .env("FLEET_REGISTRY_PATH", &self.registry)
            .current_dir(self.home.path(""));
        command
    }

    fn run(&self, verb: &[&str]) -> Run {
        Run(self.command(&[], verb).output().unwrap())
    }

    /// All of them at once: each waits for the lock as long as it must.
    fn run_all(&self, verbs: &[&[&str]]) -> Vec<Run> {
        let start = |verb: &&[&str]| {
            let mut command = self.command(&[], verb);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let started: Vec<_> = verbs.iter().map(start).collect();
        started.into_iter().map(|child| Run(child.wait_with_output().unwrap())).collect()
    }

    /// Where the folder of the store is mounted read-only, for this run alone.
    fn run_read_only(&self, verb: &[&str]) -> Run {
        const MOUNT: &str = r#"mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift &&
            exec "$@""#;
        let folder = self.home.path("state").display().to_string();
        let mut by = vec!["unshare"];
        let own = fs::metadata("/proc/self").unwrap();
        if std::os::unix::fs::MetadataExt::uid(&own) != 0 {
            by.extend(["--user", "--map-root-user"]);
        }
        by.extend(["--mount", "sh", "-c", MOUNT, "sh", &folder]);
        Run(self.command(&by, verb).output().unwrap())
    }

    fn count(&self, verb: &[&str]) -> usize {
        self.run(verb).json()["items"].as_array().unwrap().len()
    }

    /// How many actions there are, and how many of them wait.
    fn filed(&self) -> (usize, usize) {
        (self.count(&["actions", "list"]), self.count(&["approvals", "list"]))
    }

    /// Every file of the store with its content.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(self.home.path("state")).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }
}

/// What went wrong, after checking that it is about the store and says what to do.
fn told(run: &Run) -> String {
    let error = run.error(1);
    let code = error["code"].as_str().unwrap().to_owned();
    assert!(code.starts_with("STORE_"), "{run}");
    let text = format!("{} {}", error["next"], error["causes"]);
    assert!(error["next"].as_str().is_some_and(|next| !next.is_empty()), "{run}");
    format!("{code} {} {text}", error["message"])
}

#[test]
fn a_read_only_store_is_read_and_nothing_is_filed() {
    let fleet = Fleet::new();
    let written = READING.map(|verb| fleet.run(verb));
    let before = fleet.files();
    for (verb, here) in READING.iter().zip(&written) {
        let there = fleet.run_read_only(verb);
        assert_eq!(there.code(), 0, "{verb:?}: {there}");
        assert!(there.stderr().contains("read-only"), "{verb:?}: {there}");
        assert!(!here.stderr().contains("read-only"), "otherwise this test proves nothing");
        let shown = |run: &Run| -> Value { serde_json::from_str(&run.stdout()).unwrap() };
        let (here, there) = (shown(here), shown(&there));
        for member in ["items", "steps", "digest", "pending_approvals", "rows", "ok"] {
            assert_eq!(here[member], there[member], "{verb:?}: {member}");
        }
    }
    let refused = told(&fleet.run_read_only(&["reconcile", "--once"]));
    assert!(refused.contains("read-only") && refused.contains("writable"), "{refused}");
    assert!(fleet.files() == before, "nothing was written");
    assert_eq!(fleet.filed(), (2, 2));
    assert!(fleet.engine.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_store_is_read_and_nothing_is_filed() {
    let fleet = Fleet::new();
    let url = format!("sqlite:{}", fleet.database().display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let reconcile: &[&str] = &["reconcile", "--once"];
    let mut runs = fleet.run_all(&[READING.as_slice(), &[reconcile]].concat());
    let refused = runs.pop().unwrap();
    for (verb, run) in READING.iter().zip(&runs) {
        assert_eq!(run.code(), 0, "{verb:?}: {run}");
    }
    let refused = told(&refused);
    assert!(refused.starts_with("STORE_BUSY"), "{refused}");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    assert_eq!(fleet.filed(), (2, 2));
    assert!(fleet.engine.writes().is_empty());
}

#[tokio::test]
async fn a_damaged_store_is_read_or_told_and_nothing_is_filed() {
    let fleet = Fleet::new();
    let path = fleet.database();
    // Into the file, as after a long while: what stands in the log is not missed in the file.
    let url = format!("sqlite:{}", path.display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    assert_eq!(fleet.filed(), (2, 2));
    let whole = fs::read(&path).unwrap();
    let mut beginning = whole.clone();
    beginning[..100].fill(0xa5);
    let mut middle = whole.clone();
    middle[4096..].iter_mut().step_by(7).for_each(|byte| *byte ^= 0xff);
    let cut = whole[..whole.len() / 2].to_vec();
    for (what, damaged) in [("beginning", beginning), ("middle", middle), ("cut", cut)] {
        fs::write(&path, &damaged).unwrap();
        let reconcile: &[&str] = &["reconcile", "--once"];
        for verb in READING.iter().chain([&reconcile]) {
            let run = fleet.run(verb);
            let told = told(&run);
            assert!(told.starts_with("STORE_CORRUPT"), "{what}, {verb:?}: {told}");
            assert!(told.contains("backup"), "{what}, {verb:?}: {told}");
        }
        assert_eq!(fs::read(&path).unwrap(), damaged, "{what}: it was left as it was found");
        assert!(fleet.engine.writes().is_empty());
        for side in ["-wal", "-shm"] {
            let _absent = fs::remove_file(format!("{}{side}", path.display()));
        }
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(fleet.filed(), (2, 2));
}

/// A row that is damaged hides no other one, and is told.
#[tokio::test]
async fn a_damaged_row_hides_no_other_one() {
    let fleet = Fleet::new();
    let url = format!("sqlite:{}", fleet.database().display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("UPDATE actions SET step = x'00' WHERE object_name = 'alpha'")
        .execute(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    let list = fleet.run(&["actions", "list"]);
    let shown: Value = serde_json::from_str(&list.stdout()).unwrap();
    assert_eq!(shown["items"].as_array().unwrap().len(), 1, "{list}");
    assert!(list.stderr().contains("alpha"), "the other one is named: {list}");
    fleet.run(&["reconcile", "--once"]);
    let after: Value = serde_json::from_str(&fleet.run(&["actions", "list"]).stdout()).unwrap();
    assert_eq!(after["items"].as_array().unwrap().len(), 1, "none was filed in its place");
}

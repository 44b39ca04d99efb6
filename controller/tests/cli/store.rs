//! The store's own verbs, its key, and Postgres behind every verb.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{ClusterId, ObjectKey, ServiceName, TermId};
use skep_store::{Lease, LeaseRequest, Store};
use skep_testkit::Postgres;

use super::{Home, Run};

/// A URL of an empty Postgres database.
fn postgres() -> String {
    Postgres::shared().unwrap().fresh_database().unwrap()
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// With the key that the command line made for it.
fn protection(home: &Home, store: &str) -> skep_store::Protection {
    let key = match store.strip_prefix("sqlite:") {
        Some(path) => std::path::PathBuf::from(format!("{path}.key")),
        None => home.path(".local/state/skep/postgres.key"),
    };
    let random = std::sync::Arc::new(skep_runtime::SystemRandom);
    skep_store::Protection::new(&fs::read(key).unwrap(), random).unwrap()
}

async fn open(home: &Home, store: &str) -> std::sync::Arc<dyn Store> {
    match store.parse::<skep_store_postgres::Address>() {
        Ok(address) => {
            let options = skep_store_postgres::OpenOptions::new(protection(home, store));
            let store = skep_store_postgres::PostgresStore::open(&address, options).await;
            std::sync::Arc::new(store.unwrap())
        }
        Err(_) => {
            let location = store.parse().unwrap();
            let options = skep_store_sqlite::OpenOptions::new(protection(home, store));
            let store =
                skep_store_sqlite::SqliteStore::open_location(&location, options).await.unwrap();
            std::sync::Arc::new(store)
        }
    }
}

fn hold(name: &str) -> Hold {
    Hold {
        key: ObjectKey::service(&ClusterId::new("cluster"), &ServiceName::new(name)),
        kind: HoldKind::Manual,
        difference: None,
        until: None,
        actor: "alice@vm".to_owned(),
        reason: "looking into it \u{1f41d}".to_owned(),
        placed_at: Timestamp::UNIX_EPOCH,
    }
}

/// Records in the store: `count` holds, and as many rows of the trail.
fn fill(home: &Home, store: &str, count: usize) {
    in_runtime(async {
        let store = open(home, store).await;
        for index in 0..count {
            store.place_hold(&hold(&format!("service-{index}"))).await.unwrap();
        }
    });
}

fn lead(home: &Home, store: &str) -> Lease {
    let request = LeaseRequest {
        term: TermId::new("term"),
        holder: "skep serve, elsewhere".to_owned(),
        ttl: Duration::from_secs(3600),
    };
    in_runtime(async { open(home, store).await.acquire_lease(&request).await.unwrap().unwrap() })
}

fn release(home: &Home, store: &str, lease: &Lease) {
    in_runtime(async { open(home, store).await.release_lease(lease).await.unwrap() });
}

/// The verb on this store, and what it gave.
fn run(home: &Home, store: &str, verb: &[&str]) -> Run {
    home.run(&[verb, &["--store", store, "-o", "json"]].concat())
}

fn code(run: &Run) -> String {
    run.error(1)["code"].as_str().unwrap().to_owned()
}

fn rows(report: &Value, table: &str) -> u64 {
    let tables = report["tables"].as_array().unwrap();
    let found = tables.iter().find(|row| row["name"] == table);
    found.unwrap_or_else(|| panic!("{table}: {report}"))["rows"].as_u64().unwrap()
}

#[test]
fn every_verb_works_on_postgres() {
    let home = Home::new();
    let store = postgres();
    for verb in [["approvals", "list"], ["actions", "list"]] {
        let list = run(&home, &store, &verb).json();
        assert_eq!(list, serde_json::json!({ "items": [] }), "{verb:?}");
    }
    let key = home.path(".local/state/skep/postgres.key");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    let missing = run(&home, &store, &["approvals", "show", "ffff"]);
    assert_eq!(code(&missing), "NOT_FOUND");
}

#[test]
fn a_postgres_server_that_is_down_is_named_without_the_password() {
    let home = Home::new();
    let store = "postgres://me:hunter2@127.0.0.1:1/skep";
    let run = run(&home, store, &["approvals", "list"]);
    let error = run.error(1);
    assert_eq!(error["code"], "STORE_UNAVAILABLE");
    let text = error.to_string();
    assert!(text.contains("postgres://me@127.0.0.1:1/skep") && !text.contains("hunter2"), "{text}");
    assert!(!home.path(".local/state/skep/postgres.key").exists(), "no key for no database");
}

#[test]
fn a_key_is_never_made_for_a_database_that_has_one() {
    let home = Home::new();
    let postgres = postgres();
    let sqlite = format!("sqlite:{}", home.path("skep.db").display());
    for (store, key) in [(&sqlite, "skep.db.key"), (&postgres, ".local/state/skep/postgres.key")] {
        assert_eq!(run(&home, store, &["approvals", "list"]).code(), 0);
        let key = home.path(key);
        let aside = home.path("aside");
        fs::rename(&key, &aside).unwrap();
        let refused = run(&home, store, &["approvals", "list"]);
        assert_eq!(code(&refused), "KEY_UNAVAILABLE", "{store}");
        let shown = refused.error(1).to_string();
        assert!(shown.contains(&key.display().to_string()) && shown.contains("backup"), "{shown}");
        assert!(!key.exists(), "{store}: a new key would have hidden the loss");
        let named = ["approvals", "list", "--key", aside.to_str().unwrap()];
        assert_eq!(run(&home, store, &named).code(), 0, "the same key from elsewhere");
        fs::rename(&aside, &key).unwrap();
    }
}

#[test]
fn a_backup_is_restored_as_it_was() {
    let home = Home::new();
    let store = format!("sqlite:{}", home.path("skep.db").display());
    run(&home, &store, &["approvals", "list"]);
    fill(&home, &store, 3);
    let backup = home.path("backup.db").display().to_string();
    let written = run(&home, &store, &["store", "backup", &backup]);
    let report = written.json();
    assert_eq!((rows(&report, "holds"), rows(&report, "audit")), (3, 3));
    assert!(report["key"].as_str().unwrap().ends_with("skep.db.key"), "{report}");
    assert!(written.stderr().contains("does not hold the installation's key"), "{written}");
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    let again = run(&home, &store, &["store", "backup", &backup]);
    assert_eq!(code(&again), "STORE_UNAVAILABLE", "a backup is never overwritten: {again}");

    fill(&home, &store, 5);
    let restore = ["store", "restore", &backup];
    assert_eq!(code(&run(&home, &store, &restore)), "STORE_NOT_EMPTY");
    let forced = ["store", "restore", &backup, "--force"];
    let lease = lead(&home, &store);
    for restore in [&restore[..], &forced] {
        let led = run(&home, &store, restore);
        assert_eq!(code(&led), "LEASE_HELD", "not even with --force");
        assert!(led.error(1).to_string().contains("skep serve, elsewhere"));
    }
    release(&home, &store, &lease);
    let now = rows(&run(&home, &store, &["store", "check"]).json(), "audit");
    assert_eq!(now, 10, "nothing was changed");
    let restored = run(&home, &store, &forced).json();
    assert_eq!((rows(&restored, "holds"), rows(&restored, "audit")), (3, 3));
    let report = run(&home, &store, &["store", "check"]).json();
    assert_eq!((rows(&report, "holds"), rows(&report, "audit")), (3, 3));
    assert_eq!(report["problems"], serde_json::json!([]));
    let kept = restored["replaced"].as_str().unwrap();
    let old = run(
        &home,
        &format!("sqlite:{kept}"),
        &["store", "check", "--key", home.path("skep.db.key").to_str().unwrap()],
    );
    assert_eq!(rows(&old.json(), "audit"), 10, "what was replaced is kept");
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let home = Home::new();
    let store = format!("sqlite:{}", home.path("skep.db").display());
    run(&home, &store, &["approvals", "list"]);
    fill(&home, &store, 2);
    let backup = home.path("backup.db");
    let verb = ["store", "backup", backup.to_str().unwrap()];
    assert_eq!(run(&home, &store, &verb).code(), 0);
    let whole = fs::read(&backup).unwrap();
    for damaged in [
        whole[..whole.len() / 2].to_vec(),
        vec![b'x'; whole.len()],
        damage(&whole, b"looking into it"),
    ] {
        fs::write(&backup, damaged).unwrap();
        let restore = ["store", "restore", backup.to_str().unwrap(), "--force"];
        let refused = run(&home, &store, &restore);
        assert_eq!(code(&refused), "STORE_CORRUPT", "{refused}");
        assert_eq!(rows(&run(&home, &store, &["store", "check"]).json(), "holds"), 2);
    }
}

/// The page that holds this text, overwritten from its beginning.
fn damage(file: &[u8], text: &[u8]) -> Vec<u8> {
    let at = file.windows(text.len()).position(|window| window == text).unwrap();
    let page = at / 4096 * 4096;
    let mut damaged = file.to_vec();
    damaged[page..page + 100].fill(0xff);
    damaged
}

#[test]
fn a_store_moves_to_postgres_and_back() {
    let home = Home::new();
    let first = format!("sqlite:{}", home.path("first.db").display());
    let (middle, last) = (postgres(), format!("sqlite:{}", home.path("last.db").display()));
    let key = home.path("first.db.key").display().to_string();
    run(&home, &first, &["approvals", "list"]);
    fill(&home, &first, 1200);
    let before = run(&home, &first, &["store", "check"]).json();

    let lease = lead(&home, &first);
    let led = run(&home, &first, &["store", "copy", "--to", &middle]);
    assert_eq!(code(&led), "LEASE_HELD");
    release(&home, &first, &lease);
    let copied = run(&home, &first, &["store", "copy", "--to", &middle]).json();
    assert_eq!((rows(&copied, "holds"), &copied["source"]), (1200, &"retired".into()));
    assert_eq!(copied["installation_id"], before["installation_id"]);
    let there = home.path(".local/state/skep/postgres.key");
    assert_eq!(fs::read(&there).unwrap(), fs::read(&key).unwrap(), "sealed with the same key");

    // Nobody leads on the old store any more; on the new one anybody may.
    let request = LeaseRequest {
        term: TermId::new("next"),
        holder: "next".to_owned(),
        ttl: Duration::from_secs(1),
    };
    let refused =
        in_runtime(async { open(&home, &first).await.acquire_lease(&request).await.unwrap() });
    let holder = refused.unwrap_err().holder;
    assert!(holder.starts_with("skep store copy to postgres://skep@"), "{holder}");
    let lease =
        in_runtime(async { open(&home, &middle).await.acquire_lease(&request).await.unwrap() });
    release(&home, &middle, &lease.unwrap());

    let again = run(&home, &first, &["store", "copy", "--to", &postgres()]);
    assert_eq!(code(&again), "LEASE_HELD", "a retired store is not copied again: {again}");
    let other = format!("sqlite:{}", home.path("other.db").display());
    run(&home, &other, &["approvals", "list"]);
    fill(&home, &other, 1);
    let foreign = run(&home, &other, &["store", "copy", "--to", &middle]);
    assert_eq!(code(&foreign), "KEY_UNAVAILABLE", "another installation's key is in its place");

    // What is written there comes back with it, and numbers go on.
    fill(&home, &middle, 1);
    let back = run(&home, &middle, &["store", "copy", "--to", &last, "--keep-source"]).json();
    assert_eq!(back["source"], "kept");
    let full = run(&home, &middle, &["store", "copy", "--to", &last, "--keep-source"]);
    assert_eq!(code(&full), "STORE_NOT_EMPTY");
    let after = run(&home, &last, &["store", "check"]).json();
    assert_eq!(after["installation_id"], before["installation_id"]);
    assert_eq!(rows(&after, "holds"), 1200);
    assert!(rows(&after, "audit") > rows(&before, "audit"));
    let numbers = |store: &str| -> Vec<i64> {
        in_runtime(async {
            let trail = open(&home, store).await.audit(&Default::default()).await.unwrap();
            trail.into_iter().map(|(number, _)| number).collect()
        })
    };
    let (old, new) = (numbers(&middle), numbers(&last));
    assert_eq!(new[1..], old[1..], "the copy only released its own lease after that");
    fill(&home, &last, 1);
    assert_eq!(numbers(&last)[0], new[0] + 1, "no number is given twice");
}

#[test]
fn a_postgres_store_is_backed_up_and_restored() {
    let home = Home::new();
    let store = postgres();
    run(&home, &store, &["approvals", "list"]);
    fill(&home, &store, 3);
    let backup = home.path("backup.db").display().to_string();
    let report = run(&home, &store, &["store", "backup", &backup]).json();
    assert_eq!((rows(&report, "holds"), rows(&report, "audit")), (3, 3));
    assert_eq!(side_files(&home.path("backup.db")), 0, "one file is all there is");
    fill(&home, &store, 2);
    assert_eq!(code(&run(&home, &store, &["store", "restore", &backup])), "STORE_NOT_EMPTY");
    let restored = run(&home, &store, &["store", "restore", &backup, "--force"]).json();
    assert_eq!(restored["replaced"], Value::Null);
    let report = run(&home, &store, &["store", "check"]).json();
    assert_eq!((rows(&report, "holds"), rows(&report, "audit")), (3, 3));
    // The rules are back, too.
    let cluster = Postgres::shared().unwrap();
    for statement in ["DELETE FROM audit", "UPDATE audit SET actor = ''", "TRUNCATE audit"] {
        let error = cluster.query(&store, statement).unwrap_err().to_string();
        assert!(error.contains("append-only"), "{statement}: {error}");
    }
}

fn side_files(path: &Path) -> usize {
    ["-wal", "-shm", "-journal"]
        .iter()
        .filter(|end| Path::new(&format!("{}{end}", path.display())).exists())
        .count()
}

#[test]
fn a_read_only_postgres_is_read_and_says_so() {
    let home = Home::new();
    let store = postgres();
    run(&home, &store, &["approvals", "list"]);
    fill(&home, &store, 1);
    let cluster = Postgres::shared().unwrap();
    let set = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only \
               = on', current_database()); END $$";
    cluster.query(&store, set).unwrap();
    for verb in [["approvals", "list"], ["actions", "list"], ["store", "check"]] {
        let read = home.run(&[verb[0], verb[1], "--store", &store]);
        assert_eq!(read.code(), 0, "{read}");
        assert!(
            read.stderr().contains("read-only") || read.stdout().contains("read-only"),
            "{read}"
        );
    }
    let copy =
        run(&home, &format!("sqlite:{}", home.path("a.db").display()), &["approvals", "list"]);
    assert_eq!(copy.code(), 0);
    let serve = run(&home, &store, &["serve"]);
    assert_eq!(code(&serve), "STORE_UNAVAILABLE", "nothing is done without a record");
}

//! The trail from the command line: listed, checked, taken elsewhere, and what is said when it is
//! not as it was written.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use skep_core::identity::TermId;
use skep_runtime::SystemRandom;
use skep_store::{LeaseRequest, Leases as _, Protection};
use skep_store_sqlite::{OpenOptions, SqliteStore};
use sqlx::{Connection as _, SqliteConnection};

use super::Home;

const STORE: &str = "sqlite:skep.db";

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Two terms with a start and an end each.
fn write_trail(home: &Home) {
    // Makes the database and its key.
    assert_eq!(home.run(&["audit", "list", "--store", STORE]).code(), 0);
    let key = std::fs::read(home.path("skep.db.key")).unwrap();
    let protection = Protection::new(&key, Arc::new(SystemRandom)).unwrap();
    wait(async {
        let path = home.path("skep.db");
        let store = SqliteStore::open(path, OpenOptions::new(protection)).await.unwrap();
        for term in ["one", "two"] {
            let request = LeaseRequest {
                term: TermId::new(term),
                holder: format!("holder-{term}"),
                ttl: Duration::from_secs(60),
            };
            let lease = store.acquire_lease(&request).await.unwrap().unwrap();
            store.release_lease(&lease).await.unwrap();
        }
        store.close().await;
    });
}

fn attack(home: &Home, statements: &[&'static str]) {
    wait(async {
        let url = format!("sqlite:{}", home.path("skep.db").display());
        let mut database = SqliteConnection::connect(&url).await.unwrap();
        for statement in ["DROP TRIGGER audit_refuses_update", "DROP TRIGGER audit_refuses_delete"]
            .iter()
            .chain(statements)
        {
            sqlx::query(*statement).execute(&mut database).await.unwrap();
        }
        database.close().await.unwrap();
    });
}

fn verify(home: &Home, more: &[&str]) -> (i32, Value, String) {
    let mut arguments = vec!["audit", "verify", "--store", STORE, "-o", "json"];
    arguments.extend(more);
    let run = home.run(&arguments);
    (run.code(), serde_json::from_str(&run.stdout()).unwrap_or(Value::Null), run.stderr())
}

#[test]
fn the_trail_is_listed_newest_first_and_filtered() {
    let home = Home::new();
    write_trail(&home);
    let kinds = |arguments: &[&str]| -> Vec<String> {
        let mut all = vec!["audit", "list", "--store", STORE, "-o", "json"];
        all.extend(arguments);
        let list: Value = serde_json::from_str(&home.run(&all).stdout()).unwrap();
        let items = list["items"].as_array().unwrap();
        items.iter().map(|item| item["kind"].as_str().unwrap().to_owned()).collect()
    };
    let (start, end) = ("leader_started".to_owned(), "leader_released".to_owned());
    assert_eq!(kinds(&[]), [&end, &start, &end, &start].map(Clone::clone));
    assert_eq!(kinds(&["--limit", "1"]), std::slice::from_ref(&end));
    assert_eq!(kinds(&["--kind", "leader_started"]), [start.clone(), start]);
    assert_eq!(kinds(&["--actor", "holder-one"]).len(), 2);
    assert_eq!(kinds(&["--since", "1h"]).len(), 4);
    assert_eq!(kinds(&["--until", "1h"]).len(), 0);
    assert_eq!(kinds(&["--service", "nothing"]).len(), 0);
    let table = home.run(&["audit", "list", "--store", STORE]);
    assert!(table.stdout().contains("epoch 2"), "{}", table.stdout());
    let wrong = home.run(&["audit", "list", "--store", STORE, "--since", "yesterday"]);
    assert_eq!(wrong.code(), 64, "{}", wrong.stderr());
}

#[test]
fn what_is_whole_verifies_and_what_is_not_is_named() {
    let home = Home::new();
    write_trail(&home);
    let (code, report, _) = verify(&home, &[]);
    assert_eq!((code, &report["ok"], &report["rows"]), (0, &true.into(), &4.into()));
    assert_eq!(report["chains"], 2);
    attack(
        &home,
        &["UPDATE audit SET actor = 'nobody' WHERE seq = 2", "DELETE FROM audit WHERE seq = 4"],
    );
    let (code, report, errors) = verify(&home, &[]);
    assert_eq!((code, &report["findings"]), (1, &2.into()), "{report:#}");
    assert_eq!(
        (&report["damage"][0]["damage"], &report["damage"][0]["row"]),
        (&"edited".into(), &2.into())
    );
    assert_eq!(report["damage"][1]["damage"], "cut_off");
    assert!(errors.contains("AUDIT_BROKEN") && errors.contains("row 2 was changed"), "{errors}");
}

#[test]
fn an_export_is_checked_without_the_database_and_a_database_against_it() {
    let home = Home::new();
    write_trail(&home);
    let old = std::fs::read(home.path("skep.db")).unwrap();
    let export = |more: &[&str]| {
        let mut all = vec!["audit", "export", "--store", STORE];
        all.extend(more);
        home.run(&all)
    };
    // The trail goes on: the lease is taken once more.
    write_more(&home);
    assert_eq!(export(&["--to", "trail.jsonl"]).code(), 0);
    let mode = std::fs::metadata(home.path("trail.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(export(&["--to", "trail.jsonl"]).code(), 1, "it is there already");
    assert_eq!(export(&["--to", "trail.jsonl", "--force"]).code(), 0);
    assert_eq!(export(&["--head-only", "--to", "head.jsonl"]).code(), 0);
    assert_eq!(std::fs::read_to_string(home.path("head.jsonl")).unwrap().lines().count(), 1);
    let text = export(&[]).stdout();
    assert_eq!(text.lines().count(), 6, "{text}");
    let some = export(&["--since", "1h"]).stdout();
    assert_eq!(some.lines().count(), 6);

    let check = |file: &str| {
        let run = home.run(&["audit", "verify", "--export", file, "--key", "skep.db.key"]);
        (run.code(), run.stderr())
    };
    assert_eq!(check("trail.jsonl").0, 0);
    let lines: Vec<&str> = text.lines().collect();
    for (name, changed, expected) in [
        ("edited", text.replacen("holder-one", "holder-two", 1), "AUDIT_BROKEN"),
        ("removed", [lines[0], lines[2], lines[3], lines[4], lines[5]].join("\n"), "AUDIT_BROKEN"),
        ("cut off", lines[..4].join("\n"), "AUDIT_EXPORT_INVALID"),
        ("head", text.replacen("\"rows\":5", "\"rows\":4", 1), "AUDIT_BROKEN"),
        ("no export", "{}\n".to_owned(), "AUDIT_EXPORT_INVALID"),
    ] {
        assert_ne!(changed, text, "{name}");
        home.file("changed.jsonl", &changed);
        let (code, errors) = check("changed.jsonl");
        assert!(code == 1 && errors.contains(expected), "{name}: {code} {errors}");
    }
    home.file("other.key", &"k".repeat(32));
    let other = home.run(&["audit", "verify", "--export", "trail.jsonl", "--key", "other.key"]);
    assert!(other.code() == 1 && other.stderr().contains("KEY_UNAVAILABLE"), "{}", other.stderr());

    for file in ["trail.jsonl", "head.jsonl"] {
        assert_eq!(verify(&home, &["--against", file]).0, 0, "{file}");
    }
    std::fs::write(home.path("skep.db"), old).unwrap();
    assert_eq!(verify(&home, &[]).0, 0, "an old copy is whole");
    let (code, report, errors) = verify(&home, &["--against", "head.jsonl"]);
    assert_eq!((code, &report["damage"][0]["damage"]), (1, &"rolled_back".into()), "{errors}");
}

fn write_more(home: &Home) {
    let key = std::fs::read(home.path("skep.db.key")).unwrap();
    let protection = Protection::new(&key, Arc::new(SystemRandom)).unwrap();
    wait(async {
        let path = home.path("skep.db");
        let store = SqliteStore::open(path, OpenOptions::new(protection)).await.unwrap();
        let request = LeaseRequest {
            term: TermId::new("three"),
            holder: "holder-three".to_owned(),
            ttl: Duration::from_secs(60),
        };
        store.acquire_lease(&request).await.unwrap().unwrap();
        store.close().await;
    });
}

#[test]
fn another_key_is_told_apart_from_damage() {
    let home = Home::new();
    write_trail(&home);
    let before = std::fs::read(home.path("skep.db")).unwrap();
    home.file("skep.db.key", &"k".repeat(32));
    let (code, _, errors) = verify(&home, &[]);
    assert!(code == 1 && errors.contains("made with another key"), "{errors}");
    assert_eq!(std::fs::read(home.path("skep.db")).unwrap(), before);
    std::fs::remove_file(home.path("skep.db.key")).unwrap();
    let (code, _, errors) = verify(&home, &[]);
    assert!(code == 1 && errors.contains("KEY_UNAVAILABLE"), "{errors}");
}

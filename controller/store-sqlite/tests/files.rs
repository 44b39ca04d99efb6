//! The file: made for this user only, shared by processes, and refused when it cannot be trusted.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures::future::join_all;
use skep_core::identity::TermId;
use skep_store::conformance::protection;
use skep_store::{Audit as _, AuditFilter, Error, LeaseRequest, Leases as _, Store as _};
use skep_store_sqlite::{Cause, OpenOptions, SqliteStore};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

fn create() -> OpenOptions {
    OpenOptions::new(protection()).creating()
}

fn cause(error: &Error) -> &Cause {
    std::error::Error::source(error).unwrap().downcast_ref().unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn request(name: &str) -> LeaseRequest {
    LeaseRequest { term: TermId::new(name), holder: name.into(), ttl: Duration::from_secs(3600) }
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap()
}

async fn refusal(path: &Path) -> Error {
    SqliteStore::open(path, create()).await.expect_err("the file should have been refused")
}

/// A store that has been used and closed.
async fn used(path: &Path) {
    let store = SqliteStore::open(path, create()).await.unwrap();
    store.acquire_lease(&request("first")).await.unwrap().unwrap();
    store.close().await;
}

#[tokio::test]
async fn missing_folders_and_file_are_made_for_this_user_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/skep.db");
    let store = SqliteStore::open(&path, create()).await.unwrap();
    store.acquire_lease(&request("first")).await.unwrap().unwrap();
    assert_eq!(mode(&folder.path().join("a")), 0o700);
    assert_eq!(mode(&folder.path().join("a/b")), 0o700);
    for file in ["skep.db", "skep.db-wal", "skep.db-shm"] {
        assert_eq!(mode(&folder.path().join("a/b").join(file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn nothing_is_made_unless_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/skep.db");
    let error = SqliteStore::open(&path, OpenOptions::new(protection())).await.unwrap_err();
    assert!(matches!(cause(&error), Cause::Missing { .. }), "{error:?}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn a_path_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = refusal(&folder.path().join("file/below/skep.db")).await;
    assert!(cause(&error).to_string().contains("file/below"), "{error:?}");
    let error = refusal(folder.path()).await;
    assert!(matches!(cause(&error), Cause::CannotOpen(_)), "{error:?}");
}

#[tokio::test]
async fn what_was_written_is_there_after_closing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    let first = SqliteStore::open(&path, create()).await.unwrap();
    let id = first.installation_id().to_owned();
    first.acquire_lease(&request("first")).await.unwrap().unwrap();
    first.close().await;
    let second = SqliteStore::open(&path, OpenOptions::new(protection())).await.unwrap();
    assert_eq!(second.installation_id(), id);
    assert_eq!(second.lease_holder().await.unwrap().unwrap().holder, "first");
    let other = SqliteStore::open(folder.path().join("other.db"), create()).await.unwrap();
    assert_ne!(other.installation_id(), id);
}

#[tokio::test]
async fn many_may_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    let opened = join_all((0..12).map(|_| SqliteStore::open(&path, create()))).await;
    let ids: Vec<_> = opened.iter().map(|s| s.as_ref().unwrap().installation_id()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
}

#[tokio::test]
async fn a_truncated_file_is_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    used(&path).await;
    let whole = std::fs::read(&path).unwrap();
    for length in [1, 50, 100, 1_000, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = refusal(&path).await;
        assert!(matches!(error, Error::Corrupt { .. }), "{length} bytes: {error:?}");
        let named = matches!(cause(&error), Cause::CutOff { .. } | Cause::Damaged(_));
        assert!(named, "{length} bytes: {error:?}");
        assert_eq!(std::fs::read(&path).unwrap(), &whole[..length], "it was left alone");
    }
    std::fs::write(&path, &whole).unwrap();
    SqliteStore::open(&path, create()).await.unwrap();
}

#[tokio::test]
async fn a_file_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "these are my notes ".repeat(100)).unwrap();
    let error = refusal(&text).await;
    assert!(matches!(cause(&error), Cause::Damaged(_)), "{error:?}");

    let path = folder.path().join("other.db");
    std::fs::write(&path, "").unwrap();
    let mut other = raw(&path).await;
    other.execute("CREATE TABLE people (name TEXT)").await.unwrap();
    let error = refusal(&path).await;
    assert!(matches!(cause(&error), Cause::Foreign), "{error:?}");
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut other)
        .await
        .unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test]
async fn an_empty_file_is_a_new_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    std::fs::write(&path, "").unwrap();
    SqliteStore::open(&path, OpenOptions::new(protection())).await.unwrap();
}

const FROM_THE_FUTURE: &str = "INSERT INTO _sqlx_migrations \
    (version, description, success, checksum, execution_time) VALUES (9000, 'x', 1, x'00', 0)";

#[tokio::test]
async fn a_newer_schema_is_refused_unless_it_says_that_we_may() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    used(&path).await;
    let mut newer = raw(&path).await;
    newer.execute(FROM_THE_FUTURE).await.unwrap();
    let error = refusal(&path).await;
    let Cause::Newer { found: 9000, known: ours } = *cause(&error) else { panic!("{error:?}") };

    let says = "INSERT OR REPLACE INTO schema_versions VALUES (9000, ?)";
    sqlx::query(says).bind(ours + 1).execute(&mut newer).await.unwrap();
    let error = refusal(&path).await;
    assert!(matches!(cause(&error), Cause::Newer { found: 9000, .. }), "{error:?}");

    sqlx::query(says).bind(ours).execute(&mut newer).await.unwrap();
    let store = SqliteStore::open(&path, create()).await.unwrap();
    assert_eq!(store.lease_holder().await.unwrap().unwrap().holder, "first");
}

#[tokio::test]
async fn a_schema_that_was_made_differently_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    used(&path).await;
    raw(&path).await.execute("UPDATE _sqlx_migrations SET checksum = x'00'").await.unwrap();
    let error = refusal(&path).await;
    assert!(matches!(cause(&error), Cause::Schema(_)), "{error:?}");
}

/// This test program again, as another process that runs one test of it.
fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, path);
    command
}

const CHILD: &str = "SKEP_TEST_DATABASE";

fn as_child() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

const WON: i32 = 40;
const LOST: i32 = 41;

#[tokio::test]
async fn of_ten_processes_one_gets_the_lease() {
    if let Some(path) = as_child() {
        let store = SqliteStore::open(&path, create()).await.unwrap();
        let name = std::process::id().to_string();
        let result = store.acquire_lease(&request(&name)).await.unwrap();
        // Without closing anything, as a process that is killed.
        std::process::exit(if result.is_ok() { WON } else { LOST });
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    let mut children: Vec<_> = (0..10)
        .map(|_| child("of_ten_processes_one_gets_the_lease", &path).spawn().unwrap())
        .collect();
    let pids: Vec<_> = children.iter().map(|child| child.id().to_string()).collect();
    let codes: Vec<_> =
        children.iter_mut().map(|child| child.wait().unwrap().code().unwrap()).collect();
    assert_eq!(codes.iter().filter(|code| **code == WON).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == LOST).count(), 9, "{codes:?}");
    let store = SqliteStore::open(&path, OpenOptions::new(protection())).await.unwrap();
    let holder = store.lease_holder().await.unwrap().unwrap();
    let winner = codes.iter().position(|code| *code == WON).unwrap();
    assert_eq!(holder.holder, pids[winner]);
}

/// Root may write everywhere, so the child that finds the file read-only is somebody else.
#[tokio::test]
async fn a_read_only_file_is_refused_with_what_to_do() {
    if let Some(path) = as_child() {
        let error = SqliteStore::open(&path, create()).await.unwrap_err();
        let named = matches!(cause(&error), Cause::ReadOnly(_) | Cause::CannotOpen(_));
        assert!(matches!(error, Error::Unavailable { .. }) && named, "{error:?}");
        assert!(cause(&error).to_string().contains("this user"), "{error:?}");
        // It is read all the same.
        let store = SqliteStore::open_read_only(&path, create()).await.unwrap();
        assert!(store.is_read_only());
        assert_eq!(store.audit(&AuditFilter::default()).await.unwrap().len(), 1);
        // The lease is held, which needs no write to be told; whoever asks does not get it.
        let asked = store.acquire_lease(&request("second")).await;
        assert!(!matches!(asked, Ok(Ok(_))), "{asked:?}");
        std::process::exit(WON);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    used(&path).await;
    let root = std::fs::metadata("/proc/self")
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let program = folder.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for folder_mode in [0o555, 0o777] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o444)).unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(folder_mode)).unwrap();
        let mut command = Command::new(&program);
        command.args(["--exact", "a_read_only_file_is_refused_with_what_to_do", "--nocapture"]);
        command.env(CHILD, &path);
        if root {
            command.uid(65_534).gid(65_534);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(WON), "folder {folder_mode:o}: {said}");
    }
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
}

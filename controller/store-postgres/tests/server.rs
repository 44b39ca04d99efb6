//! The whole server fails in the middle of writes, or has no room left: what a leader was told is
//! on record, what it was not told is not begun, and the work goes on afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests report by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use skep_core::identity::TermId;
use skep_store::conformance::protection;
use skep_store::conformance::samples::{at, done_with, granted, intent, verify};
use skep_store::{Effects, Error, Fence, LeaseRequest, Store};
use skep_store_postgres::{Address, Cause, OpenOptions, PostgresStore};
use skep_testkit::Postgres;

async fn open(url: &str) -> Arc<dyn Store> {
    let address: Address = url.parse().unwrap();
    Arc::new(PostgresStore::open(&address, OpenOptions::new(protection())).await.unwrap())
}

async fn lead(store: &Arc<dyn Store>) -> Fence {
    let (term, holder) = (TermId::new("term"), "leader".to_owned());
    let request = LeaseRequest { term, holder, ttl: Duration::from_secs(3600) };
    store.acquire_lease(&request).await.unwrap().unwrap().fence
}

/// What a leader does until it is refused: it begins one action after the other, and sends what it
/// was told is on record.
struct Work {
    /// It may have sent these.
    begun: BTreeSet<String>,
    /// The one that was refused.
    refused: String,
    error: Error,
}

async fn work(store: Arc<dyn Store>, fence: Fence, name: String, counted: &AtomicUsize) -> Work {
    let mut begun = BTreeSet::new();
    for number in 0_u32.. {
        let id = format!("{name}-{number}");
        let began = async {
            store.propose(&fence, &[granted(&id, &id)], at(0)).await?;
            store.begin(&fence, 1, &intent(&format!("i-{id}"), &id, &id), at(1)).await
        };
        match began.await {
            Ok(()) => begun.insert(format!("i-{id}")),
            Err(error) => return Work { begun, refused: format!("i-{id}"), error },
        };
        counted.fetch_add(1, Ordering::SeqCst);
    }
    unreachable!("there are many numbers")
}

/// The open intents are those that were told, and at most those whose answer was lost.
async fn is_on_record(store: &Arc<dyn Store>, works: &[Work]) {
    let open = store.open_intents().await.unwrap();
    let open: BTreeSet<String> = open.iter().map(|intent| intent.id.to_string()).collect();
    for work in works {
        let lost: Vec<_> = work.begun.difference(&open).collect();
        assert!(lost.is_empty(), "begun and not on record: {lost:?}");
    }
    let told = works.iter().map(|work| work.begun.len()).sum::<usize>();
    let unsure = works.iter().filter(|work| open.contains(&work.refused)).count();
    assert_eq!(open.len(), told + unsure, "nobody else began anything");
}

/// Everything that is open is settled, and the trail is whole.
async fn goes_on(store: &Arc<dyn Store>, fence: &Fence) {
    for open in store.open_intents().await.unwrap() {
        let done = done_with(Effects::default());
        store.settle(fence, &open.id, &done, at(9)).await.unwrap();
    }
    assert!(store.open_intents().await.unwrap().is_empty());
    let found = verify(store).await;
    assert_eq!(found.damage, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_in_the_middle_loses_nothing_that_was_told() {
    let mut cluster = Postgres::start().unwrap();
    let url = cluster.create_database("skep").unwrap();
    let store = open(&url).await;
    let fence = lead(&store).await;
    let counted = Arc::new(AtomicUsize::new(0));
    let leaders: Vec<_> = ["one", "two", "three", "four"]
        .map(|name| {
            let (store, fence, counted) = (Arc::clone(&store), fence.clone(), counted.clone());
            tokio::spawn(async move { work(store, fence, name.to_owned(), &counted).await })
        })
        .into();
    while counted.load(Ordering::SeqCst) < 20 {
        tokio::task::yield_now().await;
    }
    cluster.crash().unwrap();
    let works: Vec<Work> =
        futures::future::join_all(leaders).await.into_iter().map(Result::unwrap).collect();
    for work in &works {
        let known = matches!(
            work.error,
            Error::Unavailable { .. } | Error::OutcomeUnknown { .. } | Error::Busy(_)
        );
        assert!(known, "{:?}", work.error);
        let source = std::error::Error::source(&work.error).map(ToString::to_string);
        let said = format!("{} {}", work.error, source.unwrap_or_default());
        assert!(said.contains("server") || said.contains("connection"), "{said}");
    }
    assert!(store.ping().await.is_err(), "it is down");

    cluster.start_again().unwrap();
    store.ping().await.unwrap();
    for store in [store, open(&url).await] {
        is_on_record(&store, &works).await;
    }
    let store = open(&url).await;
    assert_eq!(lead(&store).await, fence, "the lease is still the same");
    goes_on(&store, &fence).await;
}

const DISK: &str = "SKEP_TEST_DISK";

/// The small disk, in the child; runs the test as a child on such a disk otherwise. It is a real
/// one, in a mount namespace of its own, and gone with the process.
fn small_disk(test: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(DISK) {
        return Some(PathBuf::from(path));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut unshare = Command::new("unshare");
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        // Whoever is not root is, in a user namespace of their own.
        unshare.args(["--user", "--map-root-user"]);
    }
    const MOUNT: &str = r#"mount -t tmpfs -o size=32m none "$1" && shift && exec "$@""#;
    unshare.args(["--mount", "sh", "-c", MOUNT, "sh"]).arg(folder.path());
    unshare.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let output = unshare.env(DISK, folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let ran = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && ran.contains("1 passed"), "{ran}\n{said}");
    None
}

/// Fills the disk but for so many bytes.
fn fill(disk: &Path, room: u64) -> PathBuf {
    let ballast = disk.join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(room)).unwrap();
    ballast
}

/// The tables are on the small disk; the server's log of changes is not, as on most servers.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_begins_while_the_servers_disk_is_full() {
    let Some(disk) = small_disk("nothing_begins_while_the_servers_disk_is_full") else { return };
    let cluster = Postgres::start().unwrap();
    let data = cluster.query(&cluster.url(), "SHOW data_directory").unwrap();
    let owner = fs::metadata(data).unwrap();
    let place = disk.join("tables");
    fs::create_dir(&place).unwrap();
    for folder in [&disk, &place] {
        chown(folder, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let make = format!("CREATE TABLESPACE small LOCATION '{}'", place.display());
    cluster.query(&cluster.url(), &make).unwrap();
    cluster.query(&cluster.url(), "CREATE DATABASE skep TABLESPACE small").unwrap();
    let url = cluster.url().replace("/postgres?", "/skep?");
    let store = open(&url).await;
    let fence = lead(&store).await;

    let mut works = Vec::new();
    let counted = AtomicUsize::new(0);
    // From no room at all to some: wherever in the work the disk is full.
    for pages in [0, 2, 8, 24, 48] {
        let ballast = fill(&disk, pages * 8192);
        let name = format!("room-{pages}");
        let full = work(Arc::clone(&store), fence.clone(), name, &counted).await;
        let source = std::error::Error::source(&full.error).unwrap();
        assert!(matches!(source.downcast_ref(), Some(Cause::Full(_))), "{:?}", full.error);
        assert!(source.to_string().contains("disk is full"), "{source}");
        works.push(full);
        is_on_record(&store, &works).await;
        fs::remove_file(ballast).unwrap();
    }
    assert!(counted.load(Ordering::SeqCst) > 4, "some were begun before it was full");
    let again = intent("i-again", "again", "again");
    store.propose(&fence, &[granted("again", "again")], at(2)).await.unwrap();
    store.begin(&fence, 1, &again, at(3)).await.unwrap();
    goes_on(&store, &fence).await;
}

//! The store of a simulated world: a SQLite file that can be copied as a crash would leave it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use skep_store::conformance::protection;
use skep_store_sqlite::{ClockShift, Location, OpenOptions, SqliteStore};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::time::while_time_stands;

const NAME: &str = "skep.db";
/// What a crash leaves behind; the shared memory is made anew.
const FILES: [&str; 2] = [NAME, "skep.db-wal"];

/// The files of a database at one moment, and how far its clock was ahead of the machine's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    files: [Vec<u8>; 2],
    ahead: Duration,
}

impl Image {
    /// True when no transaction lies between the two.
    #[must_use]
    pub fn holds_the_same(&self, other: &Self) -> bool {
        self.files == other.files
    }
}

/// A database in a folder of its own.
#[derive(Debug)]
pub struct Database {
    folder: TempDir,
    /// The open store.
    pub store: SqliteStore,
    /// Held by whoever uses the store, so that no copy is made of half a transaction.
    pub gate: tokio::sync::Mutex<()>,
    clock: ClockShift,
    /// How far the database's clock is ahead, in microseconds; it goes by the virtual clock.
    ahead: AtomicU64,
    before: Duration,
    opened: Instant,
}

impl Database {
    /// An empty database, or what a crash left.
    ///
    /// # Panics
    /// When there is no space or SQLite refuses.
    pub async fn open(image: Option<&Image>) -> Self {
        let folder = TempDir::new_in(quick_folder()).unwrap();
        let before = image.map_or(Duration::ZERO, |image| image.ahead);
        for (name, bytes) in FILES.iter().zip(image.into_iter().flat_map(|image| &image.files)) {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let clock = ClockShift::default();
        clock.advance(before);
        let location = Location::File(folder.path().join(NAME));
        let options = OpenOptions::new(protection()).creating();
        let opening = SqliteStore::open_with_clock(&location, options, clock.clone());
        let store = while_time_stands(opening).await.unwrap();
        let ahead = AtomicU64::new(micros(before));
        let (gate, opened) = (tokio::sync::Mutex::default(), Instant::now());
        Self { folder, store, gate, clock, ahead, before, opened }
    }

    /// Moves the database's clock as far as the virtual one has come.
    pub fn keep_time(&self) {
        let wanted = micros(self.before + self.opened.elapsed());
        let had = self.ahead.fetch_max(wanted, Ordering::SeqCst);
        self.clock.advance(Duration::from_micros(wanted.saturating_sub(had)));
    }

    /// The files as they are now. The caller holds [`Self::gate`].
    ///
    /// # Panics
    /// When they cannot be read.
    #[must_use]
    pub fn image(&self) -> Image {
        let read = |name: &str| std::fs::read(self.path(name)).unwrap_or_default();
        let ahead = Duration::from_micros(self.ahead.load(Ordering::SeqCst));
        Image { files: FILES.map(read), ahead }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Closes it before its folder goes.
    pub async fn close(&self) {
        while_time_stands(self.store.close()).await;
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Where writing to disk costs nothing, if there is such a place.
fn quick_folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

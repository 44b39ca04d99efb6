//! The store of a simulated world: a SQLite file that can be copied as a crash would leave it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aho_corasick::AhoCorasick;
use skep_store::conformance::protection;
use skep_store_sqlite::{ClockShift, Location, OpenOptions, SqliteStore};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::time::while_time_stands;

const NAME: &str = "skep.db";
/// What a crash leaves behind; the shared memory is made anew.
const FILES: [&str; 2] = [NAME, "skep.db-wal"];

/// The files of a database at one moment; equal when no transaction lies between two of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Image([Vec<u8>; 2]);

impl Image {
    /// True when one of these stands in it.
    ///
    /// # Panics
    /// When there are too many of them.
    #[must_use]
    pub fn contains(&self, texts: &[&[u8]]) -> bool {
        let search = AhoCorasick::new(texts).unwrap();
        self.0.iter().any(|file| search.is_match(file))
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
    /// How often the store was used.
    uses: AtomicU64,
    /// The files after so many uses.
    seen: Mutex<Option<(u64, Arc<Image>)>>,
    clock: ClockShift,
    /// How far the database's clock is ahead, in microseconds; it goes by the virtual clock.
    ahead: AtomicU64,
    before: Duration,
    opened: Instant,
}

impl Database {
    /// An empty database, or what a crash left when the clock was so far ahead of the machine's.
    ///
    /// # Panics
    /// When there is no space or SQLite refuses.
    pub async fn open(image: Option<&Image>, before: Duration) -> Self {
        let folder = TempDir::new_in(quick_folder()).unwrap();
        for (name, bytes) in FILES.iter().zip(image.into_iter().flat_map(|image| &image.0)) {
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
        let (uses, seen) = Default::default();
        Self { folder, store, gate, uses, seen, clock, ahead, before, opened }
    }

    /// The store is about to be used: moves the database's clock as far as the virtual one has
    /// come. The caller holds [`Self::gate`].
    pub fn keep_time(&self) {
        self.uses.fetch_add(1, Ordering::SeqCst);
        let wanted = micros(self.before + self.opened.elapsed());
        let had = self.ahead.fetch_max(wanted, Ordering::SeqCst);
        self.clock.advance(Duration::from_micros(wanted.saturating_sub(had)));
    }

    /// The files as they are now; the same as before while nobody has used the store. The caller
    /// holds [`Self::gate`].
    ///
    /// # Panics
    /// When they cannot be read.
    #[must_use]
    pub fn image(&self) -> Arc<Image> {
        let uses = self.uses.load(Ordering::SeqCst);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, image)) = &*seen
            && *at == uses
        {
            return Arc::clone(image);
        }
        let read = |name: &str| std::fs::read(self.path(name)).unwrap_or_default();
        let mut image = Arc::new(Image(FILES.map(read)));
        // What was only read is kept once.
        if let Some((_, before)) = seen.take()
            && before == image
        {
            image = before;
        }
        *seen = Some((uses, Arc::clone(&image)));
        image
    }

    /// How far the clock is ahead of the machine's.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        Duration::from_micros(self.ahead.load(Ordering::SeqCst))
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

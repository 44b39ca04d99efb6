//! What every store promises, on a file that several connections share as processes do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use skep_store::Store;
use skep_store::conformance::{Harness, protection};
use skep_store_sqlite::{ClockShift, Location, OpenOptions, SqliteStore};
use tempfile::TempDir;

struct Database {
    folder: TempDir,
    clock: ClockShift,
}

impl Database {
    async fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: ClockShift::default() }
    }
}

#[async_trait]
impl Harness for Database {
    async fn connect(&self) -> Arc<dyn Store> {
        let location = Location::File(self.folder.path().join("skep.db"));
        let options = OpenOptions::new(protection()).creating();
        let store = SqliteStore::open_with_clock(&location, options, self.clock.clone()).await;
        Arc::new(store.unwrap())
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

skep_store::conformance_tests!(Database::new());

/// The database in memory is the same code on one connection; each promise holds there too, with
/// clones of the store in the place of processes.
mod in_memory {
    use super::*;

    struct Memory {
        store: SqliteStore,
        clock: ClockShift,
    }

    impl Memory {
        async fn new() -> Self {
            let clock = ClockShift::default();
            let options = OpenOptions::new(protection());
            let store =
                SqliteStore::open_with_clock(&Location::Memory, options, clock.clone()).await;
            Self { store: store.unwrap(), clock }
        }
    }

    #[async_trait]
    impl Harness for Memory {
        async fn connect(&self) -> Arc<dyn Store> {
            Arc::new(self.store.clone())
        }

        fn advance(&self, by: Duration) {
            self.clock.advance(by);
        }
    }

    skep_store::conformance_tests!(Memory::new());
}

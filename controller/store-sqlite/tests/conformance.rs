//! What every store promises, on a file that several connections share as processes do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use skep_store::Store;
use skep_store::conformance::{Harness, Tampering, protection};
use skep_store_sqlite::{ClockShift, Location, OpenOptions, SqliteStore};
use sqlx::{Connection as _, SqliteConnection};
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

#[async_trait]
impl Tampering for Database {
    async fn tamper(&self, statements: &[&str]) {
        let path = self.folder.path().join("skep.db");
        let location = format!("sqlite:{}", path.display());
        let mut connection = SqliteConnection::connect(&location).await.unwrap();
        let triggers = [
            "audit_refuses_update",
            "audit_refuses_delete",
            "audit_refuses_replace",
            "audit_refuses_unchained",
        ];
        let without = triggers.map(|trigger| format!("DROP TRIGGER IF EXISTS {trigger}"));
        for statement in without.iter().map(String::as_str).chain(statements.iter().copied()) {
            let statement = sqlx::AssertSqlSafe(statement.to_owned());
            sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    }
}

skep_store::conformance_tests!(Database::new());
skep_store::tamper_tests!(Database::new());

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

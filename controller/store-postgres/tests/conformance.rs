//! What every store promises, on a database that several pools of connections share as processes
//! do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use skep_store::Store;
use skep_store::conformance::{Harness, protection};
use skep_store_postgres::{Address, ClockShift, OpenOptions, PostgresStore};
use skep_testkit::Postgres;

struct Database {
    address: Address,
    clock: ClockShift,
}

impl Database {
    async fn new() -> Self {
        let url = Postgres::shared().unwrap().fresh_database().unwrap();
        Self { address: url.parse().unwrap(), clock: ClockShift::default() }
    }
}

#[async_trait]
impl Harness for Database {
    async fn connect(&self) -> Arc<dyn Store> {
        let (options, clock) = (OpenOptions::new(protection()), self.clock.clone());
        let store = PostgresStore::open_with_clock(&self.address, options, clock).await;
        Arc::new(store.unwrap())
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

skep_store::conformance_tests!(Database::new());

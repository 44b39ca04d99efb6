//! What every store promises, through a PgBouncer that gives each transaction another connection
//! to the server. Nothing in the address says so: it is noticed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use skep_store::Store;
use skep_store::conformance::{Harness, protection};
use skep_store_postgres::{Address, ClockShift, OpenOptions, PostgresStore};
use skep_testkit::{Pooler, Postgres};

struct Pooled {
    address: Address,
    clock: ClockShift,
    _pooler: Pooler,
}

impl Pooled {
    async fn new() -> Self {
        let cluster = Postgres::shared().unwrap();
        let direct = cluster.fresh_database().unwrap();
        let pooler = Pooler::start(&cluster).unwrap();
        let address = pooler.url(&direct).parse().unwrap();
        Self { address, clock: ClockShift::default(), _pooler: pooler }
    }
}

#[async_trait]
impl Harness for Pooled {
    async fn connect(&self) -> Arc<dyn Store> {
        let (options, clock) = (OpenOptions::new(protection()), self.clock.clone());
        let store = PostgresStore::open_with_clock(&self.address, options, clock).await;
        Arc::new(store.unwrap())
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

skep_store::conformance_tests!(Pooled::new());

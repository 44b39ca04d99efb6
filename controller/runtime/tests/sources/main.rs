//! What becomes of a source that fails, shrinks, moves or goes back: through the whole pass, on
//! SQLite and a swarm in memory, with real files, a real git and a server that misbehaves. Nothing
//! is ever removed because of what is missing, and the next good version recovers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests report by panicking"
)]

mod days;
mod files;
#[allow(dead_code, reason = "the laboratory of the tests of git has more than is needed here")]
#[path = "../../../git/tests/checkout/lab.rs"]
mod lab;
mod moves;
mod repositories;
#[allow(dead_code, reason = "the laboratory of the tests of git has more than is needed here")]
#[path = "../../../git/tests/checkout/server.rs"]
mod server;
mod world;

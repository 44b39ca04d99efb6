//! The policy through the loop: limits that count from the durable ledger, freezes, rules that are
//! not enforced, and a store that cannot be read.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests report by panicking"
)]

mod freezes;
mod keyless;
mod limits;
mod modes;
mod requests;
mod unreadable;
mod waiting;
mod world;

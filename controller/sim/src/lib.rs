//! A simulated world: the real controller on a fake swarm, a real database, a stopped clock, and
//! everything that can go wrong between them.
//!
//! Two things are done in it. The *sweep* ([`sweep`]) crashes a process at each moment of each
//! call that it makes and looks at how the world ends; [`paused`] stops it there and lets it go on
//! when its successor has taken over. *Chance* ([`chance`]) lets two controllers,
//! people and meddlers loose on one world for a while, with faults that a seed decides.
//! [`interleavings`] are about decisions alone: two leaders that are stopped in any call while
//! people decide and change their minds, and an oracle that says what may be written.
//!
//! # Guarantees
//! - The same seed gives the same life, as far as the order of the database's threads allows it:
//!   they never run side by side.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a simulation reports by panicking; nothing of it is part of the product"
)]

pub mod chance;
pub mod database;
pub mod files;
pub mod interleavings;
pub mod outcome;
pub mod paused;
pub mod people;
pub mod recording;
pub mod scenario;
pub mod scenarios;
mod soundness;
pub mod sweep;
pub mod tap;
pub mod time;
pub mod world;

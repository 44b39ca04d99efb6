//! Stacks as a whole: the order of their services, what a failure stops, and the way back.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests report by panicking"
)]

mod back;
mod order;
mod world;

//! What only a real engine can show: that a spec survives, and what the engine refuses.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test reports by panicking; clippy does not see that this whole program is one"
)]

mod conformance;
mod every_field;
mod support;
mod watching;
mod writing;

//! Reading real repositories with the real programs: folders, a git server behind TLS, a server of
//! SSH, each on loopback and each as friendly or as hostile as a test needs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests report by panicking"
)]

mod folder;
mod history;
mod https;
mod lab;
mod limits;
mod server;
mod signed;
mod ssh;

//! What the tests and the demo run against: real engines, a real database and
//! a proxy that records and disturbs, all private to one run.
//!
//! # Guarantees
//! - Nothing here touches an engine, a database or a process that it did not
//!   start: every process is recorded with its start time and compared before
//!   it is ended, and every command line carries its target explicitly.
//! - An engine has no route out of its network namespace, so a test can neither
//!   pull an image nor reach another machine.
//! - What a killed run left behind is removed by the next one.
//!
//! # Caveats
//! Engines need Linux and root. The set-up code blocks; call it from a test's
//! own thread, or through `tokio::task::spawn_blocking` where that matters.

pub mod canary;
mod command;
pub mod engine;
mod error;
pub mod install;
mod postgres;
pub mod process;
mod proxy;
pub mod registry;
mod state;

pub use command::{find_program, is_root};
pub use engine::{Engine, fleet_name};
pub use error::Error;
pub use postgres::{Pooler, Postgres};
pub use proxy::{FaultHandle, FaultKind, Matcher, RecordedRequest, RecordingProxy};
pub use registry::Registry;

/// Where tests keep engines and clusters of their own.
pub(crate) fn temporary_folder() -> std::path::PathBuf {
    std::env::temp_dir().join("skep-testkit")
}

/// Ends and removes what tests that were killed have left: engines and clusters
/// whose owner is not running any more.
pub fn sweep() {
    state::sweep(&temporary_folder());
}

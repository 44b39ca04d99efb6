//! The engine that all tests of a run share: starting one takes seconds, and
//! tests keep apart by name.

use std::path::PathBuf;

use super::Engine;

/// Names the state folder of the engine that tests use.
pub const STATE_VARIABLE: &str = "SKEP_TEST_ENGINE_STATE";

/// The shared engine; the handle does not stop it.
///
/// # Panics
/// Without one: a live test cannot say anything, and skipping it silently would
/// look like success.
#[must_use]
#[allow(clippy::panic, reason = "only tests call this, and they report by panicking")]
pub fn shared() -> Engine {
    const HINT: &str = "start one with `cargo xtask engine up` and export what it prints, or run `cargo xtask test`";
    let Some(state) = std::env::var_os(STATE_VARIABLE).map(PathBuf::from) else {
        panic!("{STATE_VARIABLE} is not set; {HINT}");
    };
    match Engine::open(&state) {
        Ok(engine) => engine,
        Err(error) => panic!("{error}; {HINT}"),
    }
}

//! The real clock and the real random numbers.

use jiff::Timestamp;
use skep_core::ports::{Clock, Random};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The operating system's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn bits128(&self) -> u128 {
        let mut bytes = [0; 16];
        if let Err(error) = getrandom::fill(&mut bytes) {
            // Terms and ids that repeat would let two leaders act; there is no way to go on. The
            // call does not fail on a kernel that has finished booting.
            tracing::error!(error = %error, "system.random_unavailable");
            std::process::abort();
        }
        u128::from_ne_bytes(bytes)
    }
}

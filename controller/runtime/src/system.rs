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
        // The call fails only before the kernel's pool is ready, early at boot; it then blocks
        // the next time. A repeated id would be refused by the store, never acted on.
        match getrandom::fill(&mut bytes) {
            Ok(()) => u128::from_ne_bytes(bytes),
            Err(error) => {
                tracing::error!(error = %error, "system.random_unavailable");
                0
            }
        }
    }
}

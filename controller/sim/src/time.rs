//! Time that goes by when nobody has anything to do, and random numbers that a seed decides.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use skep_core::ports::{Clock, Random};
use tokio::time::Instant;

/// The wall clock of a simulated world: tokio's stopped clock, counted from a date.
#[derive(Debug, Clone, Copy)]
pub struct VirtualClock {
    base: Timestamp,
    start: Instant,
}

impl VirtualClock {
    /// It is `base` now.
    #[must_use]
    pub fn starting_at(base: Timestamp) -> Self {
        Self { base, start: Instant::now() }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let gone = SignedDuration::try_from(self.start.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.base.checked_add(gone).unwrap_or(Timestamp::MAX)
    }
}

/// Random numbers that a seed decides (SplitMix64).
#[derive(Debug)]
pub struct Seeded(Mutex<u64>);

impl Seeded {
    /// The same seed gives the same numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number below `limit`.
    pub fn below(&self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

impl Random for Seeded {
    fn bits128(&self) -> u128 {
        (u128::from(self.next()) << 64) | u128::from(self.next())
    }
}

/// Runs something that waits for a real thread (a database, a file). Tokio's stopped clock jumps
/// to the next timer when no task can run; while a blocking task is under way it does not.
pub(crate) async fn while_time_stands<T>(work: impl Future<Output = T>) -> T {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let holding = tokio::task::spawn_blocking(move || {
        let _until_the_other_end_is_dropped = wait.recv();
    });
    let result = work.await;
    drop(done);
    drop(holding);
    result
}

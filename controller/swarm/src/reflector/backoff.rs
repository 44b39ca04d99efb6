//! How long to wait after a failure: doubling, with a limit, and never in step with others.

use std::sync::Arc;
use std::time::Duration;

use skep_core::ports::Random;

/// The waits between attempts.
pub(super) struct Backoff {
    random: Arc<dyn Random>,
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(random: Arc<dyn Random>, first: Duration, longest: Duration) -> Self {
        Self { random, first, longest, next: first }
    }

    /// The next wait: half of it is certain, the other half is chance, so that many controllers
    /// of one engine do not all come back at the same moment.
    pub(super) fn next(&mut self) -> Duration {
        let whole = self.next.min(self.longest);
        self.next = whole.saturating_mul(2).min(self.longest);
        let half = whole / 2;
        let parts = u32::try_from(self.random.bits128() & 0xFFFF).unwrap_or_default();
        half + half.saturating_mul(parts) / 0xFFFF
    }

    /// The next failure is a first one again.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bits(u128);

    impl Random for Bits {
        fn bits128(&self) -> u128 {
            self.0
        }
    }

    fn waits(bits: u128) -> Vec<u128> {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(Arc::new(Bits(bits)), second, 5 * second);
        let mut waits: Vec<_> = (0..4).map(|_| backoff.next().as_millis()).collect();
        backoff.reset();
        waits.push(backoff.next().as_millis());
        waits
    }

    #[test]
    fn waits_double_up_to_the_longest_and_start_again_after_a_reset() {
        assert_eq!(waits(u128::MAX), [1000, 2000, 4000, 5000, 1000]);
        assert_eq!(waits(0), [500, 1000, 2000, 2500, 500]);
    }

    #[test]
    fn long_waits_do_not_overflow() {
        let day = Duration::from_secs(86_400);
        let mut backoff = Backoff::new(Arc::new(Bits(u128::MAX)), day, 30 * day);
        for _ in 0..100 {
            assert!(backoff.next() <= 30 * day);
        }
    }
}

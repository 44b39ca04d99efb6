//! How many deliveries are looked at. A forge sends a few a minute; somebody who sends hundreds a
//! second is told to wait before anything of his is read.

use std::time::{Duration, Instant};

/// Deliveries that may come at once.
const BURST: u32 = 60;
/// The time after which one more may come.
const EACH: Duration = Duration::from_millis(50);

/// A bucket that fills with time.
#[derive(Debug)]
pub(super) struct Bucket {
    left: u32,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, filled: now }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled);
        let more = passed.as_millis() / EACH.as_millis();
        if more > 0 {
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(more).min(BURST);
            // What is left of the time counts for the next one.
            self.filled += EACH.saturating_mul(more);
        }
        let is_there = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_one_at_a_time() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        let taken = (0..100).filter(|_| bucket.take(start)).count();
        assert_eq!(taken, 60);
        assert!(!bucket.take(start + EACH / 2));
        assert!(bucket.take(start + EACH));
        assert!(!bucket.take(start + EACH * 3 / 2));
        assert!(bucket.take(start + EACH * 2));
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..100).filter(|_| bucket.take(later)).count(), 60);
    }
}

//! The overall rate: however many actions are granted at once, the engine gets only so many
//! requests a second in the long run.

use std::time::Duration;

use tokio::time::Instant;

/// As many may start at once: one approved roll-out of a large fleet should not wait.
const BURST: u32 = 400;
/// One more may start after each of these; the managers apply about this many writes a second
/// beside everything else that they do.
const REFILL: Duration = Duration::from_millis(20);

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Rate {
    tokens: u32,
    counted_at: Instant,
}

impl Rate {
    /// A full bucket.
    pub(crate) fn new(now: Instant) -> Self {
        Self { tokens: BURST, counted_at: now }
    }

    /// Takes a token, or says when there is one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let elapsed = now.saturating_duration_since(self.counted_at).as_millis();
        let refilled = u32::try_from(elapsed / REFILL.as_millis()).unwrap_or(u32::MAX);
        if refilled > 0 {
            self.tokens = self.tokens.saturating_add(refilled).min(BURST);
            self.counted_at += REFILL.saturating_mul(refilled);
        }
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => Err(self.counted_at + REFILL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let now = Instant::now();
        let mut rate = Rate::new(now);
        assert_eq!((0..1000).filter(|_| rate.take(now).is_ok()).count(), BURST as usize);
        assert_eq!(rate.take(now), Err(now + REFILL));
        let later = now + Duration::from_secs(1);
        assert_eq!((0..1000).filter(|_| rate.take(later).is_ok()).count(), 50);
        // A long rest fills the bucket, no more.
        let much_later = now + Duration::from_secs(10_000);
        assert_eq!((0..1000).filter(|_| rate.take(much_later).is_ok()).count(), BURST as usize);
    }
}

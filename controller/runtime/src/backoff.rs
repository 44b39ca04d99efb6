//! When a key may be tried again: at once, then after a delay that doubles, until it succeeds.

use std::collections::HashMap;
use std::time::Duration;

use skep_core::identity::ServiceName;
use tokio::time::Instant;

/// The first delay; the values are those of the Kubernetes work queue.
const FIRST: Duration = Duration::from_millis(5);
/// The longest delay.
const LONGEST: Duration = Duration::from_secs(1000);

/// Delays per key.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failed: HashMap<ServiceName, (u32, Instant)>,
}

impl Backoff {
    /// True when the key may be tried now.
    pub(crate) fn is_ready(&self, key: &ServiceName, now: Instant) -> bool {
        self.failed.get(key).is_none_or(|(_, retry_at)| *retry_at <= now)
    }

    /// The key failed in a way that may pass; it waits longer than the last time.
    pub(crate) fn failed(&mut self, key: &ServiceName, now: Instant) -> Duration {
        let (failures, retry_at) = self.failed.entry(key.clone()).or_insert((0, now));
        let delay = FIRST.saturating_mul(2_u32.saturating_pow(*failures)).min(LONGEST);
        *failures = failures.saturating_add(1);
        *retry_at = now + delay;
        delay
    }

    /// The key succeeded, or what it waits for has changed.
    pub(crate) fn reset(&mut self, key: &ServiceName) {
        self.failed.remove(key);
    }

    /// When the next waiting key becomes ready.
    pub(crate) fn next_ready(&self) -> Option<Instant> {
        self.failed.values().map(|(_, retry_at)| *retry_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_reset() {
        let mut backoff = Backoff::default();
        let (key, now) = (ServiceName::new("a"), Instant::now());
        let delays: Vec<_> = (0..40).map(|_| backoff.failed(&key, now)).collect();
        assert_eq!(delays[..3], [FIRST, FIRST * 2, FIRST * 4]);
        assert_eq!(delays[39], LONGEST);
        assert!(!backoff.is_ready(&key, now));
        assert!(backoff.is_ready(&key, now + LONGEST));
        assert!(backoff.is_ready(&ServiceName::new("b"), now), "keys do not wait for each other");
        backoff.reset(&key);
        assert!(backoff.is_ready(&key, now));
        assert_eq!(backoff.failed(&key, now), FIRST);
    }
}

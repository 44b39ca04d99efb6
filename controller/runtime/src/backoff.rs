//! When a key may be tried again: after a failure at once, then after a delay that doubles until
//! it succeeds; while it only waits for something, after a fixed short time.

use std::collections::HashMap;
use std::time::Duration;

use skep_core::identity::ServiceName;
use tokio::time::Instant;

/// The first delay; the values are those of the Kubernetes work queue.
const FIRST: Duration = Duration::from_millis(5);
/// The longest delay.
const LONGEST: Duration = Duration::from_secs(1000);
/// How long a key rests that waits for something that no event announces.
const REST: Duration = Duration::from_secs(5);

/// Delays per key.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    delayed: HashMap<ServiceName, Delay>,
}

#[derive(Debug, Clone, Copy)]
struct Delay {
    failures: u32,
    until: Instant,
}

impl Backoff {
    /// True when the key may be tried now.
    pub(crate) fn is_ready(&self, key: &ServiceName, now: Instant) -> bool {
        self.delayed.get(key).is_none_or(|delay| delay.until <= now)
    }

    /// True while the key is delayed because it failed, not because it waits.
    pub(crate) fn is_retrying(&self, key: &ServiceName, now: Instant) -> bool {
        self.delayed.get(key).is_some_and(|delay| delay.failures > 0 && delay.until > now)
    }

    /// The key failed in a way that may pass; it waits longer than the last time.
    pub(crate) fn failed(&mut self, key: &ServiceName, now: Instant) -> Duration {
        let delay = self.delayed.entry(key.clone()).or_insert(Delay { failures: 0, until: now });
        let wait = FIRST.saturating_mul(2_u32.saturating_pow(delay.failures)).min(LONGEST);
        delay.failures = delay.failures.saturating_add(1);
        delay.until = now + wait;
        wait
    }

    /// The key failed in a way that may pass, and is tried again after exactly this long.
    pub(crate) fn later(&mut self, key: &ServiceName, now: Instant, wait: Duration) {
        let failures = self.delayed.get(key).map_or(0, |delay| delay.failures).max(1);
        self.delayed.insert(key.clone(), Delay { failures, until: now + wait.min(LONGEST) });
    }

    /// The key is fine and waits for something else.
    pub(crate) fn rests(&mut self, key: &ServiceName, now: Instant) {
        self.delayed.insert(key.clone(), Delay { failures: 0, until: now + REST });
    }

    /// The key succeeded, or what it waits for has changed.
    pub(crate) fn reset(&mut self, key: &ServiceName) {
        self.delayed.remove(key);
    }

    /// Something about the key has changed: it need not rest any longer. A failure still counts.
    pub(crate) fn stirred(&mut self, key: &ServiceName) {
        if self.delayed.get(key).is_some_and(|delay| delay.failures == 0) {
            self.delayed.remove(key);
        }
    }

    /// When the next delayed key becomes ready; a delay that has passed wakes nobody again.
    pub(crate) fn next_ready(&self, now: Instant) -> Option<Instant> {
        self.delayed.values().map(|delay| delay.until).filter(|until| *until > now).min()
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
        assert!(!backoff.is_ready(&key, now) && backoff.is_retrying(&key, now));
        assert!(backoff.is_ready(&key, now + LONGEST));
        assert!(backoff.is_ready(&ServiceName::new("b"), now), "keys do not wait for each other");
        backoff.reset(&key);
        assert!(backoff.is_ready(&key, now));
        assert_eq!(backoff.failed(&key, now), FIRST);
    }

    #[test]
    fn a_passed_delay_wakes_nobody_again() {
        let mut backoff = Backoff::default();
        let (key, now) = (ServiceName::new("a"), Instant::now());
        backoff.failed(&key, now);
        assert_eq!(backoff.next_ready(now), Some(now + FIRST));
        assert_eq!(backoff.next_ready(now + FIRST), None, "the loop would spin");
    }

    #[test]
    fn what_waits_for_its_next_attempt_is_ready_exactly_then() {
        let mut backoff = Backoff::default();
        let (key, now) = (ServiceName::new("a"), Instant::now());
        let wait = Duration::from_secs(10);
        backoff.later(&key, now, wait);
        backoff.stirred(&key);
        assert!(backoff.is_retrying(&key, now), "an event is no reason to hurry");
        assert_eq!(backoff.next_ready(now), Some(now + wait));
        assert!(backoff.is_ready(&key, now + wait));
    }

    #[test]
    fn resting_is_no_failure() {
        let mut backoff = Backoff::default();
        let (key, now) = (ServiceName::new("a"), Instant::now());
        backoff.rests(&key, now);
        assert!(!backoff.is_ready(&key, now) && !backoff.is_retrying(&key, now));
        assert_eq!(backoff.next_ready(now), Some(now + REST));
        backoff.stirred(&key);
        assert!(backoff.is_ready(&key, now), "an event came before the rest was over");
        backoff.failed(&key, now);
        backoff.stirred(&key);
        assert!(!backoff.is_ready(&key, now), "a failure is not forgiven by an event");
    }
}

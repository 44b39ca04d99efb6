//! When a repository is looked at the next time. Pure: the clock and the randomness are given.

use std::time::{Duration, Instant};

/// How often repositories are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// After a success.
    pub interval: Duration,
    /// Up to so much is added at random, so that many sources do not ask one server in step.
    pub jitter: Duration,
    /// After the first failure; doubled after each further one.
    pub first_retry: Duration,
    /// The longest pause after failures.
    pub longest_retry: Duration,
    /// Pushes that are announced sooner than this after the last look wait until then: a server
    /// that announces all the time is not asked all the time.
    pub between: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(120),
            jitter: Duration::from_secs(60),
            first_retry: Duration::from_secs(10),
            longest_retry: Duration::from_secs(15 * 60),
            between: Duration::from_secs(1),
        }
    }
}

/// When one repository is looked at the next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    pace: Pace,
    failures: u32,
    last: Option<Instant>,
    due: Instant,
}

impl Schedule {
    /// A repository that has not been looked at; it is due at once.
    #[must_use]
    pub fn new(pace: Pace, now: Instant) -> Self {
        Self { pace, failures: 0, last: None, due: now }
    }

    /// When it is looked at the next time.
    #[must_use]
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// How many looks in a row have failed.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// A look succeeded.
    pub fn succeeded(&mut self, now: Instant, random: u128) {
        self.failures = 0;
        self.last = Some(now);
        self.due = now + self.pace.interval + share(self.pace.jitter, random);
    }

    /// A look failed.
    pub fn failed(&mut self, now: Instant, random: u128) {
        let doubled = 2_u32.saturating_pow(self.failures);
        let pause = self.pace.first_retry.saturating_mul(doubled).min(self.pace.longest_retry);
        self.failures = self.failures.saturating_add(1);
        self.last = Some(now);
        // As much again by half, so that those who failed together do not come back together.
        self.due = now + pause + share(pause / 2, random);
    }

    /// Somebody announced a push.
    pub fn announced(&mut self, now: Instant) {
        let earliest = self.last.map_or(now, |last| last + self.pace.between);
        self.due = self.due.min(earliest.max(now));
    }
}

/// A random part of a duration, from nothing to all of it.
fn share(most: Duration, random: u128) -> Duration {
    const PARTS: u128 = 1 << 16;
    let part = u32::try_from(random % (PARTS + 1)).unwrap_or_default();
    most.saturating_mul(part) / (1 << 16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_success_waits_the_interval_and_a_random_part() {
        let (pace, now) = (Pace::default(), Instant::now());
        let mut schedule = Schedule::new(pace, now);
        assert_eq!(schedule.due(), now);
        schedule.succeeded(now, 0);
        assert_eq!(schedule.due(), now + Duration::from_secs(120));
        schedule.succeeded(now, 1 << 16);
        assert_eq!(schedule.due(), now + Duration::from_secs(180));
    }

    #[test]
    fn failures_wait_longer_each_time_and_a_success_forgives_them() {
        let (pace, now) = (Pace::default(), Instant::now());
        let mut schedule = Schedule::new(pace, now);
        let pauses: Vec<_> = (0..40)
            .map(|_| {
                schedule.failed(now, 0);
                (schedule.due() - now).as_secs()
            })
            .collect();
        assert_eq!(pauses[..8], [10, 20, 40, 80, 160, 320, 640, 900]);
        assert_eq!((pauses[39], schedule.failures()), (900, 40));
        schedule.succeeded(now, 0);
        schedule.failed(now, 0);
        assert_eq!(schedule.due() - now, pace.first_retry);
    }

    #[test]
    fn an_announced_push_is_looked_at_once_and_soon() {
        let (pace, now) = (Pace::default(), Instant::now());
        let mut schedule = Schedule::new(pace, now);
        schedule.succeeded(now, 0);
        schedule.announced(now + Duration::from_secs(60));
        assert_eq!(schedule.due(), now + Duration::from_secs(60));
        schedule.succeeded(now + Duration::from_secs(60), 0);
        for milliseconds in [60_001, 60_002, 60_900] {
            schedule.announced(now + Duration::from_millis(milliseconds));
            assert_eq!(schedule.due(), now + Duration::from_secs(61));
        }
    }

    proptest! {
        #[test]
        fn it_is_always_due_within_the_bounds(
            steps in proptest::collection::vec((0_u8..3, any::<u128>(), 0_u64..500), 1..40)
        ) {
            let (pace, mut now) = (Pace::default(), Instant::now());
            let mut schedule = Schedule::new(pace, now);
            for (step, random, seconds) in steps {
                now += Duration::from_secs(seconds);
                match step {
                    0 => schedule.succeeded(now, random),
                    1 => schedule.failed(now, random),
                    _ => schedule.announced(now),
                }
                let longest = pace.longest_retry + pace.longest_retry / 2;
                prop_assert!(schedule.due() <= now + longest);
                if step == 2 {
                    prop_assert!(schedule.due() <= now + pace.between);
                } else {
                    prop_assert!(schedule.due() >= now + pace.first_retry);
                }
            }
        }
    }
}

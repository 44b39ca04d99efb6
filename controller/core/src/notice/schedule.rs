//! When a message that did not arrive is tried again, and when it is given up.

use jiff::{SignedDuration, Timestamp};

/// The first pause.
const FIRST: SignedDuration = SignedDuration::from_secs(5);
/// The longest one.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);
/// A message that has not arrived after this is given up: whoever comes back after a long weekend
/// still gets it, and nobody gets last month's.
pub const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(3 * 24);

/// When to try again after so many attempts have failed, the last one at `now`; `None`: no more.
///
/// Each pause is twice the one before, give or take a quarter by `random`, so that many messages
/// that failed together do not come back together.
#[must_use]
pub fn next_attempt(
    attempts: u32,
    recorded_at: Timestamp,
    now: Timestamp,
    random: u128,
) -> Option<Timestamp> {
    if now.duration_since(recorded_at) >= GIVE_UP_AFTER {
        return None;
    }
    let doublings = attempts.saturating_sub(1).min(20);
    let pause = FIRST.checked_mul(1 << doublings).unwrap_or(LONGEST).min(LONGEST);
    let whole = pause.as_millis();
    // 75 % to 125 % of the pause.
    let half = whole / 2;
    let share = i128::try_from(random % 1_000).unwrap_or_default();
    let millis = whole - half / 2 + half * share / 1_000;
    let pause = SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
    Some(now.checked_add(pause).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(attempts: u32, random: u128) -> SignedDuration {
        let now = Timestamp::UNIX_EPOCH;
        next_attempt(attempts, now, now, random).unwrap().duration_since(now)
    }

    #[test]
    fn pauses_double_up_to_an_hour_with_jitter() {
        let middle: Vec<i64> = (1..=12).map(|n| pause(n, 500).as_secs()).collect();
        assert_eq!(middle, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
        assert_eq!(pause(u32::MAX, 500), LONGEST);
        assert_eq!(pause(1, 0), SignedDuration::from_millis(3_750));
        assert!(pause(1, 999) < SignedDuration::from_millis(6_251));
        assert!(pause(3, u128::MAX) > SignedDuration::ZERO);
    }

    #[test]
    fn a_message_is_given_up_after_three_days() {
        let recorded = Timestamp::UNIX_EPOCH;
        let at = |wait: SignedDuration| next_attempt(9, recorded, recorded + wait, 0);
        assert!(at(GIVE_UP_AFTER - SignedDuration::from_secs(1)).is_some());
        assert_eq!(at(GIVE_UP_AFTER), None);
    }
}

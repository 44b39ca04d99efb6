//! Maintenance windows on the clock: whether one is open, and when it opens next.

use jiff::Timestamp;
use skep_crds::policy::MaintenanceWindow;

const MINUTES_A_DAY: i64 = 24 * 60;

/// Whole minutes since the epoch, rounded down (`as_second` rounds towards the epoch).
fn minutes(now: Timestamp) -> i64 {
    const NANOSECONDS_A_MINUTE: i128 = 60_000_000_000;
    // Timestamps end with the year 9999, far inside of 64 bits.
    i64::try_from(now.as_nanosecond().div_euclid(NANOSECONDS_A_MINUTE)).unwrap_or_default()
}

/// Whether the window is open now.
pub(crate) fn is_open(window: MaintenanceWindow, now: Timestamp) -> bool {
    let minute = minutes(now).rem_euclid(MINUTES_A_DAY);
    u16::try_from(minute).is_ok_and(|minute| window.contains(minute))
}

/// `now` when the window is open, otherwise the beginning of its next opening; `None` when it
/// never opens.
pub(crate) fn next_opening(window: MaintenanceWindow, now: Timestamp) -> Option<Timestamp> {
    if is_open(window, now) {
        return Some(now);
    }
    let MaintenanceWindow::Daily { start_minute, .. } = window else { return None };
    let wait = (i64::from(start_minute) - minutes(now)).rem_euclid(MINUTES_A_DAY);
    let minute = minutes(now).checked_add(wait)?;
    Timestamp::from_second(minute.checked_mul(60)?).ok()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn window(text: &str) -> MaintenanceWindow {
        MaintenanceWindow::parse(text).expect("a window")
    }

    #[test]
    fn a_window_is_read_in_utc_and_excludes_its_end() {
        let night = window("22:00-04:00");
        assert!(is_open(night, at("2026-11-20T22:00:00Z")));
        assert!(is_open(night, at("2026-11-21T03:59:59.999Z")));
        assert!(!is_open(night, at("2026-11-21T04:00:00Z")));
        assert!(!is_open(night, at("2026-11-20T23:30:00+02:00")));
        assert!(is_open(night, at("1969-12-31T23:00:00Z")));
    }

    #[test]
    fn the_next_opening_is_today_or_tomorrow() {
        let night = window("02:00-05:00");
        assert_eq!(
            next_opening(night, at("2026-11-20T01:10:30.5Z")),
            Some(at("2026-11-20T02:00:00Z"))
        );
        assert_eq!(
            next_opening(night, at("2026-11-20T05:00:00Z")),
            Some(at("2026-11-21T02:00:00Z"))
        );
        assert_eq!(
            next_opening(night, at("2026-11-20T03:00:01Z")),
            Some(at("2026-11-20T03:00:01Z"))
        );
        assert_eq!(next_opening(MaintenanceWindow::Never, at("2026-11-20T03:00:01Z")), None);
    }

    proptest! {
        #[test]
        fn a_window_opens_at_its_next_opening_and_not_a_minute_before(
            start in 0_u16..1440, length in 1_u16..1440, second in -1_000_000_000_i64..4_000_000_000
        ) {
            let end_minute = (start + length) % 1440;
            let window = MaintenanceWindow::Daily { start_minute: start, end_minute };
            let now = Timestamp::from_second(second).unwrap();
            let opening = next_opening(window, now).unwrap();
            prop_assert!(is_open(window, opening));
            prop_assert!(opening >= now);
            prop_assert!(opening.duration_since(now) < SignedDuration::from_hours(24));
            if opening > now {
                prop_assert!(!is_open(window, opening - SignedDuration::from_nanos(1)));
                prop_assert!(!is_open(window, now));
            }
        }
    }
}

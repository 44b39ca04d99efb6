//! Windows in zones that set their clocks, and in those that do not.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn window(text: &str) -> MaintenanceWindow {
    MaintenanceWindow::parse(text).unwrap_or_else(|| panic!("{text} is a window"))
}

fn next(text: &str, now: &str) -> Timestamp {
    next_opening(&window(text), at(now)).expect("it opens")
}

#[test]
fn a_window_without_a_zone_is_read_in_utc_and_excludes_its_end() {
    let night = window("22:00-04:00");
    assert!(is_open(&night, at("2026-11-20T22:00:00Z")));
    assert!(is_open(&night, at("2026-11-21T03:59:59.999Z")));
    assert!(!is_open(&night, at("2026-11-21T04:00:00Z")));
    assert!(!is_open(&night, at("2026-11-20T23:30:00+02:00")));
    assert!(is_open(&night, at("1969-12-31T23:00:00Z")));
}

#[test]
fn the_next_opening_is_today_or_tomorrow() {
    assert_eq!(next("02:00-05:00", "2026-11-20T01:10:30.5Z"), at("2026-11-20T02:00:00Z"));
    assert_eq!(next("02:00-05:00", "2026-11-20T05:00:00Z"), at("2026-11-21T02:00:00Z"));
    assert_eq!(next("02:00-05:00", "2026-11-20T03:00:01Z"), at("2026-11-20T03:00:01Z"));
    assert_eq!(next_opening(&MaintenanceWindow::NEVER, at("2026-11-20T03:00:01Z")), None);
    assert_eq!(next("24:00-01:00", "2026-11-20T23:59:59Z"), at("2026-11-21T00:00:00Z"));
}

#[test]
fn a_zone_is_read_on_its_own_clock_in_summer_and_in_winter() {
    let night = window("22:00-04:00 America/New_York");
    for (inside, time) in [
        (true, "2026-07-01T02:00:00Z"),
        (false, "2026-07-01T01:59:59Z"),
        (true, "2026-07-01T07:59:59Z"),
        (false, "2026-07-01T08:00:00Z"),
        (true, "2026-12-01T03:00:00Z"),
        (false, "2026-12-01T02:59:59Z"),
        (false, "2026-12-01T09:00:00Z"),
    ] {
        assert_eq!(is_open(&night, at(time)), inside, "{time}");
    }
    // Half an hour off, and no summer time.
    assert!(is_open(&window("06:00-06:30 Asia/Kolkata"), at("2026-07-01T00:30:00Z")));
}

#[test]
fn days_are_those_of_the_zone_and_wrap_over_midnight() {
    // Friday night in Tokyo begins on Friday at 13:00 UTC and ends on Friday at 19:00 UTC.
    let friday = window("Fri 22:00-04:00 Asia/Tokyo");
    assert!(is_open(&friday, at("2026-11-20T13:00:00Z")));
    assert!(is_open(&friday, at("2026-11-20T18:59:59Z")));
    assert!(!is_open(&friday, at("2026-11-20T19:00:00Z")));
    assert!(!is_open(&friday, at("2026-11-21T13:00:00Z")));
    assert_eq!(
        next("Fri 22:00-04:00 Asia/Tokyo", "2026-11-20T19:00:00Z"),
        at("2026-11-27T13:00:00Z")
    );
    assert_eq!(next("Mon-Fri 09:00-17:00", "2026-11-20T17:00:00Z"), at("2026-11-23T09:00:00Z"));
    let both = "Mon-Fri 22:00-06:00; Sat,Sun 00:00-24:00";
    assert_eq!(next(both, "2026-11-20T12:00:00Z"), at("2026-11-20T22:00:00Z"));
    assert!(is_open(&window(both), at("2026-11-22T12:00:00Z")));
}

/// Berlin skips 02:00 to 03:00 on 2026-03-29: at 01:00 UTC its clock goes from 02:00 to 03:00.
#[test]
fn times_that_the_clock_skips_do_not_come() {
    let (eve, morning) = (at("2026-03-29T00:59:59Z"), at("2026-03-29T01:00:00Z"));
    // An hour shorter: it opens when the clock jumps into it.
    let night = window("02:00-05:00 Europe/Berlin");
    assert!(!is_open(&night, eve) && is_open(&night, morning));
    assert_eq!(next("02:30-05:00 Europe/Berlin", "2026-03-29T00:00:00Z"), morning);
    assert!(!is_open(&night, at("2026-03-29T03:00:00Z")));
    // It ends when the clock jumps over its end.
    let early = window("01:30-02:30 Europe/Berlin");
    assert!(is_open(&early, eve) && !is_open(&early, morning));
    // All of it is skipped: it does not open that day, and is not made up for.
    let lost = "02:00-03:00 Europe/Berlin";
    assert!(!is_open(&window(lost), eve) && !is_open(&window(lost), morning));
    assert_eq!(next(lost, "2026-03-28T12:00:00Z"), at("2026-03-30T00:00:00Z"));
    // A week later when it only opens on that day of the week.
    let sundays = "Sun 02:00-03:00 Europe/Berlin";
    assert_eq!(next(sundays, "2026-03-28T12:00:00Z"), at("2026-04-05T00:00:00Z"));
}

/// Berlin shows 02:00 to 03:00 twice on 2026-10-25, from 00:00 and from 01:00 UTC.
#[test]
fn times_that_the_clock_shows_twice_are_inside_twice() {
    let hour = window("02:00-03:00 Europe/Berlin");
    assert!(is_open(&hour, at("2026-10-25T00:00:00Z")));
    assert!(is_open(&hour, at("2026-10-25T01:59:59Z")));
    assert!(!is_open(&hour, at("2026-10-25T02:00:00Z")));
    // It closes and opens again; never open at a time that is not written.
    let half = "01:30-02:30 Europe/Berlin";
    for (inside, time) in [
        (true, "2026-10-25T00:29:59Z"),
        (false, "2026-10-25T00:30:00Z"),
        (false, "2026-10-25T00:59:59Z"),
        (true, "2026-10-25T01:00:00Z"),
        (true, "2026-10-25T01:29:59Z"),
        (false, "2026-10-25T01:30:00Z"),
    ] {
        assert_eq!(is_open(&window(half), at(time)), inside, "{time}");
    }
    assert_eq!(next(half, "2026-10-25T00:45:00Z"), at("2026-10-25T01:00:00Z"));
    assert_eq!(
        next("02:30-02:45 Europe/Berlin", "2026-10-25T00:50:00Z"),
        at("2026-10-25T01:30:00Z")
    );
}

/// Samoa had no 30 December 2011.
#[test]
fn a_day_that_a_zone_skips_is_skipped() {
    let fridays = "Fri 10:00-11:00 Pacific/Apia";
    assert_eq!(next(fridays, "2011-12-29T00:00:00Z"), at("2012-01-05T20:00:00Z"));
}

fn any_window() -> impl Strategy<Value = String> {
    let zones = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"];
    let days = ["", "Mon ", "Sat,Sun ", "Fri-Mon "];
    (
        0_u16..1440,
        1_u16..1440,
        prop::sample::select(zones.to_vec()),
        prop::sample::select(days.to_vec()),
    )
        .prop_map(|(start, length, zone, days)| {
            let end = (start + length) % 1440;
            let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
            format!("{days}{}-{} {zone}", time(start), time(end))
        })
}

proptest! {
    /// The first moment that is inside, as found by looking at every minute.
    #[test]
    fn a_window_opens_at_its_next_opening_and_not_a_minute_before(
        text in any_window(), minute in 0_i64..(366 * 24 * 60), second in 0_i64..60,
    ) {
        let window = window(&text);
        let now = at("2026-01-01T00:00:00Z") + SignedDuration::from_secs(minute * 60 + second);
        let opening = next_opening(&window, now).unwrap();
        prop_assert!(opening >= now && is_open(&window, opening));
        // Every zone here is a whole number of minutes from UTC.
        let mut moment = now;
        while moment < opening {
            prop_assert!(!is_open(&window, moment), "{text} is open at {moment}");
            moment += SignedDuration::from_secs(60);
            if moment > opening { moment = opening - SignedDuration::from_nanos(1); prop_assert!(!is_open(&window, moment)); break; }
        }
    }

    /// What is open is written: the wall clock shows a time from start to end.
    #[test]
    fn a_window_is_only_open_at_times_that_it_names(
        start in 0_u16..1440, length in 1_u16..1440, minute in 0_i64..(366 * 24 * 60),
    ) {
        let end = (start + length) % 1440;
        let text = format!(
            "{:02}:{:02}-{:02}:{:02} Europe/Berlin", start / 60, start % 60, end / 60, end % 60
        );
        let now = at("2026-01-01T00:00:00Z") + SignedDuration::from_mins(minute);
        let wall = TimeZone::get("Europe/Berlin").unwrap().to_datetime(now);
        let shown = u16::try_from(i32::from(wall.hour()) * 60 + i32::from(wall.minute())).unwrap();
        let inside = if start <= end { (start..end).contains(&shown) } else { shown >= start || shown < end };
        prop_assert_eq!(is_open(&window(&text), now), inside);
    }
}

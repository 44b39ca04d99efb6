//! Maintenance windows on the clock: whether one is open, and when it opens next.
//!
//! A window is open while the wall clock of its zone shows a time inside of it
//! ([`skep_crds::policy::MaintenanceWindow`]): a time that the clock skips never comes, one that it
//! shows twice is inside twice.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::AmbiguousOffset;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use skep_crds::policy::{MaintenanceWindow, WindowSpan};

/// How far ahead the next opening is looked for. A weekly span whose only hour is skipped opens a
/// week later; no zone skips the same hour several weeks in a row.
const DAYS_AHEAD: i32 = 30;

/// Whether the window is open now.
pub(crate) fn is_open(window: &MaintenanceWindow, now: Timestamp) -> bool {
    window.spans().iter().any(|span| span_is_open(span, now))
}

fn span_is_open(span: &WindowSpan, now: Timestamp) -> bool {
    let wall = span.zone().rules().to_datetime(now);
    let minute = i32::from(wall.hour()) * 60 + i32::from(wall.minute());
    u16::try_from(minute).is_ok_and(|minute| span.contains(wall.weekday(), minute))
}

/// `now` when the window is open, otherwise the beginning of its next opening; `None` when it
/// never opens.
pub(crate) fn next_opening(window: &MaintenanceWindow, now: Timestamp) -> Option<Timestamp> {
    if is_open(window, now) {
        return Some(now);
    }
    window.spans().iter().filter_map(|span| next_opening_of(span, now)).min()
}

/// A span can only open when the clock reaches its start, or when the clock is set.
fn next_opening_of(span: &WindowSpan, now: Timestamp) -> Option<Timestamp> {
    let zone = span.zone().rules();
    let today = zone.to_datetime(now).date();
    let end = now.checked_add(SignedDuration::from_hours(24 * i64::from(DAYS_AHEAD))).ok()?;
    let starts = (-1..=DAYS_AHEAD)
        .filter_map(|ahead| today.checked_add(ahead.days()).ok())
        .flat_map(|date| starts_on(span, date));
    let settings = zone
        .following(now)
        .map(|transition| transition.timestamp())
        .take_while(|moment| *moment <= end);
    let candidates = starts.chain(settings).filter(|moment| *moment > now);
    candidates.filter(|moment| span_is_open(span, *moment)).min()
}

/// The moments at which the clock shows the start on this day: one, two when the clock was set
/// back, none when that time is skipped.
fn starts_on(span: &WindowSpan, date: Date) -> Vec<Timestamp> {
    let (hour, minute) = (span.start_minute() / 60, span.start_minute() % 60);
    // 24:00 is the next day's midnight.
    let (date, hour) = if hour == 24 {
        let Ok(next) = date.tomorrow() else { return Vec::new() };
        (next, 0)
    } else {
        (date, hour)
    };
    let (Ok(hour), Ok(minute)) = (i8::try_from(hour), i8::try_from(minute)) else {
        return Vec::new();
    };
    let Ok(time) = Time::new(hour, minute, 0, 0) else { return Vec::new() };
    let wall = DateTime::from_parts(date, time);
    let offsets = match span.zone().rules().to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { offset } => vec![offset],
        AmbiguousOffset::Gap { .. } => Vec::new(),
        AmbiguousOffset::Fold { before, after } => vec![before, after],
    };
    offsets.into_iter().filter_map(|offset| offset.to_timestamp(wall).ok()).collect()
}

#[cfg(test)]
mod tests;

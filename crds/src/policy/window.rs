//! Maintenance windows: spans of the week on the clock of a time zone.
//!
//! A window is read off the wall: it is open exactly while a clock in its time zone shows a time
//! inside of it. When that clock is set forward, the times that it skips do not come and the window
//! is shorter (or does not open that day); when it is set back, the times that it shows twice are
//! inside twice. No time outside of what is written is ever inside.

use jiff::civil::Weekday;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Serialize, Serializer};

const MINUTES_A_DAY: u16 = 24 * 60;

/// When a rule's automatic tiers apply: one span of the week or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceWindow {
    spans: Vec<WindowSpan>,
}

/// One span: on these days from `start_minute` to `end_minute`, on the clock of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowSpan {
    days: Days,
    start_minute: u16,
    end_minute: u16,
    zone: Zone,
}

/// Days of the week, Monday first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days([bool; 7]);

/// A time zone by its IANA name.
#[derive(Clone, Debug)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Days {
    const ALL: Self = Self([true; 7]);

    /// Reads `Mon`, `Mon-Fri` or `Mon,Wed,Fri-Sun`; a range may wrap over Sunday.
    fn parse(text: &str) -> Option<Self> {
        let mut days = [false; 7];
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (day(first)?, day(last)?);
            let length = (last + 7 - first) % 7;
            for offset in 0..=length {
                *days.get_mut((first + offset) % 7)? = true;
            }
        }
        Some(Self(days))
    }

    /// Whether the day is one of them.
    pub fn contains(self, day: Weekday) -> bool {
        usize::try_from(day.to_monday_zero_offset())
            .ok()
            .and_then(|index| self.0.get(index).copied())
            .unwrap_or(false)
    }
}

/// The place of a day in the week, from its English abbreviation.
fn day(text: &str) -> Option<usize> {
    NAMES.iter().position(|name| name.eq_ignore_ascii_case(text.trim()))
}

impl std::fmt::Display for Days {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        let mut run: Vec<&str> = Vec::new();
        for (name, is_in) in NAMES.iter().zip(self.0).chain([(&"", false)]) {
            if is_in {
                run.push(name);
                continue;
            }
            match run.as_slice() {
                [] => {}
                [first, .., last] if run.len() > 2 => parts.push(format!("{first}-{last}")),
                days => parts.push(days.join(",")),
            }
            run.clear();
        }
        f.write_str(&parts.join(","))
    }
}

impl Zone {
    fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// The zone of an IANA name. The database is part of the program, so that every replica means
    /// the same by a name.
    fn parse(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("UTC") {
            return Some(Self::utc());
        }
        // "unknown" names a zone of jiff's own, and no place has it.
        let zone = TimeZoneDatabase::bundled().get(name).ok()?;
        let name = zone.iana_name()?.to_owned();
        Some(Self { name, zone })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its rules.
    pub fn rules(&self) -> &TimeZone {
        &self.zone
    }
}

impl WindowSpan {
    /// Reads `[DAYS ]HH:MM-HH:MM[ ZONE]`.
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        // `22:00 - 04:00` was always read; its times hold no other word.
        let (days, times, zone) = match words.as_slice() {
            [times] => (None, (*times).to_owned(), None),
            [days, times] if day_like(days) => (Some(*days), (*times).to_owned(), None),
            [times, zone] if times.contains('-') => (None, (*times).to_owned(), Some(*zone)),
            [days, times, zone] if day_like(days) => {
                (Some(*days), (*times).to_owned(), Some(*zone))
            }
            words => (None, words.concat(), None),
        };
        let (start, end) = times.split_once('-')?;
        let (start_minute, end_minute) = (minute_of_day(start)?, minute_of_day(end)?);
        let days = days.map_or(Some(Days::ALL), Days::parse)?;
        let zone = zone.map_or_else(|| Some(Zone::utc()), Zone::parse)?;
        // `00:00-24:00` is the whole day; equal ends would be either that or nothing: not said.
        (start_minute != end_minute).then_some(Self { days, start_minute, end_minute, zone })
    }

    /// The days on which it begins.
    pub fn days(&self) -> Days {
        self.days
    }

    /// The first minute inside, after midnight on the wall.
    pub fn start_minute(&self) -> u16 {
        self.start_minute
    }

    /// The zone whose clock is meant.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whether it is open when the clock shows this minute of this day. What lies after midnight
    /// belongs to the day on which the span began.
    pub fn contains(&self, day: Weekday, minute_of_day: u16) -> bool {
        let today = self.days.contains(day);
        if self.start_minute <= self.end_minute {
            today && self.start_minute <= minute_of_day && minute_of_day < self.end_minute
        } else {
            (today && self.start_minute <= minute_of_day)
                || (self.days.contains(day.previous()) && minute_of_day < self.end_minute)
        }
    }
}

/// Whether a word can only be meant as days.
fn day_like(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic())
}

impl MaintenanceWindow {
    /// A window that never opens: what a text that cannot be read is taken for.
    pub const NEVER: Self = Self { spans: Vec::new() };

    /// Reads spans separated by `;`, each `[DAYS ]HH:MM-HH:MM[ ZONE]`: every day and UTC when left
    /// out. `None` when a part is no such text, or opens for no time at all.
    pub fn parse(text: &str) -> Option<Self> {
        let spans = text.split(';').map(WindowSpan::parse).collect::<Option<Vec<_>>>()?;
        Some(Self { spans })
    }

    /// Its spans; none when it never opens.
    pub fn spans(&self) -> &[WindowSpan] {
        &self.spans
    }

    /// For people: with the zone, also when it is UTC.
    pub fn described(&self) -> String {
        let spans = self.spans.iter().map(|span| match span.zone.name() {
            "UTC" => format!("{span} UTC"),
            _ => span.to_string(),
        });
        let spans: Vec<String> = spans.collect();
        if spans.is_empty() { "never".to_owned() } else { spans.join("; ") }
    }
}

impl std::fmt::Display for WindowSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { days, start_minute: start, end_minute: end, zone } = self;
        if *days != Days::ALL {
            write!(f, "{days} ")?;
        }
        write!(f, "{:02}:{:02}-{:02}:{:02}", start / 60, start % 60, end / 60, end % 60)?;
        if zone.name() == "UTC" { Ok(()) } else { write!(f, " {}", zone.name()) }
    }
}

/// As it would be written; what is left out by default is left out.
impl std::fmt::Display for MaintenanceWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.spans.is_empty() {
            return f.write_str("never");
        }
        for (place, span) in self.spans.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            span.fmt(f)?;
        }
        Ok(())
    }
}

impl Serialize for MaintenanceWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let digits = |text: &str| {
        let plain = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    let total = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && total <= MINUTES_A_DAY).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> MaintenanceWindow {
        MaintenanceWindow::parse(text).unwrap_or_else(|| panic!("{text} is a window"))
    }

    fn open(text: &str, day: Weekday, minute: u16) -> bool {
        window(text).spans().iter().any(|span| span.contains(day, minute))
    }

    use Weekday::{Friday, Monday, Saturday, Sunday};

    #[test]
    fn windows_wrap_over_midnight_and_exclude_their_end() {
        for day in [Monday, Sunday] {
            assert!(open("22:00-04:00", day, 0));
            assert!(open("22:00-04:00", day, 22 * 60));
            assert!(!open("22:00-04:00", day, 4 * 60));
            assert!(!open("09:00-17:00", day, 0));
            assert!(open("09:00-17:00", day, 9 * 60));
            assert!(!open("09:00-17:00", day, 17 * 60));
            assert!(open("00:00-24:00", day, 23 * 60 + 59));
        }
    }

    #[test]
    fn what_lies_after_midnight_belongs_to_the_day_before() {
        assert!(open("Fri 22:00-04:00", Friday, 22 * 60));
        assert!(open("Fri 22:00-04:00", Saturday, 3 * 60));
        assert!(!open("Fri 22:00-04:00", Friday, 3 * 60));
        assert!(!open("Fri 22:00-04:00", Saturday, 22 * 60));
        assert!(open("Sun 23:00-01:00", Monday, 30));
        assert!(open("Sat-Mon 09:00-10:00", Sunday, 9 * 60));
        assert!(!open("Sat-Mon 09:00-10:00", Friday, 9 * 60));
        let both = "Mon-Fri 22:00-23:00; Sat,Sun 00:00-24:00";
        assert!(open(both, Saturday, 12 * 60) && open(both, Friday, 22 * 60));
        assert!(!open(both, Friday, 12 * 60));
    }

    #[test]
    fn a_window_is_written_in_one_way() {
        for (text, written, described) in [
            ("22:00-04:00", "22:00-04:00", "22:00-04:00 UTC"),
            (" 2:00 - 5:00 ", "02:00-05:00", "02:00-05:00 UTC"),
            ("02:00-05:00 utc", "02:00-05:00", "02:00-05:00 UTC"),
            ("mon-sun 02:00-05:00", "02:00-05:00", "02:00-05:00 UTC"),
            (
                "Mon,tue,wed,Sat 02:00-05:00 europe/berlin",
                "Mon-Wed,Sat 02:00-05:00 Europe/Berlin",
                "Mon-Wed,Sat 02:00-05:00 Europe/Berlin",
            ),
            (
                "Sat,Sun 00:00-24:00 America/New_York;01:00-02:00",
                "Sat,Sun 00:00-24:00 America/New_York; 01:00-02:00",
                "Sat,Sun 00:00-24:00 America/New_York; 01:00-02:00 UTC",
            ),
        ] {
            assert_eq!(window(text).to_string(), written, "{text}");
            assert_eq!(window(text).described(), described, "{text}");
            assert_eq!(window(written), window(text));
        }
        assert_eq!(MaintenanceWindow::NEVER.described(), "never");
    }

    #[test]
    fn what_is_no_window_is_not_guessed_at() {
        for text in [
            "",
            "25:00-26:00",
            "9-17",
            "09:00",
            "09:60-10:00",
            "a:b-c:d",
            "+9:00-10:00",
            "02:00-02:00",
            "009:00-10:00",
            "24:01-01:00",
            "02:00-05:00 Europe/Atlantis",
            "02:00-05:00 +02:00",
            "02:00-05:00 Etc/Unknown",
            "Mo-Fr 02:00-05:00",
            "Mon- 02:00-05:00",
            "Mon 02:00-05:00 Europe/Berlin now",
            "02:00-05:00;",
            "02:00-05:00; night",
            "Europe/Berlin",
        ] {
            assert_eq!(MaintenanceWindow::parse(text), None, "{text}");
        }
        assert!(MaintenanceWindow::NEVER.spans().is_empty());
    }
}

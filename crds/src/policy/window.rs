//! A daily maintenance window in UTC.

use serde::{Serialize, Serializer};

const MINUTES_A_DAY: u16 = 24 * 60;

/// When a rule's automatic tiers apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaintenanceWindow {
    /// Every day from `start_minute` (inclusive) to `end_minute` (exclusive), in minutes after
    /// midnight UTC; an end before the start wraps over midnight.
    Daily {
        /// First minute inside.
        start_minute: u16,
        /// First minute outside.
        end_minute: u16,
    },
    /// The file's text could not be read as a window, so it never opens.
    Never,
}

impl MaintenanceWindow {
    /// Reads `HH:MM-HH:MM`; `None` when it is no such text, or opens for no time at all.
    pub fn parse(text: &str) -> Option<Self> {
        let (start, end) = text.trim().split_once('-')?;
        let (start_minute, end_minute) = (minute_of_day(start)?, minute_of_day(end)?);
        // `00:00-24:00` is the whole day; equal ends would be either that or nothing: not said.
        (start_minute != end_minute).then_some(Self::Daily { start_minute, end_minute })
    }

    /// Whether the window is open in this minute after midnight UTC.
    pub const fn contains(self, minute_of_day: u16) -> bool {
        match self {
            Self::Never => false,
            Self::Daily { start_minute, end_minute } if start_minute <= end_minute => {
                start_minute <= minute_of_day && minute_of_day < end_minute
            }
            Self::Daily { start_minute, end_minute } => {
                start_minute <= minute_of_day || minute_of_day < end_minute
            }
        }
    }
}

impl std::fmt::Display for MaintenanceWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Daily { start_minute, end_minute } => write!(
                f,
                "{:02}:{:02}-{:02}:{:02}",
                start_minute / 60,
                start_minute % 60,
                end_minute / 60,
                end_minute % 60
            ),
        }
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

    fn open(window: &str, minute: u16) -> bool {
        MaintenanceWindow::parse(window).expect("a window").contains(minute)
    }

    #[test]
    fn windows_wrap_over_midnight_and_exclude_their_end() {
        assert!(open("22:00-04:00", 0));
        assert!(open("22:00-04:00", 22 * 60));
        assert!(!open("22:00-04:00", 4 * 60));
        assert!(!open("09:00-17:00", 0));
        assert!(open("09:00-17:00", 9 * 60));
        assert!(!open("09:00-17:00", 17 * 60));
        assert!(open("00:00-24:00", 23 * 60 + 59));
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
        ] {
            assert_eq!(MaintenanceWindow::parse(text), None, "{text}");
        }
        assert!((0..MINUTES_A_DAY).all(|minute| !MaintenanceWindow::Never.contains(minute)));
    }
}

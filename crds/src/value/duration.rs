//! Durations as Compose files write them: `10s`, `1m30s`, `500ms`.

use std::fmt;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use skep_yaml::{Cursor, Resolved};

use crate::format::Format;

/// A duration in whole nanoseconds, the unit of Docker's API; never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Duration(i64);

/// Nanoseconds of each unit of Go's `time.ParseDuration`.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl Duration {
    /// A number of nanoseconds; negative ones become zero.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(if nanos < 0 { 0 } else { nanos })
    }

    /// The nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Reads Go's notation: numbers with units, one after another, as in `1h15m30.918s`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self(0));
        }
        let mut rest = text;
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let ends = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
            let (number, after) = rest.split_at_checked(ends)?;
            let unit_ends = after
                .find(|char: char| char.is_ascii_digit() || char == '.')
                .unwrap_or(after.len());
            let (unit, after) = after.split_at_checked(unit_ends)?;
            let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
            total = total.checked_add(scaled(number, *scale)?)?;
            rest = after;
        }
        (!text.is_empty()).then_some(())?;
        i64::try_from(total).ok().map(Self)
    }
}

/// A decimal number times a scale, cut to whole units; exact, unlike a float.
fn scaled(number: &str, scale: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let mut total = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()? };
    total = total.checked_mul(scale)?;
    let mut place = scale;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.checked_add(i128::from(digit - b'0').checked_mul(place)?)?;
    }
    Some(total)
}

impl fmt::Display for Duration {
    /// The shortest exact form in hours, minutes, seconds and what is left.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, nanos) in [
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
            ("ns", 1),
        ] {
            if rest >= nanos {
                write!(f, "{}{unit}", rest / nanos)?;
                rest %= nanos;
            }
        }
        Ok(())
    }
}

impl Format for Duration {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        if let Some(Resolved::Int(number)) = at.resolved()
            && number != 0
        {
            at.refuse_with(
                "BAD_DURATION",
                format!("a duration needs a unit, found {number}"),
                format!("write \"{number}s\" for seconds"),
            );
            return None;
        }
        let text = match at.resolved() {
            Some(Resolved::Int(0)) => "0".to_owned(),
            _ => at.text()?,
        };
        let parsed = Self::parse(&text);
        if parsed.is_none() {
            at.refuse_with(
                "BAD_DURATION",
                "not a duration".to_owned(),
                "write numbers with units, such as 500ms, 10s or 1m30s",
            );
        }
        parsed
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(0|([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$",
            "examples": ["500ms", "10s", "1m30s"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_s() {
        let table: [(&str, i64); 10] = [
            ("10s", 10_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("500ms", 500_000_000),
            ("0", 0),
            ("0s", 0),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("1us1ns", 1_001),
            ("1h1m1s", 3_661_000_000_000),
        ];
        for (text, nanos) in table {
            assert_eq!(Duration::parse(text).map(Duration::as_nanos), Some(nanos), "{text}");
        }
        for bad in [
            "",
            "10",
            "s",
            "-1s",
            "+1s",
            "1 s",
            "1d",
            "1S",
            ".s",
            "1s2",
            "1e3s",
            "NaN",
            "999999999999h",
            &"9".repeat(60),
        ] {
            assert_eq!(Duration::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_duration_prints_as_something_that_reads_back() {
        for text in ["0s", "1m30s", "1h1m1s", "1ms500us", "10s"] {
            assert_eq!(Duration::parse(text).expect("a duration").to_string(), text);
        }
    }
}

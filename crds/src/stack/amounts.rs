//! Numbers, times and sizes.

use serde::{Serialize, Serializer};
use skep_yaml::{Cursor, Resolved};

use super::merge::{Merge, Zero, replace};
use super::read::{Read, Rules};
use crate::value::{Bytes, Duration, NanoCpus};

/// A whole number, and how a later file replaces it.
macro_rules! whole_numbers {
    ($($(#[$doc:meta])* $name:ident($inner:ty, $low:expr, $high:expr);)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
            #[serde(transparent)]
            pub struct $name(pub $inner);

            impl Zero for $name {
                fn is_zero(&self) -> bool {
                    self.0 == 0
                }
            }

            impl Read for $name {
                fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
                    <$inner>::try_from(whole(at, $low, $high)?).ok().map(Self)
                }
            }
        )+
    };
}

whole_numbers! {
    /// A number that may be left out; where it is said, zero is said too.
    Count(u64, 0, i64::MAX);
    /// A number for which zero means that it is not said.
    Number(i64, i64::MIN, i64::MAX);
    /// A number of a port.
    PortNumber(u32, 0, 65_535);
    /// Permissions of a file.
    FileMode(u32, 0, 0o7777);
}

impl Merge for Count {
    fn merge(&mut self, later: Self) {
        *self = later;
    }
}

impl Merge for Number {
    fn merge(&mut self, later: Self) {
        replace(self, later);
    }
}

/// A whole number; `3.0` is one.
fn whole(at: &Cursor<'_>, low: i64, high: i64) -> Option<i64> {
    if let Some(Resolved::Float(value)) = at.resolved()
        && value.fract() == 0.0
        && value.abs() < 9e15
    {
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is in range")]
        let value = value as i64;
        if (low..=high).contains(&value) {
            return Some(value);
        }
    }
    at.integer(low..=high)
}

/// The share of tasks that may fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Ratio(pub f64);

impl Zero for Ratio {
    fn is_zero(&self) -> bool {
        self.0 == 0.0
    }
}

impl Merge for Ratio {
    fn merge(&mut self, later: Self) {
        replace(self, later);
    }
}

impl Read for Ratio {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        at.number(0.0..=1.0).map(Self)
    }
}

/// A time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

impl Default for Time {
    fn default() -> Self {
        Self(Duration::from_nanos(0))
    }
}

impl Zero for Time {
    fn is_zero(&self) -> bool {
        self.0.as_nanos() == 0
    }
}

impl Merge for Time {
    fn merge(&mut self, later: Self) {
        replace(self, later);
    }
}

impl Read for Time {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        if let Some(Resolved::Int(_) | Resolved::Float(_)) = at.resolved() {
            let hint = "write numbers with units, in quotes if need be: 10s";
            at.refuse_with("BAD_DURATION", "a duration needs a unit", hint);
            return None;
        }
        let text = at.text()?;
        let parsed = Duration::parse(text.strip_prefix('+').unwrap_or(&text));
        if parsed.is_none() {
            let hint = "write numbers with units, such as 500ms, 10s or 1m30s";
            at.refuse_with("BAD_DURATION", "not a duration", hint);
        }
        parsed.map(Self)
    }
}

/// As Go prints it, which is how docker writes it: `1h0m0s`, `1m30s`, `1.5s`, `250ms`.
impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&go_duration(self.0.as_nanos()))
    }
}

fn go_duration(nanos: i64) -> String {
    let decimal = |unit: i64| {
        let (whole, rest) = (nanos / unit, nanos % unit);
        let digits = unit.to_string().len() - 1;
        match format!("{rest:0digits$}").trim_end_matches('0') {
            "" => whole.to_string(),
            fraction if rest > 0 => format!("{whole}.{fraction}"),
            _ => whole.to_string(),
        }
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(1_000_000)),
        _ => {
            let minute = 60_000_000_000;
            let (minutes, rest) = (nanos / minute, nanos % minute);
            let whole = rest / 1_000_000_000;
            let fraction = format!("{:09}", rest % 1_000_000_000);
            let seconds = match fraction.trim_end_matches('0') {
                "" => format!("{whole}s"),
                fraction => format!("{whole}.{fraction}s"),
            };
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub Bytes);

impl Default for Size {
    fn default() -> Self {
        Self(Bytes::new(0))
    }
}

impl Zero for Size {
    fn is_zero(&self) -> bool {
        self.0.get() == 0
    }
}

impl Merge for Size {
    fn merge(&mut self, later: Self) {
        replace(self, later);
    }
}

impl Read for Size {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        let size = Bytes::parse(&at.text()?);
        if size.is_none() {
            at.refuse_with(
                "BAD_QUANTITY",
                "not a size",
                "write a number with a unit, such as 256M",
            );
        }
        size.map(Self)
    }
}

/// The bytes as a text, as docker writes them.
impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.get().to_string())
    }
}

/// A number of processors, with its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Cpus(pub String);

impl Cpus {
    /// Billionths of a processor.
    pub fn nanos(&self) -> i64 {
        NanoCpus::parse(&self.0).map_or(0, NanoCpus::get)
    }
}

impl Zero for Cpus {
    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }
}

impl Merge for Cpus {
    fn merge(&mut self, later: Self) {
        replace(self, later);
    }
}

impl Read for Cpus {
    fn read(at: &Cursor<'_>, _: &Rules) -> Option<Self> {
        let text = at.text()?;
        if !text.is_empty() && NanoCpus::parse(&text).is_none() {
            let hint = "write a decimal number such as \"0.5\", with nine decimals at most";
            at.refuse_with("BAD_QUANTITY", "not a number of processors", hint);
            return None;
        }
        Some(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_go_prints_them() {
        for (nanos, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (3_661_000_000_001, "1h1m1.000000001s"),
            (1_000_000, "1ms"),
            (1_050_000, "1.05ms"),
        ] {
            assert_eq!(go_duration(nanos), text);
        }
    }
}

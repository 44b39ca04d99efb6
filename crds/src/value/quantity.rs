//! Amounts of processor and memory, in the words of Compose and the units of Docker's API.

use std::fmt;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use skep_yaml::{Cursor, Resolved};

use crate::format::Format;
use crate::value::scalar_text;

/// Billionths of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct NanoCpus(i64);

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Bytes(i64);

const NANO: i64 = 1_000_000_000;
/// Swarm refuses less: `controlapi/service.go`, `validateResources`.
const LEAST_NANO_CPUS: i64 = 1_000_000;
const LEAST_MEMORY: i64 = 4 << 20;

impl NanoCpus {
    /// So many billionths.
    pub const fn new(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The billionths.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Reads a decimal number of processors such as `0.5`; nine decimals at most, as docker.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 9 {
            return None;
        }
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
        whole.checked_mul(NANO)?.checked_add(nanos).map(Self)
    }
}

impl fmt::Display for NanoCpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.0 % NANO);
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{}", self.0 / NANO),
            fraction => write!(f, "{}.{fraction}", self.0 / NANO),
        }
    }
}

impl Format for NanoCpus {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        let text = scalar_text(at, "a number of processors such as 0.5")?;
        match Self::parse(&text) {
            Some(amount) if amount.0 >= LEAST_NANO_CPUS => Some(amount),
            Some(_) => {
                at.refuse_with(
                    "OUT_OF_RANGE",
                    "Swarm takes no less than 0.001 processors",
                    "leave the key out for no limit",
                );
                None
            }
            None => {
                let hint = "write a decimal number such as \"0.5\", with nine decimals at most";
                at.refuse_with("BAD_QUANTITY", "not a number of processors", hint);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": "^([0-9]+(\\.[0-9]{0,9})?|\\.[0-9]{1,9})$" },
                { "type": "number", "minimum": 0.001 },
            ],
            "examples": ["0.5", "2"],
        })
    }
}

impl Bytes {
    /// So many bytes.
    pub const fn new(bytes: i64) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Reads a size as docker's `RAMInBytes`: binary units, `64M`, `1.5g`, `512 MiB`, `1024`.
    pub fn parse(text: &str) -> Option<Self> {
        let ends =
            text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at_checked(ends)?;
        let suffix = suffix.strip_prefix(' ').unwrap_or(suffix).to_ascii_lowercase();
        let power = match suffix.as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 1,
            "m" | "mb" | "mib" => 2,
            "g" | "gb" | "gib" => 3,
            "t" | "tb" | "tib" => 4,
            "p" | "pb" | "pib" => 5,
            _ => return None,
        };
        let scale = 1_i128 << (10 * power);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        // Twelve decimals are finer than a byte of any unit that a person writes.
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 12 {
            return None;
        }
        let tens = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let part = if fraction.is_empty() { 0 } else { fraction.parse::<i128>().ok()? };
        let total = whole
            .parse::<i128>()
            .ok()?
            .checked_mul(scale)?
            .checked_add(part.checked_mul(scale)? / tens)?;
        i64::try_from(total).ok().map(Self)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("T", 40), ("G", 30), ("M", 20), ("K", 10)] {
            if self.0 != 0 && self.0 % (1_i64 << shift) == 0 {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// Memory of a task. Swarm takes no less than 4 MiB.
impl Format for Bytes {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        if let Some(Resolved::Float(_)) = at.resolved() {
            at.expected("a size such as 256M");
            return None;
        }
        let text = scalar_text(at, "a size such as 256M")?;
        match Self::parse(&text) {
            Some(size) if size.0 >= LEAST_MEMORY => Some(size),
            Some(_) => {
                at.refuse_with(
                    "OUT_OF_RANGE",
                    "Swarm takes no less than 4 MiB of memory",
                    "leave the key out for no limit; a number without a unit means bytes",
                );
                None
            }
            None => {
                let hint = "write a number with a unit, such as 256M or 1.5G";
                at.refuse_with("BAD_QUANTITY", "not a size", hint);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": "^[0-9]+(\\.[0-9]*)? ?([kKmMgGtTpP][iI]?)?[bB]?$" },
                { "type": "integer", "minimum": LEAST_MEMORY },
            ],
            "examples": ["256M", "1.5G"],
        })
    }
}

/// A size without a least one.
pub(crate) struct Size;

impl Format for Size {
    type Value = Bytes;

    fn read(at: &Cursor<'_>) -> Option<Bytes> {
        let size = Bytes::parse(&scalar_text(at, "a size such as 64M")?);
        if size.is_none() {
            let hint = "write a number with a unit, such as 64M";
            at.refuse_with("BAD_QUANTITY", "not a size", hint);
        }
        size
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": "^[0-9]+(\\.[0-9]*)? ?([kKmMgGtTpP][iI]?)?[bB]?$" },
                { "type": "integer", "minimum": 0 },
            ],
            "examples": ["64M"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_exact() {
        for (text, nanos) in [
            ("0.5", 500_000_000),
            ("2", 2_000_000_000),
            (".25", 250_000_000),
            ("0.1", 100_000_000),
            ("1.000000001", 1_000_000_001),
            ("1.5000000000", 1_500_000_000),
        ] {
            assert_eq!(NanoCpus::parse(text).map(NanoCpus::get), Some(nanos), "{text}");
        }
        for bad in ["", ".", "-1", "1e3", "NaN", "0.0000000001", "99999999999", "1,5", "inf"] {
            assert_eq!(NanoCpus::parse(bad), None, "{bad}");
        }
        assert_eq!(NanoCpus(1_500_000_000).to_string(), "1.5");
        assert_eq!(NanoCpus(2 * NANO).to_string(), "2");
    }

    #[test]
    fn sizes_are_docker_s() {
        for (text, bytes) in [
            ("64M", 64 << 20),
            ("64m", 64 << 20),
            ("64MB", 64 << 20),
            ("64 MiB", 64 << 20),
            ("1.5g", 3 << 29),
            ("1024", 1024),
            ("1k", 1024),
            ("1.k", 1024),
            ("5b", 5),
        ] {
            assert_eq!(Bytes::parse(text).map(Bytes::get), Some(bytes), "{text}");
        }
        for bad in ["", "M", "-1M", "1x", "1  M", "1.2.3M", "1e3", "99999999P", "0x10", "M1"] {
            assert_eq!(Bytes::parse(bad), None, "{bad}");
        }
        assert_eq!(Bytes(64 << 20).to_string(), "64M");
        assert_eq!(Bytes(1000).to_string(), "1000");
    }
}

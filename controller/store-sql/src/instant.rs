//! Instants in columns: microseconds since 1970-01-01 UTC.

use std::time::Duration;

use jiff::Timestamp;
use skep_store::{Error, Result};

/// The form of an instant in a column.
#[must_use]
pub fn to_column(instant: Timestamp) -> i64 {
    instant.as_microsecond()
}

/// Reads a column back.
///
/// # Errors
/// [`Error::Corrupt`] when no calendar has such an instant.
pub fn from_column(micros: i64, what: &'static str) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros)
        .map_err(|source| Error::Corrupt { what, source: source.into() })
}

/// A length of time in the same unit; one that does not fit is "for ever".
#[must_use]
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

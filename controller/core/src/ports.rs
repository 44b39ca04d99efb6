//! What the pure parts need from outside, as traits that the runtime implements and tests fake.

use jiff::Timestamp;

/// The wall clock. Injected, so that a test can stop it and a decision can be repeated.
pub trait Clock: Send + Sync {
    /// The current time (UTC).
    fn now(&self) -> Timestamp;
}

/// A source of random bits for ids and jitter.
pub trait Random: Send + Sync {
    /// 128 random bits.
    fn bits128(&self) -> u128;

    /// 128 random bits as 32 hexadecimal digits.
    fn hex128(&self) -> String {
        format!("{:032x}", self.bits128())
    }
}

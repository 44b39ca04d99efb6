//! What the pure parts need from outside, as traits that the runtime implements and tests fake.

use std::fmt;

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

/// Where a secret is read from, each time that it is needed: a rotated file counts at once.
pub trait SecretSource: Send + Sync {
    /// The secret as it is written.
    ///
    /// # Errors
    /// When there is none; the text says why, without the secret.
    fn reveal(&self) -> Result<String, String>;
}

impl fmt::Debug for dyn SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSource")
    }
}

//! The key of the trail, and the keyed hashes made with it.

use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::encoding::Encoding;
use crate::seal::SealError;

/// Separates this use of the installation's key from every other.
const LABEL: &[u8] = b"skep audit 1";

/// Bytes of a key and of a hash.
const LENGTH: usize = 32;

/// Chains rows and seals their ends. Derived from the installation's key (HKDF-SHA-256).
#[derive(Clone)]
pub struct AuditKey {
    hmac: Hmac<Sha256>,
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey")
    }
}

impl AuditKey {
    /// The key of an installation's trail.
    ///
    /// # Errors
    /// [`SealError::Key`] when the installation's key does not have 32 bytes.
    pub fn new(installation_key: &[u8]) -> Result<Self, SealError> {
        if installation_key.len() != LENGTH {
            return Err(SealError::Key);
        }
        let mut key = [0; LENGTH];
        Hkdf::<Sha256>::new(None, installation_key)
            .expand(LABEL, &mut key)
            .map_err(|_| SealError::Key)?;
        let hmac = Hmac::new_from_slice(&key).map_err(|_| SealError::Key)?;
        Ok(Self { hmac })
    }

    /// Names the key without giving it away: tells another key from damage.
    #[must_use]
    pub fn id(&self) -> String {
        let mut id = self.sign(&Encoding::new("key id")).to_string();
        id.truncate(16);
        id
    }

    /// The keyed hash of an encoding.
    pub(super) fn sign(&self, encoding: &Encoding) -> Mac {
        let mut hmac = self.hmac.clone();
        hmac.update(encoding.as_bytes());
        Mac(hmac.finalize().into_bytes().to_vec())
    }

    /// Whether a keyed hash is that of an encoding, in constant time.
    pub(super) fn fits(&self, encoding: &Encoding, mac: &Mac) -> bool {
        let mut hmac = self.hmac.clone();
        hmac.update(encoding.as_bytes());
        hmac.verify_slice(&mac.0).is_ok()
    }
}

/// A keyed hash, as stored: 32 bytes when nobody has touched it. As text: hexadecimal.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Mac(Vec<u8>);

impl Mac {
    /// What a store kept.
    #[must_use]
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to be stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

impl Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        };
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(digits).collect();
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("not hexadecimal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python's hmac and an HKDF written by hand. What is stored must stay verifiable.
    #[test]
    fn the_key_does_not_change() {
        let key = AuditKey::new(&(0..32).collect::<Vec<u8>>()).unwrap();
        assert_eq!(key.id(), "2d955658d62bdd6e");
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", AuditKey::new(&[7; 32]).unwrap()), "AuditKey");
        assert_eq!(AuditKey::new(&[7; 31]).unwrap_err(), SealError::Key);
    }

    #[test]
    fn a_hash_reads_back_from_text() {
        let mac = Mac::from_stored(vec![0, 1, 0xab, 0xff]);
        let json = serde_json::to_string(&mac).unwrap();
        assert_eq!(json, r#""0001abff""#);
        assert_eq!(serde_json::from_str::<Mac>(&json).unwrap(), mac);
        assert!(serde_json::from_str::<Mac>(r#""xy""#).is_err());
    }
}

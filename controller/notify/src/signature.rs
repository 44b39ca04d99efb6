//! Standard Webhooks signatures: `v1,<base64 of HMAC-SHA256 over "id.timestamp.body">`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What written keys may start with.
const PREFIX: &str = "whsec_";

/// The shortest and the longest key that the specification allows, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// A key that both sides know.
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

// A key.
impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

/// Why a text is no key. The text is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It is no base64.
    #[error("the signing key is not base64, with or without `whsec_` before it")]
    NotBase64,
    /// It is too short to be safe, or too long.
    #[error("the signing key has {0} bytes; 24 to 64 are allowed: openssl rand -base64 32")]
    Length(usize),
}

impl SigningKey {
    /// Reads a key: base64, with or without `whsec_` before it.
    ///
    /// # Errors
    /// See [`InvalidKey`].
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let text = text.trim();
        let encoded = text.strip_prefix(PREFIX).unwrap_or(text);
        let key = STANDARD.decode(encoded).map_err(|_| InvalidKey::NotBase64)?;
        if !LENGTHS.contains(&key.len()) {
            return Err(InvalidKey::Length(key.len()));
        }
        Ok(Self(key))
    }

    /// The signature of one attempt: the message's id, the moment of sending in seconds since
    /// 1970, and the body.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        // HMAC takes keys of any length; the error type exists for other constructions.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The header's value: a signature by each key, so that a receiver that knows one of them is
/// content.
pub(crate) fn header(keys: &[SigningKey], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(id, timestamp, body)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn keys_are_base64_of_a_safe_length_and_never_shown() {
        let bytes = |n: usize| STANDARD.encode(vec![7_u8; n]);
        assert!(SigningKey::parse(&bytes(24)).is_ok());
        assert!(SigningKey::parse(&format!(" whsec_{}\n", bytes(64))).is_ok());
        assert_eq!(SigningKey::parse(&bytes(23)).unwrap_err(), InvalidKey::Length(23));
        assert_eq!(SigningKey::parse(&bytes(65)).unwrap_err(), InvalidKey::Length(65));
        assert_eq!(SigningKey::parse("").unwrap_err(), InvalidKey::Length(0));
        let error = SigningKey::parse("hunter2 hunter2!").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
        assert_eq!(format!("{:?}", SigningKey::parse(&bytes(32)).unwrap()), "SigningKey");
    }

    #[test]
    fn both_keys_sign_during_a_rotation() {
        let keys = ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "AAKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
            .map(|text| SigningKey::parse(text).unwrap());
        let header = header(&keys, "msg_1", 7, b"{}");
        let parts: Vec<_> = header.split(' ').collect();
        assert_eq!(parts, [keys[0].sign("msg_1", 7, b"{}"), keys[1].sign("msg_1", 7, b"{}")]);
        assert_ne!(parts[0], parts[1]);
    }
}

//! Encryption at rest: what the store keeps and nobody may read there, such as the complete spec
//! of a service with the values of its environment.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): its nonce of 24 bytes is long enough to be
//! random, so nothing has to be counted across restarts and replicas. The key is derived from the
//! installation's (HKDF-SHA-256, RFC 5869), which lies outside the database.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;

use crate::ports::Random;

/// The first byte of everything sealed; another cipher gets another number.
const VERSION: u8 = 1;

/// Separates this use of the installation's key from every other.
const LABEL: &[u8] = b"skep seal 1";

/// Bytes of an installation's key.
const KEY_LENGTH: usize = 32;

const NONCE_LENGTH: usize = 24;

/// Seals and opens with the key of one installation.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

/// Why something could not be sealed or opened. Says nothing about the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not a key.
    #[error("the installation's key does not have {KEY_LENGTH} bytes")]
    Key,
    /// More than the cipher takes under one nonce (256 GiB).
    #[error("the content is too long to be sealed")]
    TooLong,
    /// Written by a newer version of Skep.
    #[error("the content was sealed in a form that this version does not know ({version})")]
    Version {
        /// The first byte.
        version: u8,
    },
    /// Another key, another context, or changed since it was sealed.
    #[error(
        "the content cannot be opened: it was sealed with another installation's key, \
         or was changed since"
    )]
    Refused,
}

impl Sealer {
    /// A sealer with a key that is derived from the installation's.
    ///
    /// # Errors
    /// [`SealError::Key`] when the installation's key does not have 32 bytes.
    pub fn new(installation_key: &[u8]) -> Result<Self, SealError> {
        if installation_key.len() != KEY_LENGTH {
            return Err(SealError::Key);
        }
        let mut key = Key::default();
        Hkdf::<Sha256>::new(None, installation_key)
            .expand(LABEL, &mut key)
            .map_err(|_| SealError::Key)?;
        Ok(Self { cipher: XChaCha20Poly1305::new(&key) })
    }

    /// Seals `plain`. It opens only with the same `context`, which says what it is and where it
    /// belongs: a row that is put in the place of another does not open.
    ///
    /// # Errors
    /// [`SealError::TooLong`].
    pub fn seal(
        &self,
        random: &dyn Random,
        context: &[u8],
        plain: &[u8],
    ) -> Result<Sealed, SealError> {
        let mut nonce = XNonce::default();
        let bits = random.bits128().to_be_bytes().into_iter().chain(random.bits128().to_be_bytes());
        for (byte, random) in nonce.iter_mut().zip(bits) {
            *byte = random;
        }
        let context = versioned(context);
        let payload = Payload { msg: plain, aad: &context };
        let sealed = self.cipher.encrypt(&nonce, payload).map_err(|_| SealError::TooLong)?;
        let mut bytes = Vec::with_capacity(1 + NONCE_LENGTH + sealed.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(Sealed(bytes))
    }

    /// Opens what was sealed with the same context.
    ///
    /// # Errors
    /// [`SealError::Refused`] when the key, the context or the bytes are others, also when they
    /// have been cut off; [`SealError::Version`] for a form of a newer version.
    pub fn open(&self, context: &[u8], sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        let (version, rest) = sealed.0.split_first().ok_or(SealError::Refused)?;
        if *version != VERSION {
            return Err(SealError::Version { version: *version });
        }
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(SealError::Refused)?;
        let context = versioned(context);
        self.cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &context })
            .map_err(|_| SealError::Refused)
    }
}

/// The version is authenticated too, so that nobody can have old bytes read in another form.
fn versioned(context: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + context.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(context);
    bytes
}

/// Sealed bytes: a version, a nonce, the encrypted content and its tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// What a store kept. Whether it opens is another question.
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

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;

    /// Another number each time.
    #[derive(Default)]
    struct Counter(AtomicU64);

    impl Random for Counter {
        fn bits128(&self) -> u128 {
            u128::from(self.0.fetch_add(1, Ordering::Relaxed))
        }
    }

    struct Ones;

    impl Random for Ones {
        fn bits128(&self) -> u128 {
            u128::from_be_bytes([0x11; 16])
        }
    }

    fn sealer(first: u8) -> Sealer {
        let key: Vec<u8> = (first..).take(KEY_LENGTH).collect();
        Sealer::new(&key).unwrap()
    }

    /// Made with libsodium and an HKDF written by hand. What is stored must stay readable.
    #[test]
    fn the_stored_form_does_not_change() {
        let sealed = sealer(0).seal(&Ones, b"context", b"PASSWORD=hunter2").unwrap();
        let hex: String = sealed.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "01111111111111111111111111111111111111111111111111\
             45ad31aee0e480d2ca332da15d2acc390630f65cae465e2a661aab4bba5e89e2"
        );
    }

    #[test]
    fn it_opens_only_with_its_key_and_its_context() {
        let sealed = sealer(0).seal(&Ones, b"caddy", b"plain").unwrap();
        assert_eq!(sealer(0).open(b"caddy", &sealed), Ok(b"plain".to_vec()));
        assert_eq!(sealer(1).open(b"caddy", &sealed), Err(SealError::Refused));
        for context in [&b""[..], b"caddy2", b"cadd", b"\x01caddy"] {
            assert_eq!(sealer(0).open(context, &sealed), Err(SealError::Refused));
        }
    }

    #[test]
    fn no_changed_or_missing_byte_is_accepted() {
        let sealer = sealer(0);
        let sealed = sealer.seal(&Ones, b"context", b"plain").unwrap();
        for index in 0..sealed.as_bytes().len() {
            let mut changed = sealed.as_bytes().to_vec();
            changed[index] ^= 1;
            let version = SealError::Version { version: VERSION ^ 1 };
            let expected = if index == 0 { version } else { SealError::Refused };
            let opened = sealer.open(b"context", &Sealed::from_stored(changed));
            assert_eq!(opened, Err(expected), "byte {index}");
            let cut = Sealed::from_stored(sealed.as_bytes()[..index].to_vec());
            assert_eq!(sealer.open(b"context", &cut), Err(SealError::Refused), "{index} bytes");
        }
    }

    #[test]
    fn equal_contents_are_sealed_differently() {
        let (sealer, random) = (sealer(0), Counter::default());
        let seal = || sealer.seal(&random, b"context", b"plain").unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn a_key_has_its_length() {
        for length in [0, 31, 33, 64] {
            assert_eq!(Sealer::new(&vec![7; length]).unwrap_err(), SealError::Key, "{length}");
        }
    }

    #[test]
    fn debug_shows_neither_key_nor_content() {
        let sealer = sealer(0);
        let sealed = sealer.seal(&Ones, b"context", b"hunter2").unwrap();
        assert_eq!(format!("{sealer:?} {sealed:?}"), "Sealer Sealed(48 bytes)");
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens(
            plain in prop::collection::vec(any::<u8>(), 0..2_000),
            context in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let sealer = sealer(0);
            let sealed = sealer.seal(&Counter::default(), &context, &plain).unwrap();
            prop_assert_eq!(sealer.open(&context, &sealed), Ok(plain));
        }
    }
}

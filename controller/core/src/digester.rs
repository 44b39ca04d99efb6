//! Digests over what may hold secret values: keyed, so that nobody without the installation's key
//! can test a guess of a short value against one that is shown, sent or stored.
//!
//! Every purpose has a key of its own, derived from the installation's (HKDF-SHA-256, RFC 5869):
//! a digest made for one says nothing when it stands in the place of another.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use crate::canonical::Digest;
use crate::ports::Random;
use crate::seal::SealError;

/// Bytes of an installation's key.
const LENGTH: usize = 32;

/// What a digest is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// What a step does: the desired spec, the edits, what is there before.
    Step,
    /// What differs between what is declared and what is there.
    Difference,
    /// A change without the name of the service that it is made to.
    Group,
    /// What a source says.
    Content,
    /// Digests over digests: they have no value in them, and are keyed only when they were made
    /// before those had a key.
    Plan,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 5] =
        [Self::Step, Self::Difference, Self::Group, Self::Content, Self::Plan];

    /// Separates this use of the installation's key from every other.
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Step => b"skep digest step 1",
            Self::Difference => b"skep digest difference 1",
            Self::Group => b"skep digest group 1",
            Self::Content => b"skep digest content 1",
            Self::Plan => b"skep digest plan 1",
        }
    }
}

/// Makes digests with the key of one installation. Cheap to clone.
#[derive(Clone)]
pub struct Digester {
    step: Hmac<Sha256>,
    difference: Hmac<Sha256>,
    group: Hmac<Sha256>,
    content: Hmac<Sha256>,
    plan: Hmac<Sha256>,
}

// A stray `{:?}` must not print a key.
impl std::fmt::Debug for Digester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digester")
    }
}

impl Digester {
    /// A digester with keys that are derived from the installation's.
    ///
    /// # Errors
    /// [`SealError::Key`] when the installation's key does not have 32 bytes.
    pub fn new(installation_key: &[u8]) -> Result<Self, SealError> {
        if installation_key.len() != LENGTH {
            return Err(SealError::Key);
        }
        let root = Hkdf::<Sha256>::new(None, installation_key);
        let key = |purpose: Purpose| {
            let mut key = [0; LENGTH];
            root.expand(purpose.label(), &mut key).map_err(|_| SealError::Key)?;
            Hmac::new_from_slice(&key).map_err(|_| SealError::Key)
        };
        Ok(Self {
            step: key(Purpose::Step)?,
            difference: key(Purpose::Difference)?,
            group: key(Purpose::Group)?,
            content: key(Purpose::Content)?,
            plan: key(Purpose::Plan)?,
        })
    }

    /// A digester whose digests are compared with no other's: for work that keeps none of them.
    ///
    /// # Errors
    /// As [`Digester::new`].
    pub fn ephemeral(random: &dyn Random) -> Result<Self, SealError> {
        let bits = [random.bits128().to_be_bytes(), random.bits128().to_be_bytes()];
        Self::new(&bits.concat())
    }

    /// The keyed digest of a JSON value's canonical bytes.
    #[must_use]
    pub fn digest(&self, purpose: Purpose, content: &Value) -> Digest {
        self.keyed(purpose, &Digest::of_json(content))
    }

    /// The keyed digest of bytes.
    #[must_use]
    pub fn digest_bytes(&self, purpose: Purpose, content: &[u8]) -> Digest {
        self.keyed(purpose, &Digest::of_bytes(content))
    }

    /// The keyed digest of what a digest without a key, or the beginning of one, was made over.
    ///
    /// A keyed digest is the keyed hash of the plain one's text. So what was stored before digests
    /// had a key gets exactly the digest that is made of the same content today, and the content
    /// need not be at hand.
    #[must_use]
    pub fn keyed(&self, purpose: Purpose, plain: &Digest) -> Digest {
        let mut hmac = match purpose {
            Purpose::Step => &self.step,
            Purpose::Difference => &self.difference,
            Purpose::Group => &self.group,
            Purpose::Content => &self.content,
            Purpose::Plan => &self.plan,
        }
        .clone();
        hmac.update(plain.as_str().as_bytes());
        Digest::of_hash(&hmac.finalize().into_bytes())
    }
}

#[cfg(test)]
pub(crate) fn for_tests() -> Digester {
    static MADE: std::sync::LazyLock<Digester> =
        std::sync::LazyLock::new(|| Digester::new(&[7; LENGTH]).unwrap());
    MADE.clone()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_has_32_bytes_and_is_not_shown() {
        for length in [0, 31, 33, 64] {
            assert_eq!(Digester::new(&vec![7; length]).err(), Some(SealError::Key), "{length}");
        }
        assert_eq!(format!("{:?}", for_tests()), "Digester");
    }

    #[test]
    fn the_construction_is_the_one_that_stored_digests_were_made_with() {
        // HMAC-SHA-256 under HKDF-SHA-256(key, "skep digest step 1"), over the text of the
        // SHA-256 of the canonical JSON; made with Python's hmac and hashlib.
        let digest = for_tests().digest(Purpose::Step, &json!({"b": 1, "a": "hunter2"}));
        assert_eq!(
            digest.as_str(),
            "3e15f3ad60c74c1e4cd482187f1b1e78fdd5bdfbfeb05fc396e5f7fa605579d4"
        );
    }

    #[test]
    fn a_digester_for_the_moment_is_like_no_other() {
        struct Counting(std::sync::atomic::AtomicU64);
        impl Random for Counting {
            fn bits128(&self) -> u128 {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed).into()
            }
        }
        let random = Counting(std::sync::atomic::AtomicU64::new(0));
        let made = |digester: Digester| digester.digest_bytes(Purpose::Step, b"x");
        let one = made(Digester::ephemeral(&random).unwrap());
        assert_ne!(one, made(Digester::ephemeral(&random).unwrap()));
    }

    proptest! {
        #[test]
        fn the_same_content_and_key_give_the_same_digest_and_nothing_else_does(
            content in ".{0,40}", other in ".{0,40}", key: [u8; 32], another: [u8; 32],
        ) {
            let (content, other) = (json!({"value": content}), json!({"value": other}));
            let (one, again) = (Digester::new(&key).unwrap(), Digester::new(&key).unwrap());
            let foreign = Digester::new(&another).unwrap();
            for purpose in Purpose::ALL {
                let digest = one.digest(purpose, &content);
                prop_assert_eq!(&digest, &again.digest(purpose, &content));
                prop_assert_eq!(digest == one.digest(purpose, &other), content == other);
                prop_assert_eq!(digest == foreign.digest(purpose, &content), key == another);
            }
            let made: BTreeSet<_> =
                Purpose::ALL.into_iter().map(|purpose| one.digest(purpose, &content)).collect();
            prop_assert_eq!(made.len(), Purpose::ALL.len(), "each purpose has its own");
            prop_assert!(!made.contains(&Digest::of_json(&content)), "none is without a key");
        }

        #[test]
        fn a_digest_from_before_becomes_that_of_the_same_content(content in ".{0,40}") {
            let content = json!([content]);
            let digester = for_tests();
            let before = Digest::of_json(&content);
            for purpose in Purpose::ALL {
                prop_assert_eq!(digester.keyed(purpose, &before), digester.digest(purpose, &content));
            }
        }
    }
}

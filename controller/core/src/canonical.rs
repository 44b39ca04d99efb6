//! One byte form per JSON value, and digests over it.
//!
//! What may hold a secret value gets a keyed digest, see [`crate::digester`].
//!
//! RFC 8785 (JCS) writes numbers as doubles and would give two different 64-bit integers the same
//! bytes; engine specs hold nanoseconds and bytes as 64-bit integers. So: object keys sorted by
//! their bytes, no white space, integers exact, strings as `serde_json` escapes them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The canonical bytes of a JSON value.
#[must_use]
pub fn canonical_json(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(value, &mut out);
    out
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            out.push(b'{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(Value::from(key.as_str()).to_string().as_bytes());
                out.push(b':');
                write_value(item, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(item, out);
            }
            out.push(b']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.extend_from_slice(value.to_string().as_bytes());
        }
    }
}

/// A digest, as 64 hexadecimal digits: SHA-256, or what [`crate::digester`] makes with a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of a JSON value's canonical bytes, without a key: only over what nobody minds
    /// others to guess.
    #[must_use]
    pub fn of_json(value: &Value) -> Self {
        Self::of_bytes(&canonical_json(value))
    }

    /// The digest of bytes, without a key, as above.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::of_hash(&Sha256::digest(bytes))
    }

    /// A hash as its digits.
    pub(crate) fn of_hash(hash: &[u8]) -> Self {
        use fmt::Write as _;
        let mut text = String::with_capacity(64);
        for byte in hash {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// A digest that was stored before.
    #[must_use]
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// All 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first `length` digits, for people and for derived ids.
    #[must_use]
    pub fn short(&self, length: usize) -> &str {
        self.0.get(..length).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_and_integers_exact() {
        let value = json!({"b": 9_007_199_254_740_993_i64, "a": [true, null, "x\n"]});
        assert_eq!(
            String::from_utf8(canonical_json(&value)).unwrap(),
            r#"{"a":[true,null,"x\n"],"b":9007199254740993}"#
        );
    }

    #[test]
    fn neighbouring_large_integers_have_different_digests() {
        let digest = |n: i64| Digest::of_json(&json!({ "n": n }));
        assert_ne!(digest(9_007_199_254_740_993), digest(9_007_199_254_740_992));
    }

    proptest! {
        #[test]
        fn canonical_bytes_do_not_depend_on_insertion_order(
            mut entries in prop::collection::vec(("[a-z]{1,4}", any::<i64>()), 0..8)
        ) {
            let forward: serde_json::Map<_, _> =
                entries.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
            entries.reverse();
            let backward: serde_json::Map<_, _> = entries
                .iter()
                .filter_map(|(k, _)| forward.get(k).map(|v| (k.clone(), v.clone())))
                .collect();
            prop_assert_eq!(
                canonical_json(&Value::Object(forward)),
                canonical_json(&Value::Object(backward))
            );
        }
    }
}

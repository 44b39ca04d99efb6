//! Single columns, and the few that stand together in every table.

use jiff::Timestamp;
use skep_core::identity::{ClusterId, ObjectKey, ObjectKind, TenantId};
use skep_store::{Error, Result};

use crate::instant::from_column;

/// The columns of an object's key.
///
/// # Errors
/// [`Error::Corrupt`] for a kind that this version does not know.
pub fn key(
    tenant: String,
    cluster: String,
    kind: &str,
    name: String,
    what: &'static str,
) -> Result<ObjectKey> {
    Ok(ObjectKey {
        tenant: TenantId::new(tenant),
        cluster: ClusterId::new(cluster),
        kind: word(kind, ObjectKind::from_word, what)?,
        name,
    })
}

/// A column of an instant that may be empty.
///
/// # Errors
/// As [`from_column`].
pub fn instant_or_none(micros: Option<i64>, what: &'static str) -> Result<Option<Timestamp>> {
    micros.map(|micros| from_column(micros, what)).transpose()
}

/// A column that holds one of a fixed set of words.
///
/// # Errors
/// [`Error::Corrupt`] for another one.
pub fn word<T>(text: &str, read: impl FnOnce(&str) -> Option<T>, what: &'static str) -> Result<T> {
    read(text).ok_or_else(|| Error::Corrupt {
        what,
        source: format!("the word {text:?} is not known to this version").into(),
    })
}

/// A value as JSON text.
///
/// # Errors
/// [`Error::Corrupt`] when it has no form in JSON.
pub fn json(value: serde_json::Result<String>, what: &'static str) -> Result<String> {
    value.map_err(|error| json_error(&error, what))
}

/// serde's own message repeats values ("invalid type: string …"), and a step holds those of the
/// environment; the place is enough.
#[must_use]
pub fn json_error(error: &serde_json::Error, what: &'static str) -> Error {
    let place = format!(
        "its JSON does not have the expected form (line {}, column {})",
        error.line(),
        error.column()
    );
    Error::Corrupt { what, source: place.into() }
}

/// Keys as one JSON parameter: a list of lists of four texts. A database takes a limited number
/// of parameters, and any number of keys.
#[must_use]
pub fn keys_json(keys: &[ObjectKey]) -> String {
    keys.iter()
        .map(|key| {
            let (tenant, cluster) = (key.tenant.as_str(), key.cluster.as_str());
            serde_json::json!([tenant, cluster, key.kind.as_str(), key.name])
        })
        .collect::<serde_json::Value>()
        .to_string()
}

/// A Version as databases hold it: their integers have a sign.
///
/// # Errors
/// [`Error::Refused`] when it does not fit.
pub fn version(
    version: Option<u64>,
    what: &'static str,
    id: impl std::fmt::Display,
) -> Result<Option<i64>> {
    version.map(i64::try_from).transpose().map_err(|_| Error::Refused {
        what,
        id: id.to_string(),
        why: "its Version is larger than any that the engine gives",
    })
}

/// The way back.
///
/// # Errors
/// [`Error::Corrupt`] for a negative one.
pub fn stored_version(version: Option<i64>, what: &'static str) -> Result<Option<u64>> {
    let version = version.map(u64::try_from).transpose();
    version.map_err(|source| Error::Corrupt { what, source: source.into() })
}

/// A number that is never negative.
///
/// # Errors
/// [`Error::Corrupt`] when it is.
pub fn number(stored: i64, what: &'static str) -> Result<u32> {
    u32::try_from(stored).map_err(|source| Error::Corrupt { what, source: source.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_error_never_repeats_a_value() {
        let error = serde_json::from_str::<u8>(r#""hunter2""#).unwrap_err();
        assert!(error.to_string().contains("hunter2"), "otherwise this test proves nothing");
        let ours = json_error(&error, "action");
        let mut text = format!("{ours} {ours:?}");
        let mut source = std::error::Error::source(&ours);
        while let Some(error) = source {
            text.push_str(&error.to_string());
            source = error.source();
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
}

//! Rows named by the start of their id.

use std::collections::BTreeSet;

use skep_core::identity::APPROVAL_PREFIX;
use skep_store::{Error, Result};

/// The range of texts that start with `prefix`: `[prefix, end)` in the order of bytes.
#[must_use]
pub fn prefix_end(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}

/// The one id that was meant, of those that start with `prefix`. A whole id wins over longer ones
/// that start with it.
///
/// # Errors
/// [`Error::NotFound`] for none, [`Error::Ambiguous`] for several.
pub fn whole_or_only<'a>(ids: &'a [String], prefix: &str, what: &'static str) -> Result<&'a str> {
    match ids {
        [] => Err(Error::NotFound { what, id: prefix.to_owned() }),
        [id] => Ok(id),
        several => several.iter().find(|id| *id == prefix).map(String::as_str).ok_or_else(|| {
            Error::Ambiguous { what, prefix: prefix.to_owned(), count: several.len() }
        }),
    }
}

/// A request for a decision, named by the start of its own id or of its action's, with or without
/// what every id of a request begins with.
pub struct ApprovalPrefix<'a> {
    given: &'a str,
    /// The start of the request's id.
    pub full: String,
    /// The end of that range.
    pub full_end: String,
    /// The start of the action's id.
    pub part: &'a str,
    /// The end of that range.
    pub part_end: String,
}

const WHAT: &str = "approval";

impl<'a> ApprovalPrefix<'a> {
    /// Reads what was given.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it names nothing.
    pub fn parse(given: &'a str) -> Result<Self> {
        // The part of an id that tells two apart; the prefix alone names nothing.
        let part = given.strip_prefix(APPROVAL_PREFIX).unwrap_or(given);
        if part.is_empty() {
            return Err(Error::NotFound { what: WHAT, id: given.to_owned() });
        }
        let full = format!("{APPROVAL_PREFIX}{part}");
        let (full_end, part_end) = (prefix_end(&full), prefix_end(part));
        Ok(Self { given, full, full_end, part, part_end })
    }

    /// The one that was meant, of the pairs of a request's id and its action's that were found.
    ///
    /// # Errors
    /// [`Error::NotFound`] for none, [`Error::Ambiguous`] for several.
    pub fn choose(&self, found: &[(String, String)]) -> Result<String> {
        // A whole id wins over longer ones that start with it.
        let whole: BTreeSet<&str> = found
            .iter()
            .filter(|(id, action)| *id == self.full || action == self.given)
            .map(|(id, _)| id.as_str())
            .collect();
        let started: BTreeSet<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
        let candidates = if whole.is_empty() { started } else { whole };
        let mut ids = candidates.iter();
        match (ids.next(), ids.next()) {
            (None, _) => Err(Error::NotFound { what: WHAT, id: self.given.to_owned() }),
            (Some(id), None) => Ok((*id).to_owned()),
            (Some(_), Some(_)) => Err(Error::Ambiguous {
                what: WHAT,
                prefix: self.given.to_owned(),
                count: candidates.len(),
            }),
        }
    }
}

//! JSON pointers (RFC 6901) into a service spec.

use std::fmt;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use skep_yaml::Cursor;

use crate::format::Format;

/// A pointer to a field, such as `/TaskTemplate/ForceUpdate`; never the whole document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct JsonPointer(String);

/// Deeper than any service spec; an endless pointer is a mistake or an attack.
const LONGEST: usize = 512;

impl JsonPointer {
    /// Checks a text; `None` when it is no pointer, or points at the whole document.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix('/')?;
        if body.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
            return None;
        }
        let mut chars = body.chars();
        while let Some(char) = chars.next() {
            if char == '~' && !matches!(chars.next(), Some('0' | '1')) {
                return None;
            }
        }
        Some(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts with escapes resolved.
    pub fn tokens(&self) -> impl Iterator<Item = String> + '_ {
        self.0.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"))
    }
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Format for JsonPointer {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        let text = at.text()?;
        let pointer = Self::parse(&text);
        if pointer.is_none() {
            at.refuse_with(
                "BAD_POINTER",
                "not a JSON pointer to a field of the service spec",
                "such as /TaskTemplate/ForceUpdate; a \"/\" in a key is written ~1, a \"~\" ~0",
            );
        }
        pointer
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^/([^~]|~[01])+$", "maxLength": LONGEST })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_checked_and_taken_apart() {
        let pointer = JsonPointer::parse("/Labels/a~1b~0c").expect("a pointer");
        assert_eq!(pointer.tokens().collect::<Vec<_>>(), ["Labels", "a/b~c"]);
        for bad in
            ["", "/", "Labels", "#/Labels", "/a~2", "/a~", "/a\n", &format!("/{}", "x".repeat(600))]
        {
            assert_eq!(JsonPointer::parse(bad), None, "{bad:?}");
        }
    }
}

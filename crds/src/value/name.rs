//! Names as Swarm accepts them for services.

use std::fmt;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use skep_yaml::Cursor;

use crate::format::Format;

/// The longest service name. Swarm: `controlapi/common.go`, a DNS name component.
pub const MAX_SERVICE_NAME: usize = 63;

/// A DNS name component as Swarm demands it of a service: letters and digits, with `-` and `_`
/// between them, at most 63 characters. Connector names and stack names become parts of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// Checks a text.
    ///
    /// # Errors
    /// What is wrong with it, as the end of the sentence "… is no name: ".
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        let length = text.chars().count();
        if length > MAX_SERVICE_NAME {
            return Err(format!("it has {length} characters, at most {MAX_SERVICE_NAME} fit"));
        }
        let inner = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
        if let Some(bad) = text.chars().find(|char| !inner(*char)) {
            return Err(format!(
                "{bad:?} is not allowed (letters, digits, and - or _ between them)"
            ));
        }
        let edge = |char: Option<char>| char.is_some_and(|char| char.is_ascii_alphanumeric());
        if !edge(text.chars().next()) || !edge(text.chars().next_back()) {
            return Err("it must begin and end with a letter or a digit".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Format for Name {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        let text = at.text()?;
        match Self::parse(&text) {
            Ok(name) => Some(name),
            Err(why) => {
                at.refuse("BAD_NAME", format!("not a valid name: {why}"));
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-zA-Z0-9](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?$",
            "maxLength": MAX_SERVICE_NAME,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_swarm_takes() {
        for good in ["a", "caddy-mcp", "a_b", "A9", "a--b", "a-_b", &"x".repeat(63)] {
            assert_eq!(Name::parse(good).map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in
            ["", "-a", "a-", "_a", "a_", "a.b", "a b", "ä", "a/b", "a\n", "$(id)", &"x".repeat(64)]
        {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
    }
}

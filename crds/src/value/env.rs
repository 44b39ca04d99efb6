//! Environment variables of a service, which may be references to secrets.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{Schema, SchemaGenerator, json_schema};
use skep_yaml::Cursor;

use crate::format::Format;
use crate::value::text::pairs;

/// The value of a variable. References are resolved where the value is needed, as late as
/// possible; a missing source is an error then, never an empty value.
#[derive(Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// The value itself. It may be a secret all the same, so `Debug` shows only its length.
    Literal(String),
    /// `env:NAME`: a variable of the controller's own environment.
    FromEnv(String),
    /// `file:/absolute/path`: the content of a file that the controller can read.
    FromFile(String),
    /// `null`: one of [`STANDARD_VARIABLES`] is left out.
    Unset,
}

/// The variables that every connector is given unless `env` says otherwise.
pub const STANDARD_VARIABLES: [&str; 3] = ["HOST", "PORT", "TRANSPORT"];

/// What a value begins with that is taken as it stands behind it.
const LITERAL: &str = "literal:";

impl EnvValue {
    /// Reads a value. `file://…` is a URL, so a literal; `literal:` takes the rest as it is.
    ///
    /// # Errors
    /// What is wrong with a reference.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains('\0') {
            return Err("a value with a NUL character cannot be given to a program");
        }
        if let Some(rest) = text.strip_prefix(LITERAL) {
            return Ok(Self::Literal(rest.to_owned()));
        }
        if let Some(name) = text.strip_prefix("env:") {
            let fine = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
                && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
            if !fine {
                return Err("\"env:\" must be followed by the name of a variable");
            }
            return Ok(Self::FromEnv(name.to_owned()));
        }
        match text.strip_prefix("file:") {
            Some(path) if path.starts_with("//") => Ok(Self::Literal(text.to_owned())),
            Some(path) if path.starts_with('/') && path.len() > 1 => {
                Ok(Self::FromFile(path.to_owned()))
            }
            Some(_) => Err("\"file:\" must be followed by an absolute path"),
            None => Ok(Self::Literal(text.to_owned())),
        }
    }

    /// The text that [`Self::parse`] reads as exactly this literal.
    #[must_use]
    pub fn literal_text(value: &str) -> String {
        match Self::parse(value) {
            Ok(Self::Literal(read)) if read == value => value.to_owned(),
            _ => format!("{LITERAL}{value}"),
        }
    }

    /// Whether the value is known only when the reference is resolved.
    pub const fn is_reference(&self) -> bool {
        matches!(self, Self::FromEnv(_) | Self::FromFile(_))
    }
}

impl fmt::Debug for EnvValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Nothing tells a secret from a port number for certain.
            Self::Literal(value) => write!(f, "<{} bytes hidden>", value.len()),
            Self::FromEnv(name) => write!(f, "env:{name}"),
            Self::FromFile(path) => write!(f, "file:{path}"),
            Self::Unset => f.write_str("unset"),
        }
    }
}

/// Words in the name of a variable (or a label) that make its value a secret.
const SECRET_WORDS: [&str; 12] = [
    "PASS",
    "SECRET",
    "TOKEN",
    "KEY",
    "CREDENTIAL",
    "PRIVATE",
    "AUTH",
    "DSN",
    "COOKIE",
    "SALT",
    "CERT",
    "JWT",
];

/// Whether the value of a variable of this name should not be shown. Errs on the side of hiding.
pub fn looks_secret(key: &str) -> bool {
    let key = key.to_ascii_uppercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Variables by name. `Debug` hides literal values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, EnvValue>);

impl Environment {
    /// Each variable, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &EnvValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of one.
    pub fn get(&self, key: &str) -> Option<&EnvValue> {
        self.0.get(key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, EnvValue)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, EnvValue)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.0).finish()
    }
}

impl Format for Environment {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        let mut variables = BTreeMap::new();
        let mut complete = true;
        for (key, value) in pairs(at, "variable")? {
            let bad = |char: char| char == '=' || char.is_whitespace() || char.is_control();
            if key.is_empty() || key.contains(bad) {
                value.at.refuse("BAD_KEY", "a variable needs a name without blanks and \"=\"");
                complete = false;
                continue;
            }
            if value.is_null() && STANDARD_VARIABLES.contains(&key.as_str()) {
                variables.insert(key, EnvValue::Unset);
                continue;
            }
            if value.is_null() {
                value.at.refuse_with(
                    "MISSING_VALUE",
                    format!("the variable \"{key}\" has no value"),
                    format!("write \"\" for an empty one, or env:{key} for this machine's"),
                );
                complete = false;
                continue;
            }
            let Some(text) = value.text() else {
                complete = false;
                continue;
            };
            match EnvValue::parse(&text) {
                Ok(value) => {
                    variables.insert(key, value);
                }
                Err(why) => {
                    value.at.refuse("BAD_REFERENCE", why);
                    complete = false;
                }
            }
        }
        complete.then_some(Self(variables))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {
                    "type": "object",
                    "additionalProperties": { "type": ["string", "number", "null"] },
                },
                { "type": "array", "items": { "type": "string", "pattern": "^[^=]+=" } },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_from_literals() {
        let literal = |text: &str| Ok(EnvValue::Literal(text.to_owned()));
        assert_eq!(EnvValue::parse("env:DB_PASS"), Ok(EnvValue::FromEnv("DB_PASS".to_owned())));
        assert_eq!(
            EnvValue::parse("file:/run/secrets/db"),
            Ok(EnvValue::FromFile("/run/secrets/db".to_owned()))
        );
        assert_eq!(EnvValue::parse("file:///data/a.db"), literal("file:///data/a.db"));
        assert_eq!(EnvValue::parse(""), literal(""));
        assert_eq!(EnvValue::parse("environment"), literal("environment"));
        assert_eq!(EnvValue::parse("literal:env:A"), literal("env:A"));
        for text in ["plain", "env:A", "file:/a", "file:a", "env:", "literal:x", "file:///a"] {
            assert_eq!(EnvValue::parse(&EnvValue::literal_text(text)), literal(text));
        }
        assert_eq!(EnvValue::literal_text("plain"), "plain");
        for bad in ["env:", "env:1A", "env:A B", "file:", "file:/", "file:a"] {
            assert!(EnvValue::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let value = |text: &str| EnvValue::Literal(text.to_owned());
        let variables: Environment = [
            ("API_TOKEN".to_owned(), value("canary-1")),
            ("db_password".to_owned(), value("canary-2")),
            ("LOG_LEVEL".to_owned(), value("canary-4")),
            ("KEY_FILE".to_owned(), EnvValue::FromFile("/run/k".to_owned())),
        ]
        .into_iter()
        .collect();
        let shown = format!("{variables:?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("LOG_LEVEL") && shown.contains("file:/run/k"), "{shown}");
        assert!(!format!("{:?}", value("canary-3")).contains("canary"));
    }
}

//! Texts of the stacks file with rules of their own.

use std::collections::BTreeMap;

use schemars::{Schema, SchemaGenerator, json_schema};
use skep_yaml::Cursor;

use crate::format::Format;
use crate::stack::lint::{Level, Levels, RULES};
use crate::value::EnvValue;
use crate::value::pairs;

/// A file or folder below another one: never absolute, never outside.
pub(crate) struct RelativePath;

impl Format for RelativePath {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.filled_text()?;
        let outside = text.starts_with(['/', '\\', '~']) || text.split('/').any(|p| p == "..");
        if outside || text.chars().any(char::is_control) {
            let hint = "paths begin at the source and stay inside; for a folder: source: {path: …}";
            at.refuse_with("BAD_PATH", "not a path below the source", hint);
            return None;
        }
        Some(text)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "pattern": "^[^/\\\\~]" })
    }
}

/// A file or folder of this machine.
pub(crate) struct FilePath;

impl Format for FilePath {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.filled_text()?;
        if text.chars().any(char::is_control) {
            at.refuse("BAD_PATH", "not a path");
            return None;
        }
        Some(text)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

/// The address of a repository.
pub(crate) struct GitUrl;

/// How an address may begin.
const SCHEMES: [&str; 3] = ["https://", "ssh://", "file:///"];

impl Format for GitUrl {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.filled_text()?;
        let hint = "https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or file:///PATH";
        // What was found is not repeated: it may hold a password.
        let refuse = |message: &str| {
            at.refuse_with("BAD_URL", message, hint);
            None
        };
        if text.starts_with('-') || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refuse("not the address of a repository");
        }
        let Some(rest) = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
            // `user@host:path`, which has no scheme and none of git's helpers (`ext::…`).
            let host =
                text.split_once(':').map(|(host, path)| (host, path.starts_with([':', '/'])));
            return match host {
                Some((host, false)) if host.contains('@') && !host.contains('/') => Some(text),
                _ => refuse("not an address that is fetched from"),
            };
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        if user.contains(':') || (text.starts_with("https://") && !user.is_empty()) {
            at.refuse_with(
                "SECRET_IN_URL",
                "a password does not belong into the address",
                "write credentials: {username: NAME, password: env:NAME}",
            );
            return None;
        }
        Some(text)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(https://|ssh://|file:///|[^/:\\s-][^/:\\s]*@[^/:\\s]+:[^/:])",
        })
    }
}

/// The address of an API.
pub(crate) struct ApiUrl;

impl Format for ApiUrl {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.filled_text()?;
        let loopback = ["http://127.0.0.1:", "http://127.0.0.1/", "http://[::1]:", "http://[::1]/"];
        let rest = text.strip_prefix("https://").or_else(|| {
            let is_here = loopback.iter().any(|start| text.starts_with(start));
            is_here.then(|| text.strip_prefix("http://")).flatten()
        });
        let is_fine = rest.is_some_and(|rest| {
            let host = rest.split('/').next().unwrap_or_default();
            let odd = |c: char| c.is_whitespace() || c.is_control() || "?#\\".contains(c);
            !host.is_empty() && !host.contains('@') && !host.starts_with('-') && !rest.contains(odd)
        });
        if !is_fine {
            // What was found is not repeated: it may hold a password.
            let hint = "https://HOST/PATH without a user; http only for 127.0.0.1 and [::1]";
            at.refuse_with("BAD_URL", "not the address of an API", hint);
            return None;
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^https?://[^/@\\s?#-][^@\\s?#]*$" })
    }
}

/// A branch or tag by name.
pub(crate) struct RefName;

impl Format for RefName {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.filled_text()?;
        let bad = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
        if text.starts_with(['-', '/', '.']) || text.contains("..") || text.contains(bad) {
            at.refuse("BAD_NAME", "not the name of a branch or tag");
            return None;
        }
        Some(text)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "pattern": "^[^-/.~^:?*\\[\\s][^~^:?*\\[\\s]*$" })
    }
}

/// A commit by its whole name.
pub(crate) struct Commit;

impl Format for Commit {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.text()?;
        let is_hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !is_hex || !matches!(text.len(), 40 | 64) {
            at.refuse_with(
                "BAD_NAME",
                "not the whole name of a commit",
                "40 or 64 of the characters 0-9 and a-f, in quotes",
            );
            return None;
        }
        Some(text)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9a-f]{40}|[0-9a-f]{64})$" })
    }
}

/// A host without a port, or all hosts below a domain.
pub(crate) struct Host;

impl Format for Host {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.filled_text()?.to_ascii_lowercase();
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        let name = text.strip_prefix("*.").unwrap_or(&text);
        if name.is_empty() || name.starts_with(['-', '.']) || !name.chars().all(fine) {
            let hint = "write git.example.com, or *.example.com for all below it";
            at.refuse_with("BAD_HOST", "not the name or address of a host", hint);
            return None;
        }
        Some(text)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(\\*\\.)?[A-Za-z0-9:][A-Za-z0-9.:-]*$" })
    }
}

/// A network in the notation `10.0.0.0/8`.
pub(crate) struct Network;

impl Format for Network {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.filled_text()?;
        let fits = text.split_once('/').is_some_and(|(address, length)| {
            let most = match address.parse::<std::net::IpAddr>() {
                Ok(std::net::IpAddr::V4(_)) => 32,
                Ok(std::net::IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            length.parse::<u8>().is_ok_and(|length| length <= most)
        });
        if !fits {
            let hint = "write an address and the length of its prefix: 10.0.0.0/8";
            at.refuse_with("BAD_NETWORK", "not a network", hint);
        }
        fits.then_some(text)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9A-Fa-f.:]+/[0-9]{1,3}$" })
    }
}

/// `env:NAME` or `file:/path`, never the secret itself.
pub(crate) struct KeyReference;

impl Format for KeyReference {
    type Value = EnvValue;

    fn read(at: &Cursor<'_>) -> Option<EnvValue> {
        match EnvValue::parse(&at.filled_text()?) {
            Ok(value) if value.is_reference() => Some(value),
            Ok(_) => {
                let hint = "write env:NAME or file:/path";
                at.refuse_with("SECRET_IN_FILE", "a secret does not belong into this file", hint);
                None
            }
            Err(why) => {
                at.refuse("BAD_REFERENCE", why);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$" })
    }
}

/// Variables of stack files, by name.
pub(crate) struct DeclaredVariables;

impl Format for DeclaredVariables {
    type Value = BTreeMap<String, EnvValue>;

    fn read(at: &Cursor<'_>) -> Option<Self::Value> {
        let mut variables = BTreeMap::new();
        let mut complete = true;
        for (key, value) in pairs(at, "variable")? {
            let first = |c: char| c.is_ascii_alphabetic() || c == '_';
            if !key.starts_with(first) || !key.chars().all(|c| first(c) || c.is_ascii_digit()) {
                let hint = "letters, digits and _, not beginning with a digit";
                value.at.refuse_with("BAD_KEY", "a stack file cannot name such a variable", hint);
                complete = false;
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
            match value.text().map(|text| EnvValue::parse(&text)) {
                Some(Ok(read)) => {
                    variables.insert(key, read);
                }
                Some(Err(why)) => {
                    value.at.refuse("BAD_REFERENCE", why);
                    complete = false;
                }
                None => complete = false,
            }
        }
        complete.then_some(variables)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        crate::value::pairs_schema()
    }
}

/// Rules with their levels.
pub(crate) struct LintLevels;

const LEVELS: [(&str, Level); 3] =
    [("off", Level::Off), ("warn", Level::Warn), ("deny", Level::Deny)];

/// The word for every rule.
const EVERY: &str = "all";

impl Format for LintLevels {
    type Value = Levels;

    fn read(at: &Cursor<'_>) -> Option<Levels> {
        let map = at.map()?;
        let known: Vec<&str> = RULES.iter().map(|rule| rule.code).chain([EVERY]).collect();
        map.deny_unknown(&known);
        let mut levels = Levels::default();
        let mut complete = map.entries().all(|(entry, _)| known.contains(&entry.key.as_str()));
        // The word for all first: single rules win, wherever they stand.
        let keys = [EVERY].into_iter().chain(RULES.iter().map(|rule| rule.code));
        for key in keys {
            match map.optional(key).map(|value| value.word(&LEVELS)) {
                Some(Some(level)) => {
                    levels.set(key, level);
                }
                Some(None) => complete = false,
                None => {}
            }
        }
        complete.then_some(levels)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        let words = LEVELS.map(|(word, _)| word);
        json_schema!({ "type": "object", "additionalProperties": { "enum": words } })
    }
}

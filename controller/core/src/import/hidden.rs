//! What looks like a secret outside of the environment: a registry has no reference for it, so it
//! is left where it is, under `ignore:`, and never written to a file.

use serde_json::Value;

use crate::plan::pointer::escape;
use crate::secrecy::{behind, looks_secret, secret_parts};

/// Takes everything that looks like a secret out of a canonical spec; gives the pointers.
pub(super) fn take(canonical: &mut Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(canonical, "", &mut found);
    found
}

/// Whether this value goes as a whole.
fn walk(value: &mut Value, pointer: &str, found: &mut Vec<String>) -> bool {
    match value {
        Value::String(text) => is_secret(pointer, text),
        Value::Array(items) => {
            // A list without keys can only be left alone as a whole.
            has_argument(items)
                || items.iter_mut().any(|item| walk(item, pointer, &mut Vec::new()))
                || items.iter_mut().any(|item| contains(item, pointer))
        }
        Value::Object(map) => {
            map.retain(|key, child| {
                let pointer = format!("{pointer}/{}", escape(key));
                if super::ENV == pointer {
                    return true;
                }
                let secret = walk(child, &pointer, found);
                if secret {
                    found.push(pointer);
                }
                !secret
            });
            false
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a list of arguments has a secret behind the flag for it.
fn has_argument(items: &[Value]) -> bool {
    items.windows(2).any(|pair| {
        let [Value::String(flag), Value::String(next)] = pair else { return false };
        behind(flag, next).is_some_and(|part| !part.starts_with('$'))
    })
}

/// Whether something below looks like a secret.
fn contains(value: &mut Value, pointer: &str) -> bool {
    let mut found = Vec::new();
    walk(value, pointer, &mut found) || !found.is_empty()
}

fn is_secret(pointer: &str, text: &str) -> bool {
    let key = pointer.rsplit('/').next().unwrap_or_default();
    let secret_key =
        if pointer.contains("/Labels/") { names_a_secret(key) } else { looks_secret(key) };
    !text.is_empty() && (secret_key || assigns_a_secret(text))
}

/// Labels have names such as `org.opencontainers.image.authors`: only whole words count.
fn names_a_secret(label: &str) -> bool {
    const WORDS: [&str; 14] = [
        "pass",
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "key",
        "apikey",
        "credential",
        "credentials",
        "dsn",
        "cookie",
        "salt",
        "jwt",
    ];
    let label = label.to_ascii_lowercase().replace("~1", "/");
    label.split(['.', '-', '_', '/']).any(|word| WORDS.contains(&word) || word == "basicauth")
}

/// Whether a text holds a secret. What begins with `$` is looked up by the program itself.
pub(super) fn assigns_a_secret(text: &str) -> bool {
    secret_parts(text).iter().any(|part| !part.starts_with('$'))
}

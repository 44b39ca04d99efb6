//! What looks like a secret outside of the environment: a registry has no reference for it, so it
//! is left where it is, under `ignore:`, and never written to a file.

use serde_json::Value;
use skep_crds::value::looks_secret;

use crate::plan::pointer::escape;

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
            items.iter_mut().any(|item| walk(item, pointer, &mut Vec::new()))
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

/// Whether something below looks like a secret.
fn contains(value: &mut Value, pointer: &str) -> bool {
    let mut found = Vec::new();
    walk(value, pointer, &mut found) || !found.is_empty()
}

/// Keys that name secrets and are none.
const NAMES: [&str; 3] = ["SecretName", "SecretID", "SecretRef"];

fn is_secret(pointer: &str, text: &str) -> bool {
    let key = pointer.rsplit('/').next().unwrap_or_default();
    let secret_key =
        if pointer.contains("/Labels/") { names_a_secret(key) } else { looks_secret(key) };
    !text.is_empty() && !NAMES.contains(&key) && (secret_key || assigns_a_secret(text))
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

/// Whether a text is a URL with a password, or says `token=…`. What begins with `$` is looked up
/// by the program itself.
pub(super) fn assigns_a_secret(text: &str) -> bool {
    let assigns = text.split([',', ' ', ';', '&', '?']).any(|part| {
        part.split_once('=').is_some_and(|(key, value)| {
            !value.is_empty() && !value.starts_with('$') && looks_secret(key)
        })
    });
    assigns || has_password(text)
}

fn has_password(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
        authority
            .rsplit_once('@')
            .and_then(|(user, _)| user.split_once(':'))
            .is_some_and(|(_, password)| !password.is_empty() && !password.starts_with('$'))
    })
}

//! Rules about every text of a stack, wherever it stands.

use serde_json::Value;

use super::*;

pub(super) fn check(report: &mut Report<'_>) {
    let Ok(stack) = serde_json::to_value(&report.loaded.stack) else { return };
    walk(report, "", &stack);
}

fn walk(report: &mut Report<'_>, path: &str, value: &Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(report, &path, value);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                walk(report, &format!("{path}[{index}]"), value);
            }
        }
        Value::String(text) => one(report, path, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn one(report: &mut Report<'_>, path: &str, text: &str) {
    // What is not in the file is not a fault of the file.
    if !report.loaded.places.is_substituted(path) && text.split(is_between).any(looks_like_a_token)
    {
        let message = "this looks like a token or a private key";
        let hint = "take it out of the file, revoke it, and mount a secret";
        report.note(path, TOKEN_IN_FILE, message, hint);
    }
    let plain = ["http://", "tcp://"].into_iter().any(|scheme| {
        text.match_indices(scheme).any(|(index, _)| {
            let host = text.get(index + scheme.len()..).unwrap_or_default();
            !["localhost", "127.", "[::1]", "0.0.0.0"].iter().any(|own| host.starts_with(own))
        })
    });
    if plain {
        let message = "an endpoint is reached without encryption";
        report.note(path, PLAIN_TEXT_ENDPOINT, message, "use https://, or TLS on the connection");
    }
    if text.starts_with("/home/") || text.starts_with("/Users/") || text.starts_with("/root/") {
        let message = "the path leads into somebody's home folder";
        report.note(path, HOME_PATH, message, "use a place that is the same on every node");
    }
}

fn is_between(char: char) -> bool {
    char.is_whitespace() || matches!(char, '"' | '\'' | '=' | ',' | ';' | '@' | '/')
}

/// Forms that issuers of tokens gave them so that they can be found.
fn looks_like_a_token(word: &str) -> bool {
    const PREFIXES: [&str; 14] = [
        "ghp_",
        "gho_",
        "ghs_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "xoxp-",
        "sk-",
        "sk_live_",
        "hvs.",
        "npm_",
        "hf_",
        "dop_v1_",
        "pypi-",
    ];
    let plain =
        |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if PREFIXES
        .iter()
        .any(|prefix| word.strip_prefix(prefix).is_some_and(|rest| rest.len() >= 16 && plain(rest)))
    {
        return true;
    }
    let upper = |text: &str| text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    if word.strip_prefix("AKIA").is_some_and(|rest| rest.len() == 16 && upper(rest)) {
        return true;
    }
    // A signed token: three parts, and the first begins as `{"` does.
    let signed = word.starts_with("eyJ") && word.len() > 40 && word.matches('.').count() == 2;
    signed || word.contains("-----BEGIN")
}

//! Sentences of others that quote what they were sent: the values that nobody may read are taken
//! out before anything is logged, stored or shown.

use serde_json::Value;

use crate::secrecy::{behind, looks_secret, secret_parts};

/// Stands where a value was.
const MASK: &str = "(masked)";

/// Shorter texts are no secrets worth the name, and taking them out would leave no sentence.
const SHORTEST: usize = 4;

/// Takes the secret values of a request's body out of what was said about it: every value of the
/// environment, and elsewhere what looks like a secret. A body that is not JSON has none.
#[must_use]
pub fn redact(sentence: &str, body: &[u8]) -> String {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return sentence.to_owned() };
    let mut values = Vec::new();
    collect(&body, "", &mut values);
    // A value may be the beginning of another one.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values.dedup();
    let mut sentence = sentence.to_owned();
    for value in values {
        if value.len() < SHORTEST {
            continue;
        }
        for form in forms(&value) {
            if sentence.contains(&form) {
                sentence = sentence.replace(&form, MASK);
            }
        }
    }
    sentence
}

/// As it is, and as programs quote it.
fn forms(value: &str) -> [String; 2] {
    let quoted = Value::from(value).to_string();
    let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or(value).to_owned();
    [value.to_owned(), inside]
}

fn collect(value: &Value, key: &str, values: &mut Vec<String>) {
    match value {
        Value::String(text) if key == "Env" => {
            values.extend(text.split_once('=').map(|(_, value)| value.to_owned()));
        }
        // What a secret or config holds.
        Value::String(text) if looks_secret(key) || key == "Data" => values.push(text.clone()),
        Value::String(text) => {
            values.extend(secret_parts(text).into_iter().map(str::to_owned));
        }
        Value::Object(map) => map.iter().for_each(|(key, value)| collect(value, key, values)),
        Value::Array(items) => {
            // An argument may be the value of the flag before it.
            let texts = || items.iter().map(|item| item.as_str().unwrap_or_default());
            let pairs = texts().zip(texts().skip(1));
            values.extend(pairs.filter_map(|(flag, next)| behind(flag, next)).map(str::to_owned));
            items.iter().for_each(|item| collect(item, key, values));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_refusal_quotes_is_taken_out() {
        let body = json!({"TaskTemplate": {
            "ContainerSpec": {
                "Env": ["TOKEN=hunter2", "MODE=on", "QUOTED=a\"b\"c", "LONG=hunter2-and-more"],
                "Args": ["--password=sesame", "--token", "bare-word", "-v", "kept"],
                "Healthcheck": {"Test": ["CMD-SHELL", "curl -H 'X-Api-Key: healthy' /"]},
                "Image": "example/mcp:1",
            },
            "LogDriver": {"Name": "splunk", "Options": {"splunk-token": "opensaysme"}},
        }});
        let said = "invalid env TOKEN=hunter2 (LONG hunter2-and-more), \"a\\\"b\\\"c\", \
                    --password=sesame --token bare-word -v kept X-Api-Key: healthy, opensaysme \
                    for example/mcp:1; MODE is on";
        assert_eq!(
            redact(said, body.to_string().as_bytes()),
            "invalid env TOKEN=(masked) (LONG (masked)), \"(masked)\", --password=(masked) \
             --token (masked) -v kept X-Api-Key: (masked), (masked) for example/mcp:1; MODE is on"
        );
        assert_eq!(redact(said, b"not json"), said);
        assert_eq!(redact(said, b""), said);
    }
}

//! Hiding what may be a secret in data that is printed.

use serde_json::Value;
use skep_crds::value::looks_secret;

/// Mappings whose keys are names that people chose.
const NAMED: [&str; 8] =
    ["environment", "labels", "Labels", "args", "options", "Options", "driver_opts", "DriverOpts"];

/// Shorter values are found in too much that is no secret.
const SHORTEST: usize = 3;

/// What is hidden.
pub(super) struct Hide {
    values: Vec<String>,
}

impl Hide {
    /// Hides the values of these variables whose names look like those of secrets.
    pub(super) fn new<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let secret =
            variables.filter(|(name, value)| looks_secret(name) && value.len() >= SHORTEST);
        Self { values: secret.map(|(_, value)| value.to_owned()).collect() }
    }

    /// Hides everything in a value; gives how many values that were.
    pub(super) fn all(&self, value: &mut Value) -> usize {
        match value {
            Value::Object(map) => {
                let mut hidden = 0;
                for (key, child) in map.iter_mut() {
                    hidden += match child {
                        Value::Object(pairs) if NAMED.contains(&key.as_str()) => {
                            pairs.iter_mut().map(|(name, value)| self.named(name, value)).sum()
                        }
                        Value::Array(lines) if key == "Env" => {
                            lines.iter_mut().map(|line| self.line(line)).sum()
                        }
                        child => self.all(child),
                    };
                }
                hidden
            }
            Value::Array(items) => items.iter_mut().map(|item| self.all(item)).sum(),
            Value::String(text) => usize::from(self.text(text)),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
    }

    fn named(&self, name: &str, value: &mut Value) -> usize {
        match value {
            Value::String(text) if looks_secret(name) && !text.is_empty() => {
                *text = covered(text);
                1
            }
            value => self.all(value),
        }
    }

    /// `NAME=value`.
    fn line(&self, line: &mut Value) -> usize {
        let Value::String(text) = line else { return 0 };
        match text.split_once('=') {
            Some((name, value)) if looks_secret(name) && !value.is_empty() => {
                *text = format!("{name}={}", covered(value));
                1
            }
            _ => usize::from(self.text(text)),
        }
    }

    /// Values that stand within a text.
    fn text(&self, text: &mut String) -> bool {
        let found: Vec<&String> =
            self.values.iter().filter(|value| text.contains(*value)).collect();
        for value in &found {
            *text = text.replace(value.as_str(), &covered(value));
        }
        !found.is_empty()
    }
}

fn covered(value: &str) -> String {
    format!("<{} bytes hidden>", value.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_by_name_and_by_value() {
        let hide =
            Hide::new([("DB_PASSWORD", "hunter2"), ("TAG", "1.27"), ("A_KEY", "x")].into_iter());
        let mut data = json!({
            "image": "web:1.27",
            "command": ["--dsn", "postgres://me:hunter2@db/x"],
            "environment": {"API_TOKEN": "canary", "PLAIN": "p", "URL": "u:hunter2", "EMPTY_KEY": ""},
            "Env": ["API_TOKEN=canary", "PLAIN=p", "KEY"],
            "token": "not a name that people chose",
        });
        assert_eq!(hide.all(&mut data), 4);
        let shown = data.to_string();
        assert!(!shown.contains("canary") && !shown.contains("hunter2"), "{shown}");
        assert_eq!(data["image"], "web:1.27");
        assert_eq!(data["environment"]["PLAIN"], "p");
        assert_eq!(data["environment"]["EMPTY_KEY"], "");
        assert_eq!(data["Env"], json!(["API_TOKEN=<6 bytes hidden>", "PLAIN=p", "KEY"]));
        assert_eq!(data["token"], "not a name that people chose");
    }
}

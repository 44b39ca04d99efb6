//! Writing a registry file, the way back from [`super::Registry::read`].

use serde_json::Value;
use skep_yaml::{Item, emit};

/// One service as a file says it: keys in the order in which they are written.
pub type Entry = Vec<(String, Value)>;

/// A registry file with these services, in their order; `header` stands above as comments.
#[must_use]
pub fn to_yaml(header: &str, services: &[Entry]) -> String {
    let mut text = String::new();
    for line in header.lines() {
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
    text.push_str("version: 1\nservices:");
    if services.is_empty() {
        text.push_str(" []\n");
        return text;
    }
    text.push('\n');
    for (index, entry) in services.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let map = Item::Map(entry.iter().map(|(key, value)| (key.clone(), item(value))).collect());
        text.push_str(&emit(&Item::List(vec![map]), 2));
    }
    text
}

fn item(value: &Value) -> Item {
    match value {
        Value::Null => Item::Null,
        Value::Bool(value) => Item::Bool(*value),
        Value::Number(number) => Item::Number(number.to_string()),
        Value::String(text) => Item::Text(text.clone()),
        Value::Array(items) => Item::List(items.iter().map(item).collect()),
        Value::Object(map) => {
            let mut entries: Vec<_> =
                map.iter().map(|(key, value)| (key.clone(), item(value))).collect();
            // Whether maps of serde_json keep the order of insertion is for other crates to choose.
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            Item::Map(entries)
        }
    }
}

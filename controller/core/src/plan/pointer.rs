//! JSON pointers (RFC 6901) that can also write: set with missing parents, remove with parents
//! that became empty.

use serde_json::{Map, Value};

/// Escapes one token for use in a pointer.
pub(crate) fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// The tokens of a pointer, unescaped.
pub(crate) fn tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect()
}

/// True when `pointer` is `prefix` or lies below it.
pub(crate) fn is_within(pointer: &str, prefix: &str) -> bool {
    pointer.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Sets the value, creating the objects on the way; a non-object on the way is replaced.
pub(crate) fn set(root: &mut Value, pointer: &str, value: Value) {
    let mut current = root;
    for token in tokens(pointer) {
        if !current.is_object() {
            *current = Value::Object(Map::new());
        }
        let Value::Object(map) = current else { return };
        current = map.entry(token).or_insert(Value::Null);
    }
    *current = value;
}

/// Removes the value, and each parent object that became empty by it.
pub(crate) fn remove(root: &mut Value, pointer: &str) {
    let tokens = tokens(pointer);
    remove_tokens(root, &tokens);
}

fn remove_tokens(value: &mut Value, tokens: &[String]) {
    let Some((first, rest)) = tokens.split_first() else { return };
    let Value::Object(map) = value else { return };
    if rest.is_empty() {
        map.remove(first);
    } else if let Some(child) = map.get_mut(first) {
        remove_tokens(child, rest);
        if child.as_object().is_some_and(Map::is_empty) {
            map.remove(first);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn set_creates_parents_and_remove_cleans_them_up() {
        let mut value = json!({"a": 1});
        set(&mut value, "/b/c~1d/e", json!(2));
        assert_eq!(value, json!({"a": 1, "b": {"c/d": {"e": 2}}}));
        remove(&mut value, "/b/c~1d/e");
        assert_eq!(value, json!({"a": 1}));
    }

    #[test]
    fn within_respects_token_borders() {
        assert!(is_within("/Labels/a", "/Labels"));
        assert!(is_within("/Labels", "/Labels"));
        assert!(!is_within("/LabelsExtra", "/Labels"));
    }
}

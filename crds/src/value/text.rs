//! Texts where Compose lets people write numbers, and `command` lines.

use std::collections::BTreeMap;

use schemars::{Schema, SchemaGenerator, json_schema};
use skep_yaml::{Cursor, Resolved};

use crate::format::Format;

/// A scalar as the text that was written. Numbers keep their spelling (`1.10` stays `1.10`). A
/// truth value is refused: whether the program wants `true`, `True` or `1` only its user knows.
pub(crate) fn scalar_text(at: &Cursor<'_>, expected: &str) -> Option<String> {
    match at.resolved() {
        Some(Resolved::Text(text)) => Some(text),
        Some(Resolved::Int(_) | Resolved::Float(_) | Resolved::Timestamp(_)) => {
            at.scalar().map(|scalar| scalar.raw.clone())
        }
        Some(Resolved::Bool(value)) => {
            at.refuse_with(
                "WRONG_TYPE",
                format!("expected {expected}, found the truth value {value}"),
                format!("write it in quotes: \"{value}\""),
            );
            None
        }
        Some(Resolved::Null) | None => {
            at.expected(expected);
            None
        }
    }
}

/// `key: value` pairs, or a list of `key=value`: each value with the cursor it came from.
pub(crate) fn pairs<'a>(at: &Cursor<'a>, what: &str) -> Option<Vec<(String, Pair<'a>)>> {
    if at.scalar().is_some() {
        // What was found is not repeated: it may be KEY=secret.
        at.refuse("WRONG_TYPE", "expected a mapping, or a list of KEY=VALUE");
        return None;
    }
    let mut out: Vec<(String, Pair<'a>)> = Vec::new();
    let mut complete = true;
    if let skep_yaml::Kind::Mapping(_) = at.node().kind {
        for (entry, value) in at.map()?.entries() {
            out.push((entry.key.clone(), Pair { text: None, at: value }));
        }
        return Some(out);
    }
    for item in at.list()? {
        let Some(text) = item.text() else {
            complete = false;
            continue;
        };
        let Some((key, value)) = text.split_once('=') else {
            item.refuse_with(
                "MISSING_VALUE",
                format!("expected KEY=VALUE, found no \"=\" in this {what}"),
                "the value of a variable of this machine is written KEY=env:NAME",
            );
            complete = false;
            continue;
        };
        if out.iter().any(|(known, _)| known == key) {
            item.refuse("DUPLICATE_KEY", format!("the {what} \"{key}\" is given twice"));
            complete = false;
            continue;
        }
        out.push((key.to_owned(), Pair { text: Some(value.to_owned()), at: item }));
    }
    complete.then_some(out)
}

/// One value of [`pairs`].
pub(crate) struct Pair<'a> {
    text: Option<String>,
    pub(crate) at: Cursor<'a>,
}

impl Pair<'_> {
    /// Whether a mapping gives no value.
    pub(crate) fn is_null(&self) -> bool {
        self.text.is_none() && self.at.is_null()
    }

    /// The value's text, from either notation.
    pub(crate) fn text(&self) -> Option<String> {
        match &self.text {
            Some(text) => Some(text.clone()),
            None => scalar_text(&self.at, "a text or a number"),
        }
    }
}

/// The schema of [`pairs`].
pub(crate) fn pairs_schema() -> Schema {
    json_schema!({
        "anyOf": [
            { "type": "object", "additionalProperties": { "type": ["string", "number"] } },
            { "type": "array", "items": { "type": "string", "pattern": "^[^=]+=" } },
        ],
    })
}

/// Labels of a service. Those that Skep and docker keep for themselves are refused.
pub(crate) struct Labels;

/// Label names that say who manages a service: writing them by hand would be a lie.
const RESERVED: [&str; 2] = ["dev.skep.", "com.docker.stack."];

/// Whether a label is Skep's or docker's own.
pub(crate) fn is_reserved_label(key: &str) -> bool {
    RESERVED.iter().any(|prefix| key.starts_with(prefix))
}

impl Format for Labels {
    type Value = BTreeMap<String, String>;

    fn read(at: &Cursor<'_>) -> Option<Self::Value> {
        let mut labels = BTreeMap::new();
        let mut complete = true;
        for (key, value) in pairs(at, "label")? {
            if key.trim().is_empty() || key.chars().any(char::is_control) {
                value.at.refuse("BAD_KEY", "a label needs a name");
                complete = false;
            } else if is_reserved_label(&key) {
                value.at.refuse("RESERVED_LABEL", format!("the label \"{key}\" is reserved"));
                complete = false;
            } else if let Some(text) = value.text() {
                labels.insert(key, text);
            } else {
                complete = false;
            }
        }
        complete.then_some(labels)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        pairs_schema()
    }
}

/// A command line: a list of arguments, or one text that is split as a shell would, without
/// running one.
pub(crate) struct Words;

impl Format for Words {
    type Value = Vec<String>;

    fn read(at: &Cursor<'_>) -> Option<Vec<String>> {
        let words = if at.scalar().is_some() {
            let split = split_words(&at.text()?);
            if split.is_none() {
                at.refuse("BAD_COMMAND", "a quote in this command is not closed");
            }
            split?
        } else {
            let read: Vec<_> = at.list()?.iter().map(|item| scalar_text(item, "a text")).collect();
            read.into_iter().collect::<Option<Vec<_>>>()?
        };
        if words.iter().any(|word| word.contains('\0')) {
            at.refuse("BAD_COMMAND", "a word with a NUL character cannot be given to a program");
            return None;
        }
        if words.is_empty() {
            at.refuse_with(
                "BLANK",
                "the command is empty",
                "leave the key out for the image's own",
            );
            return None;
        }
        Some(words)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "minLength": 1 },
                { "type": "array", "items": { "type": ["string", "number"] }, "minItems": 1 },
            ],
        })
    }
}

/// Splits at blanks outside of quotes; `None` when a quote stays open.
fn split_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    let mut quote: Option<char> = None;
    while let Some(char) = chars.next() {
        match (quote, char) {
            (Some('"') | None, '\\') => word.get_or_insert_default().push(chars.next()?),
            (Some(open), _) if open == char => quote = None,
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None, _) if char.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_split_as_a_shell_splits_it() {
        let split = |text| split_words(text).expect("closed quotes");
        assert_eq!(split("serve --port 8000"), ["serve", "--port", "8000"]);
        assert_eq!(
            split(r#"sh -c "a 'b' \"c\"" 'd "e"' f\ g"#),
            ["sh", "-c", "a 'b' \"c\"", "d \"e\"", "f g"]
        );
        assert_eq!(split("a '' b"), ["a", "", "b"]);
        assert_eq!(split("  "), Vec::<String>::new());
        assert_eq!(split("$(id) ; rm"), ["$(id)", ";", "rm"], "nothing is run or expanded");
        for open in ["'a", "\"a", "a\\"] {
            assert_eq!(split_words(open), None, "{open}");
        }
    }
}

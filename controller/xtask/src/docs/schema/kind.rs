//! What a key may hold, in words.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::anchor;

/// Regular expressions, numbered in the order in which they are first needed.
#[derive(Default)]
pub(super) struct Forms(Vec<String>);

impl Forms {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &str)> {
        self.0.iter().enumerate().map(|(index, pattern)| (index + 1, pattern.as_str()))
    }

    fn number(&mut self, pattern: &str) -> usize {
        match self.0.iter().position(|known| known == pattern) {
            Some(index) => index + 1,
            None => {
                self.0.push(pattern.to_owned());
                self.0.len()
            }
        }
    }
}

/// Turns schemas of values into words.
pub(super) struct Reader<'a> {
    /// Headings of the sections, by the name under `$defs`.
    pub(super) titles: &'a BTreeMap<&'a str, String>,
    pub(super) forms: &'a mut Forms,
}

/// What a schema says about a value, taken away word by word: what is left was not understood.
struct Words<'a>(BTreeMap<&'a str, &'a Value>);

impl<'a> Words<'a> {
    fn of(schema: &'a Map<String, Value>) -> Self {
        Self(schema.iter().map(|(word, value)| (word.as_str(), value)).collect())
    }

    fn take(&mut self, word: &str) -> Option<&'a Value> {
        self.0.remove(word)
    }
}

/// Between alternatives, of which each may be long.
const CHOICE: &str = "<br>or ";

const REFERENCE: &str = "#/$defs/";

impl Reader<'_> {
    /// The words for a value, for a cell of a table.
    pub(super) fn kind(&mut self, schema: &Value) -> Result<String, String> {
        let schema = schema.as_object().ok_or("not a mapping")?;
        let mut words = Words::of(schema);
        words.take("description");
        let kind = words.take("type");
        let said = if let Some(reference) = words.take("$ref") {
            self.reference(reference)?
        } else if let Some(choice) = words.take("enum") {
            let choice = choice.as_array().ok_or("a choice of what?")?;
            choice.iter().map(|word| code(&plain(word))).collect::<Vec<_>>().join(" or ")
        } else if let Some(choice) = words.take("anyOf") {
            let choice = choice.as_array().ok_or("a choice of what?")?;
            let said: Vec<_> =
                choice.iter().map(|schema| self.kind(schema)).collect::<Result<_, _>>()?;
            said.join(CHOICE)
        } else {
            match kind {
                Some(Value::String(kind)) => self.simple(kind, &mut words)?,
                Some(Value::Array(kinds)) => {
                    let kinds: Vec<_> = kinds.iter().map(|kind| name(&plain(kind))).collect();
                    kinds.join(" or ")
                }
                Some(_) | None => return Err("has no type".to_owned()),
            }
        };
        let examples = words.take("examples").and_then(Value::as_array);
        let examples: Vec<_> =
            examples.into_iter().flatten().map(|example| code(&plain(example))).collect();
        if let Some(word) = words.0.keys().next() {
            return Err(format!("{word:?} is not understood"));
        }
        Ok(match examples.as_slice() {
            [] => said,
            _ => format!("{said}; such as {}", examples.join(", ")),
        })
    }

    /// The words for what a list or a mapping holds.
    fn inner(&mut self, schema: &Value) -> Result<String, String> {
        let choice =
            schema.get("anyOf").is_some() || schema.get("type").is_some_and(Value::is_array);
        let said = self.kind(schema)?;
        Ok(if choice { format!("({})", said.replace(CHOICE, " or ")) } else { said })
    }

    fn reference(&self, reference: &Value) -> Result<String, String> {
        let target = reference.as_str().and_then(|text| text.strip_prefix(REFERENCE));
        let title = target.and_then(|target| self.titles.get(target));
        let title = title.ok_or_else(|| format!("{reference} has no section"))?;
        Ok(format!("[mapping](#{})", anchor(title)))
    }

    fn simple(&mut self, kind: &str, words: &mut Words<'_>) -> Result<String, String> {
        let mut said = name(kind);
        match kind {
            "string" => {
                let pattern = words.take("pattern").and_then(Value::as_str);
                let has_form = pattern.is_some();
                if let Some(pattern) = pattern {
                    let number = self.forms.number(pattern);
                    said = format!("{said} of [form {number}](#forms)");
                }
                match words.take("minLength").and_then(Value::as_u64) {
                    None | Some(0) => {}
                    // A form says by itself whether a text may be empty.
                    Some(1) if has_form => {}
                    Some(1) => said.push_str(", not empty"),
                    Some(least) => said = format!("{said}, at least {least} characters"),
                }
                if let Some(most) = words.take("maxLength") {
                    said = format!("{said}, at most {most} characters");
                }
            }
            "integer" | "number" => said.push_str(&range(words)),
            "array" => {
                let items = words.take("items").ok_or("a list of what?")?;
                let items = self.inner(items)?;
                let least = words.take("minItems").map(|least| format!(", at least {least}"));
                let once = words.take("uniqueItems").is_some_and(|once| once == &Value::Bool(true));
                let once = if once { ", each once" } else { "" };
                said = format!("list of {items}{}{once}", least.unwrap_or_default());
            }
            "object" => {
                // A format of others, too deep for tables of ours.
                if words.take("properties").is_some() {
                    words.take("additionalProperties");
                    return Ok("mapping; its keys are in the JSON Schema".to_owned());
                }
                let values = words.take("additionalProperties").ok_or("a mapping of what?")?;
                let values = self.inner(values)?;
                let names = words.take("propertyNames").and_then(|names| names.get("pattern"));
                let names = match names.and_then(Value::as_str) {
                    Some(pattern) => {
                        format!("names of [form {}](#forms)", self.forms.number(pattern))
                    }
                    None => "names".to_owned(),
                };
                said = format!("mapping of {names} to {values}");
            }
            _ => {}
        }
        Ok(said)
    }
}

/// Names of mappings that stand below `path`, each with its own path.
pub(super) fn mappings(schema: &Value, path: &str, found: &mut Vec<(String, String)>) {
    if let Some(name) =
        schema.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix(REFERENCE))
    {
        found.push((name.to_owned(), path.to_owned()));
    }
    for choice in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        mappings(choice, path, found);
    }
    if let Some(items) = schema.get("items") {
        mappings(items, &format!("{path}[]"), found);
    }
    if let Some(values) = schema.get("additionalProperties") {
        mappings(values, &format!("{path}.NAME"), found);
    }
}

fn name(kind: &str) -> String {
    match kind {
        "string" => "text",
        "integer" => "whole number",
        "boolean" => "`true` or `false`",
        "null" => "`null`",
        "array" => "list",
        "object" => "mapping",
        other => other,
    }
    .to_owned()
}

fn range(words: &mut Words<'_>) -> String {
    if let (Some(least), Some(most)) = (words.0.get("minimum"), words.0.get("maximum")) {
        let (least, most) = (number(least), number(most));
        words.take("minimum");
        words.take("maximum");
        let same = least == most;
        return if same { format!(": {least}") } else { format!(", {least} to {most}") };
    }
    let bounds = [
        (words.take("exclusiveMinimum"), "above"),
        (words.take("minimum"), "at least"),
        (words.take("maximum"), "at most"),
    ];
    let said: Vec<_> = bounds
        .into_iter()
        .filter_map(|(bound, word)| bound.map(|bound| format!("{word} {}", number(bound))))
        .collect();
    if said.is_empty() { String::new() } else { format!(", {}", said.join(", ")) }
}

/// Without the fraction that whole numbers of floating point have.
fn number(bound: &Value) -> String {
    let text = bound.to_string();
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A bar ends a cell even inside of code.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

//! A page about a file format, from its JSON Schema.
//!
//! A mapping is a section, called by the paths at which it may stand; a key is a row. What a
//! schema says and this does not understand is an error: a page must not leave out a constraint.

mod kind;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::error::Error;
use kind::{Forms, Reader};

/// The page of the schema in `file`.
pub(super) fn page(file: &str, text: &str) -> Result<String, Error> {
    let unreadable = |problem: String| Error::Output {
        tool: "the schema generator",
        problem: format!("{file}: {problem}"),
    };
    let schema: Value =
        serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    render(file, &schema).map_err(unreadable)
}

/// Keys of a mapping's schema that a section shows.
const SECTION: [&str; 8] = [
    "$schema",
    "$defs",
    "title",
    "type",
    "description",
    "properties",
    "required",
    "additionalProperties",
];

fn render(file: &str, schema: &Value) -> Result<String, String> {
    let root = schema.as_object().ok_or("not a mapping")?;
    let places = places(schema)?;
    let title = root.get("title").and_then(Value::as_str).unwrap_or(file);
    let about = root.get("description").and_then(Value::as_str).unwrap_or_default();
    let mut page = format!(
        "# {title}\n\n{about} Any other key is reported as a problem. In a path, `[]` stands for \
         each entry of a list and `NAME` for each name of a mapping. Editors can use \
         [the JSON Schema](../../{file}).\n"
    );
    let mut forms = Forms::default();
    let names: BTreeMap<&str, String> =
        places.iter().map(|place| (place.name.as_str(), place.title())).collect();
    let mut reader = Reader { titles: &names, forms: &mut forms };
    for place in &places {
        section(&mut page, place, definition(schema, &place.name)?, &mut reader)?;
    }
    if !forms.is_empty() {
        page.push_str("\n## Forms\n\nRegular expressions that a text must match.\n\n");
        for (number, pattern) in forms.iter() {
            // Writing to a String cannot fail.
            let _ = writeln!(page, "{number}. `{pattern}`");
        }
    }
    Ok(page)
}

/// A mapping and where it may stand.
struct Place {
    /// Its name under `$defs`; empty for the file itself.
    name: String,
    paths: Vec<String>,
}

impl Place {
    fn title(&self) -> String {
        if self.name.is_empty() {
            return "The file".to_owned();
        }
        let paths: Vec<_> = self.paths.iter().map(|path| format!("`{path}`")).collect();
        paths.join(", ")
    }
}

fn definition<'a>(schema: &'a Value, name: &str) -> Result<&'a Map<String, Value>, String> {
    let found = if name.is_empty() {
        Some(schema)
    } else {
        schema.get("$defs").and_then(|all| all.get(name))
    };
    found.and_then(Value::as_object).ok_or_else(|| format!("no definition {name:?}"))
}

/// Every mapping, outer ones first, each with all of its paths.
fn places(schema: &Value) -> Result<Vec<Place>, String> {
    let mut places = vec![Place { name: String::new(), paths: vec![String::new()] }];
    let mut waiting = VecDeque::from([(String::new(), String::new())]);
    while let Some((name, path)) = waiting.pop_front() {
        let definition = definition(schema, &name)?;
        let properties = definition.get("properties").and_then(Value::as_object);
        for (key, property) in properties.into_iter().flatten() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let mut inner = Vec::new();
            kind::mappings(property, &path, &mut inner);
            for (name, path) in inner {
                match places.iter_mut().find(|place| place.name == name) {
                    Some(place) => place.paths.push(path.clone()),
                    None => {
                        places.push(Place { name: name.clone(), paths: vec![path.clone()] });
                    }
                }
                // A format that holds itself would have no end.
                if path.split('.').count() > 8 {
                    return Err(format!("{path}: too deep"));
                }
                waiting.push_back((name, path));
            }
        }
    }
    Ok(places)
}

fn section(
    page: &mut String,
    place: &Place,
    definition: &Map<String, Value>,
    reader: &mut Reader<'_>,
) -> Result<(), String> {
    if let Some(word) = definition.keys().find(|word| !SECTION.contains(&word.as_str())) {
        return Err(format!("{}: {word:?} is not understood", place.name));
    }
    if definition.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err(format!("{}: has keys that no row could show", place.name));
    }
    let required: Vec<_> = definition
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let _ = write!(page, "\n## {}\n\n", place.title());
    if !place.name.is_empty() {
        let about = definition.get("description").and_then(Value::as_str).unwrap_or_default();
        let _ = write!(page, "{}\n\n", escaped(about));
    }
    page.push_str("| Key | Value | Meaning |\n|---|---|---|\n");
    let properties = definition.get("properties").and_then(Value::as_object);
    for (key, property) in properties.into_iter().flatten() {
        let value =
            reader.kind(property).map_err(|problem| format!("{}.{key}: {problem}", place.name))?;
        let about = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let needed = if required.contains(&key.as_str()) { " **Required.**" } else { "" };
        let _ = writeln!(page, "| `{key}` | {value} | {}{needed} |", escaped(about));
    }
    Ok(())
}

/// What would otherwise end a cell, or be taken for markup.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*").replace('_', "\\_")
}

/// The anchor that renderers give a heading.
fn anchor(title: &str) -> String {
    title
        .to_lowercase()
        .chars()
        .filter_map(|char| match char {
            ' ' => Some('-'),
            '-' | '_' => Some(char),
            _ => char.is_alphanumeric().then_some(char),
        })
        .collect()
}

#[cfg(test)]
mod tests;

//! `spec:`, the way to say what the format has no word for: a merge patch (RFC 7386) over the
//! engine's service spec, in the engine's own names.

mod clash;
mod table;

use std::fmt;

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use skep_yaml::{Cursor, Location};

pub(super) use self::clash::clashes;
use self::table::Field;
use crate::format::Format;
use crate::value::{is_reserved_label, scalar_text};

/// Fields of the engine's service spec, merged over what the other words say: objects are merged,
/// lists and values replace, `null` removes.
#[derive(Clone, PartialEq)]
pub struct SpecPatch {
    patch: Map<String, Value>,
    /// Where each value that is no object stands.
    leaves: Vec<(String, Location)>,
}

impl SpecPatch {
    /// Merges it over a spec.
    pub fn apply(&self, spec: &mut Value) {
        merge_object(spec, &self.patch);
    }
}

// Values may be secrets, for example in options of a log driver.
impl fmt::Debug for SpecPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.leaves.iter().map(|(pointer, _)| pointer)).finish()
    }
}

fn merge(target: &mut Value, patch: &Value) {
    match patch {
        Value::Object(patch) => merge_object(target, patch),
        other => *target = other.clone(),
    }
}

fn merge_object(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

impl Format for SpecPatch {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        let mut leaves = Vec::new();
        match read(at, table::SERVICE, "", &mut leaves)? {
            Value::Object(patch) => Some(Self { patch, leaves }),
            _ => None,
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        // Nothing at the top can be removed as a whole by `null` but what is an object.
        Schema::try_from(schema(table::SERVICE, false)).unwrap_or_default()
    }
}

/// What holds the image and the environment.
const NEEDED: [&str; 2] = ["/TaskTemplate", "/TaskTemplate/ContainerSpec"];

/// Reads a field. Below a list there are no leaves of their own: a list is replaced as a whole.
fn read(
    at: &Cursor<'_>,
    field: Field,
    pointer: &str,
    leaves: &mut Vec<(String, Location)>,
) -> Option<Value> {
    let value = match field {
        Field::Object(fields) => return object(at, fields, pointer, leaves),
        Field::Texts => return texts(at, pointer, leaves),
        Field::List(item) => {
            let read: Vec<_> =
                at.list()?.iter().map(|at| read(at, *item, "", &mut Vec::new())).collect();
            Value::Array(read.into_iter().collect::<Option<_>>()?)
        }
        Field::Text => json!(scalar_text(at, "a text")?),
        Field::Whole => json!(at.integer(i64::MIN..=i64::MAX)?),
        Field::Number => json!(at.number(f64::MIN..=f64::MAX)?),
        Field::Flag => json!(at.boolean()?),
        Field::Refused(_) => return None,
    };
    leaves.push((pointer.to_owned(), at.location()));
    Some(value)
}

fn object(
    at: &Cursor<'_>,
    fields: &'static [(&'static str, Field)],
    pointer: &str,
    leaves: &mut Vec<(String, Location)>,
) -> Option<Value> {
    let map = at.map()?;
    let known: Vec<&str> = fields
        .iter()
        .filter(|(key, field)| !matches!(field, Field::Refused(_)) || map.optional(key).is_some())
        .map(|(key, _)| *key)
        .collect();
    map.deny_unknown(&known);
    let mut complete = true;
    let mut object = Map::new();
    for (entry, value) in map.entries() {
        let Some((_, field)) = fields.iter().find(|(key, _)| *key == entry.key) else {
            complete = false;
            continue;
        };
        if let Field::Refused(instead) = field {
            let message = format!("\"{}\" cannot be given here", entry.key);
            map.refuse_key(entry, "NOT_IN_SPEC", message, Some((*instead).to_owned()));
            complete = false;
            continue;
        }
        let pointer = format!("{pointer}/{}", entry.key);
        if value.is_null() && NEEDED.contains(&pointer.as_str()) {
            value.refuse("NOT_IN_SPEC", format!("{} cannot be removed", entry.key));
            complete = false;
            continue;
        }
        if value.is_null() {
            leaves.push((pointer, value.location()));
            object.insert(entry.key.clone(), Value::Null);
            continue;
        }
        match read(&value, *field, &pointer, leaves) {
            Some(read) => {
                object.insert(entry.key.clone(), read);
            }
            None => complete = false,
        }
    }
    if object.is_empty() {
        leaves.push((pointer.to_owned(), at.location()));
    }
    complete.then_some(Value::Object(object))
}

fn texts(at: &Cursor<'_>, pointer: &str, leaves: &mut Vec<(String, Location)>) -> Option<Value> {
    let map = at.map()?;
    let mut complete = true;
    let mut object = Map::new();
    for (entry, value) in map.entries() {
        if pointer.ends_with("/Labels") && is_reserved_label(&entry.key) {
            let message = format!("the label \"{}\" is reserved", entry.key.escape_debug());
            let hint = Some("stack gives docker's labels; Skep writes its own".to_owned());
            map.refuse_key(entry, "RESERVED_LABEL", message, hint);
            complete = false;
            continue;
        }
        let pointer = format!("{pointer}/{}", entry.key.replace('~', "~0").replace('/', "~1"));
        let text = if value.is_null() {
            Some(Value::Null)
        } else {
            scalar_text(&value, "a text").map(Value::from)
        };
        match text {
            Some(text) => {
                object.insert(entry.key.clone(), text);
                leaves.push((pointer, value.location()));
            }
            None => complete = false,
        }
    }
    if object.is_empty() {
        leaves.push((pointer.to_owned(), at.location()));
    }
    complete.then_some(Value::Object(object))
}

/// What [`read`] takes; `null` where a key can be removed.
fn schema(field: Field, removable: bool) -> Value {
    let kind = |word: &str| if removable { json!([word, "null"]) } else { json!(word) };
    match field {
        Field::Object(fields) => {
            let properties: Map<String, Value> = fields
                .iter()
                .filter(|(_, field)| !matches!(field, Field::Refused(_)))
                .map(|(key, field)| ((*key).to_owned(), schema(*field, true)))
                .collect();
            json!({
                "type": kind("object"), "properties": properties, "additionalProperties": false,
            })
        }
        Field::Texts => json!({
            "type": kind("object"),
            "additionalProperties": { "type": ["string", "number", "null"] },
        }),
        Field::List(item) => json!({ "type": kind("array"), "items": schema(*item, false) }),
        Field::Text => {
            let mut words = vec!["string", "number"];
            words.extend(removable.then_some("null"));
            json!({ "type": words })
        }
        Field::Whole => json!({ "type": kind("integer") }),
        Field::Number => json!({ "type": kind("number") }),
        Field::Flag => json!({ "type": kind("boolean") }),
        Field::Refused(_) => json!(false),
    }
}

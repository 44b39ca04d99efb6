//! What moved under a decision, for people.

use std::fmt::Write as _;

use serde_json::Value;
use skep_core::approval::{Moved, MovedField};

use crate::output::change::{leaf, shown};
use crate::output::{Style, plain};

/// The fields under a heading; nothing when none is known.
pub(super) fn text(moved: &Moved, style: Style) -> String {
    if moved.fields.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", style.bold("what moved since"));
    for field in &moved.fields {
        let (name, approved, now) = parts(field);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {name}");
        let _ = writeln!(text, "        decided about  {}", style.red(&approved));
        let _ = writeln!(text, "        planned now    {}", style.green(&now));
    }
    text
}

/// One line per field, for the causes of an error.
pub(super) fn lines(moved: &Moved) -> Vec<String> {
    let line = |field: &MovedField| {
        let (name, approved, now) = parts(field);
        format!("{name}: decided about {approved}, planned now {now}")
    };
    moved.fields.iter().map(line).collect()
}

fn parts(field: &MovedField) -> (String, String, String) {
    let key = field.field.rsplit('/').next().unwrap_or_default();
    (plain(&leaf(&field.field)), side(key, &field.approved), side(key, &field.now))
}

/// A change as `before -> after`; anything else as it is.
fn side(key: &str, value: &Value) -> String {
    match (value.get("before"), value.get("after")) {
        (Some(before), Some(after)) => format!("{} -> {}", shown(key, before), shown(key, after)),
        _ if value.is_null() => "nothing".to_owned(),
        _ => shown(key, value),
    }
}

//! Unique keys, and what merge keys (`<<`) bring in.

use std::collections::HashMap;
use std::sync::Arc;

use crate::problem::{Location, Problem, Problems};
use crate::resolve::shorten;
use crate::tree::{Entry, Kind, Mapping, Position};

/// Finds duplicate keys and brings in what merge keys name. `merged` of an incoming entry marks a
/// merge key; of an outgoing one, that it came through one.
///
/// What a mapping says itself wins over what is brought in, and of several sources the first.
pub(crate) fn build(file: &Arc<str>, raw: Vec<Entry>, problems: &mut Problems) -> Mapping {
    let mut refuse = |at: Position, code, message, hint: Option<&str>| {
        problems.push(Problem {
            location: Location { file: file.clone(), line: at.line, column: at.column },
            path: String::new(),
            code,
            message,
            hint: hint.map(str::to_owned),
        });
    };
    let mut mapping = Mapping::default();
    let mut lines: HashMap<String, u32> = HashMap::with_capacity(raw.len());
    let mut merges = Vec::new();
    for entry in raw {
        if let Some(first) = lines.get(&entry.key) {
            let key = shorten(&entry.key);
            let message = format!(
                "the key \"{key}\" stands here again, it was already given on line {first}"
            );
            refuse(entry.key_span.start, "DUPLICATE_KEY", message, Some("keep one of the two"));
            mapping.duplicates.push(entry);
            continue;
        }
        lines.insert(entry.key.clone(), entry.key_span.start.line);
        if entry.merged {
            merges.push(entry.value);
        } else {
            mapping.entries.push(entry);
        }
    }
    for merge in merges {
        let sources = match &merge.kind {
            Kind::Sequence(items) => items.clone(),
            Kind::Mapping(_) | Kind::Scalar(_) => vec![merge],
        };
        for source in sources {
            let Kind::Mapping(from) = &source.kind else {
                let message = "\"<<\" merges a mapping or a list of mappings".to_owned();
                refuse(source.span.start, "BAD_MERGE", message, None);
                continue;
            };
            // What is brought in was counted with the alias that brought it.
            for entry in &from.entries {
                if !lines.contains_key(&entry.key) {
                    lines.insert(entry.key.clone(), entry.key_span.start.line);
                    mapping.entries.push(Entry { merged: true, ..entry.clone() });
                }
            }
        }
    }
    mapping
}

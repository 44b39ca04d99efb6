//! Writing YAML that people go on editing: block style, quotes only where they are needed, and
//! nothing that one of the two resolvers would read as something else.

use std::fmt::Write as _;

use crate::resolve::{Resolved, Resolver};
use crate::tree::{Scalar, Style};

/// A value to be written.
#[derive(Clone, PartialEq)]
pub enum Item {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number in the notation of JSON.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Item>),
    /// `key: value` pairs in this order.
    Map(Vec<(String, Item)>),
}

/// Lists of short texts stand on one line up to this width.
const WIDTH: usize = 90;

/// Writes an item as a block; each line begins with `indent` blanks and ends with a line break.
pub fn emit(item: &Item, indent: usize) -> String {
    let mut out = String::new();
    match item {
        Item::Map(entries) if !entries.is_empty() => map(entries, indent, &mut out),
        Item::List(items) if !items.is_empty() => list(items, indent, &mut out),
        other => {
            pad(indent, &mut out);
            out.push_str(&inline(other));
            out.push('\n');
        }
    }
    out
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn map(entries: &[(String, Item)], indent: usize, out: &mut String) {
    for (key, value) in entries {
        pad(indent, out);
        // Writing to a String cannot fail.
        let _ = write!(out, "{}:", scalar(key));
        match value {
            Item::Map(entries) if !entries.is_empty() => {
                out.push('\n');
                map(entries, indent + 2, out);
            }
            Item::List(items) if !items.is_empty() && !fits(value, indent + key.len()) => {
                out.push('\n');
                list(items, indent + 2, out);
            }
            value => {
                let _ = writeln!(out, " {}", inline(value));
            }
        }
    }
}

fn list(items: &[Item], indent: usize, out: &mut String) {
    for item in items {
        match item {
            Item::Map(entries) if !entries.is_empty() => {
                let mut block = String::new();
                map(entries, indent + 2, &mut block);
                pad(indent, out);
                out.push_str("- ");
                out.push_str(block.trim_start_matches(' '));
            }
            Item::List(inner) if !inner.is_empty() && !fits(item, indent) => {
                pad(indent, out);
                out.push_str("-\n");
                list(inner, indent + 2, out);
            }
            item => {
                pad(indent, out);
                let _ = writeln!(out, "- {}", inline(item));
            }
        }
    }
}

/// Whether a list is short enough for one line.
fn fits(item: &Item, indent: usize) -> bool {
    let Item::List(items) = item else { return false };
    let simple = |item: &Item| !matches!(item, Item::List(_) | Item::Map(_));
    items.iter().all(simple) && indent + inline(item).len() < WIDTH
}

fn inline(item: &Item) -> String {
    match item {
        Item::Null => "null".to_owned(),
        Item::Bool(value) => value.to_string(),
        Item::Number(text) => text.clone(),
        Item::Text(text) => scalar(text),
        Item::List(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Item::Map(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", scalar(key), inline(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// A text without quotes when every reader takes it for this text, else in double quotes.
fn scalar(text: &str) -> String {
    let first = text.chars().next();
    let starts = first.is_some_and(|char| char.is_ascii_alphanumeric() || "/_.".contains(char));
    let plain = |char: char| char.is_ascii_alphanumeric() || "/_.-@+=".contains(char);
    // A colon is one of a mapping only before a blank or at the end.
    let colons = !text.ends_with(':') && !text.starts_with(':');
    let fine = starts && colons && text.chars().all(|char| plain(char) || char == ':');
    if fine && is_text(text) && !is_old_word(text) { text.to_owned() } else { quoted(text) }
}

fn is_text(text: &str) -> bool {
    let scalar = Scalar { raw: text.to_owned(), style: Style::Plain, tag: None };
    [Resolver::Strict, Resolver::Docker]
        .iter()
        .all(|resolver| resolver.resolve(&scalar) == Resolved::Text(text.to_owned()))
}

/// Truth values and numbers of YAML 1.1, which other readers still take for that.
fn is_old_word(text: &str) -> bool {
    let word = text.to_ascii_lowercase();
    matches!(word.as_str(), "y" | "n" | "yes" | "no" | "on" | "off")
        || text.starts_with(|char: char| char.is_ascii_digit())
            && text.chars().all(|char| char.is_ascii_digit() || ":._".contains(char))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if is_plain_in_quotes(char) => out.push(char),
            char => {
                let code = u32::from(char);
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push('"');
    out
}

/// Printable, and neither a line break of any standard nor a mark that no one sees.
fn is_plain_in_quotes(char: char) -> bool {
    match char {
        ' '..='~' => true,
        '\u{a0}'..='\u{d7ff}' => {
            !matches!(char, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        }
        '\u{e000}'..='\u{fffd}' => char != '\u{feff}',
        '\u{10000}'..='\u{10ffff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::parse::parse;
    use crate::tree::{Kind, Node};

    fn read(node: &Node) -> Item {
        match &node.kind {
            Kind::Mapping(map) => Item::Map(
                map.entries.iter().map(|entry| (entry.key.clone(), read(&entry.value))).collect(),
            ),
            Kind::Sequence(items) => Item::List(items.iter().map(|item| read(item)).collect()),
            Kind::Scalar(scalar) => match Resolver::Strict.resolve(scalar) {
                Resolved::Null => Item::Null,
                Resolved::Bool(value) => Item::Bool(value),
                Resolved::Int(value) => Item::Number(value.to_string()),
                Resolved::Text(text) => Item::Text(text),
                other => panic!("{other:?}"),
            },
        }
    }

    fn round_trip(item: &Item) -> Item {
        let text = emit(item, 0);
        let parsed = parse("a.yml", text.as_bytes());
        assert!(parsed.problems.is_empty(), "{text}: {}", parsed.problems);
        read(&parsed.root.expect("a document"))
    }

    #[test]
    fn only_what_needs_quotes_has_them() {
        for plain in ["nginx:1.2", "/a/b", "node.role==worker", "a@b", "env:X", "v1.10", "a-b"] {
            assert_eq!(scalar(plain), plain);
        }
        for other in [
            "",
            "1.10",
            "true",
            "no",
            "1:2",
            "012",
            "a: b",
            "a #b",
            " a",
            "- a",
            "*a",
            "null",
            "2020-01-01",
            "a:",
            "{{.X}}",
            "a,b",
            "0x1f",
            "1_000",
            "~",
            "é",
        ] {
            assert!(scalar(other).starts_with('"'), "{other}");
        }
    }

    fn items() -> impl Strategy<Value = Item> {
        let leaf = prop_oneof![
            Just(Item::Null),
            any::<bool>().prop_map(Item::Bool),
            any::<i64>().prop_map(|number| Item::Number(number.to_string())),
            any::<String>().prop_map(Item::Text),
            "[a-z0-9:./ _-]{0,12}".prop_map(Item::Text),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Item::List),
                prop::collection::btree_map("[a-zA-Z0-9:./ ~-]{1,8}", inner, 0..5)
                    .prop_map(|map| Item::Map(map.into_iter().collect())),
            ]
        })
    }

    impl std::fmt::Debug for Item {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&inline(self))
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(item in items()) {
            // A document of its own says something.
            let item = Item::Map(vec![("a".to_owned(), item)]);
            prop_assert_eq!(round_trip(&item), item);
        }
    }
}

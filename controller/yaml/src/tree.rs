//! The tree that a document becomes.

use std::sync::Arc;

/// A position in the source: line and column from 1, the column in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// From where to where a node reaches; the end is exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First character.
    pub start: Position,
    /// First character after it.
    pub end: Position,
}

/// One node. An alias is the node that it names, so its span is that of the anchor.
#[derive(Debug, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, PartialEq)]
pub enum Kind {
    /// `key: value` pairs in the order of the file.
    Mapping(Mapping),
    /// A list.
    Sequence(Vec<Arc<Node>>),
    /// A single value, not yet resolved.
    Scalar(Scalar),
}

// A file may hold secrets anywhere.
impl std::fmt::Debug for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scalar({} bytes)", self.raw.len())
    }
}

/// A scalar as written: only a resolver gives it a type.
#[derive(PartialEq, Eq)]
pub struct Scalar {
    /// The text after quotes and escapes were taken off.
    pub raw: String,
    /// How it was written.
    pub style: Style,
    /// An explicit `!!` tag.
    pub tag: Option<CoreTag>,
}

/// How a scalar was written; only plain ones can be anything but a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In single or double quotes.
    Quoted,
    /// A `|` or `>` block.
    Block,
    /// Not in the file: a program put it there, such as the value of a variable. It may be a
    /// secret, so no message shows it.
    Substituted,
}

/// The explicit tags that are understood, those of the core schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoreTag {
    /// `!!str`
    Str,
    /// `!!int`
    Int,
    /// `!!float`
    Float,
    /// `!!bool`
    Bool,
    /// `!!null`
    Null,
    /// `!!map`
    Map,
    /// `!!seq`
    Seq,
}

/// A mapping; keys are unique.
#[derive(Debug, Default, PartialEq)]
pub struct Mapping {
    /// What the mapping says itself, in order, then what `<<` brought in.
    pub entries: Vec<Entry>,
    /// Later entries of a key that was there already. Each is also a problem; they are kept for
    /// readers that must know what else the file tried to say.
    pub duplicates: Vec<Entry>,
}

impl Mapping {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &*entry.value)
    }
}

/// One `key: value`.
#[derive(Debug, PartialEq, Clone)]
pub struct Entry {
    /// The key's text; `1:` has the key `1`.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Arc<Node>,
    /// Whether it came from a merge key.
    pub merged: bool,
}

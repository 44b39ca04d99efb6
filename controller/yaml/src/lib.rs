//! YAML that remembers where it came from.
//!
//! Files are written by people, and a person needs every problem of a file in one go, with its
//! line, its column and a hint. A parser that fills typed structs stops at the first problem and
//! has forgotten the places by then. So [`parse`] builds a tree in which each node keeps its span
//! and its raw text, and [`Decode`] walks it, collecting problems and going on.
//!
//! The raw text also matters for meaning: `1.10` is a text for the person who wrote it and 1.1 for
//! docker. [`Resolver`] has both readings.
//!
//! # Guarantees
//! [`parse`] never panics, and its time and memory are bounded by [`Limits`] for any input: a
//! document that expands beyond them is refused, not expanded.

mod cursor;
mod decode;
mod emit;
mod encoding;
mod mapping;
mod parse;
mod path;
mod problem;
mod resolve;
mod tree;

pub use cursor::{Cursor, MapCursor, Sink};
pub use decode::{Decode, decode_document};
pub use emit::{Item, emit};
pub use parse::{Limits, Parsed, parse, parse_with};
pub use problem::{Location, MOST_PROBLEMS, Problem, Problems, did_you_mean};
pub use resolve::{Resolved, Resolver, go_float_text};
pub use tree::{CoreTag, Entry, Kind, Mapping, Node, Position, Scalar, Span, Style};

//! Reading one node at a time, collecting every problem on the way.
//!
//! A [`Cursor`] points at one node and knows its path. Its readers return `None` after they noted
//! what is wrong, so a caller reads all its fields first and gives up only then.

mod map;

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::sync::Arc;

pub use self::map::MapCursor;
use crate::path::{Path, Step};
use crate::problem::{Location, Problem, Problems, did_you_mean};
use crate::resolve::{Resolved, Resolver, shorten};
use crate::tree::{Kind, Node, Position, Scalar, Style};

/// What is said in place of a value that a program put there.
const HIDDEN: &str = "a value that came from a variable";

/// Where problems of one file go.
#[derive(Debug)]
pub struct Sink {
    file: Arc<str>,
    resolver: Resolver,
    problems: RefCell<Problems>,
}

impl Sink {
    /// An empty one.
    pub fn new(file: Arc<str>, resolver: Resolver) -> Self {
        Self { file, resolver, problems: RefCell::default() }
    }

    /// A cursor on the document's root.
    pub fn root<'a>(&'a self, node: &'a Node) -> Cursor<'a> {
        Cursor { sink: self, node, path: Path::root() }
    }

    /// What was noted.
    pub fn into_problems(self) -> Problems {
        self.problems.into_inner()
    }

    fn push(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    fn location(&self, at: Position) -> Location {
        Location { file: self.file.clone(), line: at.line, column: at.column }
    }
}

/// One node, its path, and where its problems go.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    sink: &'a Sink,
    node: &'a Node,
    path: Path,
}

impl<'a> Cursor<'a> {
    /// The node.
    pub const fn node(&self) -> &'a Node {
        self.node
    }

    /// Where the node stands.
    pub fn location(&self) -> Location {
        self.sink.location(self.node.span.start)
    }

    /// Its path, such as `services[3].name`.
    pub fn path(&self) -> String {
        self.path.to_string()
    }

    /// Notes that the node is wrong.
    pub fn refuse(&self, code: &'static str, message: impl Into<String>) {
        self.note(code, message.into(), None);
    }

    /// Notes that the node is wrong, and what to do.
    pub fn refuse_with(
        &self,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.note(code, message.into(), Some(hint.into()));
    }

    fn note(&self, code: &'static str, message: String, hint: Option<String>) {
        self.sink.push(Problem {
            location: self.location(),
            path: self.path(),
            code,
            message,
            hint,
        });
    }

    /// The scalar's value, when the node is one. Notes nothing.
    pub fn resolved(&self) -> Option<Resolved> {
        self.scalar().map(|scalar| self.sink.resolver.resolve(scalar))
    }

    /// The scalar as written, when the node is one. Notes nothing.
    pub const fn scalar(&self) -> Option<&'a Scalar> {
        match &self.node.kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::Mapping(_) | Kind::Sequence(_) => None,
        }
    }

    /// Whether the node says nothing: `null`, `~` or no text.
    pub fn is_null(&self) -> bool {
        self.resolved() == Some(Resolved::Null)
    }

    /// What the node is, for a sentence.
    pub fn found(&self) -> String {
        match &self.node.kind {
            Kind::Mapping(_) => "a mapping".to_owned(),
            Kind::Sequence(_) => "a list".to_owned(),
            Kind::Scalar(scalar) if scalar.style == Style::Substituted => HIDDEN.to_owned(),
            Kind::Scalar(scalar) => match self.sink.resolver.resolve(scalar) {
                // As written: "1.0" is no whole number, which "1" would not explain.
                Resolved::Int(_) | Resolved::Float(_) => {
                    format!("the number {}", shorten(&scalar.raw))
                }
                other @ (Resolved::Null
                | Resolved::Bool(_)
                | Resolved::Timestamp(_)
                | Resolved::Text(_)) => other.describe(),
            },
        }
    }

    /// Something of the node's value for a sentence, unless it must not be shown.
    fn shown(&self, text: &str) -> String {
        match self.scalar() {
            Some(scalar) if scalar.style == Style::Substituted => HIDDEN.to_owned(),
            _ => shorten(text),
        }
    }

    /// [`Self::shown`], as a text.
    fn quoted(&self, text: &str) -> String {
        match self.shown(text) {
            hidden if hidden == HIDDEN => hidden,
            text => format!("\"{text}\""),
        }
    }

    /// Notes that something else was expected.
    pub fn expected(&self, what: &str) {
        self.note("WRONG_TYPE", format!("expected {what}, found {}", self.found()), None);
    }

    /// A mapping.
    pub fn map(&self) -> Option<MapCursor<'a>> {
        match &self.node.kind {
            Kind::Mapping(mapping) => Some(MapCursor { at: self.clone(), mapping }),
            Kind::Sequence(_) | Kind::Scalar(_) => {
                self.expected("a mapping");
                None
            }
        }
    }

    /// The items of a list.
    pub fn list(&self) -> Option<Vec<Self>> {
        match &self.node.kind {
            Kind::Sequence(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, node)| Cursor {
                        sink: self.sink,
                        node,
                        path: self.path.join(Step::Index(index)),
                    })
                    .collect(),
            ),
            Kind::Mapping(_) | Kind::Scalar(_) => {
                self.expected("a list");
                None
            }
        }
    }

    /// A text. A number or a truth value is none, because what a person meant by it is not
    /// certain: the hint says to quote it.
    pub fn text(&self) -> Option<String> {
        match self.resolved() {
            Some(Resolved::Text(text)) => Some(text),
            Some(Resolved::Null) | None => {
                self.expected("a text");
                None
            }
            Some(
                Resolved::Bool(_) | Resolved::Int(_) | Resolved::Float(_) | Resolved::Timestamp(_),
            ) => {
                let raw = self.scalar().map(|scalar| self.shown(&scalar.raw)).unwrap_or_default();
                self.note(
                    "WRONG_TYPE",
                    format!("expected a text, found {}", self.found()),
                    Some(format!("write it in quotes: \"{raw}\"")),
                );
                None
            }
        }
    }

    /// A text that is not blank.
    pub fn filled_text(&self) -> Option<String> {
        let text = self.text()?;
        if text.trim().is_empty() {
            self.refuse("BLANK", "expected a text, found a blank one");
            return None;
        }
        Some(text)
    }

    /// `true` or `false`, nothing like `yes` or `1`.
    pub fn boolean(&self) -> Option<bool> {
        if let Some(Resolved::Bool(value)) = self.resolved() {
            return Some(value);
        }
        self.expected("true or false");
        None
    }

    /// A whole number within bounds.
    pub fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        match self.resolved() {
            Some(Resolved::Int(value)) => {
                let within = i64::try_from(value).ok().filter(|value| range.contains(value));
                if within.is_none() {
                    self.refuse(
                        "OUT_OF_RANGE",
                        format!(
                            "expected a whole number from {} to {}, found {}",
                            range.start(),
                            range.end(),
                            self.shown(&value.to_string())
                        ),
                    );
                }
                within
            }
            _ => {
                self.expected("a whole number");
                None
            }
        }
    }

    /// A finite number within bounds; a whole one will do.
    pub fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let value = match self.resolved() {
            #[expect(clippy::cast_precision_loss, reason = "a bound is checked next, not a value")]
            Some(Resolved::Int(value)) => value as f64,
            Some(Resolved::Float(value)) if value.is_finite() => value,
            Some(Resolved::Float(_)) => {
                self.expected("a finite number");
                return None;
            }
            _ => {
                self.expected("a number");
                return None;
            }
        };
        if !range.contains(&value) {
            self.refuse(
                "OUT_OF_RANGE",
                format!(
                    "expected a number from {} to {}, found {}",
                    range.start(),
                    range.end(),
                    self.shown(&value.to_string())
                ),
            );
            return None;
        }
        Some(value)
    }

    /// One of several words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        // `on` and `no` may be words, `true` may not: texts only.
        let text = self.text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known = words.iter().map(|(word, _)| *word);
        let list = known.clone().collect::<Vec<_>>().join(", ");
        let hint = did_you_mean(&text, known)
            .map_or_else(|| format!("one of: {list}"), |word| format!("did you mean \"{word}\"?"));
        self.refuse_with(
            "UNKNOWN_WORD",
            format!("expected one of {list}, found {}", self.quoted(&text)),
            hint,
        );
        None
    }
}

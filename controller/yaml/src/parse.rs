//! From bytes to a tree, within budgets.
//!
//! Aliases share the node they name, so that a bomb costs no memory; what it *would* expand to is
//! counted all the same, because whoever walks the tree walks the expansion.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use crate::encoding::{self, Refusal};
use crate::mapping;
use crate::problem::{Location, Problem, Problems};
use crate::resolve::shorten;
use crate::tree::{CoreTag, Entry, Kind, Node, Position, Scalar, Span, Style};

/// How much a document may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Size of the document. A registry of 10,000 connectors with every field is about 4 MiB.
    pub bytes: usize,
    /// Nested collections. Nothing of ours or docker's goes deeper than a dozen.
    pub depth: usize,
    /// Nodes, counting what aliases expand to.
    pub nodes: usize,
    /// Whether a UTF-8 byte-order mark is passed over, as docker does. Our own files refuse it:
    /// other tools that read them stumble over it.
    pub byte_order_mark: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 4 << 20, depth: 64, nodes: 200_000, byte_order_mark: false }
    }
}

/// What came out of a document.
#[derive(Debug)]
pub struct Parsed {
    /// The file as the caller named it.
    pub file: Arc<str>,
    /// The tree; `None` when the document could not be read to its end or is empty. It may be
    /// there although problems are: a duplicate key, for one, does not hide the rest.
    pub root: Option<Arc<Node>>,
    /// What is wrong with the document as YAML.
    pub problems: Problems,
}

/// Reads one document with the default limits.
pub fn parse(file: impl Into<Arc<str>>, bytes: &[u8]) -> Parsed {
    parse_with(file, bytes, &Limits::default())
}

/// Reads one document.
pub fn parse_with(file: impl Into<Arc<str>>, bytes: &[u8], limits: &Limits) -> Parsed {
    let file = file.into();
    let mut builder = Builder::new(file.clone(), *limits);
    let root = match encoding::text(bytes, limits) {
        Ok(text) => builder.run(text),
        Err(Refusal { at, code, message, hint }) => {
            builder.refuse(at, code, message, Some(hint));
            None
        }
    };
    Parsed { file, root, problems: builder.problems }
}

/// A collection whose end was not reached yet.
struct Open {
    start: Position,
    end: Position,
    anchor: usize,
    /// Nodes in it so far, itself included, aliases expanded.
    size: usize,
    /// Levels below it.
    height: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Arc<Node>>),
    Mapping { entries: Vec<Entry>, key: Option<Key> },
}

/// A key whose value was not reached yet.
struct Key {
    text: String,
    span: Span,
    /// A plain `<<` merges, a quoted one is a key like others.
    merge: bool,
}

/// A finished node with what it costs wherever it is used.
#[derive(Clone)]
struct Sized {
    node: Arc<Node>,
    size: usize,
    height: usize,
}

/// The document went beyond a limit, or its structure is lost: reading on makes no sense.
struct Stop;

struct Builder {
    file: Arc<str>,
    limits: Limits,
    problems: Problems,
    stack: Vec<Open>,
    anchors: HashMap<usize, Sized>,
    nodes: usize,
    root: Option<Arc<Node>>,
}

impl Builder {
    fn new(file: Arc<str>, limits: Limits) -> Self {
        Self {
            file,
            limits,
            problems: Problems::new(),
            stack: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            root: None,
        }
    }

    fn refuse(
        &mut self,
        at: Option<Position>,
        code: &'static str,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        let (line, column) = at.map_or((0, 0), |at| (at.line, at.column));
        self.problems.push(Problem {
            location: Location { file: self.file.clone(), line, column },
            path: String::new(),
            code,
            message: message.into(),
            hint: hint.map(str::to_owned),
        });
    }

    fn run(&mut self, text: &str) -> Option<Arc<Node>> {
        let mut options = granit_parser::Options::default();
        options.set_emit_comments(false);
        options.emit_unresolved_aliases = true;
        // One above ours, so that ours is the message that people see.
        options.flow_nesting_limit = self.limits.depth.saturating_add(1);
        options.block_nesting_limit = self.limits.depth.saturating_add(1);
        let mut documents = 0_usize;
        for next in Parser::new_from_str_with_options(text, options) {
            let (event, span) = match next {
                Ok(next) => next,
                Err(error) => {
                    let at = position(error.marker());
                    self.syntax(at, error.kind());
                    return None;
                }
            };
            let span = Span { start: position(&span.start), end: position(&span.end) };
            if let Event::DocumentStart(..) = event {
                documents += 1;
                if documents > 1 {
                    self.refuse(
                        Some(span.start),
                        "SEVERAL_DOCUMENTS",
                        "a second document begins here, one is expected",
                        Some("put it into a file of its own"),
                    );
                    return None;
                }
            }
            if self.event(event, span).is_err() {
                return None;
            }
        }
        match self.root.take() {
            Some(root) if !is_nothing(&root) => Some(root),
            _ => {
                self.refuse(None, "EMPTY", "the file is empty: it has no document", None);
                None
            }
        }
    }

    fn syntax(&mut self, at: Position, kind: &granit_parser::ErrorKind) {
        use granit_parser::ErrorKind;
        #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign list of ninety kinds")]
        let (code, hint) = match kind {
            ErrorKind::RecursionLimitExceeded => return self.too_deep(at),
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabAtBlockScalarStart
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar => {
                ("TAB", Some("indent with spaces; YAML allows no tabs there"))
            }
            ErrorKind::UnexpectedEofFlowMapping
            | ErrorKind::UnexpectedEofFlowSequence
            | ErrorKind::UnclosedFlowCollection { .. }
            | ErrorKind::UnclosedQuotedScalar
            | ErrorKind::UnexpectedEof => {
                ("SYNTAX", Some("something that was opened is not closed; is the file complete?"))
            }
            _ => ("SYNTAX", None),
        };
        self.refuse(Some(at), code, format!("not valid YAML: {kind}"), hint);
    }

    fn too_deep(&mut self, at: Position) {
        let message = format!("nested too deeply: more than {} levels", self.limits.depth);
        self.refuse(Some(at), "TOO_DEEP", message, None);
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::Scalar(raw, style, anchor, tag) => {
                let tag = self.tag(tag.as_deref(), span);
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                let kind = Kind::Scalar(Scalar { raw: raw.into_owned(), style, tag });
                let node = Sized { node: Arc::new(Node { span, kind }), size: 1, height: 0 };
                self.remember(anchor, &node);
                self.add(node, span)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), span);
                self.open(anchor, span, Content::Sequence(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), span);
                self.open(anchor, span, Content::Mapping { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(target) => self.add(target, span),
                None => {
                    let message = "this alias stands inside the node that it names";
                    self.refuse(Some(span.start), "ALIAS_CYCLE", message, None);
                    Err(Stop)
                }
            },
            Event::UnresolvedAlias(name) => {
                let message = format!("no anchor \"&{}\" stands before this alias", shorten(&name));
                self.refuse(Some(span.start), "UNKNOWN_ALIAS", message, None);
                Err(Stop)
            }
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Anchor(..)
            | Event::Comment(..) => Ok(()),
            _ => Ok(()),
        }
    }

    fn tag(&mut self, tag: Option<&Tag>, span: Span) -> Option<CoreTag> {
        let tag = tag?;
        let known = match tag.core_suffix() {
            Some("str") => Some(CoreTag::Str),
            Some("int") => Some(CoreTag::Int),
            Some("float") => Some(CoreTag::Float),
            Some("bool") => Some(CoreTag::Bool),
            Some("null") => Some(CoreTag::Null),
            Some("map") => Some(CoreTag::Map),
            Some("seq") => Some(CoreTag::Seq),
            // `!` alone says "not resolved", which makes it a text.
            _ if tag.handle().is_empty() && tag.suffix() == "!" => Some(CoreTag::Str),
            _ => None,
        };
        if known.is_none() {
            let message = format!("unknown tag \"{}\"", shorten(&tag.original()));
            let hint = Some("only the tags of the core schema (!!str, !!int, …) are understood");
            self.refuse(Some(span.start), "UNKNOWN_TAG", message, hint);
        }
        known
    }

    fn open(&mut self, anchor: usize, span: Span, content: Content) -> Result<(), Stop> {
        if self.stack.len() >= self.limits.depth {
            self.too_deep(span.start);
            return Err(Stop);
        }
        self.stack.push(Open {
            start: span.start,
            end: span.end,
            anchor,
            size: 1,
            height: 0,
            content,
        });
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Stop> {
        let Some(open) = self.stack.pop() else { return Ok(()) };
        let end = span.end.max(open.end);
        let kind = match open.content {
            Content::Sequence(items) => Kind::Sequence(items),
            Content::Mapping { entries, .. } => {
                Kind::Mapping(mapping::build(&self.file, entries, &mut self.problems))
            }
        };
        let node = Node { span: Span { start: open.start, end }, kind };
        // Its own size was counted as its parts were added; only itself is new.
        let node = Sized { node: Arc::new(node), size: open.size, height: open.height + 1 };
        self.remember(open.anchor, &node);
        self.nodes = self.nodes.saturating_sub(open.size - 1);
        self.add(node, Span { start: open.start, end })
    }

    fn remember(&mut self, anchor: usize, node: &Sized) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    /// Counts `more` nodes against the budget.
    fn spend(&mut self, more: usize, at: Position) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > self.limits.nodes {
            let message = format!(
                "the document is too large: more than {} values once its aliases are expanded",
                self.limits.nodes
            );
            self.refuse(Some(at), "TOO_MANY_NODES", message, None);
            return Err(Stop);
        }
        Ok(())
    }

    fn add(&mut self, child: Sized, span: Span) -> Result<(), Stop> {
        self.spend(child.size, span.start)?;
        if self.stack.len() + child.height > self.limits.depth {
            self.too_deep(span.start);
            return Err(Stop);
        }
        let Some(parent) = self.stack.last_mut() else {
            self.root = Some(child.node);
            return Ok(());
        };
        parent.size = parent.size.saturating_add(child.size);
        parent.height = parent.height.max(child.height);
        parent.end = parent.end.max(span.end);
        match &mut parent.content {
            Content::Sequence(items) => items.push(child.node),
            Content::Mapping { entries, key } => match key.take() {
                None => match &child.node.kind {
                    Kind::Scalar(scalar) => {
                        let merge = scalar.raw == "<<" && scalar.style == Style::Plain;
                        *key = Some(Key { text: scalar.raw.clone(), span, merge });
                    }
                    Kind::Mapping(_) | Kind::Sequence(_) => {
                        let message = "a key must be a single value, not a list or a mapping";
                        self.refuse(Some(span.start), "BAD_KEY", message, None);
                        return Err(Stop);
                    }
                },
                Some(key) => entries.push(Entry {
                    key: key.text,
                    key_span: key.span,
                    value: child.node,
                    merged: key.merge,
                }),
            },
        }
        Ok(())
    }
}

fn is_nothing(node: &Node) -> bool {
    match &node.kind {
        Kind::Scalar(scalar) => {
            scalar.style == Style::Plain && matches!(&*scalar.raw, "" | "~" | "null")
        }
        Kind::Mapping(_) | Kind::Sequence(_) => false,
    }
}

fn position(marker: &granit_parser::Marker) -> Position {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Position { line: number(marker.line()), column: number(marker.col()).saturating_add(1) }
}

#[cfg(test)]
mod tests;

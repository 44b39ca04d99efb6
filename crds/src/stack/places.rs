//! Where each field of a stack was written, for what is found out only after the files were read.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use skep_yaml::{Kind, Location, Node, Position, Problem, Style};

/// Places by path, such as `services.web.image`; of several files the last one that says it.
#[derive(Clone, Debug, Default)]
pub struct Places {
    known: HashMap<String, Location>,
    substituted: BTreeSet<String>,
    /// Bytes of the paths so far.
    size: usize,
    file: Option<Arc<str>>,
}

/// How much is remembered, in bytes of paths; beyond that the place of a field is that of what it
/// is part of. Long keys must not cost their length again for each thing below them.
const MOST: usize = 16 << 20;

impl Places {
    /// Takes over the places of a document.
    pub(crate) fn record(&mut self, file: &Arc<str>, root: &Node) {
        self.file.get_or_insert_with(|| file.clone());
        self.walk(file, root, "");
    }

    fn spend(&mut self, bytes: usize) -> bool {
        self.size = self.size.saturating_add(bytes);
        self.size <= MOST
    }

    fn walk(&mut self, file: &Arc<str>, node: &Node, path: &str) {
        let place =
            |at: Position| Location { file: file.clone(), line: at.line, column: at.column };
        match &node.kind {
            Kind::Mapping(mapping) => {
                for entry in &mapping.entries {
                    if !self.spend(path.len() + entry.key.len()) {
                        return;
                    }
                    let path = match path {
                        "" => entry.key.clone(),
                        path => format!("{path}.{}", entry.key),
                    };
                    self.known.insert(path.clone(), place(entry.key_span.start));
                    self.walk(file, &entry.value, &path);
                }
            }
            Kind::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    if !self.spend(path.len()) {
                        return;
                    }
                    let path = format!("{path}[{index}]");
                    self.known.insert(path.clone(), place(item.span.start));
                    self.walk(file, item, &path);
                }
            }
            Kind::Scalar(scalar) => {
                if scalar.style == Style::Substituted {
                    self.substituted.insert(path.to_owned());
                }
            }
        }
    }

    /// Where a field stands; else what it is part of; else the first file.
    pub fn of(&self, path: &str) -> Location {
        let mut path = path;
        loop {
            if let Some(location) = self.known.get(path) {
                return location.clone();
            }
            let Some(end) = path.rfind(['.', '[']) else { break };
            path = path.get(..end).unwrap_or_default();
        }
        Location::whole_file(self.file.clone().unwrap_or_else(|| "".into()))
    }

    /// Whether a field was written.
    pub fn has(&self, path: &str) -> bool {
        self.known.contains_key(path)
    }

    /// Whether the value of a variable stands at a path or below it.
    pub fn is_substituted(&self, path: &str) -> bool {
        self.substituted
            .range(path.to_owned()..)
            .take_while(|found| found.starts_with(path))
            .any(|found| matches!(found.get(path.len()..), Some(rest) if rest.is_empty() || rest.starts_with(['.', '['])))
    }

    /// A problem at a path.
    pub fn problem(
        &self,
        path: &str,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        Problem {
            location: self.of(path),
            path: path.to_owned(),
            code,
            message: message.into(),
            hint: Some(hint.into()).filter(|hint: &String| !hint.is_empty()),
        }
    }
}

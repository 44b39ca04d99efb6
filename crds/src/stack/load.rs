//! From the bytes of stack files to one stack.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skep_yaml::{
    Cursor, Kind, Limits, Location, MapCursor, Node, Parsed, Problem, Problems, Resolved, Resolver,
    Scalar, Sink, Style, parse_with,
};

use super::interpolate::{Found, interpolate};
use super::merge::Merge;
use super::places::Places;
use super::read::{Key, NEWEST, Others, Read, Rules, check_keys};
use super::resolve::Resolve;
use super::values::Extras;
use super::variables::Variables;
use super::{Service, Stack};
use super::{check, resolve};

/// One file, read.
pub struct Source {
    /// The file as the person named it.
    pub name: Arc<str>,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Where the files come from that stack files name: environment files, secrets, configs.
pub trait Files {
    /// The content of the file at an absolute path.
    ///
    /// # Errors
    /// Why there is none, in a few words.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;
}

/// A stack, and what came up when it was loaded.
#[derive(Debug)]
pub struct Loaded {
    /// The stack.
    pub stack: Stack,
    /// What has no effect, or is understood in another way than one might think.
    pub warnings: Problems,
    /// Where each field was written.
    pub places: Places,
    /// The names of the variables that the files use.
    pub variables: BTreeSet<String>,
    /// What the files of secrets and configs hold, by their absolute paths.
    pub contents: Contents,
    /// Services with the keys of their environment whose values came by reference.
    pub hidden: BTreeSet<(String, String)>,
}

/// Contents of files by path. They may be secrets, so `Debug` shows the paths only.
#[derive(Clone, Default)]
pub struct Contents(pub(crate) BTreeMap<String, Vec<u8>>);

impl Contents {
    /// The content of a file that was read.
    pub fn of(&self, path: &str) -> Option<&[u8]> {
        self.0.get(path).map(Vec::as_slice)
    }
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The keys of a file.
pub(crate) const TOP: &[Key] = &[
    Key {
        name: "version",
        since: 0,
        about: "The version of the format, 3.0 to 3.13; best left out.",
    },
    Key { name: "services", since: 0, about: "The services." },
    Key {
        name: "networks",
        since: 0,
        about: "The networks; `default` is that of services that name none.",
    },
    Key { name: "volumes", since: 0, about: "The volumes." },
    Key { name: "secrets", since: 1, about: "The secrets." },
    Key { name: "configs", since: 3, about: "The configs." },
];

/// Since when there are `x-…` keys beside these.
const EXTRAS_SINCE: u32 = 4;

const TOP_OTHERS: Others =
    Others { extras: Some(EXTRAS_SINCE), ignored: false, told: Some(is_told) };

/// Loads files that belong together; a later one adds to the earlier ones. `folder` is the absolute
/// path of the folder that relative paths begin at: that of the first file.
///
/// # Errors
/// Every problem of every file.
pub fn load(
    sources: &[Source],
    folder: &str,
    variables: &Variables,
    files: &dyn Files,
) -> Result<Loaded, Problems> {
    let mut problems = Problems::new();
    let mut warnings = Problems::new();
    let mut places = Places::default();
    let mut environment = resolve::MOST_ENVIRONMENT;
    let mut names = BTreeSet::new();
    let mut hidden = BTreeSet::new();
    let mut merged: Option<Stack> = None;
    for source in sources {
        let Some(document) = Document::parse(source, &mut problems) else { continue };
        if let Some(first) = &merged
            && first.version != document.version
        {
            let (here, there) = (&document.version, &first.version);
            let mut problem = document.problem_at_version(
                "VERSION_MISMATCH",
                format!("this file says version {here}, and the first one {there}"),
            );
            problem.hint = Some("take `version` out of all of them".to_owned());
            problems.push(problem);
        }
        let file = &document.file;
        let mut found = Found::default();
        let root = interpolate(file, &document.root, variables, &mut found);
        problems.append(found.problems);
        warnings.append(found.warnings);
        names.extend(found.names);
        hidden.extend(found.hidden);
        places.record(file, &root);
        let rules = Rules::new(document.minor);
        let sink = Sink::new(file.clone(), Resolver::Docker);
        let read = read_root(&sink.root(&root), &rules);
        problems.append(sink.into_problems());
        warnings.append(rules.into_warnings());
        let Some(mut stack) = read else { continue };
        stack.version.clone_from(&document.version);
        let mut resolve = Resolve {
            folder,
            variables,
            files,
            file,
            root: &root,
            problems: &mut problems,
            warnings: &mut warnings,
            left: &mut environment,
        };
        resolve.stack(&mut stack);
        hidden.extend(hidden_by_name(&stack, variables));
        match &mut merged {
            Some(first) => merge(first, stack),
            None => merged = Some(stack),
        }
    }
    let file: Arc<str> = sources.first().map_or_else(|| "".into(), |source| source.name.clone());
    let mut contents = Contents::default();
    if let Some(stack) = &merged {
        // What was left out because it is not valid would be missed by its users.
        if problems.is_empty() {
            check::stack(stack, &places, &mut problems, &mut warnings);
        }
        contents = resolve::contents(stack, files, &places, &mut problems);
    }
    warnings.sort();
    let loaded =
        merged.map(|stack| Loaded { stack, warnings, places, variables: names, contents, hidden });
    problems.into_result(&file, loaded)
}

/// A variable without a value takes that of the same name around, in environment files too.
fn hidden_by_name(stack: &Stack, variables: &Variables) -> Vec<(String, String)> {
    let is_hidden = |(key, value): &(&String, &Option<String>)| {
        variables.is_hidden(key) && value.as_deref() == variables.get(key)
    };
    let of = |(name, service): (&String, &Service)| {
        let hidden = service.environment.0.iter().filter(is_hidden);
        hidden.map(|(key, _)| (name.clone(), key.clone())).collect::<Vec<_>>()
    };
    stack.services.iter().flat_map(of).collect()
}

/// Services are merged field by field; networks, volumes, secrets and configs are replaced as a
/// whole, and `x-…` keys of later files are left out, as docker does it.
fn merge(first: &mut Stack, later: Stack) {
    for (name, service) in later.services {
        match first.services.get_mut(&name) {
            Some(here) => here.merge(service),
            None => {
                first.services.insert(name, service);
            }
        }
    }
    first.networks.extend(later.networks);
    first.volumes.extend(later.volumes);
    first.secrets.extend(later.secrets);
    first.configs.extend(later.configs);
}

/// A file as YAML, with its version.
struct Document {
    file: Arc<str>,
    root: Arc<Node>,
    version: String,
    minor: u32,
}

impl Document {
    fn parse(source: &Source, problems: &mut Problems) -> Option<Self> {
        let limits = Limits { byte_order_mark: true, ..Limits::default() };
        let Parsed { file, root, problems: found } =
            parse_with(source.name.clone(), &source.bytes, &limits);
        problems.append(found);
        let root = root?;
        let Kind::Mapping(top) = &root.kind else {
            let location =
                Location { file, line: root.span.start.line, column: root.span.start.column };
            problems.push(Problem {
                location,
                path: String::new(),
                code: "WRONG_TYPE",
                message: "a stack file is a mapping with `services:` and the like".to_owned(),
                hint: None,
            });
            return None;
        };
        keys_are_texts(&file, &root, &source.bytes, problems);
        let written = top.get("version").and_then(|node| match &node.kind {
            Kind::Scalar(scalar) => Some(Resolver::Docker.resolve(scalar).go_text()),
            Kind::Mapping(_) | Kind::Sequence(_) => None,
        });
        let version = match written.as_deref() {
            None | Some("" | "3") => format!("3.{NEWEST}"),
            Some(text) => text.to_owned(),
        };
        let known = (0..=NEWEST).find(|minor| format!("3.{minor}") == version);
        let document = Self { file, root, version, minor: known.unwrap_or(NEWEST) };
        if known.is_none() {
            let mut problem = document.problem_at_version(
                "UNKNOWN_VERSION",
                format!("the versions of stack files are 3.0 to 3.{NEWEST}"),
            );
            problem.hint = Some("take `version` out".to_owned());
            problems.push(problem);
        }
        Some(document)
    }

    fn problem_at_version(&self, code: &'static str, message: String) -> Problem {
        let at = match &self.root.kind {
            Kind::Mapping(top) => top.get("version").map(|node| node.span.start),
            Kind::Sequence(_) | Kind::Scalar(_) => None,
        };
        let at = at.unwrap_or(self.root.span.start);
        let location = Location { file: self.file.clone(), line: at.line, column: at.column };
        Problem { location, path: "version".to_owned(), code, message, hint: None }
    }
}

/// Docker refuses keys that are no texts, such as `1:` or `true:`. A key has lost its quotes here,
/// so the source says whether there were some.
fn keys_are_texts(file: &Arc<str>, root: &Node, bytes: &[u8], problems: &mut Problems) {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    let mut nodes = vec![root];
    while let Some(node) = nodes.pop() {
        match &node.kind {
            Kind::Scalar(_) => {}
            Kind::Sequence(items) => nodes.extend(items.iter().map(|item| &**item)),
            Kind::Mapping(mapping) => {
                for entry in &mapping.entries {
                    nodes.push(&entry.value);
                    let raw = entry.key.clone();
                    let plain = Scalar { raw, style: Style::Plain, tag: None };
                    if matches!(Resolver::Docker.resolve(&plain), Resolved::Text(_)) {
                        continue;
                    }
                    let at = entry.key_span.start;
                    let begin = usize::try_from(at.line.saturating_sub(1)).ok();
                    let column = usize::try_from(at.column.saturating_sub(1)).unwrap_or(0);
                    let first = begin
                        .and_then(|line| lines.get(line))
                        .and_then(|line| line.chars().nth(column));
                    if matches!(first, Some('"' | '\'' | '!' | '&' | '?')) {
                        continue;
                    }
                    problems.push(Problem {
                        location: Location { file: file.clone(), line: at.line, column: at.column },
                        path: String::new(),
                        code: "KEY_IS_NO_TEXT",
                        message: "a key must be a text".to_owned(),
                        hint: Some("write it in quotes".to_owned()),
                    });
                }
            }
        }
    }
}

fn is_told(key: &str) -> bool {
    matches!(key, "name" | "include")
}

fn read_root(at: &Cursor<'_>, rules: &Rules) -> Option<Stack> {
    let map = at.map()?;
    check_keys(&map, TOP, &TOP_OTHERS, rules);
    for (entry, _) in map.entries() {
        let hint = match entry.key.as_str() {
            "name" => "the name of a stack is given where it is deployed, not in its file",
            "include" => "name all files, in the order in which they add to each other",
            _ => continue,
        };
        let message = format!("the key \"{}\" is not part of the format for stacks", entry.key);
        map.refuse_key(entry, "FORBIDDEN_KEY", message, Some(hint.to_owned()));
    }
    if let Some(version) = map.optional("version") {
        version.text();
    }
    Some(Stack {
        version: String::new(),
        services: section(&map, "services", rules),
        networks: section(&map, "networks", rules),
        volumes: section(&map, "volumes", rules),
        secrets: section(&map, "secrets", rules),
        configs: section(&map, "configs", rules),
        extras: Extras::from_map(&map, rules.minor >= EXTRAS_SINCE),
    })
}

/// A section: a mapping from names to declarations.
fn section<T: Read>(top: &MapCursor<'_>, key: &str, rules: &Rules) -> BTreeMap<String, T> {
    let Some(map) = top.optional(key).and_then(|at| at.map()) else { return BTreeMap::new() };
    let mut out = BTreeMap::new();
    for (entry, value) in map.entries() {
        let fine = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
        if entry.key.is_empty() || !entry.key.chars().all(fine) {
            let hint = "letters, digits, and . _ - are allowed".to_owned();
            map.refuse_key(entry, "BAD_NAME", "not a name", Some(hint));
        }
        if let Some(value) = T::read(&value, rules) {
            out.insert(entry.key.clone(), value);
        }
    }
    out
}

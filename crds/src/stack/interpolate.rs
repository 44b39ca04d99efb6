//! Variables in a whole document: each text is substituted where it stands, so that the result
//! still knows its places, and at a few paths becomes the number or the truth value it spells.

use std::collections::BTreeSet;
use std::sync::Arc;

use skep_yaml::{
    CoreTag, Entry, Kind, Location, Mapping, Node, Problem, Problems, Resolved, Resolver,
};
use skep_yaml::{Scalar, Style};

use super::template::{Note, Refusal, substitute};
use super::variables::Variables;

/// What a text becomes after its variables were put in.
#[derive(Clone, Copy)]
enum Cast {
    Whole,
    Float,
    Boolean,
}

/// Where docker gives a text with variables another type; `*` is any key, `[]` any item.
const CASTS: &[(&[&str], Cast)] = &[
    (&["services", "*", "configs", "[]", "mode"], Cast::Whole),
    (&["services", "*", "secrets", "[]", "mode"], Cast::Whole),
    (&["services", "*", "healthcheck", "retries"], Cast::Whole),
    (&["services", "*", "healthcheck", "disable"], Cast::Boolean),
    (&["services", "*", "deploy", "replicas"], Cast::Whole),
    (&["services", "*", "deploy", "update_config", "parallelism"], Cast::Whole),
    (&["services", "*", "deploy", "update_config", "max_failure_ratio"], Cast::Float),
    (&["services", "*", "deploy", "rollback_config", "parallelism"], Cast::Whole),
    (&["services", "*", "deploy", "rollback_config", "max_failure_ratio"], Cast::Float),
    (&["services", "*", "deploy", "restart_policy", "max_attempts"], Cast::Whole),
    (&["services", "*", "deploy", "placement", "max_replicas_per_node"], Cast::Whole),
    (&["services", "*", "ports", "[]", "target"], Cast::Whole),
    (&["services", "*", "ports", "[]", "published"], Cast::Whole),
    (&["services", "*", "ulimits", "*"], Cast::Whole),
    (&["services", "*", "ulimits", "*", "hard"], Cast::Whole),
    (&["services", "*", "ulimits", "*", "soft"], Cast::Whole),
    (&["services", "*", "privileged"], Cast::Boolean),
    (&["services", "*", "oom_score_adj"], Cast::Whole),
    (&["services", "*", "read_only"], Cast::Boolean),
    (&["services", "*", "stdin_open"], Cast::Boolean),
    (&["services", "*", "tty"], Cast::Boolean),
    (&["services", "*", "volumes", "[]", "read_only"], Cast::Boolean),
    (&["services", "*", "volumes", "[]", "volume", "nocopy"], Cast::Boolean),
    (&["networks", "*", "external"], Cast::Boolean),
    (&["networks", "*", "internal"], Cast::Boolean),
    (&["networks", "*", "attachable"], Cast::Boolean),
    (&["volumes", "*", "external"], Cast::Boolean),
    (&["secrets", "*", "external"], Cast::Boolean),
    (&["configs", "*", "external"], Cast::Boolean),
];

/// What stands for a text that could not be had.
fn nothing() -> Scalar {
    Scalar { raw: String::new(), style: Style::Substituted, tag: None }
}

/// Puts variables into a document. Problems and warnings carry the place of the text.
pub(crate) fn interpolate(
    file: &Arc<str>,
    root: &Node,
    variables: &Variables,
    found: &mut Found,
) -> Arc<Node> {
    Walk { file, variables, found, path: Vec::new(), left: MOST_TEXT }.node(root)
}

/// How much text a document may have once aliases are expanded and variables are put in, in bytes.
/// Aliases share a text in memory until here.
const MOST_TEXT: usize = 32 << 20;

/// What came up on the way.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What is wrong.
    pub(crate) problems: Problems,
    /// What is worth a warning.
    pub(crate) warnings: Problems,
    /// The variables whose values were looked for.
    pub(crate) names: BTreeSet<String>,
    /// Services with the keys of their environment whose values came by reference.
    pub(crate) hidden: BTreeSet<(String, String)>,
}

struct Walk<'a> {
    file: &'a Arc<str>,
    variables: &'a Variables,
    found: &'a mut Found,
    path: Vec<String>,
    /// How much text may still come.
    left: usize,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node) -> Arc<Node> {
        let kind = match &node.kind {
            Kind::Mapping(mapping) => Kind::Mapping(self.mapping(mapping)),
            Kind::Sequence(items) => {
                self.path.push("[]".to_owned());
                let items = items.iter().map(|item| self.node(item)).collect();
                self.path.pop();
                Kind::Sequence(items)
            }
            Kind::Scalar(scalar) if self.spend(node, scalar.raw.len()) => {
                let scalar = self.scalar(node, scalar);
                self.spend(node, scalar.raw.len());
                Kind::Scalar(scalar)
            }
            Kind::Scalar(_) => Kind::Scalar(nothing()),
        };
        Arc::new(Node { span: node.span, kind })
    }

    fn mapping(&mut self, mapping: &Mapping) -> Mapping {
        let mut entries = Vec::with_capacity(mapping.entries.len());
        for entry in &mapping.entries {
            if !self.spend(&entry.value, entry.key.len()) {
                break;
            }
            self.path.push(entry.key.clone());
            let value = self.node(&entry.value);
            self.path.pop();
            entries.push(Entry { value, ..entry.clone() });
        }
        Mapping { entries, duplicates: Vec::new() }
    }

    /// Takes text from the budget; says so once when there is none left.
    fn spend(&mut self, node: &Node, bytes: usize) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left = self.left.saturating_sub(bytes);
        if self.left == 0 {
            let message = "the document is too large once its aliases and variables are expanded";
            let problem = self.problem(node, "TOO_LARGE", message.to_owned(), None);
            self.found.problems.push(problem);
        }
        self.left > 0
    }

    fn scalar(&mut self, node: &Node, scalar: &Scalar) -> Scalar {
        let same = Scalar { raw: scalar.raw.clone(), style: scalar.style, tag: scalar.tag };
        let Resolved::Text(text) = Resolver::Docker.resolve(scalar) else { return same };
        if !text.contains('$') {
            return same;
        }
        match substitute(&text, self.variables) {
            Ok(done) => {
                if done.names.iter().any(|name| self.variables.is_hidden(name)) {
                    self.hide(node, &text);
                }
                self.found.names.extend(done.names);
                for note in done.notes {
                    self.warn(node, &note);
                }
                if done.text == text {
                    return same;
                }
                self.cast(node, done.text)
            }
            Err(refusal) => {
                self.refuse(node, &refusal);
                nothing()
            }
        }
    }

    /// A value that came by reference stands in this text: that is fine in the environment of a
    /// service, and in `x-…` keys at the top, which say nothing by themselves.
    fn hide(&mut self, node: &Node, text: &str) {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let key = match path.as_slice() {
            ["services", service, "environment", "[]"] => text
                .split_once('=')
                .map(|(key, _)| (*service, key))
                .filter(|(_, key)| !key.contains('$')),
            ["services", service, "environment", key] => Some((*service, *key)),
            [top, ..] if top.starts_with("x-") => return,
            _ => None,
        };
        if let Some((service, key)) = key {
            self.found.hidden.insert((service.to_owned(), key.to_owned()));
            return;
        }
        let message =
            "a value that came by reference may only stand in the environment of a service";
        let hint = "use a secret of the stack here, or give the variable its value literally";
        let problem =
            self.problem(node, "VARIABLE_BY_REFERENCE", message.to_owned(), Some(hint.to_owned()));
        self.found.problems.push(problem);
    }

    fn cast(&mut self, node: &Node, text: String) -> Scalar {
        let fits = |pattern: &[&str]| {
            pattern.len() == self.path.len()
                && pattern.iter().zip(&self.path).all(|(part, key)| *part == "*" || part == key)
        };
        let style = Style::Substituted;
        let Some((_, cast)) = CASTS.iter().find(|(pattern, _)| fits(pattern)) else {
            return Scalar { raw: text, style, tag: None };
        };
        let (spelled, tag, expected) = match cast {
            Cast::Whole => {
                let number = text.parse::<i64>().ok().map(|number| number.to_string());
                (number, CoreTag::Int, "a whole number")
            }
            Cast::Float => {
                let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
                (number.map(|number| number.to_string()), CoreTag::Float, "a number")
            }
            Cast::Boolean => {
                let value = match &*text.to_ascii_lowercase() {
                    "y" | "yes" | "true" | "on" => Some("true".to_owned()),
                    "n" | "no" | "false" | "off" => Some("false".to_owned()),
                    _ => None,
                };
                (value, CoreTag::Bool, "true or false")
            }
        };
        let Some(raw) = spelled else {
            let message = format!("expected {expected}, and the variables give something else");
            let hint = "correct the value of the variable".to_owned();
            let problem = self.problem(node, "WRONG_TYPE", message, Some(hint));
            self.found.problems.push(problem);
            // The right type, so that nothing more is said about it.
            let raw = if matches!(cast, Cast::Boolean) { "false" } else { "1" };
            return Scalar { raw: raw.to_owned(), style, tag: Some(tag) };
        };
        Scalar { raw, style, tag: Some(tag) }
    }

    fn refuse(&mut self, node: &Node, refusal: &Refusal) {
        let (code, message, hint) = match refusal {
            Refusal::Format => (
                "BAD_VARIABLE",
                "a \"$\" that begins no variable".to_owned(),
                "write $$ for a dollar sign, ${NAME} for a variable".to_owned(),
            ),
            Refusal::TooDeep => (
                "BAD_VARIABLE",
                "defaults of variables stand in each other too deeply".to_owned(),
                "give the variables their values".to_owned(),
            ),
            Refusal::TooLong => (
                "TOO_LARGE",
                "the text becomes too long with its variables".to_owned(),
                "put what is long into a file: a config or a secret".to_owned(),
            ),
            Refusal::Required { name, text } => {
                let said: String = text.chars().take(200).flat_map(char::escape_debug).collect();
                let said = if said.is_empty() { said } else { format!(": {said}") };
                (
                    "VARIABLE_REQUIRED",
                    format!("the variable {name} is required and has no value{said}"),
                    format!("give it with --set {name}=VALUE, or in the file of --env-file"),
                )
            }
        };
        let problem = self.problem(node, code, message, Some(hint));
        self.found.problems.push(problem);
    }

    fn warn(&mut self, node: &Node, note: &Note) {
        let (code, message, hint) = match note {
            Note::Unset(name) => (
                "VARIABLE_UNSET",
                format!("the variable {name} has no value: nothing stands in its place"),
                format!("give it a value, or a default: ${{{name}:-DEFAULT}}"),
            ),
            Note::NestedDefault(name) => (
                "DOCKER_READS_OTHERWISE",
                format!("docker would not look for variables in the default of {name}"),
                "give the variable a value where docker deploys the same file".to_owned(),
            ),
            Note::LiteralDollar(name) => (
                "LITERAL_DOLLAR",
                format!("\"$\" in the default of {name} stands for itself"),
                "write ${OTHER} for a variable; docker never looks for one there".to_owned(),
            ),
            Note::OtherOperator(name) => (
                "DOCKER_READS_OTHERWISE",
                format!("docker would take a later \"-\" or \"?\" for the operator of {name}"),
                "leave \"-\", \":-\" and \":?\" out of the text behind the operator".to_owned(),
            ),
            Note::Unbraced(name) => (
                "UNBRACED_DEFAULT",
                format!("all that follows ${name} is its default or its error text, to the end"),
                format!("write ${{{name}}} to end the variable there"),
            ),
        };
        let problem = self.problem(node, code, message, Some(hint));
        self.found.warnings.push(problem);
    }

    fn problem(
        &self,
        node: &Node,
        code: &'static str,
        message: String,
        hint: Option<String>,
    ) -> Problem {
        let at = node.span.start;
        Problem {
            location: Location { file: self.file.clone(), line: at.line, column: at.column },
            path: self.path.join(".").replace(".[]", "[]"),
            code,
            message,
            hint,
        }
    }
}

//! `${NAME}` in one text: docker's rules, and what people mean where docker stumbles.
//!
//! Docker finds the operator of `${NAME:?text}` by looking for `:-`, `-`, `:?`, `?` anywhere in the
//! braces, in this order, so that a hyphen in the error text of a required variable makes it an
//! optional one. It also ends a default at the first brace that closes, so that a variable in a
//! default is never looked up. Here the first operator after the name counts, and `${…}` may stand
//! in a default. Where that makes a difference the text is noted, so that nobody is surprised who
//! deploys the same file with docker.

use super::variables::Variables;

/// How deep defaults may stand in defaults.
const DEEPEST: usize = 16;

/// How long a text may become, in bytes: values may be put in many times.
const LONGEST: usize = 1 << 20;

/// What a text became.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Substituted {
    /// The text with values in it.
    pub(crate) text: String,
    /// What is worth a warning.
    pub(crate) notes: Vec<Note>,
    /// The variables whose values were looked for.
    pub(crate) names: Vec<String>,
}

/// What is worth a warning.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// The variable has no value and no default, so nothing stands in its place.
    Unset(String),
    /// Docker would take the default of this variable as it stands, without its variables.
    NestedDefault(String),
    /// A `$` in the default of this variable stands for itself, as for docker.
    LiteralDollar(String),
    /// Docker would find another operator in the braces of this variable.
    OtherOperator(String),
    /// Without braces, all that follows the variable is its default or its error text.
    Unbraced(String),
}

/// Why a text has no value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A `$` that begins nothing.
    Format,
    /// Defaults in defaults without end.
    TooDeep,
    /// The text becomes too long.
    TooLong,
    /// A required variable has no value; with the text that the file gives for it.
    Required { name: String, text: String },
}

/// Puts values in the place of variables.
pub(crate) fn substitute(text: &str, variables: &Variables) -> Result<Substituted, Refusal> {
    let mut out = Substituted::default();
    within(text, variables, &mut out)?;
    Ok(out)
}

fn within(text: &str, variables: &Variables, out: &mut Substituted) -> Result<(), Refusal> {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.text.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.text.push('$');
            rest = after;
            continue;
        }
        let braced = after.strip_prefix('{');
        let (name, tail) = name(braced.unwrap_or(after)).ok_or(Refusal::Format)?;
        let (operator, tail) = Operator::first(tail, braced.is_some());
        // Without braces an argument reaches to the next brace that closes, or to the end.
        let end = match (braced, operator) {
            (Some(_), Some(_)) => closing(tail).ok_or(Refusal::Format)?,
            (None, Some(_)) => tail.find('}').unwrap_or(tail.len()),
            (_, None) => 0,
        };
        let (argument, tail) = tail.split_at_checked(end).ok_or(Refusal::Format)?;
        rest = match braced {
            Some(_) => tail.strip_prefix('}').ok_or(Refusal::Format)?,
            None => tail,
        };
        if braced.is_none() && operator.is_some() {
            out.notes.push(Note::Unbraced(name.to_owned()));
        }
        one(name, operator, argument, variables, out, 0)?;
        if out.text.len() > LONGEST {
            return Err(Refusal::TooLong);
        }
    }
    out.text.push_str(rest);
    Ok(())
}

/// One variable with its operator.
fn one(
    name: &str,
    operator: Option<Operator>,
    argument: &str,
    variables: &Variables,
    out: &mut Substituted,
    depth: usize,
) -> Result<(), Refusal> {
    out.names.push(name.to_owned());
    let set = variables.get(name);
    let filled = set.filter(|value| !value.is_empty());
    let Some(operator) = operator else {
        if set.is_none() {
            out.notes.push(Note::Unset(name.to_owned()));
        }
        out.text.push_str(set.unwrap_or_default());
        return Ok(());
    };
    if operator.docker_finds_another(argument) {
        out.notes.push(Note::OtherOperator(name.to_owned()));
    }
    if argument.contains("${") {
        out.notes.push(Note::NestedDefault(name.to_owned()));
    } else if argument.contains('$') && !matches!(operator.kind, Kind::Required) {
        out.notes.push(Note::LiteralDollar(name.to_owned()));
    }
    let value = if operator.needs_filled() { filled } else { set };
    match (operator.kind, value) {
        (Kind::Default | Kind::Required, Some(value)) => out.text.push_str(value),
        (Kind::Alternative, None) => {}
        (Kind::Default, None) | (Kind::Alternative, Some(_)) => {
            default(argument, variables, out, depth + 1)?;
        }
        (Kind::Required, None) => {
            let (name, text) = (name.to_owned(), argument.to_owned());
            return Err(Refusal::Required { name, text });
        }
    }
    Ok(())
}

/// A default: variables in braces are looked up, and everything else stands for itself, also `$$`.
fn default(
    text: &str,
    variables: &Variables,
    out: &mut Substituted,
    depth: usize,
) -> Result<(), Refusal> {
    if depth > DEEPEST {
        return Err(Refusal::TooDeep);
    }
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.text.push_str(before);
        let nested = after.strip_prefix('{').and_then(|inner| {
            let (name, tail) = name(inner)?;
            let (operator, tail) = Operator::first(tail, true);
            let end = if operator.is_some() { closing(tail)? } else { 0 };
            let (argument, tail) = tail.split_at_checked(end)?;
            Some((name, operator, argument, tail.strip_prefix('}')?))
        });
        rest = match nested {
            Some((name, operator, argument, tail)) => {
                one(name, operator, argument, variables, out, depth)?;
                tail
            }
            None => {
                out.text.push('$');
                match after.strip_prefix('$') {
                    Some(after) => {
                        out.text.push('$');
                        after
                    }
                    None => after,
                }
            }
        };
    }
    out.text.push_str(rest);
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    /// `-`: this when there is no value.
    Default,
    /// `?`: an error when there is no value.
    Required,
    /// `+`: this when there is a value. Docker refuses it.
    Alternative,
}

#[derive(Clone, Copy)]
struct Operator {
    kind: Kind,
    /// With a colon, an empty value is none.
    colon: bool,
}

impl Operator {
    /// The operator at the beginning of a text, and what follows it.
    fn first(text: &str, braced: bool) -> (Option<Self>, &str) {
        let (colon, tail) = match text.strip_prefix(':') {
            Some(tail) => (true, tail),
            None => (false, text),
        };
        let kind = match tail.chars().next() {
            Some('-') => Kind::Default,
            Some('?') => Kind::Required,
            Some('+') if braced => Kind::Alternative,
            _ => return (None, text),
        };
        (Some(Self { kind, colon }), tail.get(1..).unwrap_or_default())
    }

    const fn needs_filled(self) -> bool {
        self.colon
    }

    /// Whether docker, which looks for `:-`, `-`, `:?`, `?` in this order, would stop at another.
    fn docker_finds_another(self, argument: &str) -> bool {
        match (self.kind, self.colon) {
            (Kind::Default, false) => argument.contains(":-"),
            (Kind::Required, true) => argument.contains('-'),
            (Kind::Required, false) => argument.contains('-') || argument.contains(":?"),
            (Kind::Default, true) | (Kind::Alternative, _) => false,
        }
    }
}

/// A name at the beginning of a text, and what follows it.
fn name(text: &str) -> Option<(&str, &str)> {
    let begins = |char: char| char == '_' || char.is_ascii_alphabetic();
    let goes_on = |char: char| begins(char) || char.is_ascii_digit();
    if !text.starts_with(begins) {
        return None;
    }
    let end = text.find(|char| !goes_on(char)).unwrap_or(text.len());
    text.split_at_checked(end)
}

/// Where the braces close that were opened before this text; those of variables in it are passed.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    let mut before = '\0';
    for (index, char) in text.char_indices() {
        match char {
            '{' if before == '$' => open += 1,
            '}' if open == 0 => return Some(index),
            '}' => open -= 1,
            _ => {}
        }
        // The second of two dollars begins nothing.
        before = if char == '$' && before == '$' { '\0' } else { char };
    }
    // What was opened is not closed: docker takes the first one that closes.
    text.find('}')
}

#[cfg(test)]
mod tests;

//! What a proposal would change: a plan that nobody acts on, small enough to be kept and to be
//! written below the proposal.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::announcement::{Unrecognised, unrecognised};
use super::{Provider, PullRequest};
use crate::action::ActionKind;
use crate::desired::Provenance;
use crate::plan::{Blocked, Change, DriftClass, Risk, Step, Summary};

/// As many bytes of steps are kept of one proposal.
const MOST_BYTES: usize = 256 << 10;
/// As many changes are kept of one step.
const MOST_CHANGES: usize = 100;
/// As many characters are kept of one text.
const MOST_CHARACTERS: usize = 500;
/// As many bytes a comment has; forges take 65,536.
const MOST_COMMENT: usize = 30_000;
/// What stands for a value that is not shown.
const HIDDEN: &str = "(hidden)";
/// Shorter values are found in too much that is no secret.
const SHORTEST: usize = 3;

/// What a proposal would change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// The repository that it would be merged into.
    pub repository: String,
    /// Its number there.
    pub number: u64,
    /// The kind of forge.
    pub forge: Provider,
    /// Its title; a text of a stranger.
    pub title: String,
    /// Who proposes it.
    pub author: String,
    /// The branch that it would be merged into.
    pub into: String,
    /// When it was planned.
    pub at: Timestamp,
    /// The stacks that it is about.
    pub stacks: Vec<StackPreview>,
    /// The comment below it, if there is one.
    pub comment: Option<Comment>,
}

/// A comment below a proposal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Its id at the forge; none when it could not be written.
    pub id: Option<u64>,
    /// Why it could not be written or changed, if so.
    pub problem: Option<String>,
}

/// What a proposal would change in one stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackPreview {
    /// The stack.
    pub stack: String,
    /// The commit that was read.
    pub commit: Option<String>,
    /// Why it cannot be planned, with file, line and column, if so.
    pub problem: Option<String>,
    /// What is to be done, counted.
    pub summary: Summary,
    /// What is to be done.
    pub steps: Vec<StepPreview>,
    /// How many steps more there are.
    pub more: usize,
}

/// One step of it. What it would send to the engine is no part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepPreview {
    /// What it would do.
    pub action: ActionKind,
    /// To what.
    pub target: String,
    /// Why.
    pub class: DriftClass,
    /// How much can go wrong.
    pub risk: Risk,
    /// Why, in one sentence.
    pub reason: String,
    /// What differs, with secret values masked.
    pub changes: Vec<Change>,
    /// How many changes more there are.
    pub more: usize,
    /// What is in its way.
    pub blocked: Option<Blocked>,
    /// Where it is declared.
    pub provenance: Option<Provenance>,
}

impl Preview {
    /// A proposal of which nothing is planned yet.
    #[must_use]
    pub fn new(repository: String, proposal: &PullRequest, at: Timestamp) -> Self {
        Self {
            repository,
            number: proposal.number,
            forge: proposal.provider,
            title: proposal.title.clone(),
            author: proposal.author.clone(),
            into: proposal.into.clone(),
            at,
            stacks: Vec::new(),
            comment: None,
        }
    }

    /// Whether something of it could not be planned.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.stacks.iter().any(|stack| stack.problem.is_some())
    }

    /// The stored form.
    #[must_use]
    pub fn stored(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, Unrecognised> {
        serde_json::from_slice(bytes).map_err(|error| unrecognised(&error))
    }

    /// The text of the comment: Markdown in which nothing of the proposal has a meaning.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::from("**What merging this would change**, planned by Skep. ");
        text.push_str("Nothing of it was carried out.\n");
        for stack in &self.stacks {
            stack.write(&mut text);
        }
        if text.len() > MOST_COMMENT {
            let mut end = MOST_COMMENT;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            let _ = write!(text, "\n````\nThe rest: `skep stack preview {}`\n", self.number);
        }
        text
    }
}

impl StackPreview {
    /// One that cannot be planned.
    #[must_use]
    pub fn failed(stack: &str, commit: Option<String>, problem: &str, secrets: &[String]) -> Self {
        let problem = Some(cut(&covered(problem, secrets), MOST_CHARACTERS * 8));
        let (stack, summary) = (stack.to_owned(), Summary::default());
        Self { stack, commit, problem, summary, steps: Vec::new(), more: 0 }
    }

    /// These steps, as many of them as are kept, without the values in `secrets` wherever they
    /// stand.
    #[must_use]
    pub fn of(
        stack: &str,
        commit: Option<String>,
        steps: &[Step],
        unchanged: usize,
        secrets: &[String],
    ) -> Self {
        let mut left = MOST_BYTES;
        let mut kept = Vec::new();
        for step in steps {
            let step = StepPreview::of(step, secrets);
            let size = serde_json::to_string(&step).map_or(left, |text| text.len());
            if size >= left {
                break;
            }
            left -= size;
            kept.push(step);
        }
        let more = steps.len() - kept.len();
        let summary = Summary::count(steps, unchanged);
        Self { stack: stack.to_owned(), commit, problem: None, summary, steps: kept, more }
    }

    fn write(&self, text: &mut String) {
        let commit = self.commit.as_deref().unwrap_or("no commit");
        let commit = commit.get(..10).unwrap_or(commit);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n`{}` at `{}`\n````", inert(&self.stack), inert(commit));
        if let Some(problem) = &self.problem {
            let lines = problem.lines().map(inert);
            lines.for_each(|line| text.push_str(&format!("not planned: {line}\n")));
        } else {
            for step in &self.steps {
                step.write(text);
            }
            if self.more > 0 {
                let _ = writeln!(text, "and {} steps more", self.more);
            }
            let Summary { create, update, remove, adopt, unchanged, blocked } = self.summary;
            let _ = writeln!(
                text,
                "{create} to create, {update} to update, {remove} to remove, {adopt} to adopt, \
                 {unchanged} unchanged, {blocked} blocked"
            );
        }
        text.push_str("````\n");
    }
}

impl StepPreview {
    fn of(step: &Step, secrets: &[String]) -> Self {
        let shown = |text: &str| cut(&covered(text, secrets), MOST_CHARACTERS);
        let change = |change: &Change| Change {
            path: shown(&change.path),
            before: value(&change.before, secrets),
            after: value(&change.after, secrets),
        };
        Self {
            action: step.action,
            target: step.target.to_string(),
            class: step.class,
            risk: step.risk,
            reason: shown(&step.reason),
            changes: step.changes.iter().take(MOST_CHANGES).map(change).collect(),
            more: step.changes.len().saturating_sub(MOST_CHANGES),
            blocked: step.blocked.as_ref().map(|blocked| Blocked {
                code: blocked.code.clone(),
                message: shown(&blocked.message),
                hint: shown(&blocked.hint),
            }),
            provenance: step.provenance.clone(),
        }
    }

    fn write(&self, text: &mut String) {
        let _ = writeln!(text, "{}  {}  {}", self.action, inert(&self.target), self.class);
        for change in &self.changes {
            let one = |value: &Value| match value {
                Value::String(text) => inert(text),
                Value::Null => "(none)".to_owned(),
                other => inert(&other.to_string()),
            };
            let (path, before, after) =
                (inert(&change.path), one(&change.before), one(&change.after));
            let _ = writeln!(text, "    {path}: {before} -> {after}");
        }
        if self.more > 0 {
            let _ = writeln!(text, "    and {} changes more", self.more);
        }
        if let Some(blocked) = &self.blocked {
            let (code, message) = (inert(&blocked.code), inert(&blocked.message));
            let _ = writeln!(text, "    blocked {code}: {message}");
        }
    }
}

/// A text that neither ends a block nor breaks a line.
fn inert(text: &str) -> String {
    text.chars()
        .map(|one| match one {
            '`' => '\'',
            one if one.is_control() => ' ',
            one => one,
        })
        .collect()
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn covered(text: &str, secrets: &[String]) -> String {
    let long = secrets.iter().filter(|secret| secret.len() >= SHORTEST);
    long.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), HIDDEN))
}

/// A value whose texts are short and hold no secret; also as a key or a number.
fn value(given: &Value, secrets: &[String]) -> Value {
    match given {
        Value::String(text) => Value::String(cut(&covered(text, secrets), MOST_CHARACTERS)),
        Value::Array(items) => {
            items.iter().take(MOST_CHANGES).map(|item| value(item, secrets)).collect()
        }
        Value::Object(map) => {
            let pairs = map.iter().take(MOST_CHANGES);
            let pairs = pairs.map(|(key, item)| (covered(key, secrets), value(item, secrets)));
            Value::Object(pairs.collect())
        }
        Value::Number(number) => {
            let text = number.to_string();
            if covered(&text, secrets) == text { given.clone() } else { HIDDEN.into() }
        }
        Value::Null | Value::Bool(_) => given.clone(),
    }
}

#[cfg(test)]
mod tests;

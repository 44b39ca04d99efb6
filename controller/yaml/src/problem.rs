//! What is wrong with a file, where, and what to do about it.
//!
//! A person who fixes a file wants every problem of it at once, each with a place that an editor
//! can jump to. So nothing here stops at the first one: problems are values that are collected.

use std::fmt;
use std::sync::Arc;

/// A place in a file. Lines and columns count from 1, columns count characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The file as the person named it.
    pub file: Arc<str>,
    /// Line, from 1; 0 when the problem is about the file as a whole.
    pub line: u32,
    /// Column in characters, from 1; 0 when the problem is about the file as a whole.
    pub column: u32,
}

impl Location {
    /// The file as a whole: it could not be read, or it has no content to point at.
    pub fn whole_file(file: impl Into<Arc<str>>) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            f.write_str(&self.file)
        } else {
            write!(f, "{}:{}:{}", self.file, self.line, self.column)
        }
    }
}

/// One problem of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub location: Location,
    /// The same place in the document's terms, such as `services[3].scaling.max`; empty at the root.
    pub path: String,
    /// A stable upper-case word for programs, such as `UNKNOWN_KEY`.
    pub code: &'static str,
    /// What is wrong, for people. Never contains a value that may be a secret.
    pub message: String,
    /// What to do about it, when that is known.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.location)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// How many problems are kept.
pub const MOST_PROBLEMS: usize = 200;

/// The problems of one or several files, at most [`MOST_PROBLEMS`], in reading order once [`Problems::sort`] was called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// No problem yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one, unless there are [`MOST_PROBLEMS`] already.
    pub fn push(&mut self, problem: Problem) {
        if !self.is_full() {
            self.0.push(problem);
        }
    }

    /// Whether no more are taken: nobody reads that many, and a file of a megabyte of mistakes
    /// must not become many megabytes of advice.
    pub fn is_full(&self) -> bool {
        self.0.len() >= MOST_PROBLEMS
    }

    /// Adds those of `other`.
    pub fn append(&mut self, other: Self) {
        for problem in other.0 {
            self.push(problem);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Whether one of them has this code.
    pub fn has(&self, code: &str) -> bool {
        self.0.iter().any(|problem| problem.code == code)
    }

    /// Puts them into reading order: by file as first seen, then by line and column.
    pub fn sort(&mut self) {
        let mut files: Vec<Arc<str>> = Vec::new();
        for problem in &self.0 {
            if !files.contains(&problem.location.file) {
                files.push(problem.location.file.clone());
            }
        }
        self.0.sort_by_key(|problem| {
            let file = files.iter().position(|file| *file == problem.location.file);
            (file, problem.location.line, problem.location.column)
        });
    }

    /// `value` when there is no problem, else the problems.
    ///
    /// # Errors
    /// The problems themselves, sorted; a missing value without any problem cannot be told from
    /// an oversight, so it is reported as an internal one.
    pub fn into_result<T>(mut self, file: &Arc<str>, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => {
                if self.is_empty() {
                    self.push(Problem {
                        location: Location::whole_file(file.clone()),
                        path: String::new(),
                        code: "UNREADABLE",
                        message: "the document could not be read".to_owned(),
                        hint: None,
                    });
                }
                self.sort();
                Err(self)
            }
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        if self.is_full() {
            write!(f, "\nonly the first {MOST_PROBLEMS} problems are shown")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<I: IntoIterator<Item = Problem>>(problems: I) -> Self {
        Self(problems.into_iter().take(MOST_PROBLEMS).collect())
    }
}

/// The candidate that `word` was most likely meant to be, if one is near enough to be worth saying.
///
/// One edit is allowed in a short word and a third of the letters in a longer one: beyond that a
/// suggestion is more often wrong than right.
pub fn did_you_mean<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    // A pasted document must not cost an edit distance over megabytes.
    if word.is_empty() || word.len() > 128 {
        return None;
    }
    let fold = |text: &str| text.to_lowercase().replace('-', "_");
    let folded = fold(word);
    let allowed = ((word.chars().count() + 1) / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(file: &str, line: u32, message: &str, hint: Option<&str>) -> Problem {
        Problem {
            location: Location { file: file.into(), line, column: 3 },
            path: "services[0].nam".to_owned(),
            code: "UNKNOWN_KEY",
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
        }
    }

    #[test]
    fn problems_read_like_a_compiler_s() {
        let problems: Problems = [
            problem("b.yml", 9, "second file", None),
            problem("a.yml", 7, "later", None),
            problem("a.yml", 2, "unknown key \"nam\"", Some("did you mean \"name\"?")),
        ]
        .into_iter()
        .collect();
        let mut sorted = problems;
        sorted.sort();
        assert_eq!(
            sorted.to_string(),
            "b.yml:9:3: services[0].nam: second file\n\
             a.yml:2:3: services[0].nam: unknown key \"nam\"\n  hint: did you mean \"name\"?\n\
             a.yml:7:3: services[0].nam: later"
        );
    }

    #[test]
    fn problems_are_capped() {
        let mut problems: Problems =
            std::iter::repeat_n(problem("a.yml", 1, "again", None), 10_000).collect();
        problems.push(problem("a.yml", 1, "again", None));
        problems.append(problems.clone());
        assert_eq!(problems.len(), MOST_PROBLEMS);
        assert!(problems.to_string().ends_with("only the first 200 problems are shown"));
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        let keys = ["name", "host_port", "container_port", "replicas"];
        assert_eq!(did_you_mean("replica", keys), Some("replicas"));
        assert_eq!(did_you_mean("hostPort", keys), Some("host_port"));
        assert_eq!(did_you_mean("host-port", keys), Some("host_port"));
        assert_eq!(did_you_mean("frobnicate", keys), None);
        assert_eq!(did_you_mean("name", keys), None, "the word itself is no suggestion");
        assert_eq!(did_you_mean(&"x".repeat(1 << 20), keys), None);
    }
}

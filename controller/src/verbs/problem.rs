//! Problems of files as they are shown, whichever file it is.

use serde::Serialize;
use skep_crds::Problem;

use crate::error::Failure;
use crate::output::plain;

/// A problem as programs get it.
#[derive(Serialize)]
pub(super) struct ProblemView {
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) path: String,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl ProblemView {
    /// Of a problem.
    pub(super) fn new(problem: &Problem) -> Self {
        Self {
            file: problem.location.file.to_string(),
            line: problem.location.line,
            column: problem.location.column,
            path: problem.path.clone(),
            code: problem.code,
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }

    /// Of a file as a whole that could not be read.
    pub(super) fn of_file(file: String, failure: Failure) -> Self {
        let mut reason = vec![failure.message];
        reason.extend(failure.causes);
        let (path, message) = (String::new(), reason.join(": "));
        Self { file, line: 0, column: 0, path, code: failure.code, message, hint: None }
    }

    /// For people: where, what, and what to do.
    pub(super) fn text(&self) -> String {
        let place = match self.line {
            0 => self.file.clone(),
            line => format!("{}:{line}:{}", self.file, self.column),
        };
        let path = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
        let mut text = plain(&format!("{place}: {path}{} [{}]", self.message, self.code));
        if let Some(hint) = &self.hint {
            text.push_str("\n  hint: ");
            text.push_str(&plain(hint));
        }
        text
    }
}

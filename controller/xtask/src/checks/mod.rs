//! Rules of this repository that neither the compiler nor clippy knows.
//!
//! They run without tools that a fresh machine does not have; `.deny.toml`
//! says the same for people who use cargo-deny.

mod direction;
mod graph;
mod licence;
mod size;

use crate::error::Error;
use crate::workspace;
use graph::Graph;

/// Checks all rules; the note says how much was looked at.
///
/// # Errors
/// [`Error::Rules`] with every violation.
pub(crate) fn run() -> Result<String, Error> {
    let graph = Graph::read()?;
    let sizes = size::check(workspace::root())?;
    for warning in &sizes.warnings {
        eprintln!("warning: {warning}");
    }
    let mut problems = sizes.problems;
    problems.extend(direction::check(&graph));
    problems.extend(licence::check(&graph));
    if problems.is_empty() {
        Ok(format!("{} files, {} packages", sizes.files, graph.packages.len()))
    } else {
        Err(Error::Rules(problems))
    }
}

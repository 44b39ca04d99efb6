//! Why a chore could not do its work.

use std::path::PathBuf;

/// One chore's failure, for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The rig: engine, images, packages.
    #[error(transparent)]
    Rig(#[from] skep_testkit::Error),
    /// A file of the workspace cannot be read or written.
    #[error("cannot {action} {}", .path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A program of the toolchain cannot be started.
    #[error("cannot run {program}")]
    Spawn {
        /// Its name.
        program: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A program of the toolchain ran and failed; it has said why itself.
    #[error("`{line}` failed ({status})")]
    Child {
        /// The command line.
        line: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// The output of a tool is not what its documentation says.
    #[error("cannot read the output of {tool}: {problem}")]
    Output {
        /// The tool.
        tool: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Generated files are not what would be generated now.
    #[error("{}: stale; run `{command}`", .files.join(", "))]
    Stale {
        /// Which, from the repository's root.
        files: Vec<String>,
        /// What writes them.
        command: &'static str,
    },
    /// A name that nothing has.
    #[error("no {what} is named {name:?}; see {see}")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// Its name, as given.
        name: String,
        /// What shows the names.
        see: &'static str,
    },
    /// Rules of this repository are broken.
    #[error("{} of this repository's rules broken:\n{}", .0.len(), .0.join("\n"))]
    Rules(Vec<String>),
}

impl Error {
    /// Prints the whole chain, outermost first.
    pub(crate) fn report(&self) {
        eprintln!("error: {self}");
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            eprintln!("  because: {error}");
            cause = error.source();
        }
    }
}

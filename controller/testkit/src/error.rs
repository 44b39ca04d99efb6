//! The one error type of the test rig.
//!
//! Nobody retries on it: it is read by a person whose test set-up failed, so
//! every variant says which step failed and carries the output that explains it.

use std::path::PathBuf;
use std::time::Duration;

/// Why a part of the rig could not be started, used or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Namespaces, mounts and packages need root.
    #[error("this needs root{}", .hint.as_ref().map(|hint| format!("; run as root: {hint}")).unwrap_or_default())]
    NotRoot {
        /// The exact command that somebody with root can run, if that helps.
        hint: Option<String>,
    },
    /// A program is not installed and may not be installed now.
    #[error("not installed: {}; install with: {command}", .programs.join(", "))]
    Missing {
        /// The programs that were looked for.
        programs: Vec<String>,
        /// The command that installs them.
        command: String,
    },
    /// A program could not be started at all.
    #[error("cannot run {program}")]
    Spawn {
        /// The program.
        program: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A program ran and failed.
    #[error("`{command}` failed ({status}): {output}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// Its standard error (or output where that is empty).
        output: String,
    },
    /// A file or folder could not be read, written or removed.
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
    /// The manifest of a state folder cannot be understood.
    #[error("{} is not a manifest of this test rig", .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Something is still running in the state folder and belongs to somebody.
    #[error("{} is in use by process {pid}", .path.display())]
    InUse {
        /// The state folder.
        path: PathBuf,
        /// The process that owns it.
        pid: u32,
    },
    /// The engine or database did not answer in time.
    #[error("{what} was not ready after {waited:?}; the end of its log:\n{log}")]
    NotReady {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        waited: Duration,
        /// The end of its log.
        log: String,
    },
    /// The engine that a handle refers to has ended.
    #[error("the engine of {} is not running", .path.display())]
    NotRunning {
        /// The state folder.
        path: PathBuf,
    },
    /// A process could not be looked up or ended.
    #[error("cannot {action} process {pid}")]
    Process {
        /// What was tried, as a verb.
        action: &'static str,
        /// The process.
        pid: u32,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The engine's socket could not be used.
    #[error("cannot call {request} on the engine")]
    Call {
        /// Method and path.
        request: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Planted secrets cannot be searched for.
    #[error("the planted secrets cannot be searched for: {why}")]
    Canaries {
        /// What is wrong with them.
        why: String,
    },
    /// The engine refused a request.
    #[error("the engine answered {status} to {request}: {body}")]
    Refused {
        /// Method and path.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The body, usually with Docker's message.
        body: String,
    },
}

impl Error {
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

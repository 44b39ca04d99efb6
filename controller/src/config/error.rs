//! Why the settings cannot be used.

use std::path::PathBuf;

use super::jsonc::SyntaxError;

/// An error of the configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no JSON object.
    #[error("the configuration file {} is not valid", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        #[source]
        source: SyntaxError,
    },
    /// Some settings cannot be used.
    #[error("{} cannot be used", counted(.problems.len()))]
    Invalid {
        /// Everything that is wrong.
        problems: Vec<Problem>,
    },
}

/// What is wrong with one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The sentence, which names the flag, the variable or the line.
    pub(crate) message: String,
    /// True when a flag is at fault: the command was used wrongly.
    pub(crate) from_flag: bool,
}

fn counted(problems: usize) -> String {
    if problems == 1 { "a setting".to_owned() } else { format!("{problems} settings") }
}

//! Why a source gave nothing.

use std::path::PathBuf;

use skep_yaml::Problems;

/// Why a source gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No file is named, so there is nothing that could be desired.
    #[error("no registry file is named")]
    NoFiles,
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A folder, a pipe, a device: nothing that has a content to be read to its end.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// The file is larger than any registry.
    #[error("{} is too large: more than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How many bytes are read at most.
        limit: u64,
    },
    /// The file is the beginning of what it was, cut off within a line: a write that did not
    /// finish, even if what is left happens to be valid.
    #[error(
        "{path} looks cut off: it is the beginning of its last good content and ends within a line \
         (if that is meant, end it with a line break)"
    )]
    CutOff {
        /// The file.
        path: String,
    },
    /// The file is not in the commit.
    #[error("cannot read {path} in the commit {commit}: {reason}")]
    NotInCommit {
        /// The file.
        path: String,
        /// The commit.
        commit: String,
        /// Why.
        reason: String,
    },
    /// The repository cannot be read.
    #[error("cannot read the repository {url}: {reason}")]
    Repository {
        /// Its address.
        url: String,
        /// Why.
        reason: String,
    },
    /// The content is not valid.
    #[error("{problems}")]
    Invalid {
        /// Everything that is wrong with it.
        problems: Problems,
    },
    /// What was stored as last good cannot be used.
    #[error("the stored content of the source cannot be used: {reason}")]
    Stored {
        /// Why.
        reason: String,
    },
}

/// What would make another attempt succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// Perhaps time alone.
    Retry,
    /// Another content.
    WaitForChange,
    /// Another configuration.
    NeedsPerson,
}

impl Error {
    /// What would make another attempt succeed.
    pub const fn category(&self) -> Category {
        match self {
            Self::Read { .. } | Self::CutOff { .. } | Self::Repository { .. } => Category::Retry,
            Self::NotAFile { .. }
            | Self::TooLarge { .. }
            | Self::NotInCommit { .. }
            | Self::Invalid { .. } => Category::WaitForChange,
            Self::NoFiles | Self::Stored { .. } => Category::NeedsPerson,
        }
    }

    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoFiles => "SOURCE_MISSING",
            Self::Read { .. } | Self::Repository { .. } => "SOURCE_UNAVAILABLE",
            Self::NotAFile { .. }
            | Self::TooLarge { .. }
            | Self::CutOff { .. }
            | Self::NotInCommit { .. }
            | Self::Invalid { .. }
            | Self::Stored { .. } => "SOURCE_INVALID",
        }
    }

    /// The problems of an invalid content.
    pub const fn problems(&self) -> Option<&Problems> {
        match self {
            Self::Invalid { problems } => Some(problems),
            Self::NoFiles
            | Self::Read { .. }
            | Self::NotAFile { .. }
            | Self::TooLarge { .. }
            | Self::CutOff { .. }
            | Self::NotInCommit { .. }
            | Self::Repository { .. }
            | Self::Stored { .. } => None,
        }
    }

    /// The error with its cause in one text, for a status that a person reads.
    pub fn reason(&self) -> String {
        match self {
            Self::Read { source, .. } => format!("{self}: {source}"),
            Self::NoFiles
            | Self::NotAFile { .. }
            | Self::TooLarge { .. }
            | Self::CutOff { .. }
            | Self::NotInCommit { .. }
            | Self::Repository { .. }
            | Self::Invalid { .. }
            | Self::Stored { .. } => self.to_string(),
        }
    }
}

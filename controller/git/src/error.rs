//! Why a repository gave nothing: what happened, whether time alone may mend it, what to do.

use std::time::Duration;

use crate::access::Refusal;
use crate::dial::DialError;
use crate::reference::Reference;
use crate::signature::SignatureProblem;

/// Why a repository gave nothing. None of it contains a secret; what a server said is shortened
/// and cannot move the cursor of a terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings do not let it be read.
    #[error("{url}: {refusal}")]
    Refused {
        /// The repository.
        url: String,
        /// Why.
        refusal: Refusal,
    },
    /// The machine cannot be reached, or must not be.
    #[error("{url}: {problem}")]
    Dial {
        /// The repository.
        url: String,
        /// Why.
        problem: DialError,
    },
    /// A reference to a secret leads nowhere.
    #[error("{url}: {what} cannot be read: {reason}")]
    Secret {
        /// The repository.
        url: String,
        /// What it is for.
        what: &'static str,
        /// Why, without the secret.
        reason: String,
    },
    /// The server wants to know who asks, or does not accept who does.
    #[error("{url}: the server refuses access ({said})")]
    Unauthorised {
        /// The repository.
        url: String,
        /// What was said.
        said: String,
    },
    /// The key of the machine is not the expected one.
    #[error("{url}: the host key is not in the list of known hosts ({said})")]
    HostKey {
        /// The repository.
        url: String,
        /// What ssh said.
        said: String,
    },
    /// The certificate of the machine cannot be trusted.
    #[error("{url}: the server's certificate is not trusted ({said})")]
    Certificate {
        /// The repository.
        url: String,
        /// What was said.
        said: String,
    },
    /// The server has no such repository, or does not show it.
    #[error("{url}: there is no such repository ({said})")]
    NoRepository {
        /// The repository.
        url: String,
        /// What was said.
        said: String,
    },
    /// The server sends whoever asks elsewhere.
    #[error("{url}: the server redirects to another address, which is not followed ({said})")]
    Redirected {
        /// The repository.
        url: String,
        /// What was said.
        said: String,
    },
    /// What answers is no git server, for example a sign-in page with status 200.
    #[error("{url}: what answers is not a git repository ({said})")]
    NotGit {
        /// The repository.
        url: String,
        /// What was said.
        said: String,
    },
    /// The server has trouble of its own, or the connection broke.
    #[error("{url}: the transfer failed ({said})")]
    Transfer {
        /// The repository.
        url: String,
        /// What was said.
        said: String,
    },
    /// The repository has no commit at all.
    #[error("{url}: the repository is empty, or its default branch does not exist")]
    Empty {
        /// The repository.
        url: String,
    },
    /// The repository does not have what is named.
    #[error("{url}: there is no {reference}")]
    ReferenceMissing {
        /// The repository.
        url: String,
        /// What is named.
        reference: Reference,
        /// The default branch, when the server says it.
        default_branch: Option<String>,
    },
    /// A name stands for something that is not a commit.
    #[error("{url}: {reference} is not a commit")]
    NotACommit {
        /// The repository.
        url: String,
        /// What is named.
        reference: Reference,
    },
    /// It took too long.
    #[error("{url}: not done within {after:?}, so it was ended")]
    TimedOut {
        /// The repository.
        url: String,
        /// The limit.
        after: Duration,
    },
    /// There is more of it than is taken.
    #[error("{url}: {what} exceeds the limit of {limit}")]
    TooLarge {
        /// The repository.
        url: String,
        /// What.
        what: &'static str,
        /// How much is allowed, with its unit.
        limit: String,
    },
    /// The folder is not in the commit.
    #[error("{url}: commit {commit} has no folder {folder:?}")]
    FolderMissing {
        /// The repository.
        url: String,
        /// The commit.
        commit: String,
        /// The folder.
        folder: String,
    },
    /// What git stores cannot be understood.
    #[error("{url}: commit {commit} cannot be read: {reason}")]
    Content {
        /// The repository.
        url: String,
        /// The commit.
        commit: String,
        /// Why.
        reason: String,
    },
    /// Only signed commits are taken, and this one is not, or not by one of those.
    #[error("{url}: commit {commit} is not taken: {problem}")]
    Signature {
        /// The repository.
        url: String,
        /// The commit.
        commit: String,
        /// Why.
        problem: SignatureProblem,
    },
    /// A program that is needed cannot be started.
    #[error("the program {program} cannot be started")]
    Program {
        /// Its name.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The place where repositories are kept cannot be used.
    #[error("the folder {path} cannot be used")]
    Cache {
        /// The folder or the file in it.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// git failed in a way that is not known.
    #[error("{url}: git failed ({said})")]
    Failed {
        /// The repository.
        url: String,
        /// What was said.
        said: String,
    },
}

/// What would make another attempt succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// Perhaps time alone.
    Retry,
    /// Another commit.
    WaitForChange,
    /// Another configuration.
    NeedsPerson,
}

impl Error {
    /// What would make another attempt succeed.
    #[must_use]
    pub const fn category(&self) -> Category {
        match self {
            Self::Dial { problem, .. } => problem.category(),
            Self::Transfer { .. }
            | Self::TimedOut { .. }
            | Self::NotGit { .. }
            | Self::Cache { .. }
            | Self::Failed { .. } => Category::Retry,
            Self::Empty { .. }
            | Self::ReferenceMissing { .. }
            | Self::NotACommit { .. }
            | Self::TooLarge { .. }
            | Self::FolderMissing { .. }
            | Self::Content { .. }
            | Self::Signature { .. } => Category::WaitForChange,
            Self::Refused { .. }
            | Self::Secret { .. }
            | Self::Unauthorised { .. }
            | Self::HostKey { .. }
            | Self::Certificate { .. }
            | Self::NoRepository { .. }
            | Self::Redirected { .. }
            | Self::Program { .. } => Category::NeedsPerson,
        }
    }

    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "GIT_REFUSED",
            Self::Dial { problem, .. } => problem.code(),
            Self::Secret { .. } => "SECRET_UNRESOLVED",
            Self::Unauthorised { .. } | Self::HostKey { .. } | Self::Certificate { .. } => {
                "GIT_UNAUTHORISED"
            }
            Self::NoRepository { .. } | Self::Empty { .. } | Self::ReferenceMissing { .. } => {
                "GIT_NOT_FOUND"
            }
            Self::Redirected { .. }
            | Self::NotGit { .. }
            | Self::Transfer { .. }
            | Self::TimedOut { .. }
            | Self::Failed { .. } => "GIT_UNAVAILABLE",
            Self::TooLarge { .. } => "GIT_TOO_LARGE",
            Self::NotACommit { .. } | Self::FolderMissing { .. } | Self::Content { .. } => {
                "GIT_CONTENT"
            }
            Self::Signature { .. } => "GIT_SIGNATURE",
            Self::Program { .. } => "GIT_PROGRAM_MISSING",
            Self::Cache { .. } => "GIT_CACHE",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Refused { refusal, .. } => refusal.hint(),
            Self::Dial { problem, .. } => problem.hint(),
            Self::Secret { what, .. } => {
                format!("set the variable, or write the file, that the reference of {what} names")
            }
            Self::Unauthorised { .. } => {
                "give credentials that may read this repository: a token for https, a deploy key \
                 for ssh"
                    .to_owned()
            }
            Self::HostKey { .. } => {
                "compare the key with what the server's owner publishes, then add it to the known \
                 hosts of this source: ssh-keyscan HOST"
                    .to_owned()
            }
            Self::Certificate { .. } => {
                "name the authority that signed it in the CA file of this source".to_owned()
            }
            Self::NoRepository { .. } => {
                "check the URL; many servers say the same when the credentials may not see it"
                    .to_owned()
            }
            Self::Redirected { .. } => "write the address that it redirects to".to_owned(),
            Self::NotGit { .. } => {
                "check the URL; a proxy or a sign-in page may be answering".to_owned()
            }
            Self::Transfer { .. } | Self::TimedOut { .. } | Self::Failed { .. } => {
                "it is tried again; the last good commit stays in force".to_owned()
            }
            Self::Empty { .. } => "push a commit, or name a branch".to_owned(),
            Self::ReferenceMissing { reference, default_branch, .. } => match default_branch {
                Some(branch) => format!("the default branch is {branch}; check the name"),
                None if matches!(reference, Reference::Commit(_)) => {
                    "push it, or name a branch that contains it".to_owned()
                }
                None => "push it, or check the name".to_owned(),
            },
            Self::NotACommit { .. } => "name a branch, or a tag of a commit".to_owned(),
            Self::TooLarge { .. } => {
                "keep what is deployed in a repository, or a folder, of its own".to_owned()
            }
            Self::FolderMissing { .. } => "check the folder, which is case-sensitive".to_owned(),
            Self::Content { .. } => "see what is wrong with it: git fsck".to_owned(),
            Self::Signature { problem, .. } => problem.hint(),
            Self::Program { program, .. } => format!("install {program}, or add it to PATH"),
            Self::Cache { .. } => {
                "make it writable for this user, or name another folder".to_owned()
            }
        }
    }
}

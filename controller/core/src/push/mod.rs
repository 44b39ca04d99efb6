//! What a forge announces: that somebody pushed, or proposes to. An announcement carries no facts
//! into the loop; it says which sources are worth a look now.

mod announcement;
mod matching;
mod preview;

use serde::{Deserialize, Serialize};

pub use self::announcement::{
    Answer, LookedAt, LookedAtStep, MOST_FILES, MOST_STEPS, Matter, Unrecognised,
};
pub use self::matching::{
    Watched, WatchedReference, concerns, goes_into, is_same_repository, repository_name,
};
pub use self::preview::{Comment, Preview, StackPreview, StepPreview};

/// A kind of forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Forgejo.
    Forgejo,
    /// Gitea.
    Gitea,
    /// GitHub.
    GitHub,
    /// GitLab.
    GitLab,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Forgejo, Self::Gitea, Self::GitHub, Self::GitLab];

    /// The word in a path or a setting.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forgejo => "forgejo",
            Self::Gitea => "gitea",
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
        }
    }

    /// The forge of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == word)
    }
}

impl std::fmt::Display for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A repository as its forge describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Every address under which it is known.
    pub urls: Vec<String>,
    /// Its default branch, when that was said.
    pub default_branch: Option<String>,
}

/// What was pushed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushedReference {
    /// A branch.
    Branch(String),
    /// A tag.
    Tag(String),
    /// Something else, by its whole name.
    Other(String),
}

impl PushedReference {
    /// Reads `refs/heads/main` and the like.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        if let Some(branch) = name.strip_prefix("refs/heads/") {
            Self::Branch(branch.to_owned())
        } else if let Some(tag) = name.strip_prefix("refs/tags/") {
            Self::Tag(tag.to_owned())
        } else {
            Self::Other(name.to_owned())
        }
    }
}

/// Somebody pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// Which kind of forge says so.
    pub provider: Provider,
    /// Where.
    pub repository: Repository,
    /// To what.
    pub reference: PushedReference,
    /// The commit before; none when the reference is new.
    pub before: Option<String>,
    /// The commit now; none when the reference was removed.
    pub after: Option<String>,
    /// The commits that came with it, as far as they were told.
    pub commits: Vec<PushedCommit>,
    /// True when every commit was told, and history was not rewritten: only then does a file that
    /// is not named say anything.
    pub is_complete: bool,
    /// Who, by the name there.
    pub pusher: String,
}

/// A commit of a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedCommit {
    /// Its id.
    pub id: String,
    /// The files that it added, changed or removed, from the root of the repository.
    pub files: Vec<String>,
}

/// What happened to a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proposed {
    /// It is new, or open again.
    Opened,
    /// It has other commits.
    Updated,
}

/// Somebody proposes to merge something (a pull request, a merge request).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Which kind of forge says so.
    pub provider: Provider,
    /// The repository that it would be merged into.
    pub repository: Repository,
    /// Its number there.
    pub number: u64,
    /// What happened.
    pub what: Proposed,
    /// The branch that it would be merged into.
    pub into: String,
    /// The newest commit of the proposal.
    pub head: String,
    /// Its title; a text of a stranger.
    pub title: String,
    /// Who proposes it, by the name there.
    pub author: String,
}

//! What is kept of an announcement until it is answered, and the answer. Both are stored as JSON.

use serde::{Deserialize, Serialize};

use super::{PullRequest, Push};
use crate::action::ActionKind;
use crate::desired::SourceState;

/// As many files of a push are kept; of a larger one none, and every source of the repository is
/// looked at.
pub const MOST_FILES: usize = 500;
/// As many steps of a stack are told in an answer.
pub const MOST_STEPS: usize = 50;
/// As many bytes of text are kept of a push.
const MOST_TEXT: usize = 64 << 10;

/// What an announcement is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Matter {
    /// Somebody pushed.
    Push(Push),
    /// Somebody proposes a change.
    Proposal(PullRequest),
    /// Somebody wants sources to be looked at now.
    Sync {
        /// The stacks; all of them when empty.
        stacks: Vec<String>,
        /// Who.
        actor: String,
    },
}

/// A stored announcement or answer that cannot be read, as after a downgrade.
#[derive(Debug, thiserror::Error)]
#[error("it is not in the stored form (byte {0})")]
pub struct Unrecognised(usize);

pub(super) fn unrecognised(error: &serde_json::Error) -> Unrecognised {
    Unrecognised(error.column())
}

impl Matter {
    /// The word by which it is stored.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Push(_) => "push",
            Self::Proposal(_) => "proposal",
            Self::Sync { .. } => "sync",
        }
    }

    /// The stored form: what is too large of a push is left out, and the push then counts as one
    /// of which not every file is known.
    #[must_use]
    pub fn stored(&self) -> String {
        let shorter;
        let kept = match self {
            Self::Push(push) if is_large(push) => {
                let push = Push { commits: Vec::new(), is_complete: false, ..push.clone() };
                shorter = Self::Push(push);
                &shorter
            }
            other => other,
        };
        // These types have no key that is no text, which is all that JSON could not hold.
        serde_json::to_string(kept).unwrap_or_default()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_stored(text: &str) -> Result<Self, Unrecognised> {
        serde_json::from_str(text).map_err(|error| unrecognised(&error))
    }
}

fn is_large(push: &Push) -> bool {
    let files = push.commits.iter().flat_map(|commit| &commit.files);
    let bytes: usize = files.clone().map(String::len).sum();
    let ids: usize = push.commits.iter().map(|commit| commit.id.len()).sum();
    files.count() > MOST_FILES || push.commits.len() > MOST_FILES || bytes + ids > MOST_TEXT
}

/// What came of an announcement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The stacks that were looked at because of it.
    pub stacks: Vec<LookedAt>,
    /// Names that no stack has.
    #[serde(default)]
    pub unknown: Vec<String>,
    /// What else is to be said.
    #[serde(default)]
    pub note: Option<String>,
}

/// A stack that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookedAt {
    /// Its name.
    pub stack: String,
    /// How its source stands now.
    pub state: SourceState,
    /// Why, when it is not ready.
    pub reason: Option<String>,
    /// The commit in force before.
    pub before: Option<String>,
    /// The commit in force now.
    pub commit: Option<String>,
    /// What is to be done in it now, as far as it is told.
    pub steps: Vec<LookedAtStep>,
    /// How many steps more there are.
    pub more: usize,
}

/// A step, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookedAtStep {
    /// What it does.
    pub action: ActionKind,
    /// To what.
    pub target: String,
}

impl Answer {
    /// The stored form.
    #[must_use]
    pub fn stored(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_stored(text: &str) -> Result<Self, Unrecognised> {
        serde_json::from_str(text).map_err(|error| unrecognised(&error))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::push::{Provider, PushedCommit, PushedReference, Repository};

    fn push(files: Vec<String>) -> Push {
        Push {
            provider: Provider::Gitea,
            repository: Repository { urls: vec!["https://h/o/r".to_owned()], default_branch: None },
            reference: PushedReference::parse("refs/heads/main"),
            before: None,
            after: Some("a".to_owned()),
            commits: vec![PushedCommit { id: "a".to_owned(), files }],
            is_complete: true,
            pusher: "ann".to_owned(),
        }
    }

    #[test]
    fn a_push_with_many_files_is_kept_without_them() {
        let many = Matter::Push(push(vec!["f".to_owned(); MOST_FILES + 1]));
        assert!(many.stored().len() < 1000);
        let Ok(Matter::Push(kept)) = Matter::from_stored(&many.stored()) else {
            panic!("a push");
        };
        assert!(kept.commits.is_empty() && !kept.is_complete);
        let long = Matter::Push(push(vec!["f".repeat(MOST_TEXT + 1)]));
        assert!(long.stored().len() < 1000);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_without_its_text() {
        let error = Matter::from_stored("{\"kind\": \"canary\"}").expect_err("unknown");
        assert!(!error.to_string().contains("canary"), "{error}");
        assert!(Answer::from_stored("[").is_err());
    }

    proptest! {
        #[test]
        fn what_is_stored_comes_back(files in proptest::collection::vec(".{0,20}", 0..5)) {
            let matter = Matter::Push(push(files));
            prop_assert_eq!(Matter::from_stored(&matter.stored()).expect("a matter"), matter);
        }
    }
}

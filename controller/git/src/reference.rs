//! What of a repository is wanted: a branch, a tag, a commit, or whatever its default branch is.

use std::fmt;

/// The id of a commit: 40 hexadecimal digits (SHA-1) or 64 (SHA-256), in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(String);

impl CommitId {
    /// Reads a whole id; shortened ones are ambiguous and a server does not take them.
    ///
    /// # Errors
    /// [`InvalidReference::Commit`] when it is none.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let is_id =
            matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { Ok(Self(text.to_ascii_lowercase())) } else { Err(InvalidReference::Commit) }
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }

    /// True for the id of zeros, with which servers mean "none".
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'0')
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What of a repository is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// Whatever the server's HEAD names.
    Default,
    /// The newest commit of a branch.
    Branch(String),
    /// The commit of a tag.
    Tag(String),
    /// Exactly this commit.
    Commit(CommitId),
    /// The newest commit of a pull request, which GitHub, Gitea and Forgejo keep in the repository
    /// that it would be merged into, wherever it comes from.
    PullRequest(u64),
    /// The same of GitLab.
    MergeRequest(u64),
}

/// Why a text is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// git does not allow such a name.
    #[error("{name:?} is not a name of a branch or a tag: {why}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// A shortened id, or none.
    #[error("a commit is named by its whole id: 40 or 64 hexadecimal digits")]
    Commit,
}

impl Reference {
    /// A branch.
    ///
    /// # Errors
    /// When git does not allow such a name.
    pub fn branch(name: &str) -> Result<Self, InvalidReference> {
        check(name).map(|()| Self::Branch(name.to_owned()))
    }

    /// A tag.
    ///
    /// # Errors
    /// When git does not allow such a name.
    pub fn tag(name: &str) -> Result<Self, InvalidReference> {
        check(name).map(|()| Self::Tag(name.to_owned()))
    }

    /// A commit.
    ///
    /// # Errors
    /// When it is not a whole id.
    pub fn commit(id: &str) -> Result<Self, InvalidReference> {
        CommitId::parse(id).map(Self::Commit)
    }

    /// The name under which a server has it.
    pub(crate) fn on_the_server(&self) -> String {
        match self {
            Self::Default => "HEAD".to_owned(),
            Self::Branch(name) => format!("refs/heads/{name}"),
            Self::Tag(name) => format!("refs/tags/{name}"),
            Self::Commit(id) => id.to_string(),
            Self::PullRequest(number) => format!("refs/pull/{number}/head"),
            Self::MergeRequest(number) => format!("refs/merge-requests/{number}/head"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default branch"),
            Self::Branch(name) => write!(f, "branch {name}"),
            Self::Tag(name) => write!(f, "tag {name}"),
            Self::Commit(id) => write!(f, "commit {id}"),
            Self::PullRequest(number) => write!(f, "pull request {number}"),
            Self::MergeRequest(number) => write!(f, "merge request {number}"),
        }
    }
}

/// The rules of `git check-ref-format`, and no leading dash.
fn check(name: &str) -> Result<(), InvalidReference> {
    let refuse = |why| Err(InvalidReference::Name { name: name.to_owned(), why });
    if name.is_empty() || name.len() > 255 {
        return refuse("it is empty or longer than 255 bytes");
    }
    if name.starts_with('-') {
        return refuse("it begins with a dash");
    }
    if name.chars().any(|one| one.is_control() || one.is_whitespace() || "~^:?*[\\".contains(one)) {
        return refuse("it has a blank, a control character or one of ~ ^ : ? * [ \\");
    }
    if name.contains("..") || name.contains("@{") || name == "@" {
        return refuse("`..`, `@{` and `@` have another meaning");
    }
    if name.ends_with('.') {
        return refuse("it ends with a dot");
    }
    for part in name.split('/') {
        let extension = std::path::Path::new(part).extension();
        if part.is_empty() || part.starts_with('.') {
            return refuse("a part of it is empty or begins with a dot");
        }
        if extension.is_some_and(|extension| extension == "lock") {
            return refuse("a part of it ends with .lock");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_git_allows() {
        for name in ["main", "release/1.x", "v1.0.0", "feature/a-b_c", "übung"] {
            assert!(Reference::branch(name).is_ok(), "{name}");
        }
        for name in [
            "", "-x", "a b", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "@", "a@{1}",
            "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a\nb",
        ] {
            assert!(Reference::branch(name).is_err(), "{name:?}");
            assert!(Reference::tag(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn proposals_are_where_their_forge_keeps_them() {
        assert_eq!(Reference::PullRequest(7).on_the_server(), "refs/pull/7/head");
        assert_eq!(Reference::MergeRequest(7).on_the_server(), "refs/merge-requests/7/head");
        assert_eq!(Reference::MergeRequest(7).to_string(), "merge request 7");
    }

    #[test]
    fn commits_are_named_whole() {
        let id = "0123456789ABCDEF0123456789abcdef01234567";
        assert_eq!(CommitId::parse(id).expect("an id").as_str(), id.to_ascii_lowercase());
        assert!(CommitId::parse(&"0".repeat(64)).expect("an id").is_none());
        for text in ["", "abc", "HEAD", &"g".repeat(40), &"0".repeat(41)] {
            assert_eq!(CommitId::parse(text), Err(InvalidReference::Commit), "{text}");
        }
    }
}

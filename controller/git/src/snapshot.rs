//! What a repository said at one commit. The files are bytes in memory: links, `..` and the like
//! are followed among them and nowhere else, and nothing can change between the check and the use.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::commit::Commit;
use crate::relation::Relation;
use crate::signature::Signature;

/// What a repository said at one commit.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The commit.
    pub commit: Commit,
    /// Whose signature it carries.
    pub signature: Signature,
    /// How it stands to the one that was used before.
    pub relation: Relation,
    /// The files below the folder of the source.
    pub files: Files,
}

/// Files by name, relative to the folder of the source.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Files {
    entries: BTreeMap<String, Entry>,
}

/// Something with a name.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file.
    File(Vec<u8>),
    /// A file that is larger than what is read, with its size in bytes.
    TooLarge(u64),
    /// A symbolic link, with what it names.
    Link(String),
    /// A commit of another repository, which is not followed.
    Submodule,
}

// Files may hold secrets.
impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(bytes) => write!(f, "File({} bytes)", bytes.len()),
            Self::TooLarge(size) => write!(f, "TooLarge({size} bytes)"),
            Self::Link(target) => write!(f, "Link({target:?})"),
            Self::Submodule => f.write_str("Submodule"),
        }
    }
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is none of this name.
    #[error("there is no file {0:?} in the commit")]
    Missing(String),
    /// It is a folder.
    #[error("{0:?} is a folder")]
    Folder(String),
    /// It leads out of the folder of the source.
    #[error("{0:?} leads out of the folder of the source; name a folder that holds both")]
    Outside(String),
    /// Links that lead to each other.
    #[error("{0:?} is a link that leads to itself")]
    Loop(String),
    /// It is larger than what is read.
    #[error("{name:?} is too large: {size} bytes")]
    TooLarge {
        /// The name.
        name: String,
        /// Its size in bytes.
        size: u64,
    },
    /// It is in another repository.
    #[error("{0:?} is in a submodule, and submodules are not fetched")]
    Submodule(String),
    /// Its content is in another place.
    #[error("{0:?} is kept by Git LFS, whose files are not fetched; commit it as a plain file")]
    Elsewhere(String),
}

/// As many links as Linux follows.
const MOST_LINKS: usize = 40;
/// How a file of Git LFS begins in the repository.
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

impl Files {
    /// Files by their names.
    #[must_use]
    pub fn new(entries: BTreeMap<String, Entry>) -> Self {
        Self { entries }
    }

    /// What has a name, in order of the names.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The content of a file. Links are followed, `.` and `..` understood, as long as they stay
    /// inside.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(&self, name: &str) -> Result<&[u8], ReadError> {
        let asked = || name.to_owned();
        let mut left = parts(name).ok_or_else(|| ReadError::Outside(asked()))?;
        let mut at: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = left.pop_front() {
            if part == ".." {
                at.pop().ok_or_else(|| ReadError::Outside(asked()))?;
                continue;
            }
            at.push(part);
            match self.entries.get(&at.join("/")) {
                Some(Entry::Link(target)) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(ReadError::Loop(asked()));
                    }
                    at.pop();
                    let target = parts(target).ok_or_else(|| ReadError::Outside(asked()))?;
                    for part in target.into_iter().rev() {
                        left.push_front(part);
                    }
                }
                Some(Entry::Submodule) => return Err(ReadError::Submodule(asked())),
                Some(Entry::File(_) | Entry::TooLarge(_)) if !left.is_empty() => {
                    return Err(ReadError::Missing(asked()));
                }
                _ => {}
            }
        }
        let found = at.join("/");
        match self.entries.get(&found) {
            Some(Entry::File(bytes)) if bytes.starts_with(LFS) => {
                Err(ReadError::Elsewhere(asked()))
            }
            Some(Entry::File(bytes)) => Ok(bytes),
            Some(Entry::TooLarge(size)) => Err(ReadError::TooLarge { name: asked(), size: *size }),
            Some(Entry::Link(_) | Entry::Submodule) | None if self.is_folder(&found) => {
                Err(ReadError::Folder(asked()))
            }
            Some(Entry::Link(_) | Entry::Submodule) | None => Err(ReadError::Missing(asked())),
        }
    }

    fn is_folder(&self, name: &str) -> bool {
        let below = format!("{name}/");
        name.is_empty()
            || self
                .entries
                .range(below.clone()..)
                .next()
                .is_some_and(|(one, _)| one.starts_with(&below))
    }
}

/// The parts of a relative name; none for an absolute one.
fn parts(name: &str) -> Option<VecDeque<String>> {
    if name.starts_with('/') {
        return None;
    }
    let parts = name.split('/').filter(|part| !part.is_empty() && *part != ".");
    Some(parts.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn files(entries: &[(&str, Entry)]) -> Files {
        Files::new(
            entries.iter().map(|(name, entry)| ((*name).to_owned(), entry.clone())).collect(),
        )
    }

    fn link(target: &str) -> Entry {
        Entry::Link(target.to_owned())
    }

    fn file(text: &str) -> Entry {
        Entry::File(text.as_bytes().to_vec())
    }

    #[test]
    fn links_and_dots_stay_inside() {
        let files = files(&[
            ("web/compose.yml", file("web")),
            ("web/common", link("../common")),
            ("web/out", link("../../etc/passwd")),
            ("web/absolute", link("/etc/passwd")),
            ("web/self", link("self")),
            ("web/a", link("b")),
            ("web/b", link("a")),
            ("web/folder", link(".")),
            ("common/env", file("env")),
            ("big", Entry::TooLarge(9)),
            ("sub", Entry::Submodule),
            ("pointer", file("version https://git-lfs.github.com/spec/v1\noid sha256:0")),
        ]);
        for (name, expected) in [
            ("web/compose.yml", "web"),
            ("./web/../common/env", "env"),
            ("web/common/env", "env"),
            ("web/common/../web/compose.yml", "web"),
            ("web/folder/folder/compose.yml", "web"),
        ] {
            assert_eq!(files.read(name), Ok(expected.as_bytes()), "{name}");
        }
        for name in ["..", "../x", "web/../../x", "/etc/passwd", "web/out", "web/absolute"] {
            assert_eq!(files.read(name), Err(ReadError::Outside(name.to_owned())));
        }
        for name in ["web/self", "web/a"] {
            assert_eq!(files.read(name), Err(ReadError::Loop(name.to_owned())));
        }
        for name in ["none", "web/none", "web/compose.yml/x", "we", "web/comp"] {
            assert_eq!(files.read(name), Err(ReadError::Missing(name.to_owned())));
        }
        for name in ["web", "web/", "", ".", "web/common"] {
            assert_eq!(files.read(name), Err(ReadError::Folder(name.to_owned())));
        }
        assert_eq!(files.read("sub/x"), Err(ReadError::Submodule("sub/x".to_owned())));
        assert_eq!(files.read("pointer"), Err(ReadError::Elsewhere("pointer".to_owned())));
        assert!(matches!(files.read("big"), Err(ReadError::TooLarge { size: 9, .. })));
    }

    #[test]
    fn debug_shows_no_content() {
        let files = files(&[("a", file("canary"))]);
        assert!(!format!("{files:?} {:?}", file("canary")).contains("canary"));
    }

    proptest! {
        /// However links and names are put together, what comes back is one of the files.
        #[test]
        fn nothing_but_the_files_comes_back(
            targets in proptest::collection::vec("[ab./]{0,8}", 3),
            name in "[ab./]{0,12}",
        ) {
            let files = files(&[
                ("a/a", link(&targets[0])),
                ("a/b", link(&targets[1])),
                ("b", link(&targets[2])),
                ("c", file("content")),
            ]);
            if let Ok(bytes) = files.read(&name) {
                prop_assert_eq!(bytes, b"content");
            }
        }
    }
}

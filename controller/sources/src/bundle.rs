//! The bytes that a desired state came from, so that it can be built again after a restart.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Error;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A registry.
    Registry,
    /// What wins over the registries.
    Overlay,
    /// A list of stacks.
    Stacks,
    /// A stack file.
    Stack,
    /// A file of variables for stack files.
    Variables,
    /// What a stack file names: an environment file, a secret, a config.
    Named,
}

/// One file as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// What it is for.
    pub role: Role,
    /// Its name, as it was given.
    pub path: String,
    /// Its content. It may hold secrets: whoever stores it encrypts it.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, path, bytes } = self;
        write!(f, "{role:?} {path} ({} bytes)", bytes.len())
    }
}

/// All files of a source, as they were read together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceBundle {
    /// The files, in the order in which they were named.
    pub files: Vec<SourceFile>,
    /// The commit that they are from, when they came from git.
    pub commit: Option<Commit>,
}

/// A commit, as far as it says where something came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its whole name.
    pub id: String,
    /// Who wrote it, as `NAME <ADDRESS>`.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
    /// When it was made, as far as it is known.
    #[serde(default)]
    pub made_at: Option<Timestamp>,
    /// The commit that was used before, when this one was not made from it: somebody went back, or
    /// rewrote the history. It stays with later commits until one is made from it again, or until
    /// the new history is known to have dropped nothing.
    #[serde(default)]
    pub replaces: Option<Replaced>,
}

/// A commit that a later one was not made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Its whole name.
    pub id: String,
    /// When it was made.
    pub made_at: Timestamp,
}

impl Commit {
    /// The commit that the next one should be made from, and when that was made; `None` when that
    /// is not known, as of what an earlier version has stored.
    #[must_use]
    pub fn base(&self) -> Option<Replaced> {
        self.replaces
            .clone()
            .or_else(|| Some(Replaced { id: self.id.clone(), made_at: self.made_at? }))
    }
}

/// The stored form. Files that are UTF-8 are texts, so that people can read them.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    files: Vec<StoredFile>,
    #[serde(default)]
    commit: Option<Commit>,
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    role: Role,
    path: String,
    #[serde(flatten)]
    content: Content,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    Content(String),
    Base64(String),
}

impl Content {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Content(text.to_owned()),
            Err(_) => Self::Base64(STANDARD.encode(bytes)),
        }
    }

    fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Content(text) => Some(text.into_bytes()),
            Self::Base64(text) => STANDARD.decode(text).ok(),
        }
    }
}

/// Version of the stored form.
const STORED_VERSION: u32 = 1;

impl SourceBundle {
    /// The first file that is the beginning of what it was in `before`, cut off within a line.
    pub(crate) fn cut_off_since<'a>(&'a self, before: &Self) -> Option<&'a SourceFile> {
        self.files.iter().find(|file| {
            // The secret in a file may become shorter, and such a file need not end its line.
            if matches!(file.role, Role::Variables | Role::Named) {
                return false;
            }
            let old =
                before.files.iter().find(|old| (old.role, &old.path) == (file.role, &file.path));
            old.is_some_and(|old| {
                old.bytes.len() > file.bytes.len()
                    && old.bytes.starts_with(&file.bytes)
                    && !file.bytes.ends_with(b"\n")
            })
        })
    }

    /// The bundle as bytes, for a store that encrypts them.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which does not happen.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let unusable = |reason: String| Error::Stored { reason };
        let files = self.files.iter().map(|file| StoredFile {
            role: file.role,
            path: file.path.clone(),
            content: Content::of(&file.bytes),
        });
        let files = files.collect();
        let stored = Stored { version: STORED_VERSION, files, commit: self.commit.clone() };
        serde_json::to_vec(&stored).map_err(|error| unusable(error.to_string()))
    }

    /// The bundle of [`Self::to_bytes`].
    ///
    /// # Errors
    /// When the bytes are none, or of a later version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        // The message of serde_json may quote content, which may be secret.
        let stored: Stored = serde_json::from_slice(bytes).map_err(|error| Error::Stored {
            reason: format!("it is not in the stored form (byte {})", error.column()),
        })?;
        if stored.version != STORED_VERSION {
            let reason = format!("it has version {}, {STORED_VERSION} is known", stored.version);
            return Err(Error::Stored { reason });
        }
        let files = stored.files.into_iter().map(|file| {
            let damaged = || Error::Stored { reason: format!("{} is damaged", file.path) };
            let bytes = file.content.into_bytes().ok_or_else(damaged)?;
            Ok(SourceFile { role: file.role, path: file.path.clone(), bytes })
        });
        Ok(Self { files: files.collect::<Result<_, Error>>()?, commit: stored.commit })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(role: Role, path: &str, text: &str) -> SourceFile {
        SourceFile { role, path: path.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    fn bundle(files: Vec<SourceFile>) -> SourceBundle {
        SourceBundle { files, commit: None }
    }

    #[test]
    fn bytes_that_are_no_text_and_the_commit_come_back() {
        let commit = Commit {
            id: "c0ffee".to_owned(),
            author: "a <a@b>".to_owned(),
            subject: String::new(),
            made_at: Some(Timestamp::UNIX_EPOCH),
            replaces: Some(Replaced { id: "beef".to_owned(), made_at: Timestamp::UNIX_EPOCH }),
        };
        assert_eq!(commit.base(), commit.replaces);
        let odd =
            SourceFile { role: Role::Named, path: "s".to_owned(), bytes: vec![0, 0xFF, b'a'] };
        let bundle = SourceBundle { files: vec![odd], commit: Some(commit) };
        let bytes = bundle.to_bytes().expect("bytes");
        assert_eq!(SourceBundle::from_bytes(&bytes).expect("the same"), bundle);
        let damaged = String::from_utf8(bytes).expect("JSON").replace("AP9h", "A?9h");
        assert!(SourceBundle::from_bytes(damaged.as_bytes()).is_err());
    }

    #[test]
    fn a_secret_may_become_shorter_and_a_stack_file_may_not_end_in_a_line() {
        for (role, is_cut) in [(Role::Named, false), (Role::Variables, false), (Role::Stack, true)]
        {
            let before = bundle(vec![file(role, "a", "abc")]);
            let after = bundle(vec![file(role, "a", "ab")]);
            assert_eq!(after.cut_off_since(&before).is_some(), is_cut, "{role:?}");
        }
    }

    #[test]
    fn neither_debug_nor_errors_show_content() {
        let bundle = bundle(vec![file(Role::Registry, "a.yml", "env: {TOKEN: canary}")]);
        assert!(!format!("{bundle:?}").contains("canary"));
        let error =
            SourceBundle::from_bytes(br#"{"version":1,"files":"canary"}"#).expect_err("bad");
        assert!(!format!("{error:?} {error}").contains("canary"));
    }

    #[test]
    fn a_later_version_is_not_guessed_at() {
        let error = SourceBundle::from_bytes(br#"{"version":2,"files":[]}"#).expect_err("later");
        assert!(error.to_string().contains("version 2"));
    }

    proptest! {
        #[test]
        fn what_is_stored_comes_back(contents in proptest::collection::vec(".{0,50}", 0..5)) {
            let files = contents.iter().enumerate();
            let files = files.map(|(at, text)| file(Role::Registry, &format!("{at}.yml"), text));
            let bundle = bundle(files.collect());
            let bytes = bundle.to_bytes().expect("texts");
            prop_assert_eq!(SourceBundle::from_bytes(&bytes).expect("the same"), bundle);
        }

        #[test]
        fn any_bytes_are_an_error_or_a_bundle(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = SourceBundle::from_bytes(&bytes);
        }
    }
}

//! The bytes that a desired state came from, so that it can be built again after a restart.

use std::fmt;

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
}

/// The stored form. Valid files are UTF-8, so texts will do, and people can read them.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    files: Vec<StoredFile>,
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    role: Role,
    path: String,
    content: String,
}

/// Version of the stored form.
const STORED_VERSION: u32 = 1;

impl SourceBundle {
    /// The first file that is the beginning of what it was in `before`, cut off within a line.
    pub(crate) fn cut_off_since<'a>(&'a self, before: &Self) -> Option<&'a SourceFile> {
        self.files.iter().find(|file| {
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
    /// When a file is not UTF-8, which no valid one is.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let unusable = |reason: String| Error::Stored { reason };
        let files = self.files.iter().map(|file| {
            let content = String::from_utf8(file.bytes.clone())
                .map_err(|_| unusable(format!("{} is not UTF-8", file.path)))?;
            Ok(StoredFile { role: file.role, path: file.path.clone(), content })
        });
        let stored =
            Stored { version: STORED_VERSION, files: files.collect::<Result<_, Error>>()? };
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
        let files = stored.files.into_iter().map(|file| SourceFile {
            role: file.role,
            path: file.path,
            bytes: file.content.into_bytes(),
        });
        Ok(Self { files: files.collect() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(role: Role, path: &str, text: &str) -> SourceFile {
        SourceFile { role, path: path.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn neither_debug_nor_errors_show_content() {
        let bundle =
            SourceBundle { files: vec![file(Role::Registry, "a.yml", "env: {TOKEN: canary}")] };
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
            let bundle = SourceBundle { files: files.collect() };
            let bytes = bundle.to_bytes().expect("texts");
            prop_assert_eq!(SourceBundle::from_bytes(&bytes).expect("the same"), bundle);
        }

        #[test]
        fn any_bytes_are_an_error_or_a_bundle(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = SourceBundle::from_bytes(&bytes);
        }
    }
}

//! What is read: one repository, one reference, one folder, and how to get in.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use skep_core::ports::SecretSource;

use crate::access::Refusal;
use crate::reference::Reference;
use crate::signature::Signers;
use crate::url::{RemoteUrl, Scheme};

/// One repository as a source.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is.
    pub url: RemoteUrl,
    /// What of it is wanted.
    pub reference: Reference,
    /// The folder in it; the whole when none.
    pub folder: Option<Folder>,
    /// How much of the history comes along.
    pub history: History,
    /// How to get in.
    pub credentials: Credentials,
    /// Only commits that these have signed.
    pub signers: Option<Signers>,
    /// Certificates of authorities, in PEM, beside those of this machine.
    pub authorities: Option<Arc<dyn SecretSource>>,
}

impl Source {
    /// A source without credentials, of the default branch.
    #[must_use]
    pub fn new(url: RemoteUrl) -> Self {
        Self {
            url,
            reference: Reference::Default,
            folder: None,
            history: History::default(),
            credentials: Credentials::None,
            signers: None,
            authorities: None,
        }
    }

    /// Whether the credentials fit the address.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        match (self.url.scheme(), &self.credentials) {
            (Scheme::Https | Scheme::File, Credentials::None)
            | (Scheme::Https, Credentials::Password { .. })
            | (Scheme::Ssh, Credentials::Key { .. }) => Ok(()),
            (Scheme::Ssh, Credentials::None) => Err(Refusal::NoKnownHosts),
            (Scheme::Ssh, Credentials::Password { .. }) => {
                Err(Refusal::Credentials("it is read over ssh, which takes a key, no password"))
            }
            (Scheme::Https, Credentials::Key { .. }) => {
                Err(Refusal::Credentials("it is read over https, which takes a password, no key"))
            }
            (Scheme::File, _) => Err(Refusal::Credentials("a folder takes no credentials")),
        }
    }
}

/// A folder in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Folder(String);

/// A text that is no folder in a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a folder in a repository: write it like stacks/web, without `..`")]
pub struct InvalidFolder(String);

impl Folder {
    /// Reads `stacks/web`; `.` and the empty text are the whole repository.
    ///
    /// # Errors
    /// When it leads out, is absolute, or cannot be a name.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidFolder> {
        let invalid = || Err(InvalidFolder(text.to_owned()));
        if text.starts_with('/') || text.chars().any(char::is_control) {
            return invalid();
        }
        let parts: Vec<_> =
            text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") {
            return invalid();
        }
        Ok(if parts.is_empty() { None } else { Some(Self(parts.join("/"))) })
    }

    /// The folder, without a slash at either end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How much of the history comes along. More of it lets more be said about rewritten histories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum History {
    /// All of it.
    Whole,
    /// The newest commits.
    Last(NonZeroU32),
}

impl Default for History {
    fn default() -> Self {
        // Enough to see that an ordinary push follows the one before, and cheap to fetch.
        Self::Last(NonZeroU32::MIN.saturating_add(49))
    }
}

/// How to get in. Nothing of it is kept: it is read from its reference when it is needed.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Everybody may read it.
    #[default]
    None,
    /// A user and a password or token, over https.
    Password {
        /// The user; with most servers any name goes with a token.
        user: String,
        /// The password or token.
        password: Arc<dyn SecretSource>,
    },
    /// A private key, over ssh.
    Key {
        /// The private key, as `ssh-keygen` writes it, without a passphrase.
        key: Arc<dyn SecretSource>,
        /// The server's host keys, as in the file `known_hosts`.
        known_hosts: Arc<dyn SecretSource>,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Password { .. } => "Password",
            Self::Key { .. } => "Key",
        })
    }
}

/// What one look may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long all of it may take.
    pub time: Duration,
    /// How many bytes may come over the network.
    pub transfer: u64,
    /// How many bytes a repository may take on disk.
    pub disk: u64,
    /// How many files may be in the folder.
    pub files: usize,
    /// How many bytes of one file are read; a larger one is listed and not read.
    pub file: u64,
    /// How many bytes of all files are read.
    pub total: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(120),
            transfer: 256 << 20,
            disk: 512 << 20,
            files: 5_000,
            // What a registry or stack file may have.
            file: 4 << 20,
            total: 32 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stays_in_the_repository() {
        let parse = |text: &str| Folder::parse(text).map(|one| one.map(|one| one.0));
        assert_eq!(parse("stacks/web/"), Ok(Some("stacks/web".to_owned())));
        assert_eq!(parse("./a//b"), Ok(Some("a/b".to_owned())));
        assert_eq!(parse("."), Ok(None));
        assert_eq!(parse(""), Ok(None));
        for text in ["..", "a/../b", "/a", "a\nb"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}

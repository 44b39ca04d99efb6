//! The installation's key: it masks values in plans, fingerprints secrets and seals saved specs.
//! It lies outside the database, so that whoever copies the database alone can neither open those
//! nor test guesses against the rest.
//!
//! A key is made only together with a new database. For a database that has one, a missing key is
//! an error: another one in its place would make what is sealed unreadable, in silence.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::codes;
use crate::config::Environment;
use crate::error::{Failure, Result};

/// Bytes of a key.
const LENGTH: usize = 32;

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a file that Skep may make.
    File(PathBuf),
    /// In a file that somebody else provides: `file:/abs/path`.
    Provided(PathBuf),
    /// In a variable: `env:NAME`.
    Variable(String),
}

impl Place {
    /// Reads the written form.
    ///
    /// # Errors
    /// For a reference to a file with a relative path, which would depend on where the command was
    /// started.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if let Some(name) = text.strip_prefix("env:") {
            return Ok(Self::Variable(name.to_owned()));
        }
        match text.strip_prefix("file:").map(PathBuf::from) {
            None => Ok(Self::File(PathBuf::from(text))),
            Some(path) if path.is_absolute() => Ok(Self::Provided(path)),
            Some(path) => Err(Failure::new(
                codes::CONFIG_INVALID,
                format!("file:{} is a reference, but its path is not absolute", path.display()),
            )),
        }
    }

    /// The place beside a database file.
    pub(crate) fn beside(database: &Path) -> Self {
        Self::File(PathBuf::from(format!("{}.key", database.display())))
    }

    /// The key, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or is no key.
    pub(crate) fn read(&self, environment: &Environment) -> Result<Option<Vec<u8>>> {
        let found = match self {
            Self::Variable(name) => {
                let text = environment.text(name).filter(|text| !text.is_empty());
                text.map(|text| from_text(text).ok_or_else(not_a_key)).transpose()
            }
            Self::File(path) | Self::Provided(path) => match read(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                found => found.map(Some),
            },
        };
        found.map_err(|error| self.unusable(&error))
    }

    /// Makes a key where there is none; gives the one that is there when another process was
    /// faster.
    ///
    /// # Errors
    /// When it cannot be created, or somebody else has to provide it.
    pub(crate) fn create(&self, key: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::File(path) => create(path, key).map_err(|error| self.unusable(&error)),
            Self::Provided(_) | Self::Variable(_) => Err(self.missing().next(
                "put 32 random bytes there, for example: head -c 32 /dev/urandom | od -An -tx1 \
                 | tr -d ' \\n'",
            )),
        }
    }

    /// The database has a key, and here is none.
    pub(crate) fn missing(&self) -> Failure {
        Failure::new(
            codes::KEY_UNAVAILABLE,
            format!("the installation's key is missing: there is none at {self}"),
        )
    }

    fn unusable(&self, error: &io::Error) -> Failure {
        let mut failure = Failure::new(
            codes::KEY_UNAVAILABLE,
            format!("the installation's key {self} cannot be used"),
        )
        .next("restore it from a backup; without it, sealed records cannot be opened");
        failure.push_cause(error.to_string());
        failure
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) | Self::Provided(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "env:{name}"),
        }
    }
}

/// A key that is nobody's yet.
///
/// # Errors
/// When the operating system has no random numbers.
pub(crate) fn random() -> Result<Vec<u8>> {
    fresh().map_err(|error| {
        let mut failure = Failure::new(codes::KEY_UNAVAILABLE, "no key can be made");
        failure.push_cause(error.to_string());
        failure
    })
}

fn create(path: &Path, key: &[u8]) -> io::Result<Vec<u8>> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // Whole or not at all, and never over another process's: write aside, then link.
    // The name aside is random: two containers on one volume can have the same process id.
    let aside = PathBuf::from(format!("{}.{}", path.display(), suffix()?));
    let written = write(&aside, key).and_then(|()| fs::hard_link(&aside, path));
    let _ = fs::remove_file(&aside);
    match written {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => read(path),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Twice its length as digits, the end of a line, and one byte more than any key has.
    File::open(path)?.take(LENGTH as u64 * 2 + 3).read_to_end(&mut bytes)?;
    if bytes.len() == LENGTH {
        return Ok(bytes);
    }
    std::str::from_utf8(&bytes).ok().and_then(from_text).ok_or_else(not_a_key)
}

fn not_a_key() -> io::Error {
    io::Error::other(format!(
        "it holds neither {LENGTH} bytes nor twice as many hexadecimal digits"
    ))
}

/// A key as hexadecimal digits.
fn from_text(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches(['\r', '\n']);
    if text.len() != LENGTH * 2 || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

fn write(path: &Path, key: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key)?;
    file.sync_all()
}

fn suffix() -> io::Result<String> {
    Ok(format!("{:016x}", getrandom::u64().map_err(io::Error::other)?))
}

fn fresh() -> io::Result<Vec<u8>> {
    let mut key = vec![0; LENGTH];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::beside(&folder.path().join("new/skep.db"));
        let nothing = Environment::of(&[]);
        assert_eq!(place.read(&nothing).unwrap(), None);
        let first = place.create(&random().unwrap()).unwrap();
        assert_eq!(place.read(&nothing).unwrap(), Some(first.clone()));
        assert_eq!(place.create(&random().unwrap()).unwrap(), first, "never over another one");
        let path = folder.path().join("new/skep.db.key");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        let left = fs::read_dir(folder.path().join("new")).unwrap().count();
        assert_eq!(left, 1, "nothing is left aside");
        assert_ne!(random().unwrap(), random().unwrap());
    }

    #[test]
    fn a_key_may_be_provided_as_digits() {
        let folder = tempfile::tempdir().unwrap();
        let digits = "0aFf".repeat(16);
        let key: Vec<u8> = [0x0a, 0xff].repeat(16);
        let path = folder.path().join("key");
        fs::write(&path, format!("{digits}\n")).unwrap();
        let environment = Environment::of(&[("KEY", &digits), ("BAD", "0a"), ("EMPTY", "")]);
        let file = format!("file:{}", path.display());
        for place in [file.as_str(), "env:KEY"] {
            let read = Place::parse(place).unwrap().read(&environment).unwrap();
            assert_eq!(read, Some(key.clone()), "{place}");
        }
        for (place, expected) in [("env:EMPTY", Ok(None)), ("env:NONE", Ok(None))] {
            assert_eq!(Place::parse(place).unwrap().read(&environment), expected, "{place}");
        }
        let bad = Place::parse("env:BAD").unwrap().read(&environment).unwrap_err();
        assert_eq!(bad.code, codes::KEY_UNAVAILABLE);
        assert!(!format!("{bad:?}").contains("0a\""), "a value is never shown: {bad:?}");
        assert!(Place::parse("file:key").is_err());
        let nobody = Place::parse("env:NONE").unwrap().create(&key).unwrap_err();
        assert!(nobody.next.is_some_and(|next| next.contains("/dev/urandom")));
    }

    #[test]
    fn half_a_key_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::beside(&folder.path().join("skep.db"));
        for bytes in [&b"short"[..], &[7; 31], &[7; 33], &[b'0'; 63], &[b'0'; 66], &[b'g'; 64]] {
            fs::write(folder.path().join("skep.db.key"), bytes).unwrap();
            let error = place.read(&Environment::of(&[])).unwrap_err();
            assert_eq!(error.code, codes::KEY_UNAVAILABLE, "{bytes:?}");
        }
    }
}

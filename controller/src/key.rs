//! The installation's key: it masks values in plans, fingerprints secrets and seals saved specs.
//! It lies beside the database, so that whoever copies the database alone can neither open those
//! nor test guesses against the rest.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::codes;
use crate::error::{Failure, Result};

/// Bytes of a key.
const LENGTH: usize = 32;

/// The key for a database file; made when it is missing.
///
/// # Errors
/// When it cannot be read or created, or is no key.
pub(crate) fn beside(database: &Path) -> Result<Vec<u8>> {
    let path = PathBuf::from(format!("{}.key", database.display()));
    read_or_create(&path, database).map_err(|error| {
        let mut failure = Failure::new(
            codes::KEY_UNAVAILABLE,
            format!("the installation's key {} cannot be used", path.display()),
        )
        .next("restore it from a backup; without it, nothing that is sealed can be opened");
        failure.push_cause(error.to_string());
        failure
    })
}

/// A key that ends with the process, for a database that does.
///
/// # Errors
/// When the operating system has no random numbers.
pub(crate) fn fleeting() -> Result<Vec<u8>> {
    random().map_err(|error| {
        let mut failure = Failure::new(codes::KEY_UNAVAILABLE, "no key can be made");
        failure.push_cause(error.to_string());
        failure
    })
}

fn read_or_create(path: &Path, database: &Path) -> io::Result<Vec<u8>> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    // A new key would open nothing of what is in there.
    if fs::metadata(database).is_ok_and(|file| file.len() > 0) {
        return Err(io::Error::other("it is missing, and the database is there already"));
    }
    // The key comes before the database: specs and values are in both, so for this user only.
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // Whole or not at all, and never over another process's: write aside, then link.
    // The name aside is random: two containers on one volume can have the same process id.
    let aside = PathBuf::from(format!("{}.{}", path.display(), suffix()?));
    let written = write(&aside, &random()?).and_then(|()| fs::hard_link(&aside, path));
    let _ = fs::remove_file(&aside);
    match written {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => read(path),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LENGTH as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() == LENGTH {
        Ok(bytes)
    } else {
        Err(io::Error::other(format!("it does not hold {LENGTH} bytes")))
    }
}

fn write(path: &Path, key: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key)?;
    file.sync_all()
}

fn suffix() -> io::Result<String> {
    Ok(format!("{:016x}", getrandom::u64().map_err(io::Error::other)?))
}

fn random() -> io::Result<Vec<u8>> {
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
        let database = folder.path().join("skep.db");
        let first = beside(&database).unwrap();
        assert_eq!(beside(&database).unwrap(), first);
        let path = folder.path().join("skep.db.key");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left aside");
        assert_ne!(fleeting().unwrap(), fleeting().unwrap());
    }

    #[test]
    fn two_makers_agree() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("skep.db");
        let path = folder.path().join("skep.db.key");
        write(&path, &[7; LENGTH]).unwrap();
        assert_eq!(beside(&database).unwrap(), [7; LENGTH]);
    }

    #[test]
    fn no_new_key_is_made_for_a_database_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("skep.db");
        fs::write(&database, b"SQLite format 3").unwrap();
        let error = beside(&database).unwrap_err();
        assert!(error.causes[0].contains("missing"), "{error:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made");
    }

    #[test]
    fn half_a_key_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("skep.db");
        fs::write(folder.path().join("skep.db.key"), b"short").unwrap();
        assert_eq!(beside(&database).unwrap_err().code, codes::KEY_UNAVAILABLE);
    }
}

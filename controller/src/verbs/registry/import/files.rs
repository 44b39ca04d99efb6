//! Writing what an import found: secrets into files of their owner only, never over other
//! content; the registry as a whole or not at all.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use skep_core::import::SecretFile;

use crate::codes;
use crate::error::{Failure, Result};

/// The file is there.
pub(super) fn exists(path: &Path) -> Failure {
    Failure::new(codes::FILE_EXISTS, format!("{} exists already", path.display()))
        .next("name another file, or replace it with --force")
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    let mut failure =
        Failure::new(codes::OUTPUT_FAILED, format!("{} cannot be {what}", path.display()))
            .next("name a place that can be written: --to FILE, --secrets-dir DIR");
    failure.push_cause(error.to_string());
    failure
}

/// Writes the secrets below `folder`; those that are there with the same content stay. All are
/// looked at before the first is written.
pub(super) fn write_secrets(folder: &Path, secrets: &[SecretFile]) -> Result<()> {
    let mut missing = Vec::new();
    for secret in secrets {
        let path = Path::new(&secret.path);
        match fs::read(path) {
            Ok(found) if found == content(&secret.value) => private(path, 0o600)?,
            Ok(_) => {
                let message = format!("{} exists already with another value", path.display());
                return Err(Failure::new(codes::FILE_EXISTS, message)
                    .next("name another folder: --secrets-dir DIR"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push((path, secret)),
            Err(error) => return Err(failed("read", path, &error)),
        }
    }
    for (path, secret) in missing {
        for parent in [Some(folder), path.parent()].into_iter().flatten() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)
                .map_err(|error| failed("made", parent, &error))?;
            private(parent, 0o700)?;
        }
        create(path, &content(&secret.value)).map_err(|error| failed("written", path, &error))?;
    }
    Ok(())
}

/// A reader takes one line break off the end, and carriage returns before it.
fn content(value: &str) -> Vec<u8> {
    let end = if value.ends_with('\r') { "" } else { "\n" };
    format!("{value}{end}").into_bytes()
}

/// What is there already must be nobody else's to read.
fn private(path: &Path, mode: u32) -> Result<()> {
    let found = fs::metadata(path).map_err(|error| failed("looked at", path, &error))?;
    if found.mode() & 0o077 == 0 {
        return Ok(());
    }
    let message = format!("{} can be read by others", path.display());
    Err(Failure::new(codes::SECRETS_NEED_FILES, message)
        .next(format!("chmod {mode:o} {}", path.display())))
}

/// A new file that only its owner reads; what is there, a link too, is never followed.
fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Writes the registry: a reader sees the whole file or the one before it.
pub(super) fn write(path: &Path, text: &str, force: bool) -> Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    create(&beside, text.as_bytes()).map_err(|error| failed("written", path, &error))?;
    // A link, unlike a rename, fails when the name is taken meanwhile.
    let placed = if force { fs::rename(&beside, path) } else { fs::hard_link(&beside, path) };
    if !force || placed.is_err() {
        // Only a name too many is left when this fails.
        let _ = fs::remove_file(&beside);
    }
    match placed {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(error) => Err(failed("written", path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(folder: &Path, name: &str, value: &str) -> SecretFile {
        let path = folder.join("svc").join(name).display().to_string();
        SecretFile { path, value: value.to_owned() }
    }

    #[test]
    fn secrets_are_their_owner_s_and_other_content_is_never_replaced() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("fleet.secrets");
        let one = secret(&folder, "A", "x");
        write_secrets(&folder, std::slice::from_ref(&one)).unwrap();
        write_secrets(&folder, std::slice::from_ref(&one)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("svc"))), (0o700, 0o700));
        assert_eq!(mode(Path::new(&one.path)), 0o600);
        assert_eq!(fs::read(&one.path).unwrap(), b"x\n");
        let other = [secret(&folder, "B", "y"), secret(&folder, "A", "other")];
        let failure = write_secrets(&folder, &other).unwrap_err();
        assert_eq!(failure.code, codes::FILE_EXISTS);
        assert!(!folder.join("svc/B").exists(), "nothing was written");
        assert_eq!(fs::read(&one.path).unwrap(), b"x\n");
    }

    #[test]
    fn a_folder_that_others_read_takes_no_secrets() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("open");
        DirBuilder::new().mode(0o755).create(&folder).unwrap();
        let failure = write_secrets(&folder, &[secret(&folder, "A", "x")]).unwrap_err();
        assert_eq!(failure.code, codes::SECRETS_NEED_FILES);
        assert!(!folder.join("svc").exists());
    }

    #[test]
    fn a_registry_is_only_replaced_by_force_and_leaves_nothing_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("fleet.yml");
        write(&path, "a", false).unwrap();
        assert_eq!(write(&path, "b", false).unwrap_err().code, codes::FILE_EXISTS);
        assert_eq!(fs::read(&path).unwrap(), b"a");
        write(&path, "b", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"b");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}

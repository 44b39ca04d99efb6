//! Where fetched repositories are kept: one folder each, used by one at a time, and thrown away
//! whenever something about it is odd.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

use crate::source::Source;

/// The folder of one source, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    folder: PathBuf,
    _lock: File,
}

/// How often a folder is asked for that somebody else holds.
const ASK_EVERY: Duration = Duration::from_millis(50);

impl Held {
    /// Waits until nobody else, in whichever process, uses the folder of this source.
    pub(crate) async fn wait(root: &Path, source: &Source) -> io::Result<Self> {
        let folder = root.join(key(source));
        std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder)?;
        // Whatever the folders above allow, this one lets nobody else in.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        let mut options = File::options();
        let lock = options.create(true).write(true).truncate(false).mode(0o600);
        let lock = lock.open(folder.join("lock"))?;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) => tokio::time::sleep(ASK_EVERY).await,
                Err(error) => return Err(error.into()),
            }
        }
        let held = Self { folder, _lock: lock };
        // A run that was killed left its secrets here.
        remove(&held.run())?;
        Ok(held)
    }

    /// The folder of one run, for files that hold secrets.
    pub(crate) fn run(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// The repository; the two kinds of ids do not mix in one.
    pub(crate) fn repository(&self, id_length: usize) -> PathBuf {
        self.folder.join(if id_length == 64 { "sha256.git" } else { "sha1.git" })
    }

    /// Throws the repositories away; they are fetched again.
    pub(crate) fn wipe(&self) -> io::Result<()> {
        remove(&self.repository(40))?;
        remove(&self.repository(64))
    }
}

/// A folder for the secrets of one run, removed with this.
#[derive(Debug)]
pub(crate) struct RunFolder(PathBuf);

impl RunFolder {
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file that only this user can read.
    pub(crate) fn secret(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        use std::io::Write as _;
        let path = self.0.join(name);
        let mut options = File::options();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // What cannot be removed now is removed before the next run.
        let _next_time = remove(&self.0);
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// What tells two sources apart as far as the fetched repository goes.
fn key(source: &Source) -> String {
    let Source { url, reference, history, .. } = source;
    let text = format!("{url}\n{reference:?}\n{history:?}");
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::RemoteUrl;

    fn source(url: &str) -> Source {
        Source::new(RemoteUrl::parse(url).expect("a URL"))
    }

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left_of_a_killed_run() {
        let root = tempfile::tempdir().expect("a folder");
        let (one, two) = (source("https://a.example/r"), source("https://b.example/r"));
        let held = Held::wait(root.path(), &one).await.expect("held");
        let run = RunFolder::create(held.run()).expect("a run");
        let file = run.secret("token", "hunter2").expect("written");
        let mode =
            |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(run.path()), mode(&held.folder)), (0o600, 0o700, 0o700));
        Held::wait(root.path(), &two).await.expect("another source does not wait");
        let again = Held::wait(root.path(), &one);
        let waited = tokio::time::timeout(Duration::from_millis(120), again).await;
        assert!(waited.is_err(), "two at once");
        std::mem::forget(run);
        drop(held);
        let held = Held::wait(root.path(), &one).await.expect("held");
        assert!(!held.run().exists());
    }
}

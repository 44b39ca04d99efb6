//! State folders: what a part of the rig has running and on disk, written down
//! before it is used, so that whoever comes later can end and remove it.
//!
//! # Guarantees
//! Only folders with a manifest are ever removed, and only processes whose id
//! *and* start time are in one are ever ended.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::process::{RecordedProcess, wait_until};

const MANIFEST: &str = "manifest.json";

/// The kernel ends a namespace's processes one by one; eighty containers on a
/// busy machine have taken two seconds.
const END_LIMIT: Duration = Duration::from_secs(60);

/// An immediate shutdown writes nothing; what takes longer is stuck.
const QUIT_LIMIT: Duration = Duration::from_secs(5);

/// What is recorded about one running part of the rig.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Manifest {
    /// Whose run this belongs to. None: it stays until somebody ends it.
    pub(crate) owner: Option<RecordedProcess>,
    /// In the order in which they are ended.
    pub(crate) processes: Vec<RecordedProcess>,
    /// Whether they are asked with SIGQUIT first: a database then gives back its
    /// System V memory, which outlives a killed process.
    pub(crate) quit_first: bool,
    /// The name of the control group under every hierarchy.
    pub(crate) cgroup: Option<String>,
    /// Empty folders elsewhere that were created for this.
    pub(crate) folders: Vec<PathBuf>,
}

/// A folder that is ours because it holds our manifest.
#[derive(Debug)]
pub(crate) struct StateFolder {
    path: PathBuf,
    pub(crate) manifest: Manifest,
}

impl StateFolder {
    /// Takes the folder for a new run: what a dead run left in it is removed.
    ///
    /// # Errors
    /// [`Error::InUse`] when its owner or its processes are alive.
    pub(crate) fn create(path: &Path, manifest: Manifest) -> Result<Self, Error> {
        let parent = path.parent().unwrap_or(path);
        fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
        let _lock = lock(path)?;
        if let Some(left) = Self::read(path)? {
            if let Some(user) = left.user() {
                return Err(Error::InUse { path: path.to_owned(), pid: user.pid });
            }
            left.end_and_remove()?;
        }
        // `create_dir` refuses a folder that exists without a manifest: that
        // is somebody else's.
        fs::create_dir(path).map_err(Error::file("create", path))?;
        let state = Self { path: path.to_owned(), manifest };
        state.save()?;
        Ok(state)
    }

    /// The folder when it holds a manifest.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Error> {
        let file = path.join(MANIFEST);
        match fs::read(&file) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(manifest) => Ok(Some(Self { path: path.to_owned(), manifest })),
                Err(source) => Err(Error::Manifest { path: file, source }),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file("read", file)(error)),
        }
    }

    /// Writes the manifest so that a reader sees the old or the new one.
    pub(crate) fn save(&self) -> Result<(), Error> {
        let file = self.path.join(MANIFEST);
        let written = self.path.join("manifest.json.new");
        let text = serde_json::to_vec_pretty(&self.manifest)
            .map_err(|source| Error::Manifest { path: file.clone(), source })?;
        fs::write(&written, text).map_err(Error::file("write", &written))?;
        fs::rename(&written, &file).map_err(Error::file("write", &file))
    }

    /// Whoever must not be disturbed: the living owner, or the living processes
    /// of a part that has no owner.
    fn user(&self) -> Option<&RecordedProcess> {
        match &self.manifest.owner {
            Some(owner) => Some(owner).filter(|owner| owner.is_running()),
            None => self.manifest.processes.iter().find(|process| process.is_running()),
        }
    }

    /// Ends the processes, then removes control groups and the folder.
    pub(crate) fn end_and_remove(self) -> Result<(), Error> {
        for process in &self.manifest.processes {
            if self.manifest.quit_first && process.signal(Signal::QUIT)? {
                let _or_killed = process.wait_until_ended(QUIT_LIMIT);
            }
            if process.kill()? && !process.wait_until_ended(END_LIMIT) {
                return Err(Error::InUse { path: self.path, pid: process.pid });
            }
        }
        if let Some(name) = &self.manifest.cgroup {
            for folder in cgroup_folders(name) {
                // The kernel lets go of the last process's group a moment
                // after the process is gone. What still fails is empty and
                // harmless; the run's result does not depend on it.
                let _removed = wait_until(Duration::from_secs(5), || remove_groups(&folder));
            }
        }
        for folder in &self.manifest.folders {
            // Not empty: somebody else uses it by now.
            let _in_use = fs::remove_dir(folder);
        }
        let removed = wait_until(Duration::from_secs(5), || fs::remove_dir_all(&self.path).is_ok());
        if removed || !self.path.exists() {
            let _unlocked = fs::remove_file(lock_path(&self.path));
            return Ok(());
        }
        fs::remove_dir_all(&self.path).map_err(Error::file("remove", &self.path))
    }
}

/// Removes what runs that have ended left under `base`. A folder that cannot be
/// removed is left to the next run.
pub(crate) fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        if let Ok(Some(state)) = StateFolder::read(&entry.path())
            && state.user().is_none()
        {
            let _next_time = state.end_and_remove();
        }
    }
}

/// Two runs that take the same folder at once wait for one another. Dropping
/// the file releases it.
pub(crate) fn lock(path: &Path) -> Result<File, Error> {
    let path = lock_path(path);
    let file = File::create(&path).map_err(Error::file("create", &path))?;
    file.lock().map_err(Error::file("lock", &path))?;
    Ok(file)
}

fn lock_path(path: &Path) -> PathBuf {
    path.with_extension("lock")
}

/// Version 1 has a hierarchy per controller, version 2 a single one.
fn cgroup_folders(name: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    std::iter::once(root.to_owned())
        .chain(hierarchies)
        .map(|hierarchy| hierarchy.join(name))
        .filter(|group| group.is_dir())
        .collect()
}

/// Control groups are removed with rmdir, children first. Returns whether it is
/// gone.
fn remove_groups(folder: &Path) -> bool {
    let children = fs::read_dir(folder).into_iter().flatten().flatten();
    for child in children.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_groups(&child.path());
    }
    fs::remove_dir(folder).is_ok() || !folder.exists()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    struct Sleeper(Child);

    impl Sleeper {
        fn start() -> (Self, RecordedProcess) {
            let child = Command::new("sleep").arg("60").spawn().unwrap();
            let recorded = RecordedProcess::of(child.id()).unwrap();
            (Self(child), recorded)
        }

        fn runs(&mut self) -> bool {
            self.0.try_wait().unwrap().is_none()
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _already_gone = self.0.kill();
            let _status = self.0.wait();
        }
    }

    fn dead() -> RecordedProcess {
        let (sleeper, recorded) = Sleeper::start();
        drop(sleeper);
        recorded
    }

    #[test]
    fn what_a_dead_run_left_is_ended_and_removed() {
        let base = tempfile::tempdir().unwrap();
        let (mut sleeper, process) = Sleeper::start();
        let manifest =
            Manifest { owner: Some(dead()), processes: vec![process], ..Manifest::default() };
        let state = StateFolder::create(&base.path().join("engine"), manifest).unwrap();
        fs::write(state.path.join("data"), "left over").unwrap();
        sweep(base.path());
        assert!(!state.path.exists());
        assert!(!sleeper.runs());
    }

    #[test]
    fn a_living_run_is_not_disturbed() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("engine");
        let (mut sleeper, process) = Sleeper::start();
        let owner = RecordedProcess::current();
        let manifest = Manifest { owner, processes: vec![process], ..Manifest::default() };
        let state = StateFolder::create(&path, manifest).unwrap();
        sweep(base.path());
        assert!(sleeper.runs() && path.exists());
        let again = StateFolder::create(&path, Manifest::default());
        assert!(matches!(again, Err(Error::InUse { pid, .. }) if pid == std::process::id()));
        state.end_and_remove().unwrap();
        assert!(!sleeper.runs() && !path.exists());
    }

    #[test]
    fn a_part_without_an_owner_is_in_use_while_it_runs() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("engine");
        let (sleeper, process) = Sleeper::start();
        let manifest = Manifest { processes: vec![process.clone()], ..Manifest::default() };
        drop(StateFolder::create(&path, manifest).unwrap());
        let again = StateFolder::create(&path, Manifest::default());
        assert!(matches!(again, Err(Error::InUse { pid, .. }) if pid == process.pid));
        drop(sleeper);
        StateFolder::create(&path, Manifest::default()).unwrap();
    }

    #[test]
    fn a_folder_without_a_manifest_is_somebody_elses() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("precious");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("file"), "kept").unwrap();
        sweep(base.path());
        assert!(matches!(StateFolder::create(&path, Manifest::default()), Err(Error::File { .. })));
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "kept");
    }
}

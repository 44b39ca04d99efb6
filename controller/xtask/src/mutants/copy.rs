//! The copy of the tree in which the product is broken: the tree itself is never written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::definition::Mutation;
use crate::error::Error;
use crate::workspace;

/// A copy that nobody else works in.
pub(super) struct Copy {
    root: PathBuf,
    /// Locked for as long as this is there.
    _lock: File,
}

impl Copy {
    /// Everything that git knows and everything new that it does not ignore, in the target folder.
    /// What an earlier run left broken is mended.
    pub(super) fn make() -> Result<Self, Error> {
        let root = workspace::target().join("mutants");
        fs::create_dir_all(&root).map_err(failed("create", &root))?;
        let lock = root.with_extension("lock");
        let held = File::create(&lock).map_err(failed("create", &lock))?;
        held.try_lock().map_err(|error| {
            failed("lock (another run of the mutations may hold it)", &lock)(error.into())
        })?;
        let copy = Self { root, _lock: held };
        copy.fill(workspace::root(), &listed()?)?;
        Ok(copy)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn fill(&self, from: &Path, names: &[String]) -> Result<(), Error> {
        let mut kept = BTreeSet::new();
        for name in names {
            let (from, to) = (from.join(name), self.root.join(name));
            // Removed, and git has not been told yet.
            if !from.exists() {
                continue;
            }
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(failed("create", folder))?;
            }
            let new = fs::read(&from).map_err(failed("read", &from))?;
            // What has not changed keeps its time, so that it is not built again.
            if fs::read(&to).ok().as_ref() != Some(&new) {
                fs::write(&to, new).map_err(failed("write", &to))?;
            }
            kept.insert(to);
        }
        remove_others(&self.root, &kept)
    }

    /// The file that holds the name of the mutation that is on.
    pub(super) fn switch(&self) -> PathBuf {
        self.root.with_extension("on")
    }

    /// Switches one mutation of a broken copy on.
    pub(super) fn switch_on(&self, mutation: &Mutation) -> Result<(), Error> {
        let path = self.switch();
        fs::write(&path, mutation.name).map_err(failed("write", &path))
    }

    /// Switches all of them off.
    pub(super) fn switch_off(&self) -> Result<(), Error> {
        let path = self.switch();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Breaks the copy for as long as the result is kept, and names those that could not be built
    /// in, because they do not fit or another one has changed the same text.
    pub(super) fn broken<'m>(
        &self,
        mutations: impl IntoIterator<Item = &'m Mutation>,
    ) -> Result<(Broken, BTreeSet<&'static str>), Error> {
        let mut broken = Broken { originals: BTreeMap::new() };
        let mut texts = BTreeMap::new();
        let mut left_out = BTreeSet::new();
        let switch = self.switch();
        for mutation in mutations {
            let path = self.root.join(mutation.file);
            if !broken.originals.contains_key(&path) {
                let original = fs::read_to_string(&path).map_err(failed("read", &path))?;
                texts.insert(path.clone(), original.clone());
                broken.originals.insert(path.clone(), original);
            }
            let Some(text) = texts.get_mut(&path) else { continue };
            match mutation.applied_to(text, &switch) {
                Some(mutated) => *text = mutated,
                None => {
                    left_out.insert(mutation.name);
                }
            }
        }
        for (path, text) in texts {
            fs::write(&path, text).map_err(failed("write", &path))?;
        }
        Ok((broken, left_out))
    }
}

/// Broken files of the copy, which are whole again when this is dropped: at the end of an attempt,
/// at an error, at an interruption.
pub(super) struct Broken {
    originals: BTreeMap<PathBuf, String>,
}

impl Drop for Broken {
    fn drop(&mut self) {
        for (path, original) in &self.originals {
            // If it fails, the next run mends it from the tree.
            let _mended_later = fs::write(path, original);
        }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { action, path, source }
}

/// The names of the tree's files, from its root.
fn listed() -> Result<Vec<String>, Error> {
    let mut list = Command::new("git");
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = list.current_dir(workspace::root()).output();
    let output = output.map_err(|source| Error::Spawn { program: "git".to_owned(), source })?;
    if !output.status.success() {
        let line = "git ls-files".to_owned();
        return Err(Error::Child { line, status: output.status });
    }
    let names = String::from_utf8_lossy(&output.stdout);
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// A file that is no longer in the tree would be a module that is there twice.
fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(failed("tidy", folder))? {
        let path = entry.map_err(failed("tidy", folder))?.path();
        if path.is_dir() {
            remove_others(&path, kept)?;
        } else if !kept.contains(&path) {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUE: Mutation = Mutation {
        name: "due",
        breaks: "",
        file: "src/lib.rs",
        find: "if due",
        replace: "if true",
        tests: &[],
    };
    const LATE: Mutation = Mutation { name: "late", find: "late", replace: "never", ..DUE };
    const TEXT: &str = "if due { late }";

    #[test]
    fn a_copy_is_broken_for_a_while_and_the_tree_never() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, root) = (folder.path().join("tree"), folder.path().join("copy"));
        fs::create_dir_all(tree.join("src")).unwrap();
        fs::create_dir_all(&root).unwrap();
        fs::write(tree.join("src/lib.rs"), TEXT).unwrap();
        fs::write(root.join("left.rs"), "from an earlier run").unwrap();
        let lock = File::create(folder.path().join("lock")).unwrap();
        let copy = Copy { root: root.clone(), _lock: lock };
        let names = ["src/lib.rs".to_owned(), "removed.rs".to_owned()];
        copy.fill(&tree, &names).unwrap();
        assert!(!root.join("left.rs").exists());
        let file = root.join("src/lib.rs");
        let now = || fs::read_to_string(&file).unwrap();
        {
            // The third one meets a text that the first has changed.
            let (_broken, left_out) =
                copy.broken([&DUE, &LATE, &Mutation { name: "again", ..DUE }]).unwrap();
            assert_eq!(now(), "if true { never }");
            assert_eq!(left_out.into_iter().collect::<Vec<_>>(), ["again"]);
            assert_eq!(fs::read_to_string(tree.join("src/lib.rs")).unwrap(), TEXT);
        }
        assert_eq!(now(), TEXT);
        // As a killed run leaves it.
        fs::write(&file, "if true { late }").unwrap();
        copy.fill(&tree, &names).unwrap();
        assert_eq!(now(), TEXT);
    }

    #[test]
    fn one_mutation_is_on_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock = File::create(folder.path().join("lock")).unwrap();
        let copy = Copy { root: folder.path().join("copy"), _lock: lock };
        for mutation in [&DUE, &LATE] {
            copy.switch_on(mutation).unwrap();
            assert_eq!(fs::read_to_string(copy.switch()).unwrap(), mutation.name);
        }
        copy.switch_off().unwrap();
        copy.switch_off().unwrap();
        assert!(!copy.switch().exists());
    }
}

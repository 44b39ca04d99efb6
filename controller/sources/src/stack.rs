//! Stack files of a machine: the files themselves, and those that they name.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use skep_crds::stack::{self, Files, Loaded, Source, Variables};

use crate::Error;
use crate::file::{MAX_FILE_BYTES, read_file};

/// Stack files that belong together, by path; `-` is what comes in on standard input.
#[derive(Debug, Clone)]
pub struct StackFiles {
    paths: Vec<PathBuf>,
}

impl StackFiles {
    /// Files in the order in which they add to each other.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths }
    }

    /// Reads and loads them. Blocks.
    ///
    /// # Errors
    /// When a file cannot be read, or with every problem of what they say.
    pub fn load(&self, variables: &Variables) -> Result<Loaded, Error> {
        let mut sources = Vec::with_capacity(self.paths.len());
        for path in &self.paths {
            let name = path.display().to_string().into();
            let bytes = self.read(path)?;
            sources.push(Source { name, bytes });
        }
        let folder = self.folder()?;
        stack::load(&sources, &folder, variables, &LocalFiles)
            .map_err(|problems| Error::Invalid { problems })
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, Error> {
        if path != Path::new("-") {
            return read_file(path, MAX_FILE_BYTES);
        }
        let mut bytes = Vec::new();
        let mut input = std::io::stdin().lock().take(MAX_FILE_BYTES + 1);
        input
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Ok(bytes)
    }

    /// Where relative paths begin: the folder of the first file.
    fn folder(&self) -> Result<String, Error> {
        let first = self.paths.first().map_or(Path::new("-"), PathBuf::as_path);
        let whole = std::path::absolute(first)
            .map_err(|source| Error::Read { path: first.to_owned(), source })?;
        Ok(cleaned(whole.parent().unwrap_or(&whole)))
    }
}

/// An absolute path without `.` and `..`. Its text counts, as for docker: links are not followed.
pub(crate) fn cleaned(path: &Path) -> String {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::Normal(name) => clean.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    clean.display().to_string()
}

/// Files of this machine.
pub(crate) struct LocalFiles;

impl Files for LocalFiles {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        read_file(Path::new(path), MAX_FILE_BYTES).map_err(|error| match error {
            Error::Read { source, .. } => source.to_string(),
            Error::NotAFile { .. } => "it is not a regular file".to_owned(),
            Error::TooLarge { limit, .. } => format!("it has more than {limit} bytes"),
            other => other.reason(),
        })
    }
}

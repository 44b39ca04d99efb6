//! The stacks file as a source: which stacks there are.

use std::path::{Path, PathBuf};

use skep_crds::stacks::Stacks;

use crate::Error;
use crate::bundle::{Role, SourceBundle, SourceFile};
use crate::file::{MAX_FILE_BYTES, read_file};
use crate::last_good::{Content, Source};

/// A stacks file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StacksSource {
    path: PathBuf,
}

/// The stacks with the bytes that they came from.
#[derive(Clone, Debug)]
pub struct LoadedStacks {
    /// The stacks.
    pub stacks: Stacks,
    /// The file.
    pub bundle: SourceBundle,
}

impl StacksSource {
    /// The file at this path.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it now. Blocks.
    ///
    /// # Errors
    /// When it cannot be read or is not valid.
    pub fn load(&self) -> Result<LoadedStacks, Error> {
        let bytes = read_file(&self.path, MAX_FILE_BYTES)?;
        let file = SourceFile { role: Role::Stacks, path: self.shown(), bytes };
        build(SourceBundle { files: vec![file], commit: None })
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

fn build(bundle: SourceBundle) -> Result<LoadedStacks, Error> {
    let [file] = bundle.files.as_slice() else {
        return Err(Error::Stored { reason: "it is not one file".to_owned() });
    };
    let stacks =
        Stacks::read(&file.path, &file.bytes).map_err(|problems| Error::Invalid { problems })?;
    Ok(LoadedStacks { stacks, bundle })
}

impl Source for StacksSource {
    type Loaded = LoadedStacks;

    fn rebuild(&self, bundle: SourceBundle) -> Result<LoadedStacks, Error> {
        let named = bundle.files.iter().map(|file| (file.role, file.path.as_str()));
        if !named.eq([(Role::Stacks, &*self.shown())]) {
            let reason = "it is that of another file than the one that is named now".to_owned();
            return Err(Error::Stored { reason });
        }
        build(bundle)
    }
}

impl Content for LoadedStacks {
    fn bundle(&self) -> &SourceBundle {
        &self.bundle
    }

    fn is_same(&self, other: &Self) -> bool {
        self.bundle == other.bundle
    }
}

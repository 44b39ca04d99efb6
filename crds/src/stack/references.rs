//! Secrets and configs that appear as files in a container.

use serde::Serialize;
use skep_yaml::{Cursor, Kind};

use super::amounts::FileMode;
use super::merge::{Merge, Zero, by_key};
use super::read::{Read, Rules, kind};

kind! {
    /// A secret or a config as a file.
    FileReference ignores true {
        /// Its name in the stack file.
        "source" source: String,
        /// The file; left out, it has the name of the source.
        "target" target: String,
        /// Number of the owner; left out, 0.
        "uid" uid: String,
        /// Number of the group; left out, 0.
        "gid" gid: String,
        /// Permissions; left out, 0444.
        "mode" mode: Option<FileMode>,
    }
}

impl Merge for FileMode {
    fn merge(&mut self, later: Self) {
        *self = later;
    }
}

impl Read for FileReference {
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
        if let Kind::Mapping(_) = at.node().kind {
            return Some(Self::fields(&at.map()?, rules));
        }
        Some(Self { source: at.text()?, ..Self::default() })
    }
}

/// References to secrets or configs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct FileReferences(pub Vec<FileReference>);

impl Zero for FileReferences {
    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }
}

impl Merge for FileReferences {
    fn merge(&mut self, later: Self) {
        by_key(&mut self.0, later.0, |reference| reference.source.clone());
    }
}

impl Read for FileReferences {
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
        Vec::read(at, rules).map(Self)
    }
}

//! The files of a commit, without a work tree.

use std::fmt;
use std::sync::Arc;

use skep_crds::stack::Files;

use crate::bundle::Commit;

/// The files of a commit below the folder of a source. File names are taken relative to that
/// folder; a leading `/` stands for it.
#[derive(Clone)]
pub struct Checkout {
    /// The commit.
    pub commit: Commit,
    files: Arc<dyn Files + Send + Sync>,
}

impl Checkout {
    /// Files of a commit; `files` is asked by names without a leading `/`.
    #[must_use]
    pub fn new(commit: Commit, files: Arc<dyn Files + Send + Sync>) -> Self {
        Self { commit, files }
    }
}

impl fmt::Debug for Checkout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checkout({})", self.commit.id)
    }
}

impl Files for Checkout {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.files.read(path.trim_start_matches('/'))
    }
}

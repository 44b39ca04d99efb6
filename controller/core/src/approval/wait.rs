//! What a granted action waits for. Its time to start does not run meanwhile.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a granted action waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// A stable word such as `DEPENDENCY` or `OUTSIDE_WINDOW`.
    pub code: String,
    /// For what, in one sentence.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

//! What proposals would change: the newest plan of each, for people to look at. Nothing acts on it.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{Fence, Result};

/// How many are kept; the one that was made longest ago goes first.
pub const MOST_PREVIEWS: u32 = 100;

/// The plan of a proposal.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptPreview {
    /// The repository that the proposal would be merged into.
    pub repository: String,
    /// Its number there.
    pub number: u64,
    /// The plan, in a form of its owner's. It is sealed in the database.
    pub content: Vec<u8>,
    /// When it was made.
    pub at: Timestamp,
}

impl std::fmt::Debug for KeptPreview {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptPreview")
            .field("repository", &self.repository)
            .field("number", &self.number)
            .field("content_bytes", &self.content.len())
            .field("at", &self.at)
            .finish()
    }
}

/// The previews of one database.
#[async_trait]
pub trait Previews {
    /// Keeps a preview in the place of an earlier one of the same proposal, and forgets the oldest
    /// beyond [`MOST_PREVIEWS`]. Fenced.
    async fn put_preview(&self, fence: &Fence, preview: &KeptPreview) -> Result<()>;

    /// All of them, the newest first.
    async fn previews(&self) -> Result<Vec<KeptPreview>>;
}

//! The last good content of every source, so that a restart with a broken file does not forget.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{Fence, Result};

/// What a source last said that was valid.
#[derive(Clone, PartialEq, Eq)]
pub struct LastGoodContent {
    /// The source's name.
    pub source: String,
    /// The keyed digest of the content.
    pub digest: String,
    /// The content, in the source's own form.
    pub content: Vec<u8>,
    /// When it was loaded.
    pub loaded_at: Timestamp,
}

impl std::fmt::Debug for LastGoodContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LastGoodContent")
            .field("source", &self.source)
            .field("digest", &self.digest)
            .field("content_bytes", &self.content.len())
            .field("loaded_at", &self.loaded_at)
            .finish()
    }
}

/// The last good contents of one database.
#[async_trait]
pub trait Sources {
    /// Replaces the last good content of a source. Fenced.
    async fn put_last_good(&self, fence: &Fence, content: &LastGoodContent) -> Result<()>;

    /// The last good content of a source.
    async fn last_good(&self, source: &str) -> Result<Option<LastGoodContent>>;
}

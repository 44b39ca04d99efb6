//! One source with its last good content: taken from the store once, written there when it changes.

use std::sync::Arc;

use jiff::Timestamp;
use skep_core::desired::{SourceState, SourceStatus};
use skep_core::digester::Purpose;
use skep_sources::{Content, LastGood, Source, SourceState as ReadState};
use skep_store::LastGoodContent;

use super::Refresh;
use crate::Error;

/// A source under the name that its content is kept by.
pub(super) struct Kept<S: Source> {
    pub(super) name: String,
    last_good: LastGood<S>,
    imported: bool,
    /// When the value was taken for good, by this process or one before.
    taken_at: Option<Timestamp>,
    said: Option<ReadState>,
}

/// What came of reading a source.
pub(super) struct Read<T> {
    pub(super) status: SourceStatus,
    pub(super) value: Option<Arc<T>>,
}

impl<S: Source> Kept<S> {
    pub(super) fn new(name: String, source: S) -> Self {
        Self { name, last_good: LastGood::new(source), imported: false, taken_at: None, said: None }
    }

    pub(super) fn source(&self) -> &S {
        self.last_good.source()
    }

    /// Reads it in another way from now on; what was good stays.
    pub(super) fn set_source(&mut self, source: S) {
        self.last_good.set_source(source);
    }

    pub(super) const fn has_value(&self) -> bool {
        self.last_good.value().is_some()
    }

    pub(super) const fn value(&self) -> Option<&Arc<S::Loaded>> {
        self.last_good.value()
    }

    /// When it came to say what it says now.
    pub(super) const fn taken_at(&self) -> Option<Timestamp> {
        self.taken_at
    }

    /// What was kept before a restart, the first time.
    pub(super) async fn import(&mut self, refresh: &Refresh<'_>) -> Result<(), Error> {
        if self.imported {
            return Ok(());
        }
        if let Some(content) = refresh.store.last_good(&self.name).await? {
            match self.last_good.import(&content.content) {
                Ok(()) => self.taken_at = Some(content.loaded_at),
                Err(error) => {
                    let name = &self.name;
                    tracing::warn!(source.name = name, error = %error, "source.last_good_unusable");
                }
            }
        }
        self.imported = true;
        Ok(())
    }

    /// Takes the result of a read, stores new content, and says how the source stands.
    pub(super) async fn accept(
        &mut self,
        read: Result<S::Loaded, skep_sources::Error>,
        refresh: &Refresh<'_>,
    ) -> Result<Read<S::Loaded>, Error> {
        let refreshed = self.last_good.accept(read);
        if refreshed.changed {
            self.taken_at = Some(refresh.now);
        }
        self.say(&refreshed.state);
        let bundle = refreshed.value.as_ref().map(|value| value.bundle());
        if let Some(fence) = refresh.fence
            && refreshed.state == ReadState::Ready
        {
            self.keep(refresh, fence).await?;
        }
        let (state, reason) = match refreshed.state {
            ReadState::Ready => (SourceState::Ready, None),
            ReadState::Stale { reason, .. } => (SourceState::Stale, Some(reason)),
            ReadState::NeverLoaded { reason, .. } => (SourceState::NeverLoaded, Some(reason)),
        };
        let commit = bundle.and_then(|bundle| bundle.commit.as_ref()).map(|one| one.id.clone());
        let status = SourceStatus { name: self.name.clone(), state, reason, commit };
        Ok(Read { status, value: refreshed.value })
    }

    async fn keep(&self, refresh: &Refresh<'_>, fence: &skep_store::Fence) -> Result<(), Error> {
        let content = match self.last_good.export() {
            Ok(Some(content)) => content,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::warn!(source.name = self.name, error = %error, "source.not_stored");
                return Ok(());
            }
        };
        // The commit is part of it: another one with the same files is what steps are traced to.
        let digest = refresh.digester.digest_bytes(Purpose::Content, &content).to_string();
        let stored = refresh.store.last_good(&self.name).await?;
        if stored.is_some_and(|stored| stored.digest == digest) {
            return Ok(());
        }
        let source = self.name.clone();
        let kept = LastGoodContent { source, digest, content, loaded_at: refresh.now };
        Ok(refresh.store.put_last_good(fence, &kept).await?)
    }

    /// Logs each change of state once.
    fn say(&mut self, state: &ReadState) {
        if self.said.as_ref() == Some(state) {
            return;
        }
        match state {
            ReadState::Ready => tracing::info!(source.name = self.name, "source.ready"),
            ReadState::Stale { reason, code } => tracing::error!(
                source.name = self.name,
                error.code = code,
                reason,
                "source.invalid_last_good_kept"
            ),
            ReadState::NeverLoaded { reason, code } => tracing::error!(
                source.name = self.name,
                error.code = code,
                reason,
                "source.never_loaded"
            ),
        }
        self.said = Some(state.clone());
    }
}

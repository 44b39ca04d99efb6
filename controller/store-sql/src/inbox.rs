//! Announcements and previews as rows.

use jiff::{SignedDuration, Timestamp};
use skep_core::push::{Answer, Matter};
use skep_store::{
    ANNOUNCEMENTS_REMEMBERED, ANNOUNCEMENTS_WAIT, Announcement, Error, KeptPreview, Protection,
    Result, preview_context,
};

use crate::instant::{from_column, to_column};

const ANNOUNCEMENT: &str = "announcement";
const PREVIEW: &str = "preview";

/// An announcement as it is stored.
pub struct AnnouncementRow {
    /// `announcements.id`.
    pub id: String,
    /// `announcements.body`.
    pub body: String,
    /// `announcements.at`.
    pub at: i64,
    /// `announcements.answer`.
    pub answer: Option<String>,
}

impl AnnouncementRow {
    /// Reads the row.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is not in the form of this version.
    pub fn read(self) -> Result<Announcement> {
        let corrupt = |source: skep_core::push::Unrecognised| Error::Corrupt {
            what: ANNOUNCEMENT,
            source: source.into(),
        };
        let answer = self.answer.as_deref().map(Answer::from_stored).transpose();
        Ok(Announcement {
            matter: Matter::from_stored(&self.body).map_err(corrupt)?,
            at: from_column(self.at, ANNOUNCEMENT)?,
            answer: answer.map_err(corrupt)?,
            id: self.id,
        })
    }
}

/// The rows that can be read. Another version's must not keep the leader from the others.
#[must_use]
pub fn readable(rows: Vec<AnnouncementRow>) -> Vec<Announcement> {
    let read = rows.into_iter().map(AnnouncementRow::read);
    read.filter_map(|read| {
        read.inspect_err(|error| tracing::warn!(error = %error, "store.announcement_unreadable"))
            .ok()
    })
    .collect()
}

/// Since when what was answered, and what nobody answers, is kept.
#[must_use]
pub fn kept_since(now: Timestamp) -> (i64, i64) {
    let since = |span: SignedDuration| to_column(now.checked_sub(span).unwrap_or(Timestamp::MIN));
    (since(ANNOUNCEMENTS_REMEMBERED), since(ANNOUNCEMENTS_WAIT))
}

/// A preview as it is stored.
pub struct PreviewRow {
    /// `previews.repository`.
    pub repository: String,
    /// `previews.number`.
    pub number: i64,
    /// `previews.content`, sealed.
    pub content: Vec<u8>,
    /// `previews.at`.
    pub at: i64,
}

impl PreviewRow {
    /// Seals what is to be stored.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is too long to be sealed.
    pub fn sealed(preview: &KeptPreview, protection: &Protection) -> Result<Self> {
        let context = preview_context(&preview.repository, preview.number);
        Ok(Self {
            repository: preview.repository.clone(),
            number: i64::try_from(preview.number).unwrap_or(i64::MAX),
            content: protection.seal(PREVIEW, &context, &preview.content)?,
            at: to_column(preview.at),
        })
    }

    /// Reads the row.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it was sealed with another key or for another row.
    pub fn read(self, protection: &Protection) -> Result<KeptPreview> {
        let number = self.number.unsigned_abs();
        let context = preview_context(&self.repository, number);
        Ok(KeptPreview {
            number,
            content: protection.open(PREVIEW, &context, self.content)?,
            at: from_column(self.at, PREVIEW)?,
            repository: self.repository,
        })
    }
}

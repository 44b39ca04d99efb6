//! Rows of `prune_marks`.

use skep_core::plan::PruneMark;
use skep_store::{Error, Result};

use crate::columns::instant_or_none;
use crate::instant::to_column;

const WHAT: &str = "mark of removals";

/// A row of `prune_marks`.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct MarkRow {
    pub most: i64,
    pub left_at: Option<i64>,
}

impl MarkRow {
    /// The row of a mark.
    #[must_use]
    pub fn of(mark: &PruneMark) -> Self {
        let most = i64::try_from(mark.most).unwrap_or(i64::MAX);
        Self { most, left_at: mark.left_at.map(to_column) }
    }

    /// The mark.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<PruneMark> {
        let corrupt = |source: std::num::TryFromIntError| Error::Corrupt {
            what: WHAT,
            source: source.into(),
        };
        let most = usize::try_from(self.most).map_err(corrupt)?;
        Ok(PruneMark { most, left_at: instant_or_none(self.left_at, WHAT)? })
    }
}

//! What granted actions wait for, so that a restart does not forget it.

use jiff::Timestamp;
use skep_store::{Fence, Result, WaitNote};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, clock};

pub(crate) async fn note(
    store: &SqliteStore,
    fence: &Fence,
    notes: &[WaitNote],
    now: Timestamp,
) -> Result<()> {
    const OPERATION: &str = "note what actions wait for";
    if notes.is_empty() {
        return Ok(());
    }
    let (mut tx, _) = store.write_fenced(fence, OPERATION).await?;
    let now = clock::to_column(now);
    for note in notes {
        let id = note.action.as_str();
        match &note.wait {
            Some(wait) => {
                let (code, reason) = (wait.code.as_str(), wait.reason.as_str());
                let since = clock::to_column(wait.since);
                sqlx::query!(
                    "UPDATE actions SET wait_code = ?, wait_reason = ?, wait_since = ? \
                     WHERE id = ? AND state = 'granted'",
                    code,
                    reason,
                    since,
                    id
                )
                .execute(&mut *tx)
                .await
                .during(OPERATION)?;
            }
            None => {
                sqlx::query!(
                    "UPDATE actions SET wait_code = NULL, wait_reason = NULL, wait_since = NULL, \
                     runnable_since = ? WHERE id = ? AND state = 'granted' \
                     AND wait_code IS NOT NULL",
                    now,
                    id
                )
                .execute(&mut *tx)
                .await
                .during(OPERATION)?;
            }
        }
    }
    tx.commit().await.during(OPERATION)
}

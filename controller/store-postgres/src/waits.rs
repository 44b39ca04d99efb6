//! What granted actions wait for, so that a restart does not forget it.

use jiff::Timestamp;
use skep_store::{Fence, Result, WaitNote};
use skep_store_sql::instant::to_column;

use crate::PostgresStore;
use crate::error::IntoStoreError as _;

pub(crate) async fn note(
    store: &PostgresStore,
    fence: &Fence,
    notes: &[WaitNote],
    now: Timestamp,
) -> Result<()> {
    const OPERATION: &str = "note what actions wait for";
    if notes.is_empty() {
        return Ok(());
    }
    // In one order, as whoever decides about many actions does.
    let mut ordered: Vec<_> = notes.iter().collect();
    ordered.sort_by(|a, b| a.action.as_str().cmp(b.action.as_str()));
    let (mut tx, _) = store.write_fenced(fence, OPERATION).await?;
    for note in ordered {
        match &note.wait {
            Some(wait) => {
                sqlx::query!(
                    "UPDATE actions SET wait_code = $1, wait_reason = $2, wait_since = $3 \
                     WHERE id = $4 AND state IN ('pending', 'granted')",
                    wait.code.as_str(),
                    wait.reason.as_str(),
                    to_column(wait.since),
                    note.action.as_str()
                )
                .execute(&mut *tx)
                .await
                .during(OPERATION)?;
            }
            None => {
                sqlx::query!(
                    "UPDATE actions SET wait_code = NULL, wait_reason = NULL, wait_since = NULL, \
                     runnable_since = $1 WHERE id = $2 AND state IN ('pending', 'granted') \
                     AND wait_code IS NOT NULL",
                    to_column(now),
                    note.action.as_str()
                )
                .execute(&mut *tx)
                .await
                .during(OPERATION)?;
            }
        }
    }
    tx.commit().await
}

//! The one place where the state of an action changes.

use jiff::Timestamp;
use skep_core::identity::{ActionId, ObjectKey};
use skep_store::Result;
use skep_store_sql::{Change, Head, HeadRow};

use crate::error::IntoStoreError as _;
use crate::{Tx, audit};

/// Reads an action; the write lock is held, so what is decided on it holds when it is written.
pub(crate) async fn load(tx: &mut Tx, id: &ActionId, operation: &'static str) -> Result<Head> {
    let row = sqlx::query_as!(
        HeadRow,
        "SELECT tenant, cluster, object_kind, object_name, kind, mode, source, \
         actor, state, revision FROM actions WHERE id = ?",
        id.as_str()
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?;
    HeadRow::read(row, id)
}

/// The object of an action, which never changes.
pub(crate) async fn object_of(
    tx: &mut Tx,
    id: &ActionId,
    operation: &'static str,
) -> Result<ObjectKey> {
    load(tx, id, operation).await.map(|head| head.key)
}

/// Moves the action on. Nothing else writes its state.
pub(crate) async fn apply(
    tx: &mut Tx,
    head: &Head,
    change: &Change<'_>,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    let attempts = audit::attempts(tx, &head.id, operation).await?;
    let columns = head.moves(change, attempts, now)?;
    let changed = sqlx::query!(
        "UPDATE actions SET state = ?, revision = revision + 1, updated_at = ?, \
         detail = coalesce(?, detail), granted_at = coalesce(?, granted_at), \
         start_by = coalesce(?, start_by), moved = coalesce(?, moved), \
         wait_code = NULL, wait_reason = NULL, wait_since = NULL \
         WHERE id = ? AND revision = ?",
        columns.state,
        columns.updated_at,
        change.detail,
        columns.granted_at,
        columns.start_by,
        columns.moved,
        head.id.as_str(),
        head.revision
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    if changed.rows_affected() != 1 {
        // Cannot happen while the write lock is held from the read on; never go on if it does.
        return Err(head.moved());
    }
    audit::append(tx, &columns.event).await
}

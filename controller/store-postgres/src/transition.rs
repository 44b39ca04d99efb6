//! The one place where the state of an action changes.

use jiff::Timestamp;
use skep_core::identity::{ActionId, ObjectKey};
use skep_store::{Error, Result};
use skep_store_sql::{Change, Head, HeadRow, key};

use crate::audit;
use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::write::Write;

/// Reads an action and locks it until the transaction ends: what is decided on it holds when it
/// is written.
pub(crate) async fn load(
    tx: &mut Session<'_>,
    id: &ActionId,
    operation: &'static str,
) -> Result<Head> {
    let row = sqlx::query_as!(
        HeadRow,
        "SELECT tenant, cluster, object_kind, object_name, kind, mode, source, actor, state, \
         revision FROM actions WHERE id = $1 FOR UPDATE",
        id.as_str()
    )
    .fetch_optional(&mut *tx)
    .await
    .during(operation)?;
    HeadRow::read(row, id)
}

/// The object of an action, which never changes.
pub(crate) async fn object_of(
    tx: &mut Session<'_>,
    id: &ActionId,
    operation: &'static str,
) -> Result<ObjectKey> {
    const WHAT: &str = "action";
    let row = sqlx::query!(
        "SELECT tenant, cluster, object_kind, object_name FROM actions WHERE id = $1",
        id.as_str()
    )
    .fetch_optional(&mut *tx)
    .await
    .during(operation)?
    .ok_or_else(|| Error::NotFound { what: WHAT, id: id.to_string() })?;
    key(row.tenant, row.cluster, &row.object_kind, row.object_name, WHAT)
}

/// Moves the action on. Nothing else writes its state.
pub(crate) async fn apply(
    tx: &mut Write,
    head: &Head,
    change: &Change<'_>,
    now: Timestamp,
    operation: &'static str,
) -> Result<()> {
    let attempts = audit::attempts(tx, &head.id, operation).await?;
    let columns = head.moves(change, attempts, now)?;
    let changed = sqlx::query!(
        "UPDATE actions SET state = $1, revision = revision + 1, updated_at = $2, \
         detail = coalesce($3, detail), granted_at = coalesce($4, granted_at), \
         start_by = coalesce($5, start_by), moved = coalesce($6, moved), \
         wait_code = NULL, wait_reason = NULL, wait_since = NULL \
         WHERE id = $7 AND revision = $8",
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
        // Cannot happen while the row is locked from the read on; never go on if it does.
        return Err(head.moved());
    }
    audit::append(tx, &columns.event).await
}

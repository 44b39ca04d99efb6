//! The whole trail, row by row, with every column as it is stored.

use std::ops::ControlFlow;

use skep_core::audit::AuditRecord;
use skep_store::{Result, TrailReader};
use skep_store_sql::chains::RecordRow;

use super::chains;
use crate::error::IntoStoreError as _;
use crate::session::Session;

/// What every failure here is a failure of.
pub(super) const OPERATION: &str = "read the audit trail";

/// How many rows are in memory at once.
const PAGE: i64 = 1_000;

/// Hands the seals and then the rows to a reader. The connection is in a transaction, so all of
/// it is of one moment.
pub(super) async fn read(
    connection: &mut Session<'_>,
    from: Option<i64>,
    reader: &mut dyn TrailReader,
) -> Result<()> {
    reader.seals(chains::seals(connection).await?);
    each(connection, from, &mut |record| reader.row(record)).await
}

/// Calls a function with every row, in the order of their numbers.
pub(super) async fn each(
    connection: &mut Session<'_>,
    from: Option<i64>,
    take: &mut (dyn FnMut(AuditRecord) -> ControlFlow<()> + Send),
) -> Result<()> {
    let mut after = from.map_or(i64::MIN, |from| from.saturating_sub(1));
    loop {
        let rows = sqlx::query_as!(
            RecordRow,
            "SELECT seq, at, kind, actor, tenant, cluster, object_kind, object_name, action_id, \
             detail, data, form, chain, position, follows, link, mac FROM audit \
             WHERE seq > $1 ORDER BY seq LIMIT $2",
            after,
            PAGE
        )
        .fetch_all(&mut *connection)
        .await
        .during(OPERATION)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.seq;
        for row in rows {
            if take(row.read()).is_break() {
                return Ok(());
            }
        }
    }
}

//! The whole trail, row by row, with every column as it is stored.

use std::ops::ControlFlow;

use skep_core::audit::{AuditRecord, Chained, Mac};
use skep_store::{Result, TrailReader};
use sqlx::PgConnection;

use super::chains;
use crate::error::IntoStoreError as _;

/// What every failure here is a failure of.
pub(super) const OPERATION: &str = "read the audit trail";

/// How many rows are in memory at once.
const PAGE: i64 = 1_000;

/// Hands the seals and then the rows to a reader. The connection is in a transaction, so all of
/// it is of one moment.
pub(super) async fn read(
    connection: &mut PgConnection,
    from: Option<i64>,
    reader: &mut dyn TrailReader,
) -> Result<()> {
    reader.seals(chains::seals(connection).await?);
    each(connection, from, &mut |record| reader.row(record)).await
}

/// Calls a function with every row, in the order of their numbers.
pub(super) async fn each(
    connection: &mut PgConnection,
    from: Option<i64>,
    take: &mut (dyn FnMut(AuditRecord) -> ControlFlow<()> + Send),
) -> Result<()> {
    let mut after = from.map_or(i64::MIN, |from| from.saturating_sub(1));
    loop {
        let rows = sqlx::query!(
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
            // A row that has lost any of these is in no chain any more.
            let place = (row.form, row.chain, row.position, row.link, row.mac);
            let chained = match place {
                (Some(form), Some(chain), Some(position), Some(link), Some(mac)) => Some(Chained {
                    form,
                    chain,
                    position,
                    follows: row.follows,
                    link: Mac::from_stored(link),
                    mac: Mac::from_stored(mac),
                }),
                _ => None,
            };
            let record = AuditRecord {
                seq: row.seq,
                at: row.at,
                kind: row.kind,
                actor: row.actor,
                tenant: row.tenant,
                cluster: row.cluster,
                object_kind: row.object_kind,
                object_name: row.object_name,
                action: row.action_id,
                detail: row.detail,
                data: row.data,
                chained,
            };
            if take(record).is_break() {
                return Ok(());
            }
        }
    }
}

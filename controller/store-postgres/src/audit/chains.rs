//! What is sealed beside the rows: the ends of the chains, their number, and the checkpoint.

use std::ops::ControlFlow;

use skep_core::audit::{AuditRecord, ChainHead, Checkpoint, Legacy, Link, Roster, TrailSeals};
use skep_store::{Protection, Result};
use skep_store_sql::chains::{self as shared, ChainRow, CheckpointRow, LinkRow, RosterRow};

use super::{OPERATION, trail};
use crate::error::IntoStoreError as _;
use crate::lanes::Lane;
use crate::session::Session;
use crate::write::Write;
use crate::{PostgresStore, connect};

/// The transaction's chain, and a number for its next row. The number is part of what is hashed,
/// so it is known before the row is written.
pub(super) async fn current(tx: &mut Write) -> Result<(ChainHead, i64)> {
    let row = sqlx::query!(
        r#"SELECT chain, number, writer, follows, link, length, last_seq, last, seal,
           nextval(pg_get_serial_sequence('audit', 'seq')) AS "next!"
           FROM audit_chains WHERE chain = $1 FOR UPDATE"#,
        tx.lane().chain
    )
    .fetch_optional(&mut **tx)
    .await
    .during(OPERATION)?
    .ok_or_else(shared::end_gone)?;
    let head = ChainRow {
        chain: row.chain,
        number: row.number,
        writer: row.writer,
        follows: row.follows,
        link: row.link,
        length: row.length,
        last_seq: row.last_seq,
        last: row.last,
        seal: row.seal,
    }
    .read();
    shared::check_end(&head, tx.protection().audit(), tx.lane().at_least().unwrap_or(0))?;
    Ok((head, row.next))
}

/// Begins a chain behind the newest row, unless it is known to be there.
pub(crate) async fn ensure_chain(store: &PostgresStore, lane: &Lane) -> Result<()> {
    if lane.at_least().is_some() {
        return Ok(());
    }
    let begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
                 SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '10s'";
    let mut tx = connect::begin(store, begin.to_owned(), OPERATION).await?;
    let there = sqlx::query_scalar!("SELECT number FROM audit_chains WHERE chain = $1", lane.chain)
        .fetch_optional(&mut *tx)
        .await
        .during(OPERATION)?;
    if there.is_none() {
        begin_chain(&mut tx, &store.protection, lane).await?;
        tx.commit().await.during(OPERATION)?;
    }
    lane.keep(0);
    Ok(())
}

async fn begin_chain(
    connection: &mut Session<'_>,
    protection: &Protection,
    lane: &Lane,
) -> Result<()> {
    // Those who begin a chain at once wait here for each other, and for nobody else.
    sqlx::query!("SELECT one FROM audit_roster FOR UPDATE")
        .fetch_optional(&mut *connection)
        .await
        .during(OPERATION)?;
    let seals = (checkpoint(connection).await?, roster(connection).await?);
    let newest = newest(connection).await?;
    let own = (lane.chain.as_str(), lane.writer());
    let (roster, head) = shared::begin_chain(protection.audit(), own, seals, newest)?;
    sqlx::query!(
        "UPDATE audit_roster SET chains = $1, seal = $2",
        roster.chains,
        roster.seal.as_bytes()
    )
    .execute(&mut *connection)
    .await
    .during(OPERATION)?;
    sqlx::query!(
        "INSERT INTO audit_chains (chain, number, writer, follows, link, length, last_seq, last, \
         seal) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        head.chain,
        head.number,
        head.writer,
        head.start.follows,
        head.start.link.as_bytes(),
        head.length,
        head.last_seq,
        head.last.as_bytes(),
        head.seal.as_bytes()
    )
    .execute(&mut *connection)
    .await
    .during(OPERATION)?;
    Ok(())
}

async fn newest(connection: &mut Session<'_>) -> Result<Option<Link>> {
    let row = sqlx::query_as!(LinkRow, "SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(&mut *connection)
        .await
        .during(OPERATION)?;
    Ok(row.map(LinkRow::read))
}

/// Moves the end of a chain to its new last row.
pub(super) async fn move_on(tx: &mut Write, head: &ChainHead) -> Result<()> {
    sqlx::query!(
        "UPDATE audit_chains SET length = $1, last_seq = $2, last = $3, seal = $4 WHERE chain = $5",
        head.length,
        head.last_seq,
        head.last.as_bytes(),
        head.seal.as_bytes(),
        head.chain
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(())
}

async fn checkpoint(connection: &mut Session<'_>) -> Result<Option<Checkpoint>> {
    let row =
        sqlx::query_as!(CheckpointRow, "SELECT rows, last_seq, digest, seal FROM audit_checkpoint")
            .fetch_optional(connection)
            .await
            .during(OPERATION)?;
    Ok(row.map(CheckpointRow::read))
}

async fn roster(connection: &mut Session<'_>) -> Result<Option<Roster>> {
    let row = sqlx::query_as!(RosterRow, "SELECT chains, seal FROM audit_roster")
        .fetch_optional(connection)
        .await
        .during(OPERATION)?;
    Ok(row.map(RosterRow::read))
}

/// Everything that is sealed beside the rows.
pub(super) async fn seals(connection: &mut Session<'_>) -> Result<TrailSeals> {
    let rows = sqlx::query_as!(
        ChainRow,
        "SELECT chain, number, writer, follows, link, length, last_seq, last, seal \
         FROM audit_chains ORDER BY number"
    )
    .fetch_all(&mut *connection)
    .await
    .during(trail::OPERATION)?;
    let heads = rows.into_iter().map(ChainRow::read).collect();
    let checkpoint = checkpoint(connection).await?;
    Ok(TrailSeals { checkpoint, roster: roster(connection).await?, heads })
}

/// Makes the checkpoint and the empty list of chains, once: when the database is first opened with
/// its key.
pub(crate) async fn ensure_roots(
    connection: &mut Session<'_>,
    protection: &Protection,
) -> Result<()> {
    let begun = sqlx::query_scalar!(
        r#"SELECT (SELECT count(*) FROM audit_checkpoint) + (SELECT count(*) FROM audit_roster)
           + (SELECT count(*) FROM audit_chains) AS "begun!""#
    )
    .fetch_one(&mut *connection)
    .await
    .during(OPERATION)?;
    if begun > 0 {
        return Ok(());
    }
    let mut legacy = Legacy::default();
    trail::each(connection, None, &mut |record: AuditRecord| {
        legacy.add(&record);
        ControlFlow::Continue(())
    })
    .await?;
    let (checkpoint, roster) = shared::roots(protection.audit(), legacy);
    sqlx::query!(
        "INSERT INTO audit_checkpoint (one, rows, last_seq, digest, seal) VALUES (1, $1, $2, $3, $4)",
        checkpoint.rows,
        checkpoint.last_seq,
        checkpoint.digest.as_bytes(),
        checkpoint.seal.as_bytes()
    )
    .execute(&mut *connection)
    .await
    .during(OPERATION)?;
    sqlx::query!(
        "INSERT INTO audit_roster (one, chains, seal) VALUES (1, $1, $2)",
        roster.chains,
        roster.seal.as_bytes()
    )
    .execute(&mut *connection)
    .await
    .during(OPERATION)?;
    Ok(())
}

/// Whether the database was first opened with this key.
pub(crate) async fn fits(connection: &mut Session<'_>, protection: &Protection) -> Result<bool> {
    let seals = (checkpoint(connection).await?, roster(connection).await?);
    Ok(shared::fits(protection.audit(), seals.0.as_ref(), seals.1.as_ref()))
}

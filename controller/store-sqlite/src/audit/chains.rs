//! What is sealed beside the rows: the ends of the chains, their number, and the checkpoint.

use std::ops::ControlFlow;

use skep_core::audit::{AuditRecord, ChainHead, Checkpoint, Legacy, Link, Roster, TrailSeals};
use skep_store::{Protection, Result};
use skep_store_sql::chains::{self as shared, ChainRow, CheckpointRow, LinkRow, RosterRow};
use sqlx::SqliteConnection;

use super::{OPERATION, trail};
use crate::Tx;
use crate::error::IntoStoreError as _;

/// The chain of the transaction's writer; begun if there is none yet.
pub(super) async fn current(tx: &mut Tx) -> Result<ChainHead> {
    let chain = tx.writer.chain.clone();
    let at_least = tx.writer.lengths.at_least(&chain);
    match load(tx, &chain).await? {
        Some(head) => {
            shared::check_end(&head, tx.protection.audit(), at_least)?;
            Ok(head)
        }
        None if at_least > 0 => Err(shared::end_gone()),
        None => begin(tx, &chain).await,
    }
}

async fn load(tx: &mut Tx, chain: &str) -> Result<Option<ChainHead>> {
    let row = sqlx::query_as!(
        ChainRow,
        "SELECT chain, number, writer, follows, link, length, last_seq, last, seal \
         FROM audit_chains WHERE chain = ?",
        chain
    )
    .fetch_optional(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(row.map(ChainRow::read))
}

/// Begins a chain behind the newest row.
async fn begin(tx: &mut Tx, chain: &str) -> Result<ChainHead> {
    let seals = (checkpoint(tx).await?, roster(tx).await?);
    let newest = newest(tx).await?;
    let own = (chain, tx.writer.process.as_str());
    let (roster, head) = shared::begin_chain(tx.protection.audit(), own, seals, newest)?;
    sqlx::query!(
        "UPDATE audit_roster SET chains = ?, seal = ?",
        roster.chains,
        roster.seal.as_bytes()
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    sqlx::query!(
        "INSERT INTO audit_chains (chain, number, writer, follows, link, length, last_seq, last, \
         seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(head)
}

async fn newest(tx: &mut Tx) -> Result<Option<Link>> {
    let row = sqlx::query_as!(LinkRow, "SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(&mut **tx)
        .await
        .during(OPERATION)?;
    Ok(row.map(LinkRow::read))
}

/// Moves the end of a chain to its new last row.
pub(super) async fn move_on(tx: &mut Tx, head: &ChainHead) -> Result<()> {
    sqlx::query!(
        "UPDATE audit_chains SET length = ?, last_seq = ?, last = ?, seal = ? WHERE chain = ?",
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

async fn checkpoint(connection: &mut SqliteConnection) -> Result<Option<Checkpoint>> {
    let row =
        sqlx::query_as!(CheckpointRow, "SELECT rows, last_seq, digest, seal FROM audit_checkpoint")
            .fetch_optional(connection)
            .await
            .during(OPERATION)?;
    Ok(row.map(CheckpointRow::read))
}

async fn roster(connection: &mut SqliteConnection) -> Result<Option<Roster>> {
    let row = sqlx::query_as!(RosterRow, "SELECT chains, seal FROM audit_roster")
        .fetch_optional(connection)
        .await
        .during(OPERATION)?;
    Ok(row.map(RosterRow::read))
}

/// Everything that is sealed beside the rows.
pub(super) async fn seals(connection: &mut SqliteConnection) -> Result<TrailSeals> {
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
    connection: &mut SqliteConnection,
    protection: &Protection,
) -> Result<()> {
    let begun = sqlx::query_scalar!(
        r#"SELECT (SELECT count(*) FROM audit_checkpoint) + (SELECT count(*) FROM audit_roster)
           + (SELECT count(*) FROM audit_chains) AS "begun!: i64""#
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
        "INSERT INTO audit_checkpoint (one, rows, last_seq, digest, seal) VALUES (1, ?, ?, ?, ?)",
        checkpoint.rows,
        checkpoint.last_seq,
        checkpoint.digest.as_bytes(),
        checkpoint.seal.as_bytes()
    )
    .execute(&mut *connection)
    .await
    .during(OPERATION)?;
    sqlx::query!(
        "INSERT INTO audit_roster (one, chains, seal) VALUES (1, ?, ?)",
        roster.chains,
        roster.seal.as_bytes()
    )
    .execute(&mut *connection)
    .await
    .during(OPERATION)?;
    Ok(())
}

/// Whether the database was first opened with this key.
pub(crate) async fn fits(
    connection: &mut SqliteConnection,
    protection: &Protection,
) -> Result<bool> {
    let seals = (checkpoint(connection).await?, roster(connection).await?);
    Ok(shared::fits(protection.audit(), seals.0.as_ref(), seals.1.as_ref()))
}

//! What is sealed beside the rows: the ends of the chains, their number, and the checkpoint.

use skep_core::audit::{
    AuditRecord, ChainHead, Checkpoint, Legacy, Link, Mac, Roster, Start, TrailSeals,
};
use skep_store::{Error, Protection, Result};
use sqlx::SqliteConnection;

use super::{OPERATION, trail};
use crate::Tx;
use crate::error::IntoStoreError as _;

/// What is said when a writer finds a seal that nobody with the key has made. It refuses to go
/// on: its own seal must not stand under what somebody else has made of the trail.
fn broken(what: &'static str, why: &'static str) -> Error {
    let hint = format!("{why}; `skep audit verify` says what else is wrong");
    Error::Corrupt { what, source: hint.into() }
}

/// The chain of the transaction's writer; begun if there is none yet.
pub(super) async fn current(tx: &mut Tx) -> Result<ChainHead> {
    const WHAT: &str = "end of the audit trail";
    let chain = tx.writer.chain.clone();
    let Some(head) = load(tx, &chain).await? else {
        return if tx.writer.lengths.at_least(&chain) > 0 {
            Err(broken(WHAT, "the end of the chain that this process writes is gone"))
        } else {
            begin(tx, &chain).await
        };
    };
    if !head.is_intact(tx.protection.audit()) {
        return Err(broken(WHAT, "it was not sealed with this installation's key"));
    }
    if head.length < tx.writer.lengths.at_least(&chain) {
        return Err(broken(WHAT, "it is older than what this process has written"));
    }
    Ok(head)
}

async fn load(tx: &mut Tx, chain: &str) -> Result<Option<ChainHead>> {
    let row = sqlx::query!(
        "SELECT number, writer, follows, link, length, last_seq, last, seal FROM audit_chains \
         WHERE chain = ?",
        chain
    )
    .fetch_optional(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(row.map(|row| ChainHead {
        chain: chain.to_owned(),
        number: row.number,
        writer: row.writer,
        start: Start { follows: row.follows, link: Mac::from_stored(row.link) },
        length: row.length,
        last_seq: row.last_seq,
        last: Mac::from_stored(row.last),
        seal: Mac::from_stored(row.seal),
    }))
}

/// Begins a chain behind the newest row.
async fn begin(tx: &mut Tx, chain: &str) -> Result<ChainHead> {
    const WHAT: &str = "list of the audit trail's chains";
    let key = tx.protection.audit().clone();
    let seals = (checkpoint(tx).await?, roster(tx).await?);
    let (Some(checkpoint), Some(roster)) = seals else {
        return Err(broken(WHAT, "it is gone"));
    };
    if !checkpoint.is_intact(&key) || !roster.is_intact(&key, &checkpoint) {
        return Err(broken(WHAT, "it was not sealed with this installation's key"));
    }
    let number = roster.chains.saturating_add(1);
    let roster = Roster::of(&key, number, &checkpoint);
    let seal = roster.seal.as_bytes();
    sqlx::query!("UPDATE audit_roster SET chains = ?, seal = ?", roster.chains, seal)
        .execute(&mut **tx)
        .await
        .during(OPERATION)?;
    let newest = newest(tx).await?;
    let start = Start::after(newest, &checkpoint);
    let head = ChainHead::start(&key, chain, number, &tx.writer.process, start);
    let (link, last, seal) =
        (head.start.link.as_bytes(), head.last.as_bytes(), head.seal.as_bytes());
    sqlx::query!(
        "INSERT INTO audit_chains (chain, number, writer, follows, link, length, last_seq, last, \
         seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        head.chain,
        head.number,
        head.writer,
        head.start.follows,
        link,
        head.length,
        head.last_seq,
        last,
        seal
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(head)
}

async fn newest(tx: &mut Tx) -> Result<Option<Link>> {
    let row = sqlx::query!("SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(&mut **tx)
        .await
        .during(OPERATION)?;
    Ok(row.map(|row| Link { seq: row.seq, mac: row.mac.map(Mac::from_stored) }))
}

/// Moves the end of a chain to its new last row.
pub(super) async fn move_on(tx: &mut Tx, head: &ChainHead) -> Result<()> {
    let (last, seal) = (head.last.as_bytes(), head.seal.as_bytes());
    sqlx::query!(
        "UPDATE audit_chains SET length = ?, last_seq = ?, last = ?, seal = ? WHERE chain = ?",
        head.length,
        head.last_seq,
        last,
        seal,
        head.chain
    )
    .execute(&mut **tx)
    .await
    .during(OPERATION)?;
    Ok(())
}

pub(super) async fn checkpoint(connection: &mut SqliteConnection) -> Result<Option<Checkpoint>> {
    let row = sqlx::query!("SELECT rows, last_seq, digest, seal FROM audit_checkpoint")
        .fetch_optional(connection)
        .await
        .during(OPERATION)?;
    Ok(row.map(|row| Checkpoint {
        rows: row.rows,
        last_seq: row.last_seq,
        digest: Mac::from_stored(row.digest),
        seal: Mac::from_stored(row.seal),
    }))
}

pub(super) async fn roster(connection: &mut SqliteConnection) -> Result<Option<Roster>> {
    let row = sqlx::query!("SELECT chains, seal FROM audit_roster")
        .fetch_optional(connection)
        .await
        .during(OPERATION)?;
    Ok(row.map(|row| Roster { chains: row.chains, seal: Mac::from_stored(row.seal) }))
}

/// Everything that is sealed beside the rows.
pub(super) async fn seals(connection: &mut SqliteConnection) -> Result<TrailSeals> {
    let rows = sqlx::query!(
        "SELECT chain, number, writer, follows, link, length, last_seq, last, seal \
         FROM audit_chains ORDER BY number"
    )
    .fetch_all(&mut *connection)
    .await
    .during(trail::OPERATION)?;
    let heads = rows
        .into_iter()
        .map(|row| ChainHead {
            chain: row.chain,
            number: row.number,
            writer: row.writer,
            start: Start { follows: row.follows, link: Mac::from_stored(row.link) },
            length: row.length,
            last_seq: row.last_seq,
            last: Mac::from_stored(row.last),
            seal: Mac::from_stored(row.seal),
        })
        .collect();
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
        std::ops::ControlFlow::Continue(())
    })
    .await?;
    let checkpoint = legacy.checkpoint(protection.audit());
    let roster = Roster::of(protection.audit(), 0, &checkpoint);
    let (digest, seal) = (checkpoint.digest.as_bytes(), checkpoint.seal.as_bytes());
    sqlx::query!(
        "INSERT INTO audit_checkpoint (one, rows, last_seq, digest, seal) VALUES (1, ?, ?, ?, ?)",
        checkpoint.rows,
        checkpoint.last_seq,
        digest,
        seal
    )
    .execute(&mut *connection)
    .await
    .during(OPERATION)?;
    let seal = roster.seal.as_bytes();
    sqlx::query!(
        "INSERT INTO audit_roster (one, chains, seal) VALUES (1, ?, ?)",
        roster.chains,
        seal
    )
    .execute(&mut *connection)
    .await
    .during(OPERATION)?;
    Ok(())
}

/// Whether the database was first opened with this key. One of the two seals is enough: the other
/// may have been damaged, which is for `audit verify` to say.
pub(crate) async fn fits(
    connection: &mut SqliteConnection,
    protection: &Protection,
) -> Result<bool> {
    let key = protection.audit();
    let Some(checkpoint) = checkpoint(connection).await? else { return Ok(true) };
    let roster = roster(connection).await?;
    Ok(checkpoint.is_intact(key) || roster.is_none_or(|roster| roster.is_intact(key, &checkpoint)))
}

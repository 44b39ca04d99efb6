//! What is sealed beside the rows: the ends of the chains, their number, and the checkpoint.

use skep_core::audit::{
    AuditRecord, ChainHead, Checkpoint, Legacy, Link, Mac, Roster, Start, TrailSeals,
};
use skep_store::{Error, Protection, Result};
use sqlx::PgConnection;

use super::{OPERATION, trail};
use crate::error::IntoStoreError as _;
use crate::lanes::Lane;
use crate::write::Write;
use crate::{PostgresStore, connect};

/// What is said when a writer finds a seal that nobody with the key has made. It refuses to go
/// on: its own seal must not stand under what somebody else has made of the trail.
fn broken(what: &'static str, why: &'static str) -> Error {
    let hint = format!("{why}; `skep audit verify` says what else is wrong");
    Error::Corrupt { what, source: hint.into() }
}

/// The transaction's chain, and a number for its next row. The number is part of what is hashed,
/// so it is known before the row is written.
pub(super) async fn current(tx: &mut Write) -> Result<(ChainHead, i64)> {
    const WHAT: &str = "end of the audit trail";
    let row = sqlx::query!(
        r#"SELECT chain, number, writer, follows, link, length, last_seq, last, seal,
           nextval(pg_get_serial_sequence('audit', 'seq')) AS "next!"
           FROM audit_chains WHERE chain = $1 FOR UPDATE"#,
        tx.lane().chain
    )
    .fetch_optional(&mut **tx)
    .await
    .during(OPERATION)?;
    let Some(row) = row else {
        return Err(broken(WHAT, "the end of the chain that this process writes is gone"));
    };
    let head = ChainHead {
        chain: row.chain,
        number: row.number,
        writer: row.writer,
        start: Start { follows: row.follows, link: Mac::from_stored(row.link) },
        length: row.length,
        last_seq: row.last_seq,
        last: Mac::from_stored(row.last),
        seal: Mac::from_stored(row.seal),
    };
    if !head.is_intact(tx.protection().audit()) {
        return Err(broken(WHAT, "it was not sealed with this installation's key"));
    }
    if tx.lane().at_least().is_some_and(|length| head.length < length) {
        return Err(broken(WHAT, "it is older than what this process has written"));
    }
    Ok((head, row.next))
}

/// Begins a chain behind the newest row, unless it is known to be there.
pub(crate) async fn ensure_chain(store: &PostgresStore, lane: &Lane) -> Result<()> {
    if lane.at_least().is_some() {
        return Ok(());
    }
    let begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
                 SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '10s'";
    let mut tx = connect::begin(&store.pool, begin.to_owned(), OPERATION).await?;
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
    connection: &mut PgConnection,
    protection: &Protection,
    lane: &Lane,
) -> Result<()> {
    const WHAT: &str = "list of the audit trail's chains";
    let key = protection.audit();
    // Those who begin a chain at once wait here for each other, and for nobody else.
    sqlx::query!("SELECT one FROM audit_roster FOR UPDATE")
        .fetch_optional(&mut *connection)
        .await
        .during(OPERATION)?;
    let seals = (checkpoint(connection).await?, roster(connection).await?);
    let (Some(checkpoint), Some(roster)) = seals else {
        return Err(broken(WHAT, "it is gone"));
    };
    if !checkpoint.is_intact(key) || !roster.is_intact(key, &checkpoint) {
        return Err(broken(WHAT, "it was not sealed with this installation's key"));
    }
    let number = roster.chains.saturating_add(1);
    let roster = Roster::of(key, number, &checkpoint);
    sqlx::query!(
        "UPDATE audit_roster SET chains = $1, seal = $2",
        roster.chains,
        roster.seal.as_bytes()
    )
    .execute(&mut *connection)
    .await
    .during(OPERATION)?;
    let start = Start::after(newest(connection).await?, &checkpoint);
    let head = ChainHead::start(key, &lane.chain, number, lane.writer(), start);
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

async fn newest(connection: &mut PgConnection) -> Result<Option<Link>> {
    let row = sqlx::query!("SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(&mut *connection)
        .await
        .during(OPERATION)?;
    Ok(row.map(|row| Link { seq: row.seq, mac: row.mac.map(Mac::from_stored) }))
}

/// Moves the end of a chain to its new last row.
pub(super) async fn move_on(tx: &mut Write, head: &ChainHead) -> Result<()> {
    let (last, seal) = (head.last.as_bytes(), head.seal.as_bytes());
    sqlx::query!(
        "UPDATE audit_chains SET length = $1, last_seq = $2, last = $3, seal = $4 WHERE chain = $5",
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

pub(super) async fn checkpoint(connection: &mut PgConnection) -> Result<Option<Checkpoint>> {
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

pub(super) async fn roster(connection: &mut PgConnection) -> Result<Option<Roster>> {
    let row = sqlx::query!("SELECT chains, seal FROM audit_roster")
        .fetch_optional(connection)
        .await
        .during(OPERATION)?;
    Ok(row.map(|row| Roster { chains: row.chains, seal: Mac::from_stored(row.seal) }))
}

/// Everything that is sealed beside the rows.
pub(super) async fn seals(connection: &mut PgConnection) -> Result<TrailSeals> {
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
    connection: &mut PgConnection,
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
        std::ops::ControlFlow::Continue(())
    })
    .await?;
    let checkpoint = legacy.checkpoint(protection.audit());
    let roster = Roster::of(protection.audit(), 0, &checkpoint);
    let (digest, seal) = (checkpoint.digest.as_bytes(), checkpoint.seal.as_bytes());
    sqlx::query!(
        "INSERT INTO audit_checkpoint (one, rows, last_seq, digest, seal) VALUES (1, $1, $2, $3, $4)",
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
        "INSERT INTO audit_roster (one, chains, seal) VALUES (1, $1, $2)",
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
pub(crate) async fn fits(connection: &mut PgConnection, protection: &Protection) -> Result<bool> {
    let key = protection.audit();
    let Some(checkpoint) = checkpoint(connection).await? else { return Ok(true) };
    let roster = roster(connection).await?;
    Ok(checkpoint.is_intact(key) || roster.is_none_or(|roster| roster.is_intact(key, &checkpoint)))
}

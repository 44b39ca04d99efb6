//! Rows of the audit trail as they are chained, and the rules of the chains: who may go on with
//! one, how one begins, and whether a key fits.

use skep_core::audit::{
    AuditKey, AuditRecord, ChainHead, Chained, Checkpoint, Legacy, Link, Mac, Roster, Start,
};
use skep_store::{Error, Result};

/// A row of `audit_chains`.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct ChainRow {
    pub chain: String,
    pub number: i64,
    pub writer: String,
    pub follows: Option<i64>,
    pub link: Vec<u8>,
    pub length: i64,
    pub last_seq: Option<i64>,
    pub last: Vec<u8>,
    pub seal: Vec<u8>,
}

impl ChainRow {
    /// The end of the chain.
    #[must_use]
    pub fn read(self) -> ChainHead {
        ChainHead {
            chain: self.chain,
            number: self.number,
            writer: self.writer,
            start: Start { follows: self.follows, link: Mac::from_stored(self.link) },
            length: self.length,
            last_seq: self.last_seq,
            last: Mac::from_stored(self.last),
            seal: Mac::from_stored(self.seal),
        }
    }
}

/// The row of `audit_checkpoint`.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct CheckpointRow {
    pub rows: i64,
    pub last_seq: Option<i64>,
    pub digest: Vec<u8>,
    pub seal: Vec<u8>,
}

impl CheckpointRow {
    /// The checkpoint.
    #[must_use]
    pub fn read(self) -> Checkpoint {
        Checkpoint {
            rows: self.rows,
            last_seq: self.last_seq,
            digest: Mac::from_stored(self.digest),
            seal: Mac::from_stored(self.seal),
        }
    }
}

/// The row of `audit_roster`.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct RosterRow {
    pub chains: i64,
    pub seal: Vec<u8>,
}

impl RosterRow {
    /// How many chains there are.
    #[must_use]
    pub fn read(self) -> Roster {
        Roster { chains: self.chains, seal: Mac::from_stored(self.seal) }
    }
}

/// The part of a row of `audit` that the next chain is linked to.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct LinkRow {
    pub seq: i64,
    pub mac: Option<Vec<u8>>,
}

impl LinkRow {
    /// The link.
    #[must_use]
    pub fn read(self) -> Link {
        Link { seq: self.seq, mac: self.mac.map(Mac::from_stored) }
    }
}

/// A row of `audit` with every column as it is stored.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct RecordRow {
    pub seq: i64,
    pub at: i64,
    pub kind: String,
    pub actor: String,
    pub tenant: Option<String>,
    pub cluster: Option<String>,
    pub object_kind: Option<String>,
    pub object_name: Option<String>,
    pub action_id: Option<String>,
    pub detail: String,
    pub data: Option<String>,
    pub form: Option<i64>,
    pub chain: Option<String>,
    pub position: Option<i64>,
    pub follows: Option<i64>,
    pub link: Option<Vec<u8>>,
    pub mac: Option<Vec<u8>>,
}

impl RecordRow {
    /// The row, with its place in a chain.
    #[must_use]
    pub fn read(self) -> AuditRecord {
        // A row that has lost any of these is in no chain any more.
        let place = (self.form, self.chain, self.position, self.link, self.mac);
        let chained = match place {
            (Some(form), Some(chain), Some(position), Some(link), Some(mac)) => Some(Chained {
                form,
                chain,
                position,
                follows: self.follows,
                link: Mac::from_stored(link),
                mac: Mac::from_stored(mac),
            }),
            _ => None,
        };
        AuditRecord {
            seq: self.seq,
            at: self.at,
            kind: self.kind,
            actor: self.actor,
            tenant: self.tenant,
            cluster: self.cluster,
            object_kind: self.object_kind,
            object_name: self.object_name,
            action: self.action_id,
            detail: self.detail,
            data: self.data,
            chained,
        }
    }
}

/// The columns that put a row into its chain.
#[derive(Default)]
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct PlaceColumns<'a> {
    pub form: Option<i64>,
    pub chain: Option<&'a str>,
    pub position: Option<i64>,
    pub follows: Option<i64>,
    pub link: Option<&'a [u8]>,
    pub mac: Option<&'a [u8]>,
}

impl<'a> PlaceColumns<'a> {
    /// Those of a row.
    #[must_use]
    pub fn of(record: &'a AuditRecord) -> Self {
        let Some(chained) = &record.chained else { return Self::default() };
        Self {
            form: Some(chained.form),
            chain: Some(&chained.chain),
            position: Some(chained.position),
            follows: chained.follows,
            link: Some(chained.link.as_bytes()),
            mac: Some(chained.mac.as_bytes()),
        }
    }
}

/// What is said when a writer finds a seal that nobody with the key has made. It refuses to go
/// on: its own seal must not stand under what somebody else has made of the trail.
fn broken(what: &'static str, why: &'static str) -> Error {
    let hint = format!("{why}; `skep audit verify` says what else is wrong");
    Error::Corrupt { what, source: hint.into() }
}

const END: &str = "end of the audit trail";

/// The end of the chain that a process writes is not there any more.
#[must_use]
pub fn end_gone() -> Error {
    broken(END, "the end of the chain that this process writes is gone")
}

/// Whether a writer may go on with its chain; `at_least` is the length that it knows of.
///
/// # Errors
/// [`Error::Corrupt`] when somebody else has changed the end or put an older one back.
pub fn check_end(head: &ChainHead, key: &AuditKey, at_least: i64) -> Result<()> {
    if !head.is_intact(key) {
        return Err(broken(END, "it was not sealed with this installation's key"));
    }
    if head.length < at_least {
        return Err(broken(END, "it is older than what this process has written"));
    }
    Ok(())
}

/// A chain that begins behind the newest row, and the list of chains with it.
///
/// # Errors
/// [`Error::Corrupt`] when the checkpoint or the list is gone or was changed.
pub fn begin_chain(
    key: &AuditKey,
    (chain, writer): (&str, &str),
    (checkpoint, roster): (Option<Checkpoint>, Option<Roster>),
    newest: Option<Link>,
) -> Result<(Roster, ChainHead)> {
    const WHAT: &str = "list of the audit trail's chains";
    let (Some(checkpoint), Some(roster)) = (checkpoint, roster) else {
        return Err(broken(WHAT, "it is gone"));
    };
    if !checkpoint.is_intact(key) || !roster.is_intact(key, &checkpoint) {
        return Err(broken(WHAT, "it was not sealed with this installation's key"));
    }
    let number = roster.chains.saturating_add(1);
    let start = Start::after(newest, &checkpoint);
    let head = ChainHead::start(key, chain, number, writer, start);
    Ok((Roster::of(key, number, &checkpoint), head))
}

/// The checkpoint over the rows from before there were chains, and the empty list of chains.
#[must_use]
pub fn roots(key: &AuditKey, legacy: Legacy) -> (Checkpoint, Roster) {
    let checkpoint = legacy.checkpoint(key);
    let roster = Roster::of(key, 0, &checkpoint);
    (checkpoint, roster)
}

/// Whether a database was first opened with this key. One of the two seals is enough: the other
/// may have been damaged, which is for `audit verify` to say.
#[must_use]
pub fn fits(key: &AuditKey, checkpoint: Option<&Checkpoint>, roster: Option<&Roster>) -> bool {
    checkpoint.is_none_or(|checkpoint| {
        checkpoint.is_intact(key) || roster.is_none_or(|roster| roster.is_intact(key, checkpoint))
    })
}

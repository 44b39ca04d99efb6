//! The ends that are sealed beside the rows: where a chain starts and ends, how many chains there
//! are, and what was recorded before there were any.
//!
//! A row proves what stands in it and what stood before it. That something came *after* it, and
//! was cut off, only these can tell.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::encoding::Encoding;
use super::{AuditEvent, AuditKey, AuditRecord, Mac};

/// A row that another one is linked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in the trail.
    pub seq: i64,
    /// Its keyed hash; `None` for a row from before there were chains.
    pub mac: Option<Mac>,
}

/// What the first row of a chain is linked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The number of the newest row that was there.
    pub follows: Option<i64>,
    /// Its keyed hash, or the checkpoint's seal when it was not chained or there was none.
    pub link: Mac,
}

impl Start {
    /// Behind the newest row.
    #[must_use]
    pub fn after(newest: Option<Link>, checkpoint: &Checkpoint) -> Self {
        let follows = newest.as_ref().map(|link| link.seq);
        let link = newest.and_then(|link| link.mac).unwrap_or_else(|| checkpoint.seal.clone());
        Self { follows, link }
    }
}

/// Where a chain stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Its name: of a leader's term, or of a process that leads nothing.
    pub chain: String,
    /// Counts the chains from 1.
    pub number: i64,
    /// The process that writes it: host and process id.
    pub writer: String,
    /// What its first row is linked to.
    pub start: Start,
    /// How many rows it has.
    pub length: i64,
    /// The number of its last row in the trail.
    pub last_seq: Option<i64>,
    /// The keyed hash of its last row; the link of the first while there is none.
    pub last: Mac,
    /// The keyed hash over all of this.
    pub seal: Mac,
}

impl ChainHead {
    /// A chain without rows.
    #[must_use]
    pub fn start(key: &AuditKey, chain: &str, number: i64, writer: &str, start: Start) -> Self {
        let last = start.link.clone();
        Self {
            chain: chain.to_owned(),
            number,
            writer: writer.to_owned(),
            start,
            length: 0,
            last_seq: None,
            last,
            seal: Mac::default(),
        }
        .sealed(key)
    }

    /// The chain with one more row, and that row.
    #[must_use]
    pub fn append(self, key: &AuditKey, seq: i64, event: &AuditEvent) -> (Self, AuditRecord) {
        let position = self.length.saturating_add(1);
        let follows = self.last_seq.or(self.start.follows);
        let record = AuditRecord::of(seq, event).chain(
            key,
            &self.chain,
            position,
            follows,
            self.last.clone(),
        );
        let last = record.chained.as_ref().map(|chained| chained.mac.clone()).unwrap_or_default();
        let head = Self { length: position, last_seq: Some(seq), last, ..self };
        (head.sealed(key), record)
    }

    fn sealed(mut self, key: &AuditKey) -> Self {
        self.seal = key.sign(&self.encode());
        self
    }

    /// Whether it is as it was written. A writer checks it before it goes on, so that it does not
    /// put its own seal under what somebody else has made of the chain.
    #[must_use]
    pub fn is_intact(&self, key: &AuditKey) -> bool {
        key.fits(&self.encode(), &self.seal)
    }

    fn encode(&self) -> Encoding {
        let Self { chain, number, writer, start, length, last_seq, last, seal: _ } = self;
        let mut encoding = Encoding::new("chain");
        encoding.text(Some(chain)).number(*number).text(Some(writer));
        encoding.optional_number(start.follows).bytes(start.link.as_bytes());
        encoding.number(*length).optional_number(*last_seq).bytes(last.as_bytes());
        encoding
    }
}

/// How many chains there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// Their number.
    pub chains: i64,
    /// The keyed hash over it and over the checkpoint.
    pub seal: Mac,
}

impl Roster {
    /// With this many chains.
    #[must_use]
    pub fn of(key: &AuditKey, chains: i64, checkpoint: &Checkpoint) -> Self {
        Self { chains, seal: key.sign(&Self::encode(chains, checkpoint)) }
    }

    /// Whether it is as it was written.
    #[must_use]
    pub fn is_intact(&self, key: &AuditKey, checkpoint: &Checkpoint) -> bool {
        key.fits(&Self::encode(self.chains, checkpoint), &self.seal)
    }

    fn encode(chains: i64, checkpoint: &Checkpoint) -> Encoding {
        let mut encoding = Encoding::new("roster");
        encoding.number(chains).bytes(checkpoint.seal.as_bytes());
        encoding
    }
}

/// What was recorded before there were chains: it proves nothing about the time before, and that
/// nothing has changed since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// How many rows there were.
    pub rows: i64,
    /// The number of the last one.
    pub last_seq: Option<i64>,
    /// The SHA-256 digest over all of them, in order.
    pub digest: Mac,
    /// The keyed hash over all of this.
    pub seal: Mac,
}

impl Checkpoint {
    /// Whether it is as it was written.
    #[must_use]
    pub fn is_intact(&self, key: &AuditKey) -> bool {
        key.fits(&self.encode(), &self.seal)
    }

    /// Whether a row is from before there were chains.
    #[must_use]
    pub fn covers(&self, seq: i64) -> bool {
        self.last_seq.is_some_and(|last| seq <= last)
    }

    fn encode(&self) -> Encoding {
        let mut encoding = Encoding::new("checkpoint");
        encoding.number(self.rows).optional_number(self.last_seq).bytes(self.digest.as_bytes());
        encoding
    }
}

/// Rows from before there were chains, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Legacy {
    rows: i64,
    last_seq: Option<i64>,
    digest: Sha256,
}

impl Legacy {
    /// Takes the next row.
    pub fn add(&mut self, record: &AuditRecord) {
        let mut encoding = Encoding::new("legacy row");
        record.encode_columns(&mut encoding);
        self.digest.update(encoding.as_bytes());
        self.rows = self.rows.saturating_add(1);
        self.last_seq = Some(record.seq);
    }

    /// The number of rows so far.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.rows
    }

    /// The checkpoint over these rows.
    #[must_use]
    pub fn checkpoint(self, key: &AuditKey) -> Checkpoint {
        let Self { rows, last_seq, digest } = self;
        let digest = Mac::from_stored(digest.finalize().to_vec());
        let mut checkpoint = Checkpoint { rows, last_seq, digest, seal: Mac::default() };
        checkpoint.seal = key.sign(&checkpoint.encode());
        checkpoint
    }
}

/// Everything that is sealed beside the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailSeals {
    /// What was there before there were chains; `None` when the row is gone.
    pub checkpoint: Option<Checkpoint>,
    /// How many chains there are; `None` when the row is gone.
    pub roster: Option<Roster>,
    /// Where each of them stands, by number.
    pub heads: Vec<ChainHead>,
}

//! What can be wrong with a trail.

use serde::Serialize;

/// One finding. `seq` is the number of a row in the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "damage", rename_all = "snake_case")]
pub enum Damage {
    /// No seal and no row fits the key: it is another installation's.
    #[error("nothing in the trail was made with this key")]
    WrongKey,
    /// A column was changed, or the row was written without the key.
    #[error("row {seq} was changed, or was written without the key")]
    Edited {
        /// Its number.
        seq: i64,
    },
    /// The row stands elsewhere than where it was written.
    #[error("row {seq} stands out of order: place {position} of chain {chain} in place {expected}")]
    Moved {
        /// Its number.
        seq: i64,
        /// The chain that it names.
        chain: String,
        /// The place that it names.
        position: i64,
        /// The place that it stands in.
        expected: i64,
    },
    /// Rows are gone.
    #[error("rows are gone before row {seq}: places {from} to {to} of chain {chain}")]
    Missing {
        /// The row that came after them.
        seq: i64,
        /// Their chain.
        chain: String,
        /// The first place.
        from: i64,
        /// The last place.
        to: i64,
    },
    /// The row before is another one than when this row was written.
    #[error("row {seq} is not linked to the row before it")]
    Unlinked {
        /// Its number.
        seq: i64,
    },
    /// The row that a chain began behind is gone or another one.
    #[error("row {seq}, behind which chain {chain} began, is gone or was changed")]
    LinkLost {
        /// The number of that row.
        seq: i64,
        /// The chain.
        chain: String,
    },
    /// A row of a chain that was never registered, or whose registration is gone.
    #[error("row {seq} belongs to chain {chain}, which is not registered")]
    ForeignChain {
        /// Its number.
        seq: i64,
        /// The chain that it names.
        chain: String,
    },
    /// A row without a chain that was not there when chains began.
    #[error("row {seq} is in no chain")]
    Unchained {
        /// Its number.
        seq: i64,
    },
    /// Written by a newer version of Skep, or changed.
    #[error("row {seq} is written in a form that this version does not know ({form})")]
    UnknownForm {
        /// Its number.
        seq: i64,
        /// The form that it names.
        form: i64,
    },
    /// The rows come in another order than that of their numbers.
    #[error("row {seq} comes after a row with a higher number")]
    OutOfOrder {
        /// Its number.
        seq: i64,
    },
    /// The end of a chain is gone.
    #[error("the end of chain {chain} is gone: it has {found} rows and had {expected}")]
    CutOff {
        /// The chain.
        chain: String,
        /// How many rows there are.
        found: i64,
        /// How many there were.
        expected: i64,
    },
    /// The sealed end of a chain is behind its rows: it is an older one.
    #[error(
        "the sealed end of chain {chain} is an older one: {expected} rows, and there are {found}"
    )]
    EndIsOlder {
        /// The chain.
        chain: String,
        /// How many rows there are.
        found: i64,
        /// How many the sealed end knows.
        expected: i64,
    },
    /// The sealed end of a chain was changed.
    #[error("the sealed end of chain {chain} was changed")]
    EndChanged {
        /// The chain.
        chain: String,
    },
    /// A whole chain is gone.
    #[error("chain number {number} is gone with all its rows, or its registration is")]
    ChainGone {
        /// Its number.
        number: i64,
    },
    /// A registration that the number of chains does not cover.
    #[error("chain {chain} is registered under number {number}, which was never given")]
    ChainSurplus {
        /// The chain.
        chain: String,
        /// The number.
        number: i64,
    },
    /// The sealed number of chains is gone or was changed.
    #[error("the sealed number of chains is gone or was changed")]
    RosterChanged,
    /// The checkpoint is gone or was changed.
    #[error("the checkpoint over the rows from before there were chains is gone or was changed")]
    CheckpointChanged,
    /// The rows that the checkpoint covers are others.
    #[error(
        "the rows up to number {last_seq}, from before there were chains, are others: {found} of {expected} rows are there"
    )]
    LegacyChanged {
        /// The last of them.
        last_seq: i64,
        /// How many there are.
        found: i64,
        /// How many there were.
        expected: i64,
    },
    /// An earlier export knows more of a chain: the database is an older copy, or was cut.
    #[error(
        "the database went back: an earlier export knows {then} rows of chain {chain}, and there are {now}"
    )]
    RolledBack {
        /// The chain.
        chain: String,
        /// How many rows the export knows.
        then: i64,
        /// How many there are.
        now: i64,
    },
    /// An earlier export knows another row in this place.
    #[error("row {seq} is another one than an earlier export knows in this place")]
    Rewritten {
        /// Its number.
        seq: i64,
    },
    /// An earlier export is of another trail.
    #[error("the earlier export is of another trail")]
    OtherTrail,
    /// The lines of an export are not those that were signed.
    #[error("the lines of the export are not those that were signed: {found} of {expected} rows")]
    ExportChanged {
        /// How many rows there are.
        found: u64,
        /// How many were signed.
        expected: u64,
    },
    /// The signed line at the end of an export was changed.
    #[error("the signed line at the end of the export was changed")]
    ExportForged,
}

impl Damage {
    /// The row that it is about, when it is about one.
    #[must_use]
    pub fn seq(&self) -> Option<i64> {
        match self {
            Self::Edited { seq }
            | Self::Moved { seq, .. }
            | Self::Missing { seq, .. }
            | Self::Unlinked { seq }
            | Self::LinkLost { seq, .. }
            | Self::ForeignChain { seq, .. }
            | Self::Unchained { seq }
            | Self::UnknownForm { seq, .. }
            | Self::OutOfOrder { seq }
            | Self::Rewritten { seq } => Some(*seq),
            Self::LegacyChanged { last_seq, .. } => Some(*last_seq),
            Self::WrongKey
            | Self::CutOff { .. }
            | Self::EndIsOlder { .. }
            | Self::EndChanged { .. }
            | Self::ChainGone { .. }
            | Self::ChainSurplus { .. }
            | Self::RosterChanged
            | Self::CheckpointChanged
            | Self::RolledBack { .. }
            | Self::OtherTrail
            | Self::ExportChanged { .. }
            | Self::ExportForged => None,
        }
    }
}

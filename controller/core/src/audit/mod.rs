//! The audit trail: a typed, append-only record of who did what, chained so that no row can be
//! changed, removed or moved unnoticed by somebody who has the database and not the key.
//!
//! A writer has a *chain*: each row holds the keyed hash of the row before it. The first row of a
//! chain is linked to the newest row that was there, so chains hang together. The end of every
//! chain, their number, and what was recorded before there were chains are sealed with the same
//! key. Writers never wait for each other's chains.

mod chain;
mod damage;
mod encoding;
mod event;
mod export;
mod key;
mod kind;
mod record;
#[cfg(test)]
mod tests;
mod verify;

pub use self::chain::{ChainHead, Checkpoint, Legacy, Link, Roster, Start, TrailSeals};
pub use self::damage::Damage;
pub use self::event::{ActionFacts, AuditData, AuditEvent, DataShape, LetterFacts, RevisionFacts};
pub use self::export::{ExportError, ExportHead, ExportLine, ExportWriter};
pub use self::key::{AuditKey, Mac};
pub use self::kind::AuditKind;
pub use self::record::{AuditRecord, Chained};
pub use self::verify::{Scope, Verified, Verifier};

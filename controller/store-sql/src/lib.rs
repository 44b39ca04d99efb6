//! What the two databases have in common: the form of columns, the way from a row back to the
//! types of skep-core, what must be true before a row is written, and the words of the audit
//! trail. Statements, locks and connections stand in the crate of each database.
//!
//! The names of columns and their forms are the same in both: instants are microseconds since
//! 1970-01-01 UTC, words are those of skep-core, steps and verbs are JSON text.

mod actions;
mod approvals;
mod audit;
pub mod batches;
pub mod chains;
mod columns;
pub mod containments;
pub mod events;
mod holds;
pub mod inbox;
pub mod instant;
mod intents;
mod leases;
mod ledger;
pub mod letters;
pub mod outbox;
mod overrides;
mod ownership;
mod prefix;
pub mod prunes;
pub mod query;
pub mod rekeying;
mod requests;
mod revisions;
pub mod sealing;
pub mod transfer;
mod transition;

pub use self::actions::{ActionRow, check_proposal, list};
pub use self::approvals::{ApprovalRow, Decided, check_decider, check_decision};
pub use self::audit::AuditRow;
pub use self::columns::{
    instant_or_none, json, json_error, key, keys_json, number, stored_version, version, word,
};
pub use self::holds::HoldRow;
pub use self::intents::{IntentRow, OpenIntent, OpenIntentRow, outcome_word};
pub use self::leases::{Held, LeaseRow, until};
pub use self::ledger::{LedgerRow, facts, refused};
pub use self::overrides::{
    OverrideColumns, OverrideRow, check_override, check_room, choose_override, override_lifted,
    override_placed,
};
pub use self::ownership::OwnedRow;
pub use self::prefix::{ApprovalPrefix, prefix_end, whole_or_only};
pub use self::requests::{Answer, AskedRow, RequestRow, filed};
pub use self::revisions::{HeadOfHistoryRow, RevisionColumns, RevisionRow};
pub use self::transition::{Change, ChangedColumns, Head, HeadRow};

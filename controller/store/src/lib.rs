//! What Skep remembers, as traits: SQLite and Postgres implement them and pass one conformance
//! suite.
//!
//! Two kinds of writes exist. The leader's writes take a [`Fence`] and fail with
//! [`Error::Fenced`] when the lease has moved on, inside the same transaction. People's writes
//! (decisions, requests, holds, overrides, containment) take none: anybody may approve while any
//! replica leads. Every write appends its audit rows in the same transaction, so nothing happens
//! unrecorded. (Some writes decide nothing and append none: renewing the lease, telling how the
//! leader works, replacing a source's last good content or the mark that removals are measured
//! against, keeping and answering announcements, keeping previews, noting what an action waits
//! for, and delivering messages.)
//!
//! Instants are kept in microseconds; a finer fraction is cut off.

mod actions;
mod approvals;
mod attempts;
mod audit;
pub mod conformance;
mod containments;
mod error;
mod holds;
mod inbox;
mod intents;
mod leases;
mod ledger;
mod letters;
mod outbox;
mod overrides;
mod ownership;
mod previews;
mod protection;
mod prunes;
mod requests;
mod revisions;
mod sources;

use async_trait::async_trait;

pub use self::actions::{
    ActionFilter, ActionList, Actions, Closing, NewAction, ProposeOutcome, UnreadableAction,
    WaitNote,
};
pub use self::approvals::{
    ApprovalFilter, Approvals, BatchMember, BatchOutcome, BatchRequest, Decision, DecisionRequest,
};
pub use self::attempts::{Attempts, FailedAttempt, Retries};
pub use self::audit::{Audit, AuditFilter, TrailReader};
pub use self::containments::{ContainmentWrite, Containments, Ordered};
pub use self::error::{BoxError, Category, Error};
pub use self::holds::Holds;
pub use self::inbox::{
    ANNOUNCEMENTS_REMEMBERED, ANNOUNCEMENTS_WAIT, Announced, Announcement, Inbox,
    MOST_ANNOUNCEMENTS, MOST_OPEN_ANNOUNCEMENTS, NewAnnouncement,
};
pub use self::intents::{Effects, Intent, IntentOutcome, Intents, OwnershipChange};
pub use self::leases::{Fence, Lease, LeaseHolder, LeaseRequest, Leases};
pub use self::ledger::{DecisionRow, Ledger, LedgerFilter, Refusal};
pub use self::letters::{
    DeadLetters, DropLetter, Failed, LetterAnswer, LetterFilter, OpenLetters, Operator, Rejection,
    Requeue, RequeueWith,
};
pub use self::outbox::{
    AttemptOutcome, Attempted, Delivery, DeliveryFilter, Endpoint, Outbox, Tidied,
};
pub use self::overrides::{OverrideFilter, Overrides};
pub use self::ownership::{OwnedObject, Ownership};
pub use self::previews::{KeptPreview, MOST_PREVIEWS, Previews};
pub use self::protection::{Protection, content_context, preview_context, step_context};
pub use self::prunes::Prunes;
pub use self::requests::{RequestFilter, RequestOutcome, Requests};
pub use self::revisions::{REVISIONS_KEPT, Revisions};
pub use self::sources::{LastGoodContent, Sources};

/// A result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// All repositories of one database.
#[async_trait]
pub trait Store:
    Leases
    + Actions
    + Approvals
    + Intents
    + Ownership
    + Prunes
    + Revisions
    + Requests
    + Holds
    + Containments
    + Sources
    + Inbox
    + Previews
    + Audit
    + Ledger
    + Retries
    + DeadLetters
    + Outbox
    + Overrides
    + Send
    + Sync
{
    /// A number that grows with everything that is recorded, by this process or by another: the
    /// cheap poll that wakes the loop after an approval. Renewing the lease does not move it, or
    /// the loop would never rest.
    async fn change_counter(&self) -> Result<i64>;

    /// Whether the database answers, for readiness.
    async fn ping(&self) -> Result<()>;

    /// Whether it can only be read: every write will fail. As it was when it was opened.
    fn is_read_only(&self) -> bool {
        false
    }

    /// A random id made when the database was created. It names this installation in leases.
    fn installation_id(&self) -> &str;
}

//! The store as one process reaches it. Every method of every repository is listed here; a new one
//! does not compile until it is.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::{Action, ActuatorMode, IntentPhase};
use skep_core::approval::{Approval, Batch};
use skep_core::audit::AuditEvent;
use skep_core::containment::{Confirmation, Contained, Containment, Order, RecordedState};
use skep_core::gate::Override;
use skep_core::hold::Hold;
use skep_core::identity::{ActionId, ClusterId, IntentId, ObjectKey, RequestId};
use skep_core::letter::DeadLetter;
use skep_core::notice::Notice;
use skep_core::plan::PruneMark;
use skep_core::push::Answer;
use skep_core::request::{NewRequest, ServiceRequest};
use skep_core::revision::{NewRevision, Revision, RevisionHead};
use skep_store::{
    ActionFilter, ActionList, Actions, Announced, Announcement, ApprovalFilter, Approvals,
    Attempted, Attempts, Audit, AuditFilter, BatchOutcome, BatchRequest, Closing, ContainmentWrite,
    Containments, DeadLetters, DecisionRequest, DecisionRow, Delivery, DeliveryFilter, DropLetter,
    Endpoint, Failed, FailedAttempt, Fence, Holds, Inbox, Intent, IntentOutcome, Intents,
    KeptPreview, LastGoodContent, Lease, LeaseHolder, LeaseRequest, Leases, Ledger, LedgerFilter,
    LetterAnswer, LetterFilter, NewAction, NewAnnouncement, OpenLetters, Ordered, Outbox,
    OverrideFilter, Overrides, OwnedObject, Ownership, Previews, ProposeOutcome, Prunes, Refusal,
    Rejection, RequestFilter, RequestOutcome, Requests, Requeue, Result, Retries, Revisions,
    Sources, Store, Tidied, TrailReader, WaitNote,
};

use super::Process;
use crate::database::Database;
use crate::time::while_time_stands;

/// The database behind the moments of a process.
#[derive(Debug)]
pub struct TappedStore {
    database: Arc<Database>,
    process: Arc<Process>,
}

impl TappedStore {
    /// The database as this process reaches it.
    #[must_use]
    pub fn new(database: Arc<Database>, process: Arc<Process>) -> Self {
        Self { database, process }
    }

    /// One call, while no time goes by and nobody copies the files.
    async fn alone<T>(&self, work: impl Future<Output = T>) -> T {
        let _gate = self.database.gate.lock().await;
        self.database.keep_time();
        while_time_stands(work).await
    }
}

/// Implements repositories by passing every call on.
macro_rules! tapped {
    ($($repository:ident {
        $(fn $method:ident($($argument:ident: $kind:ty),*) -> $result:ty;)+
    })+) => {
        $(#[async_trait]
        impl $repository for TappedStore {
            $(async fn $method(&self, $($argument: $kind),*) -> Result<$result> {
                let work = async {
                    let result = self.alone(self.database.store.$method($($argument),*)).await;
                    if let (Ok(_), Some((witness, name))) = (&result, &self.process.witness) {
                        witness.recorded(name, stringify!($method)).await;
                    }
                    result
                };
                self.process.call(stringify!($method), work).await
            })+
        })+
    };
}

tapped! {
    Actions {
        fn propose(fence: &Fence, proposals: &[NewAction], now: Timestamp) -> Vec<ProposeOutcome>;
        fn close_action(fence: &Fence, closing: &Closing, now: Timestamp) -> ();
        fn note_waits(fence: &Fence, notes: &[WaitNote], now: Timestamp) -> ();
        fn action(id_or_prefix: &str) -> Action;
        fn list_actions(filter: &ActionFilter) -> ActionList;
    }
    Approvals {
        fn decide(request: &DecisionRequest, now: Timestamp) -> Approval;
        fn decide_batch(request: &BatchRequest, now: Timestamp) -> BatchOutcome;
        fn batch(id_or_prefix: &str) -> Batch;
        fn batches(limit: u32) -> Vec<Batch>;
        fn remind(fence: &Fence, before: Timestamp, now: Timestamp) -> u64;
        fn approval(id_or_prefix: &str) -> Approval;
        fn approvals(filter: &ApprovalFilter) -> Vec<Approval>;
    }
    Retries {
        fn note_attempt(fence: &Fence, intent: &IntentId, attempt: &FailedAttempt, detail: &str, now: Timestamp) -> Attempts;
        fn attempts(action: &ActionId) -> Option<Attempts>;
        fn open_attempts() -> Vec<Attempts>;
    }
    Audit {
        fn audit(filter: &AuditFilter) -> Vec<(i64, AuditEvent)>;
        fn read_trail(from: Option<i64>, reader: &mut dyn TrailReader) -> ();
        fn first_since(since: Timestamp) -> Option<i64>;
    }
    Containments {
        fn order(cluster: &ClusterId, orders: &[Order], now: Timestamp) -> Vec<Ordered>;
        fn rehearse_orders(cluster: &ClusterId, orders: &[Order], now: Timestamp) -> ();
        fn confirm(confirmation: &Confirmation, now: Timestamp) -> bool;
        fn contained(cluster: &ClusterId) -> Contained;
        fn begin_containment(fence: &Fence, write: &ContainmentWrite, now: Timestamp) -> ();
        fn record_former_state(fence: &Fence, recorded: &RecordedState, now: Timestamp) -> ();
        fn forget_former_state(fence: &Fence, key: &ObjectKey, why: &str, now: Timestamp) -> bool;
        fn end_containment(fence: &Fence, seen: &Containment, now: Timestamp) -> ();
        fn declare_mode(fence: &Fence, mode: ActuatorMode) -> ();
        fn leader_mode() -> Option<ActuatorMode>;
    }
    Holds {
        fn place_hold(hold: &Hold) -> ();
        fn lift_hold(key: &ObjectKey, actor: &str, now: Timestamp) -> bool;
        fn holds(cluster: &ClusterId) -> Vec<Hold>;
    }
    Inbox {
        fn announce(new: &NewAnnouncement, now: Timestamp) -> Announced;
        fn open_announcements(limit: u32) -> Vec<Announcement>;
        fn announcement(id: &str) -> Option<Announcement>;
        fn answer_announcement(fence: &Fence, id: &str, answer: &Answer, now: Timestamp) -> ();
    }
    Intents {
        fn begin(fence: &Fence, revision: i64, intent: &Intent, now: Timestamp) -> ();
        fn advance(fence: &Fence, intent: &IntentId, from: IntentPhase, to: IntentPhase, now: Timestamp) -> ();
        fn settle(fence: &Fence, intent: &IntentId, outcome: &IntentOutcome, now: Timestamp) -> ();
        fn settle_without_write(fence: &Fence, action: &ActionId, revision: i64, outcome: &IntentOutcome, now: Timestamp) -> ();
        fn open_intents() -> Vec<Intent>;
    }
    Leases {
        fn acquire_lease(request: &LeaseRequest) -> std::result::Result<Lease, LeaseHolder>;
        fn renew_lease(lease: &Lease) -> ();
        fn release_lease(lease: &Lease) -> ();
        fn lease_holder() -> Option<LeaseHolder>;
    }
    Ledger {
        fn record_refusals(fence: &Fence, refusals: &[Refusal], now: Timestamp) -> ();
        fn decisions(filter: &LedgerFilter) -> Vec<DecisionRow>;
    }
    DeadLetters {
        fn fail_action(fence: &Fence, closing: &Closing, failed: &Failed, now: Timestamp) -> ();
        fn reject_event(rejection: &Rejection, now: Timestamp) -> DeadLetter;
        fn letters(filter: &LetterFilter) -> Vec<DeadLetter>;
        fn letter(id_or_prefix: &str) -> DeadLetter;
        fn open_letters() -> OpenLetters;
        fn requeue_letter(requeue: &Requeue, now: Timestamp) -> LetterAnswer;
        fn drop_letter(wish: &DropLetter, now: Timestamp) -> LetterAnswer;
    }
    Outbox {
        fn enqueue(notices: &[Notice]) -> ();
        fn notices(limit: u32) -> Vec<Notice>;
        fn spread(fence: &Fence, endpoints: &[Endpoint], now: Timestamp) -> u64;
        fn due(endpoint: &str, now: Timestamp, limit: u32) -> Vec<Delivery>;
        fn attempted(fence: &Fence, attempt: &Attempted, now: Timestamp) -> ();
        fn deliveries(filter: &DeliveryFilter) -> Vec<Delivery>;
        fn retry_deliveries(filter: &DeliveryFilter, actor: &str, now: Timestamp) -> u64;
        fn tidy(fence: &Fence, give_up: Timestamp, forget: Timestamp, now: Timestamp) -> Tidied;
    }
    Overrides {
        fn place_override(new: &Override) -> ();
        fn lift_override(id: &str, actor: &str, now: Timestamp) -> Override;
        fn overrides(filter: &OverrideFilter) -> Vec<Override>;
        fn overrides_counter() -> i64;
    }
    Ownership {
        fn owned(cluster: &ClusterId) -> Vec<OwnedObject>;
        fn owned_of(keys: &[ObjectKey]) -> Vec<OwnedObject>;
        fn owned_clusters() -> Vec<ClusterId>;
    }
    Previews {
        fn put_preview(fence: &Fence, preview: &KeptPreview) -> ();
        fn previews() -> Vec<KeptPreview>;
    }
    Prunes {
        fn prune_mark(cluster: &ClusterId) -> Option<PruneMark>;
        fn put_prune_mark(fence: &Fence, cluster: &ClusterId, mark: &PruneMark) -> ();
    }
    Requests {
        fn submit(requests: &[NewRequest], now: Timestamp) -> Vec<ServiceRequest>;
        fn requests(filter: &RequestFilter) -> Vec<ServiceRequest>;
        fn resolve_request(fence: &Fence, request: &RequestId, outcome: &RequestOutcome, now: Timestamp) -> ();
    }
    Revisions {
        fn record_revision(fence: &Fence, revision: &NewRevision, now: Timestamp) -> u32;
        fn revisions(key: &ObjectKey, limit: u32) -> Vec<Revision>;
        fn revision(key: &ObjectKey, number: u32) -> Revision;
        fn revision_heads(cluster: &ClusterId) -> Vec<RevisionHead>;
    }
    Sources {
        fn put_last_good(fence: &Fence, content: &LastGoodContent) -> ();
        fn last_good(source: &str) -> Option<LastGoodContent>;
    }
}

#[async_trait]
impl Store for TappedStore {
    async fn change_counter(&self) -> Result<i64> {
        let work = self.alone(self.database.store.change_counter());
        self.process.call("change_counter", work).await
    }

    async fn ping(&self) -> Result<()> {
        self.process.call("ping", self.alone(self.database.store.ping())).await
    }

    fn installation_id(&self) -> &str {
        self.database.store.installation_id()
    }
}

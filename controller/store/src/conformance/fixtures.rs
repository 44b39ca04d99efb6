//! What the behaviours are told with: a leader, actions in every state, and everything that a
//! database shows, to prove that a refused write left nothing.

mod leader;
mod proposals;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use skep_core::action::{ActionEvent, IntentPhase, Source};
use skep_core::canonical::Digest;
use skep_core::desired::Provenance;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{
    ActionId, ApprovalId, ClusterId, IntentId, ObjectKey, RequestId, ServiceName, SwarmId, TermId,
};
use skep_core::letter::LetterReason;
use skep_core::plan::Change;
use skep_core::ports::Random;
use skep_core::request::{NewRequest, RequestVerb};
use skep_core::retry::Failure;
use skep_core::revision::{NewRevision, RevisionOrigin};
use skep_core::seal::Sealed;

pub(super) use self::leader::{Leader, leader};
pub(super) use self::proposals::{adoption, refusal};
pub use self::proposals::{granted, pending};
use super::Harness;
use crate::{
    ActionFilter, ApprovalFilter, AuditFilter, Closing, Decision, DecisionRequest, DeliveryFilter,
    Effects, Error, Failed, FailedAttempt, Intent, IntentOutcome, LastGoodContent, Lease,
    LeaseRequest, LedgerFilter, LetterFilter, OverrideFilter, OwnedObject, OwnershipChange,
    Protection, RequestFilter, Result, Store,
};

/// Another number each time, also in another process.
struct Dice;

impl Random for Dice {
    fn bits128(&self) -> u128 {
        // The standard library seeds each of these anew.
        let half = || u128::from(RandomState::new().build_hasher().finish());
        half() << 64 | half()
    }
}

/// The keys of an installation that exists only in tests.
#[must_use]
pub fn protection() -> Protection {
    Protection::new(&[7; 32], Arc::new(Dice)).unwrap()
}

pub(super) const TTL: Duration = Duration::from_secs(6);

/// How many try at once where one may win.
pub(super) const CROWD: usize = 50;

/// A moment of the caller's clock. Its distance to the database's clock means nothing.
#[must_use]
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// The cluster of all objects here.
#[must_use]
pub fn cluster() -> ClusterId {
    ClusterId::new("cluster-1")
}

/// A service of that cluster.
#[must_use]
pub fn key(name: &str) -> ObjectKey {
    ObjectKey::service(&cluster(), &ServiceName::new(name))
}

pub(super) fn lease_request(name: &str) -> LeaseRequest {
    LeaseRequest { term: TermId::new(format!("term-{name}")), holder: name.to_owned(), ttl: TTL }
}

pub(super) async fn take_lease(store: &Arc<dyn Store>, name: &str) -> Lease {
    store.acquire_lease(&lease_request(name)).await.unwrap().unwrap()
}

/// Several processes on the database.
pub(super) async fn processes(harness: &dyn Harness, count: usize) -> Vec<Arc<dyn Store>> {
    let mut stores = Vec::new();
    for _ in 0..count {
        stores.push(harness.connect().await);
    }
    stores
}

/// The intent of an action that creates its service.
#[must_use]
pub fn intent(id: &str, action: &str, name: &str) -> Intent {
    Intent {
        id: IntentId::new(id),
        action: ActionId::new(action),
        key: key(name),
        object: None,
        version: None,
        phase: IntentPhase::Write,
        body: b"{\"Name\":\"caddy\"}".to_vec(),
        created_at: at(1),
    }
}

pub(super) fn closing(action: &str, revision: i64, event: ActionEvent) -> Closing {
    Closing {
        action: ActionId::new(action),
        revision,
        event,
        actor: "policy".to_owned(),
        detail: "it no longer fits".to_owned(),
        moved: None,
    }
}

/// What a person says about the request of [`pending`].
#[must_use]
pub fn decision(id: &str, decision: Decision) -> DecisionRequest {
    DecisionRequest {
        approval: ApprovalId::new(format!("action_approval:a-{id}")),
        decision,
        actor: "alice".to_owned(),
        source: "host:operator".to_owned(),
        comment: Some("looks right".to_owned()),
        expected_revision: None,
        expected_binding: None,
        start_by: (decision == Decision::Approve).then(|| at(700)),
    }
}

pub(super) fn owned(name: &str, id: &str) -> OwnedObject {
    OwnedObject {
        key: key(name),
        id: SwarmId::new(id),
        source: Source::Registry,
        stack: None,
        since: at(2),
    }
}

pub(super) fn done(change: Option<OwnershipChange>) -> IntentOutcome {
    let effects = Effects { ownership: change, ..Effects::default() };
    IntentOutcome::Done { detail: "created".to_owned(), effects }
}

/// An outcome with these effects.
#[must_use]
pub fn done_with(effects: Effects) -> IntentOutcome {
    IntentOutcome::Done { detail: "updated".to_owned(), effects }
}

/// The engine took it, Swarm rolls it out.
pub(super) fn accepted(effects: Effects) -> IntentOutcome {
    IntentOutcome::Accepted { detail: "accepted".to_owned(), effects }
}

/// How an action failed, with its second attempt.
pub(super) fn failed(reason: LetterReason) -> Failed {
    Failed { reason, attempts: 2, host: "vm1".to_owned() }
}

/// The engine refused it, or it came to nothing in another way.
#[must_use]
pub fn refused_for(reason: LetterReason) -> IntentOutcome {
    let failed = Some(failed(reason));
    IntentOutcome::Refused { detail: "the engine refused it".to_owned(), failed }
}

/// An attempt after which the next one waits until this second.
pub(super) fn failed_attempt(failure: Failure, not_before: i64) -> FailedAttempt {
    FailedAttempt { failure, not_before: at(not_before) }
}

/// A revision that fills every column.
pub(super) fn revision(name: &str, origin: RevisionOrigin) -> NewRevision {
    NewRevision {
        key: key(name),
        object: SwarmId::new(format!("id-of-{name}")),
        version: Some(41),
        origin,
        action: None,
        actor: "bob (docker)".to_owned(),
        source: Some(Source::Gitops),
        provenance: Some(Provenance {
            source: Source::Gitops,
            file: "stack.yml".to_owned(),
            line: 3,
            column: 5,
            commit: Some("0123abcd".to_owned()),
            author: None,
        }),
        reason: "somebody changed it".to_owned(),
        changes: vec![Change {
            path: "/TaskTemplate/ContainerSpec/Env/LIMIT".to_owned(),
            before: json!(null),
            after: json!(9_007_199_254_740_993_i64),
        }],
        fingerprint: format!("fingerprint of {name}"),
        spec: Sealed::from_stored((0..=255).collect()),
        previous: Some(Sealed::from_stored(vec![0, 159, 146, 150])),
        at: at(3),
    }
}

/// A hold of this kind.
#[must_use]
pub fn hold(name: &str, kind: HoldKind) -> Hold {
    Hold {
        key: key(name),
        kind,
        difference: None,
        until: None,
        actor: "alice".to_owned(),
        reason: "trying something".to_owned(),
        placed_at: at(4),
    }
}

pub(super) fn request(id: &str, name: &str, verb: RequestVerb) -> NewRequest {
    NewRequest {
        id: RequestId::new(id),
        key: key(name),
        verb,
        actor: "alice".to_owned(),
        reason: Some("it hangs".to_owned()),
    }
}

pub(super) fn content(source: &str, bytes: &[u8]) -> LastGoodContent {
    LastGoodContent {
        source: source.to_owned(),
        digest: Digest::of_bytes(bytes).as_str().to_owned(),
        content: bytes.to_vec(),
        loaded_at: at(3),
    }
}

/// Everything that a database shows, as text that can be compared.
pub(super) async fn everything(store: &Arc<dyn Store>) -> String {
    let actions = store.actions(&ActionFilter::default()).await.unwrap();
    let approvals = store.approvals(&ApprovalFilter::default()).await.unwrap();
    let intents = store.open_intents().await.unwrap();
    let owned = store.owned(&cluster()).await.unwrap();
    let audit = store.audit(&AuditFilter::default()).await.unwrap();
    let all = LedgerFilter { since: Timestamp::UNIX_EPOCH, allowed_only: false };
    let decisions = store.decisions(&all).await.unwrap();
    let last_good = store.last_good("registry").await.unwrap();
    let requests = store.requests(&RequestFilter::default()).await.unwrap();
    let holds = store.holds(&cluster()).await.unwrap();
    let overrides = store.overrides(&OverrideFilter::default()).await.unwrap();
    let contained = store.contained(&cluster()).await.unwrap();
    let heads = store.revision_heads(&cluster()).await.unwrap();
    let mut revisions = Vec::new();
    for head in &heads {
        revisions.extend(store.revisions(&head.key, 0).await.unwrap());
    }
    let holder = store.lease_holder().await.unwrap();
    let letters = store.letters(&LetterFilter::default()).await.unwrap();
    let attempts = store.open_attempts().await.unwrap();
    let batches = store.batches(0).await.unwrap();
    let notices = store.notices(0).await.unwrap();
    let deliveries = store.deliveries(&DeliveryFilter::default()).await.unwrap();
    format!(
        "{actions:#?}\n{approvals:#?}\n{intents:#?}\n{owned:#?}\n{audit:#?}\n{decisions:#?}\n\
         {last_good:#?}\n{requests:#?}\n{holds:#?}\n{overrides:#?}\n{contained:#?}\n{heads:#?}\n\
         {revisions:#?}\n{holder:#?}\n{batches:#?}\n{notices:#?}\n{deliveries:#?}\n\
         {letters:#?}\n{attempts:#?}"
    )
}

pub(super) fn is_fenced<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Fenced { .. }))
}

pub(super) fn is_conflict<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Conflict { .. }))
}

pub(super) fn is_refused<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Refused { .. }))
}

pub(super) fn is_transition<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Transition(_)))
}

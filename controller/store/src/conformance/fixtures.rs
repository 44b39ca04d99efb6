//! What the behaviours are told with: a leader, actions in every state, and everything that a
//! database shows, to prove that a refused write left nothing.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use skep_core::action::{
    Action, ActionEvent, ActionKind, ActionState, ActuatorMode, IntentPhase, Source,
};
use skep_core::approval::{Approval, ApprovalStatus};
use skep_core::audit::{AuditEvent, AuditKind};
use skep_core::canonical::Digest;
use skep_core::desired::Provenance;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{
    ActionId, ApprovalId, ClusterId, IntentId, ObjectKey, PlanId, RequestId, ServiceName, SwarmId,
    TermId,
};
use skep_core::letter::LetterReason;
use skep_core::plan::Change;
use skep_core::ports::Random;
use skep_core::request::{NewRequest, RequestVerb};
use skep_core::retry::Failure;
use skep_core::revision::{NewRevision, RevisionOrigin};
use skep_core::seal::Sealed;

use super::Harness;
use crate::{
    ActionFilter, ApprovalFilter, AuditFilter, Closing, Decision, DecisionRequest, DecisionRow,
    DeliveryFilter, Effects, Error, Failed, FailedAttempt, Fence, Intent, IntentOutcome,
    LastGoodContent, Lease, LeaseRequest, LedgerFilter, LetterFilter, NewAction, OverrideFilter,
    OwnedObject, OwnershipChange, ProposeOutcome, Protection, Refusal, RequestFilter, Result,
    Store,
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
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(super) fn cluster() -> ClusterId {
    ClusterId::new("cluster-1")
}

pub(super) fn key(name: &str) -> ObjectKey {
    ObjectKey::service(&cluster(), &ServiceName::new(name))
}

pub(super) fn lease_request(name: &str) -> LeaseRequest {
    LeaseRequest { term: TermId::new(format!("term-{name}")), holder: name.to_owned(), ttl: TTL }
}

pub(super) async fn take_lease(store: &Arc<dyn Store>, name: &str) -> Lease {
    store.acquire_lease(&lease_request(name)).await.unwrap().unwrap()
}

/// A process that holds the lease.
pub(super) struct Leader {
    pub(super) store: Arc<dyn Store>,
    pub(super) fence: Fence,
}

pub(super) async fn leader(harness: &dyn Harness) -> Leader {
    let store = harness.connect().await;
    let fence = take_lease(&store, "leader@host").await.fence;
    Leader { store, fence }
}

/// Several processes on the database.
pub(super) async fn processes(harness: &dyn Harness, count: usize) -> Vec<Arc<dyn Store>> {
    let mut stores = Vec::new();
    for _ in 0..count {
        stores.push(harness.connect().await);
    }
    stores
}

/// An action that waits for a decision, with its request. `id` is also the tail of the request's
/// id: `action_approval:a-<id>`.
pub(super) fn pending(id: &str, name: &str) -> NewAction {
    let mut new = granted(id, name);
    let approval = ApprovalId::new(format!("action_approval:a-{id}"));
    let action = &mut new.action;
    action.state = ActionState::Pending;
    action.granted_at = None;
    action.start_by = None;
    action.approval = Some(approval.clone());
    new.approval = Some(Approval {
        id: approval,
        action: action.id.clone(),
        kind: action.kind,
        target: action.step.target.clone(),
        plan: action.plan.clone(),
        binding: action.binding.clone(),
        status: ApprovalStatus::Pending,
        revision: 1,
        created_at: at(0),
        expires_at: at(86_400),
        decided_at: None,
        decided_by: None,
        decided_source: None,
        batch: None,
        comment: None,
    });
    new.decision.decision = "queue_approval".to_owned();
    new
}

/// An action that a rule has allowed.
pub(super) fn granted(id: &str, name: &str) -> NewAction {
    let id = ActionId::new(id);
    let target = ServiceName::new(name);
    // From JSON: a field that is added to the step with a default does not concern the store.
    let step = serde_json::from_value(json!({
        "id": format!("0123abcd-{name}"),
        "action": "deploy_service",
        "target": name,
        "object": null,
        "class": "missing",
        "reason": "declared, not there",
        "wave": 0,
        "risk": "low",
        "changes": [{"path": "/Name", "before": null, "after": name}],
        "operation": {"type": "create", "spec": {
            "Name": name,
            "TaskTemplate": {"ContainerSpec": {"Image": "mcp:1", "Env": ["LIMIT=9007199254740993"]}},
            "Big": 9_007_199_254_740_993_i64,
            "Text": "line\n\"quoted\" \u{1}\u{e9}\u{1f41d}",
        }},
        "blocked": null,
        "confirm": null,
        "source": "registry",
        "domain": "default",
        "provenance": {"source": "registry", "file": "fleet.yml", "line": 3, "column": 5,
            "commit": null},
        "digest": Digest::of_bytes(name.as_bytes()).as_str(),
    }))
    .unwrap();
    NewAction {
        action: Action {
            id: id.clone(),
            key: key(name),
            kind: ActionKind::DeployService,
            plan: PlanId::new("plan-1"),
            step,
            binding: Digest::of_bytes(b"binding"),
            source: Source::Registry,
            actor: "reconciler@host".to_owned(),
            reason: "declared, not there".to_owned(),
            mode: ActuatorMode::Swarm,
            rule: "default (policy.yml)".to_owned(),
            state: ActionState::Granted,
            revision: 1,
            approval: None,
            detail: String::new(),
            created_at: at(0),
            updated_at: at(0),
            granted_at: Some(at(0)),
            start_by: Some(at(600)),
            wait: None,
            runnable_since: None,
            moved: None,
        },
        approval: None,
        decision: DecisionRow {
            action: Some(id),
            kind: ActionKind::DeployService,
            target,
            source: Source::Registry,
            decision: "allow".to_owned(),
            tier: "auto".to_owned(),
            rule: "default".to_owned(),
            cause: "allowed".to_owned(),
            reason: "tier auto".to_owned(),
            facts: None,
            decided_at: at(0),
        },
        request: None,
    }
}

/// A decision that kept an action from being proposed.
pub(super) fn refusal(name: &str) -> Refusal {
    let decision = DecisionRow {
        action: None,
        decision: "deny".to_owned(),
        tier: "forbidden".to_owned(),
        cause: "frozen".to_owned(),
        reason: "frozen by alice".to_owned(),
        ..granted("x", name).decision
    };
    Refusal { key: key(name), actor: "reconciler@host".to_owned(), decision }
}

/// An action of a kind that writes nothing to the engine.
pub(super) fn adoption(id: &str, name: &str, kind: ActionKind) -> NewAction {
    let mut new = granted(id, name);
    new.action.kind = kind;
    new.decision.kind = kind;
    new
}

impl Leader {
    /// Records a proposal whose key is free.
    pub(super) async fn propose(&self, new: NewAction) -> Action {
        let outcomes =
            self.store.propose(&self.fence, std::slice::from_ref(&new), at(0)).await.unwrap();
        assert_eq!(outcomes, [ProposeOutcome::Recorded]);
        new.action
    }

    /// Records an action and begins it.
    pub(super) async fn begin(&self, id: &str, name: &str) -> Intent {
        self.propose(granted(id, name)).await;
        let intent = intent(&format!("i-{id}"), id, name);
        self.store.begin(&self.fence, 1, &intent, at(1)).await.unwrap();
        intent
    }

    /// Records an action that replaces its service and begins with the removal.
    pub(super) async fn begin_replacement(&self, id: &str, name: &str) -> Intent {
        self.propose(granted(id, name)).await;
        let intent = Intent {
            object: Some(SwarmId::new("old-id")),
            version: Some(7),
            phase: IntentPhase::Remove,
            ..intent(&format!("i-{id}"), id, name)
        };
        self.store.begin(&self.fence, 1, &intent, at(1)).await.unwrap();
        intent
    }

    /// What the trail says about an action, newest first.
    pub(super) async fn trail(&self, action: &str) -> Vec<AuditKind> {
        let filter = AuditFilter { action: Some(ActionId::new(action)), ..Default::default() };
        let rows = self.store.audit(&filter).await.unwrap();
        rows.into_iter().map(|(_, event)| event.kind).collect()
    }

    /// The newest row of the trail.
    pub(super) async fn last_event(&self) -> AuditEvent {
        let filter = AuditFilter { limit: 1, ..Default::default() };
        self.store.audit(&filter).await.unwrap().remove(0).1
    }

    pub(super) async fn close(
        &self,
        action: &str,
        revision: i64,
        event: ActionEvent,
    ) -> Result<()> {
        let closing = closing(action, revision, event);
        if event == ActionEvent::Fail {
            let failed = failed(LetterReason::RolloutFailed);
            return self.store.fail_action(&self.fence, &closing, &failed, at(5)).await;
        }
        self.store.close_action(&self.fence, &closing, at(5)).await
    }

    pub(super) async fn state(&self, action: &str) -> ActionState {
        self.store.action(action).await.unwrap().state
    }
}

pub(super) fn intent(id: &str, action: &str, name: &str) -> Intent {
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
pub(super) fn decision(id: &str, decision: Decision) -> DecisionRequest {
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
    OwnedObject { key: key(name), id: SwarmId::new(id), source: Source::Registry, since: at(2) }
}

pub(super) fn done(change: Option<OwnershipChange>) -> IntentOutcome {
    let effects = Effects { ownership: change, ..Effects::default() };
    IntentOutcome::Done { detail: "created".to_owned(), effects }
}

/// An outcome with these effects.
pub(super) fn done_with(effects: Effects) -> IntentOutcome {
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
pub(super) fn refused_for(reason: LetterReason) -> IntentOutcome {
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

pub(super) fn hold(name: &str, kind: HoldKind) -> Hold {
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

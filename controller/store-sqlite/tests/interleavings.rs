//! Random histories over the real core and a real database: people look, approve, deny and take
//! back, alone and in bulk; the declaration, the live service, the policy, the actuator and the
//! clock move; leaders change; an executor reads, redeems, begins and crashes in between. An oracle
//! of its own knows what may happen.
//!
//! A failure prints its seed: `SKEP_SEED=<seed>` runs that one alone. `SKEP_INTERLEAVINGS=<number>`
//! runs more of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

use std::sync::LazyLock;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use skep_core::action::{Action, ActionEvent, ActionState, ActuatorMode, IntentPhase};
use skep_core::approval::{Clocks, Proposal, RedeemError, binding, granted, redeem, request};
use skep_core::canonical::Digest;
use skep_core::gate::{
    Authorised, Decision as Verdicts, LedgerView, Policy, Request, Settings, Verdict, decide,
};
use skep_core::identity::{
    ActionId, ApprovalId, BatchId, ClusterId, IntentId, ObjectKey, PlanId, ServiceName, SwarmId,
    TermId,
};
use skep_core::plan::Step;
use skep_crds::policy::load_strict;
use skep_store::conformance::protection;
use skep_store::{
    ActionFilter, Actions as _, Approvals as _, BatchMember, BatchRequest, Closing, Decision,
    DecisionRequest, DecisionRow, Effects, Error, Fence, Intent, IntentOutcome, Intents as _,
    LeaseRequest, Leases as _, NewAction, ProposeOutcome,
};
use skep_store_sqlite::SqliteStore;

const SEEDS: u64 = 400;
const LENGTH: usize = 30;
const RULES: [&str; 4] = [
    "rules: [{tier: approval_required}]",
    "rules: [{tier: approval_required, rate_limit: {max: 9}}]",
    "rules: [{tier: auto}]",
    "rules: [{tier: forbidden}]",
];

static POLICIES: LazyLock<Vec<Policy>> = LazyLock::new(|| {
    let compiled = |text: &&str| {
        let file = load_strict("policy.yml", text.as_bytes()).expect("a policy");
        Policy::compile(&file, Ok(&[]), Settings::default())
    };
    RULES.iter().map(compiled).collect()
});

/// SplitMix64: small, seeded, the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % sides).unwrap()
    }
}

/// What is true of one service now.
#[derive(Debug, Clone, PartialEq)]
struct World {
    name: String,
    declared: usize,
    live: usize,
    object: usize,
    rule: usize,
    mode: ActuatorMode,
}

impl World {
    /// The change that the plan calls for.
    fn step(&self) -> Option<Step> {
        if self.declared == self.live {
            return None;
        }
        let image = |tag: usize| format!("example/x:{tag}");
        let (before, after) = (image(self.live), image(self.declared));
        let object = format!("object{}", self.object);
        let digest = Digest::of_json(&json!([self.name, object, before, after]));
        let pointer = "/TaskTemplate/ContainerSpec/Image";
        let step = json!({
            "id": format!("{}-{}", digest.short(8), self.name),
            "action": "deploy_service",
            "target": self.name,
            "object": object,
            "class": "image",
            "reason": "another image",
            "wave": 1,
            "risk": "medium",
            "changes": [{"path": pointer, "before": before, "after": after}],
            "operation": {"type": "update", "edits": [{"pointer": pointer, "value": after}]},
            "blocked": null,
            "confirm": null,
            "source": "registry",
            "domain": "default",
            "provenance": null,
            "digest": digest,
        });
        Some(serde_json::from_value(step).unwrap())
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::service(&ClusterId::new("cluster1"), &ServiceName::new(self.name.as_str()))
    }
}

/// What the oracle knows of an action, taken from the world and never from the code.
#[derive(Debug)]
struct Known {
    id: ActionId,
    about: World,
    allowed_at: Option<Timestamp>,
    bulk: bool,
    refused: bool,
    executed: bool,
}

/// An executor between reading and beginning.
struct Executing {
    read: Action,
    right: Authorised<Step>,
    world: World,
    at: Timestamp,
}

struct History<'a> {
    seed: u64,
    store: &'a SqliteStore,
    fence: Fence,
    dice: Dice,
    world: World,
    now: Timestamp,
    known: Vec<Known>,
    /// A request as a person saw it.
    seen: Option<(ApprovalId, i64, Digest)>,
    executing: Option<Executing>,
    /// An intent whose outcome nobody has stored: its leader crashed.
    open: Option<IntentId>,
    executions: usize,
    counter: usize,
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// A conflict is an answer; anything else is a fault of the test.
fn settled<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Error::Conflict { .. } | Error::Transition(_) | Error::Refused { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

impl History<'_> {
    fn id(&mut self, what: &str) -> String {
        self.counter += 1;
        format!("{what}-{}-{}", self.seed, self.counter)
    }

    fn verdict(&self, step: &Step) -> Verdict {
        let request = Request::for_step(step, self.world.mode, self.now);
        decide(&POLICIES[self.world.rule], &request, Ok(&LedgerView::default()))
    }

    async fn newest(&self) -> Option<Action> {
        let filter =
            ActionFilter { keys: vec![self.world.key()], limit: 1, ..ActionFilter::default() };
        self.store.actions(&filter).await.unwrap().pop()
    }

    async fn close(&self, action: &Action, event: ActionEvent) -> bool {
        let closing = Closing {
            action: action.id.clone(),
            revision: action.revision,
            event,
            actor: "leader".to_owned(),
            detail: "it moved".to_owned(),
            moved: None,
        };
        settled(self.store.close_action(&self.fence, &closing, self.now).await).is_some()
    }

    /// The leader's pass.
    async fn plan(&mut self) {
        let step = self.world.step();
        if let Some(action) = self.newest().await.filter(|action| action.state.is_open()) {
            let same = step.as_ref().is_some_and(|step| {
                binding(step, self.verdict(step).rule(), self.world.mode) == action.binding
            });
            let lapsed = action.state == ActionState::Pending
                && self.now >= action.created_at + minutes(24 * 60);
            if action.state == ActionState::Executing || (same && !lapsed) {
                return;
            }
            let event = if lapsed { ActionEvent::Expire } else { ActionEvent::Supersede };
            self.close(&action, event).await;
        }
        let Some(step) = step else { return };
        let verdict = self.verdict(&step);
        let (id, plan) = (ActionId::new(self.id("action")), PlanId::new("plan"));
        let approval = ApprovalId::new(format!("action_approval:{}", self.id("approval")));
        let proposal = Proposal {
            id: &id,
            key: &self.world.key(),
            plan: &plan,
            step: &step,
            verdict: &verdict,
            mode: self.world.mode,
            actor: "host pid 1 (serve)",
            now: self.now,
        };
        let clocks = Clocks::default();
        let (action, approval) = match verdict.decision() {
            Verdicts::Deny => return,
            Verdicts::QueueApproval => {
                let (action, approval) = request(&proposal, approval, &clocks).unwrap();
                (action, Some(approval))
            }
            Verdicts::Allow | Verdicts::AllowNotify => (granted(&proposal, &clocks).unwrap(), None),
        };
        let allowed_at = approval.is_none().then_some(self.now);
        let decision = DecisionRow {
            action: Some(id.clone()),
            kind: step.action,
            target: step.target.clone(),
            source: step.source,
            decision: verdict.decision().to_string(),
            tier: verdict.tier().as_str().to_owned(),
            rule: verdict.rule().to_string(),
            cause: String::new(),
            reason: verdict.reason().to_owned(),
            facts: None,
            decided_at: self.now,
        };
        let new = NewAction { action, approval, decision, request: None };
        let outcomes = self.store.propose(&self.fence, &[new], self.now).await.unwrap();
        if outcomes == [ProposeOutcome::Recorded] {
            let about = self.world.clone();
            let (bulk, refused, executed) = (false, false, false);
            self.known.push(Known { id, about, allowed_at, bulk, refused, executed });
        }
    }

    async fn look(&mut self) {
        let Some(id) = self.newest().await.and_then(|action| action.approval) else { return };
        let approval = self.store.approval(id.as_str()).await.unwrap();
        self.seen = Some((approval.id, approval.revision, approval.binding));
    }

    fn of(&mut self, action: &ActionId) -> &mut Known {
        self.known.iter_mut().find(|known| known.id == *action).unwrap()
    }

    async fn decide(&mut self, decision: Decision, bulk: bool) {
        let Some((approval, revision, seen)) = self.seen.clone() else { return };
        let start_by = Clocks::default().start_by(self.now, bulk);
        let start_by = (decision == Decision::Approve).then_some(start_by);
        let (actor, source) = ("alice".to_owned(), "host:operator".to_owned());
        let decided = if bulk {
            let id = BatchId::new(self.id("batch"));
            let members = vec![BatchMember { approval, revision, binding: seen }];
            let (chosen, comment, halts) = ("all".to_owned(), None, true);
            let request = BatchRequest {
                id,
                decision,
                chosen,
                halts,
                actor,
                source,
                comment,
                members,
                start_by,
            };
            self.store.decide_batch(&request, self.now).await.unwrap().decided.pop()
        } else {
            let request = DecisionRequest {
                approval,
                decision,
                actor,
                source,
                comment: None,
                expected_revision: (decision != Decision::Revoke).then_some(revision),
                expected_binding: Some(seen),
                start_by,
            };
            settled(self.store.decide(&request, self.now).await)
        };
        let Some(decided) = decided else { return };
        let now = self.now;
        let known = self.of(&decided.action);
        match decision {
            Decision::Approve => (known.allowed_at, known.bulk) = (Some(now), bulk),
            Decision::Deny | Decision::Revoke => known.refused = true,
        }
    }

    /// The executor reads, plans again, asks again, redeems.
    async fn read(&mut self) {
        let Some(read) = self.newest().await else { return };
        let Some(fresh) = self.world.step() else { return };
        let verdict = self.verdict(&fresh);
        match redeem(&read, &fresh, &verdict, self.world.mode, self.now) {
            Ok(right) => {
                let (world, at) = (self.world.clone(), self.now);
                self.executing = Some(Executing { read, right, world, at });
            }
            Err(RedeemError::NotGranted { .. }) => {}
            Err(error) => {
                if let Some(event) = error.event() {
                    self.close(&read, event).await;
                }
            }
        }
    }

    /// The executor stores its intent and sends, or carries out the rehearsal.
    async fn begin(&mut self) {
        let Some(Executing { read, right, world, at }) = self.executing.take() else { return };
        if world.mode == ActuatorMode::DryRun {
            if self.close(&read, ActionEvent::Rehearse).await {
                self.judge(&read.id, &right.into_inner(), &world, at);
            }
            return;
        }
        let intent = Intent {
            id: IntentId::new(self.id("intent")),
            action: read.id.clone(),
            key: read.key.clone(),
            object: Some(SwarmId::new("object")),
            version: Some(7),
            phase: IntentPhase::Write,
            body: b"{}".to_vec(),
            created_at: self.now,
        };
        let begun = self.store.begin(&self.fence, read.revision, &intent, self.now).await;
        if settled(begun).is_some() {
            self.judge(&read.id, &right.into_inner(), &world, at);
            self.world.live = world.declared;
            self.open = Some(intent.id);
        }
    }

    /// Whoever leads stores the outcome.
    async fn settle(&mut self) {
        let Some(intent) = self.open.take() else { return };
        let detail = "done".to_owned();
        let outcome = match self.dice.roll(3) {
            0 => IntentOutcome::Refused { detail, failed: None },
            _ => IntentOutcome::Done { detail, effects: Effects::default() },
        };
        self.store.settle(&self.fence, &intent, &outcome, self.now).await.unwrap();
    }

    /// The oracle.
    fn judge(&mut self, action: &ActionId, ran: &Step, world: &World, at: Timestamp) {
        self.executions += 1;
        let known = self.of(action);
        assert!(!known.executed, "it ran twice");
        known.executed = true;
        assert!(!known.refused, "it was denied or taken back");
        let allowed_at = known.allowed_at.expect("nobody allowed it");
        let time = minutes(if known.bulk { 60 } else { 10 });
        assert!(at <= allowed_at + time, "its time was over");
        assert_eq!(&known.about, world, "it was allowed for something else");
        assert_eq!(*ran, known.about.step().unwrap());
        assert_ne!(world.rule, 3, "it was forbidden");
    }

    /// Another process leads from here on.
    async fn crash(&mut self) {
        self.executing = None;
        let lease = skep_store::Lease { fence: self.fence.clone(), ttl: Duration::from_secs(1) };
        self.store.release_lease(&lease).await.unwrap();
        self.fence = lead(self.store, &self.id("term")).await;
    }

    async fn turn(&mut self) {
        match self.dice.roll(20) {
            0..=2 => self.plan().await,
            3 => self.look().await,
            4..=6 => {
                if self.dice.roll(4) > 0 {
                    self.look().await;
                }
                let bulk = self.dice.roll(3) == 0;
                self.decide(Decision::Approve, bulk).await;
            }
            7 => self.decide(Decision::Deny, false).await,
            8 => {
                let bulk = self.dice.roll(2) == 0;
                self.decide(Decision::Revoke, bulk).await;
            }
            9 => match self.dice.roll(4) {
                0 => self.world.declared = 2 + self.dice.roll(2),
                1 => self.world.live = self.dice.roll(2),
                2 => self.world.object = self.dice.roll(2),
                _ => self.world.rule = self.dice.roll(4),
            },
            10 => self.now += minutes([1, 4, 9, 11, 61, 25 * 60][self.dice.roll(6)]),
            11 => {
                // Settings are read at start.
                let live = self.dice.roll(3) > 0;
                self.world.mode = if live { ActuatorMode::Swarm } else { ActuatorMode::DryRun };
                self.crash().await;
            }
            12 => self.crash().await,
            13..=15 => self.read().await,
            16..=17 => self.begin().await,
            _ => self.settle().await,
        }
    }
}

async fn lead(store: &SqliteStore, term: &str) -> Fence {
    let request = LeaseRequest {
        term: TermId::new(term),
        holder: "leader".to_owned(),
        ttl: Duration::from_secs(3600),
    };
    store.acquire_lease(&request).await.unwrap().unwrap().fence
}

/// Says which history it was when it panics.
struct Named(u64, usize);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SKEP_SEED={} fails in turn {}", self.0, self.1);
        }
    }
}

async fn run(store: &SqliteStore, seed: u64) -> usize {
    let fence = lead(store, &format!("term-{seed}")).await;
    let (declared, live, object, rule, mode) = (2, 1, 1, 0, ActuatorMode::Swarm);
    let world = World { name: format!("s{seed}"), declared, live, object, rule, mode };
    let mut history = History {
        seed,
        store,
        fence,
        dice: Dice(seed),
        world,
        now: "2026-11-20T12:00:00Z".parse().unwrap(),
        known: Vec::new(),
        seen: None,
        executing: None,
        open: None,
        executions: 0,
        counter: 0,
    };
    let mut named = Named(seed, 0);
    for turn in 0..LENGTH {
        named.1 = turn;
        history.turn().await;
    }
    let lease = skep_store::Lease { fence: history.fence, ttl: Duration::from_secs(1) };
    store.release_lease(&lease).await.unwrap();
    history.executions
}

#[tokio::test]
async fn interleavings_over_a_database_execute_nothing_wrong() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (first, last) = match number("SKEP_SEED") {
        Some(seed) => (seed, seed + 1),
        None => (0, number("SKEP_INTERLEAVINGS").unwrap_or(SEEDS)),
    };
    let mut executions = 0;
    // One database for a hundred of them: each has a service of its own.
    for hundred in (first..last).step_by(100) {
        let store = SqliteStore::open_in_memory(protection()).await.unwrap();
        for seed in hundred..last.min(hundred + 100) {
            executions += run(&store, seed).await;
        }
    }
    eprintln!("{} interleavings of {LENGTH} turns, {executions} executions, 0 wrong", last - first);
    assert!(last - first < 100 || executions > 20, "only {executions} executions");
}

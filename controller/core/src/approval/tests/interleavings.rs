//! Ten thousand random histories of one service: people look, approve, deny and take back; the
//! declaration, the live service, the policy, the actuator and the clock move; an executor reads,
//! redeems, begins, and crashes in between. What is kept follows the store's rules (one open
//! action, compare-and-set on its revision). An oracle of its own knows what may happen.
//!
//! A failure prints its seed; `SKEP_SEED=<seed>` runs that one alone.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::json;

use super::{ALLOWS, ASKS, LIVE, image_change, minutes};
use crate::action::{Action, ActionEvent, ActionState, ActuatorMode};
use crate::approval::{
    Clocks, Decider, PlannedNow, Proposal, binding, granted, may_decide, redeem, request,
    what_moved,
};
use crate::canonical::Digest;
use crate::gate::fixtures::{noon, policy, verdict};
use crate::gate::{Authorised, Decision, Policy, Verdict};
use crate::identity::{ActionId, ApprovalId, ClusterId, ObjectKey, PlanId, SwarmId};
use crate::plan::Step;

const SEEDS: u64 = 10_000;
const LENGTH: usize = 40;
const RULES: [&str; 4] = [
    ASKS,
    "rules: [{tier: approval_required, rate_limit: {max: 9}}]",
    ALLOWS,
    "rules: [{tier: forbidden}]",
];

static POLICIES: LazyLock<Vec<Policy>> =
    LazyLock::new(|| RULES.iter().map(|text| policy(text)).collect());

/// SplitMix64: small, seeded, the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

/// What is true in the world now.
#[derive(Debug, Clone, PartialEq)]
struct World {
    declared: u64,
    live: u64,
    object: u64,
    rule: usize,
    mode: ActuatorMode,
}

impl World {
    /// The change that the plan calls for.
    fn step(&self) -> Option<Step> {
        if self.declared == self.live {
            return None;
        }
        let (before, after) = (format!("a:{}", self.live), format!("a:{}", self.declared));
        let mut step = image_change("a", &before, &after);
        step.object = Some(SwarmId::new(format!("object{}", self.object)));
        step.digest = Digest::of_json(&json!([step.object, before, after]));
        Some(step)
    }
}

/// What the oracle knows of an action, taken from the world and never from the code.
#[derive(Debug, Clone)]
struct Known {
    about: World,
    asked_at: Timestamp,
    /// When a person said yes, or a rule.
    allowed_at: Option<Timestamp>,
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

struct History {
    dice: Dice,
    world: World,
    now: Timestamp,
    kept: Vec<Action>,
    known: Vec<Known>,
    /// What a person looked at: which action, at which revision.
    seen: Option<(usize, i64)>,
    executing: Option<Executing>,
    executions: usize,
    log: Vec<String>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mode = LIVE;
        let world = World { declared: 2, live: 1, object: 1, rule: 0, mode };
        Self {
            dice: Dice(seed),
            world,
            now: noon(),
            kept: Vec::new(),
            known: Vec::new(),
            seen: None,
            executing: None,
            executions: 0,
            log: Vec::new(),
        }
    }

    fn verdict(&self, step: &Step) -> Verdict {
        verdict(&POLICIES[self.world.rule], step, self.world.mode, self.now)
    }

    fn open(&self) -> Option<usize> {
        self.kept.iter().rposition(|action| action.state.is_open())
    }

    /// The store's one place where a state changes: compare-and-set on the revision.
    fn apply(&mut self, index: usize, revision: i64, event: ActionEvent) -> bool {
        let action = &mut self.kept[index];
        if action.revision != revision {
            return false;
        }
        let Ok(state) = action.state.after(event) else { return false };
        action.state = state;
        action.revision += 1;
        action.updated_at = self.now;
        true
    }

    /// The leader's pass.
    fn plan(&mut self) {
        let step = self.world.step();
        if let Some(open) = self.open() {
            let action = self.kept[open].clone();
            let asked_at = self.known[open].asked_at;
            if action.state == ActionState::Pending && self.now >= asked_at + minutes(24 * 60) {
                self.apply(open, action.revision, ActionEvent::Expire);
            } else {
                let same = step.as_ref().is_some_and(|step| {
                    let bound = binding(step, self.verdict(step).rule(), self.world.mode);
                    bound == action.binding
                });
                if same || action.state == ActionState::Executing {
                    return;
                }
                self.apply(open, action.revision, ActionEvent::Supersede);
            }
        }
        let Some(step) = step else { return };
        let verdict = self.verdict(&step);
        let (id, plan) = (ActionId::new(format!("action{}", self.kept.len())), PlanId::new("p"));
        let proposal = Proposal {
            id: &id,
            key: &ObjectKey::service(&ClusterId::new("cluster1"), &step.target),
            plan: &plan,
            step: &step,
            verdict: &verdict,
            mode: self.world.mode,
            actor: "host pid 1 (serve)",
            now: self.now,
        };
        let clocks = Clocks::default();
        let action = match verdict.decision() {
            Decision::Deny => return,
            Decision::QueueApproval => {
                let approval = ApprovalId::new(format!("action_approval:{}", self.kept.len()));
                request(&proposal, approval, &clocks).unwrap().0
            }
            Decision::Allow | Decision::AllowNotify => granted(&proposal, &clocks).unwrap(),
        };
        let allowed_at = (action.state == ActionState::Granted).then_some(self.now);
        let about = self.world.clone();
        let asked_at = self.now;
        self.known.push(Known { about, asked_at, allowed_at, refused: false, executed: false });
        self.kept.push(action);
    }

    fn decide(&mut self, approve: bool) {
        let Some((index, revision)) = self.seen else { return };
        let action = &self.kept[index];
        let decider = Decider { actor: "alice".to_owned(), source: "host:operator".to_owned() };
        if action.state != ActionState::Pending
            || self.now >= self.known[index].asked_at + minutes(24 * 60)
            || may_decide(&decider, action.source, &action.actor).is_err()
        {
            return;
        }
        let event = if approve { ActionEvent::Grant } else { ActionEvent::Deny };
        if self.apply(index, revision, event) {
            if approve {
                self.kept[index].granted_at = Some(self.now);
                self.kept[index].start_by = Some(Clocks::default().start_by(self.now, false));
                self.known[index].allowed_at = Some(self.now);
            } else {
                self.known[index].refused = true;
            }
        }
    }

    fn revoke(&mut self) {
        let Some((index, _)) = self.seen else { return };
        let action = &self.kept[index];
        let revision = action.revision;
        if action.state == ActionState::Granted
            && action.approval.is_some()
            && self.apply(index, revision, ActionEvent::Deny)
        {
            self.known[index].refused = true;
        }
    }

    /// The executor reads, plans again, asks again, redeems.
    fn read(&mut self) {
        let Some(open) = self.open() else { return };
        let read = self.kept[open].clone();
        let Some(fresh) = self.world.step() else { return };
        let verdict = self.verdict(&fresh);
        match redeem(&read, &fresh, &verdict, self.world.mode, self.now) {
            Ok(right) => {
                let (world, at) = (self.world.clone(), self.now);
                self.executing = Some(Executing { read, right, world, at });
            }
            Err(error) => {
                if let Some(event) = error.event() {
                    let (rule, mode) = (Some(verdict.rule()), self.world.mode);
                    let now = PlannedNow { step: Some(&fresh), rule, mode };
                    let moved = what_moved(&read, now);
                    let superseded = event == ActionEvent::Supersede;
                    // Whoever approved it is told what is different.
                    assert!(!superseded || !moved.fields.is_empty(), "{error}: nothing moved");
                    self.apply(open, read.revision, event);
                }
            }
        }
    }

    /// The executor stores its intent, or carries out the rehearsal.
    fn begin(&mut self) {
        let Some(Executing { read, right, world, at }) = self.executing.take() else { return };
        let index = self.kept.iter().position(|action| action.id == read.id).unwrap();
        let rehearsal = world.mode == ActuatorMode::DryRun;
        let event = if rehearsal { ActionEvent::Rehearse } else { ActionEvent::Begin };
        if !self.apply(index, read.revision, event) {
            return;
        }
        self.executions += 1;
        self.judge(index, &right.into_inner(), &world, at);
        if !rehearsal {
            self.apply(index, read.revision + 1, ActionEvent::Succeed);
            self.world.live = world.declared;
        }
    }

    /// The oracle.
    fn judge(&mut self, index: usize, ran: &Step, world: &World, at: Timestamp) {
        let known = &mut self.known[index];
        assert!(!known.executed, "it ran twice");
        known.executed = true;
        assert!(!known.refused, "it was denied or taken back");
        let allowed_at = known.allowed_at.expect("nobody allowed it");
        assert!(at <= allowed_at + minutes(10), "its time was over");
        assert_eq!(&known.about, world, "it was allowed for something else");
        let expected = known.about.step().unwrap();
        assert_eq!((&ran.digest, &ran.operation), (&expected.digest, &expected.operation));
        assert_ne!(RULES[world.rule], RULES[3], "it was forbidden");
    }

    fn turn(&mut self) {
        let what = self.dice.roll(16);
        self.log.push(format!("{what} at {} {:?}", self.now, self.world));
        match what {
            0..=2 => self.plan(),
            3 => self.seen = self.open().map(|open| (open, self.kept[open].revision)),
            4 | 5 => {
                if self.dice.roll(3) > 0 {
                    self.seen = self.open().map(|open| (open, self.kept[open].revision));
                }
                self.decide(true);
            }
            6 => self.decide(false),
            7 => self.revoke(),
            8 => match self.dice.roll(4) {
                0 => self.world.declared = 2 + self.dice.roll(2),
                1 => self.world.live = self.dice.roll(2),
                2 => self.world.object = self.dice.roll(2),
                _ => self.world.rule = usize::try_from(self.dice.roll(4)).unwrap(),
            },
            9 => {
                let pause = [1, 4, 9, 11, 25 * 60][usize::try_from(self.dice.roll(5)).unwrap()];
                self.now += minutes(pause);
            }
            10 if self.dice.roll(3) == 0 => {
                // Settings are read at start: whoever was executing is gone.
                self.executing = None;
                let live = self.dice.roll(3) > 0;
                self.world.mode = if live { LIVE } else { ActuatorMode::DryRun };
            }
            11 => self.executing = None,
            10 | 12 | 13 => self.read(),
            _ => self.begin(),
        }
    }
}

fn run(seed: u64) -> usize {
    let mut history = History::new(seed);
    for _ in 0..LENGTH {
        let turn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| history.turn()));
        if let Err(panic) = turn {
            let log = history.log.join("\n");
            eprintln!("SKEP_SEED={seed} fails after:\n{log}");
            std::panic::resume_unwind(panic);
        }
    }
    history.executions
}

#[test]
fn ten_thousand_interleavings_execute_nothing_wrong() {
    let seed = std::env::var("SKEP_SEED").ok().map(|seed| seed.parse().unwrap());
    if let Some(seed) = seed {
        run(seed);
        return;
    }
    let executions: usize = (0..SEEDS).map(run).sum();
    eprintln!("{SEEDS} interleavings of {LENGTH} turns, {executions} executions, 0 wrong");
    // A history in which nothing ever runs would prove nothing.
    assert!(executions > 2_000, "only {executions} executions");
}

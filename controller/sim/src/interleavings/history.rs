//! One history: what happens is decided by its seed.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use skep_core::action::ActuatorMode;
use skep_core::canonical::Digest;
use skep_core::gate::{FREEZE_PRIORITY, Override};
use skep_core::identity::{ActionId, ApprovalId, BatchId, OverrideId};
use skep_core::ports::Random as _;
use skep_core::request::RequestVerb;
use skep_crds::policy::{PolicyRule, Tier};
use skep_runtime::Options;
use skep_store::{
    Approvals as _, BatchMember, BatchRequest, Decision, DecisionRequest, Error, Overrides as _,
};
use skep_swarm::fake::Pace;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Told;
use super::oracle::Oracle;
use super::truth::{IMAGE, NAMES, REPLICAS, TEAM, Truth, policy};
use crate::files::Files;
use crate::people::ALICE;
use crate::recording::Left;
use crate::scenario::Step;
use crate::sweep::live;
use crate::tap::{Moment, Process};
use crate::time::Seeded;
use crate::world::World;

/// How many things happen.
const TURNS: usize = 26;
/// A pass makes about so many calls.
const CALLS: u64 = 64;
const AT_FIRST: Truth = Truth { declared: [1, 1], rule: 0, frozen: false };

/// Lives one history.
#[must_use]
pub fn history_of(seed: u64) -> Told {
    live(history(seed, start()))
}

/// Both services run as declared: where each history begins.
fn start() -> &'static Left {
    static START: OnceLock<Left> = OnceLock::new();
    START.get_or_init(|| {
        live(async {
            let files = Files::new();
            files.declare(&AT_FIRST.registry());
            let mut world = World::at_pace(1, files, Pace::INSTANT).await;
            world.take(&Step::Pass).await;
            world.decide(Decision::Approve).await;
            world.take(&Step::Pass).await;
            world.take(&Step::Rest(Duration::from_secs(3600))).await;
            world.take(&Step::Pass).await;
            let left = world.left(0).await;
            world.database.close().await;
            left
        })
    })
}

/// A pass that is under way.
struct Flight {
    name: String,
    process: Arc<Process>,
    task: JoinHandle<String>,
}

struct History {
    random: Seeded,
    world: World,
    truth: Truth,
    mode: ActuatorMode,
    oracle: Arc<Oracle>,
    /// The two replicas.
    flights: [Option<Flight>; 2],
    /// Requests as a person saw them.
    seen: Vec<(ApprovalId, ActionId, i64, Digest)>,
    passes: usize,
    freeze: Option<String>,
}

async fn history(seed: u64, start: &Left) -> Told {
    let files = Files::new();
    files.declare(&AT_FIRST.registry());
    files.policy(&policy(AT_FIRST.rule));
    let world = World::after(start, files, seed).await;
    let oracle = Oracle::new(AT_FIRST, Arc::clone(&world.database), world.clock);
    oracle.look_back().await;
    let mut history = History {
        random: Seeded::new(seed ^ 0x1eaf),
        world,
        truth: AT_FIRST,
        mode: ActuatorMode::Swarm,
        oracle,
        flights: [None, None],
        seen: Vec::new(),
        passes: 0,
        freeze: None,
    };
    for _turn in 0..TURNS {
        history.turn().await;
    }
    for replica in 0..2 {
        history.go_on(replica).await;
    }
    let told = history.oracle.end().await;
    history.world.database.close().await;
    told
}

impl History {
    fn pick(&self, sides: usize) -> usize {
        usize::try_from(self.random.below(u64::try_from(sides).unwrap())).unwrap()
    }

    async fn turn(&mut self) {
        let what = self.random.below(32);
        let replica = self.pick(2);
        match what {
            0..=9 if self.flights[replica].is_some() => self.go_on(replica).await,
            0..=9 => self.pass(replica).await,
            10 => self.crash(replica).await,
            11 => self.look().await,
            12..=16 => {
                if self.random.below(4) > 0 {
                    self.look().await;
                }
                let bulk = self.random.below(3) == 0;
                self.decide(Decision::Approve, bulk).await;
            }
            17 => self.decide(Decision::Deny, false).await,
            18 | 19 => {
                let bulk = self.random.below(3) == 0;
                self.decide(Decision::Revoke, bulk).await;
            }
            20..=22 => {
                let (which, version) = (self.pick(2), 1 + self.random.below(3));
                self.truth.declared[which] = version;
                self.world.files.declare(&self.truth.registry());
                self.becomes_true(&format!("{} is declared at {version}", NAMES[which]));
            }
            23 | 24 => self.meddle(),
            25 => {
                self.truth.rule = self.pick(4);
                self.world.files.policy(&policy(self.truth.rule));
                self.becomes_true(&format!("rule {}", self.truth.rule));
            }
            26 => self.freeze_or_lift().await,
            27 | 28 => {
                let seconds = [1, 7, 7, 240, 660, 90_000][self.pick(6)];
                self.oracle.say(&format!("{seconds} s go by"));
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
            29 => {
                self.mode = match self.mode {
                    ActuatorMode::Swarm => ActuatorMode::DryRun,
                    ActuatorMode::DryRun => ActuatorMode::Swarm,
                };
                self.oracle.say(&format!("processes start with {} from now on", self.mode));
            }
            30 => {
                let name = NAMES[self.pick(2)];
                let verb = match self.random.below(3) {
                    0 => RequestVerb::Restart,
                    1 => RequestVerb::Stop,
                    _ => RequestVerb::Scale { replicas: 1 + self.random.below(3) },
                };
                self.oracle.say(&format!("{verb} of {name} is asked for"));
                self.world.ask(name, verb).await;
            }
            _ => {
                // What happens to both at once: one is overtaken by the other.
                self.go_on(0).await;
                self.go_on(1).await;
            }
        }
    }

    fn becomes_true(&self, what: &str) {
        self.oracle.learn(self.truth);
        self.oracle.say(what);
    }

    /// A fresh process passes, and is stopped in one of its calls or goes through.
    async fn pass(&mut self, replica: usize) {
        self.passes += 1;
        let name = format!("replica {replica} in pass {}", self.passes);
        let witness: Arc<Oracle> = Arc::clone(&self.oracle);
        let mut process = Process::new(None).seen_by(witness, &name);
        if self.random.below(3) > 0 {
            let moments = [Moment::BeforeSend, Moment::SentWithoutReply, Moment::AfterReply];
            let call = usize::try_from(self.random.below(CALLS)).unwrap();
            process = process.stopping_at(call, moments[self.pick(3)]);
        }
        let process = Arc::new(process);
        self.world.mode = self.mode;
        let holder = name.clone();
        let controller = self.world.controller(&process, |options| Options {
            wait_for_rollouts: false,
            // Two workers side by side would take turns as the threads of the database answer.
            max_parallel: 1,
            holder,
            ..options
        });
        self.oracle.begins(&name, self.mode);
        let task = tokio::spawn(async move {
            match controller.reconcile_once(&CancellationToken::new()).await {
                Ok(report) => format!("ended with {} filed", report.processed),
                Err(error) => format!("ended: {}", error.code()),
            }
        });
        self.watch(replica, Flight { name, process, task }).await;
    }

    /// Waits until it has ended or is stopped.
    async fn watch(&mut self, replica: usize, mut flight: Flight) {
        tokio::select! {
            biased;
            ended = &mut flight.task => {
                let said = ended.unwrap_or_else(|error| panic!("a pass died: {error}"));
                let calls = flight.process.calls_made();
                self.oracle.say(&format!("{} {said} after {calls} calls", flight.name));
                return;
            }
            () = flight.process.stopped() => {}
        }
        let calls = flight.process.calls_made();
        self.oracle.say(&format!("{} is stopped in call {calls}", flight.name));
        self.flights[replica] = Some(flight);
    }

    async fn go_on(&mut self, replica: usize) {
        let Some(flight) = self.flights[replica].take() else { return };
        flight.process.resume();
        self.watch(replica, flight).await;
    }

    /// It is killed where it stands.
    async fn crash(&mut self, replica: usize) {
        let Some(flight) = self.flights[replica].take() else { return };
        flight.task.abort();
        flight.process.resume();
        let _cancelled = flight.task.await;
        self.oracle.say(&format!("{} is killed", flight.name));
    }

    /// A person looks at what waits.
    async fn look(&mut self) {
        let pending = self.world.pending().await;
        let seen = pending.into_iter().map(|one| (one.id, one.action, one.revision, one.binding));
        self.seen = seen.collect();
    }

    /// A person decides about what they saw, about one of it or about all.
    async fn decide(&mut self, decision: Decision, bulk: bool) {
        if self.seen.is_empty() {
            return;
        }
        let time = SignedDuration::from_mins(if bulk { 60 } else { 10 });
        let now = self.world.now();
        let start_by = (decision == Decision::Approve).then(|| now + time);
        let (actor, source) = (ALICE.to_owned(), "desk:operator".to_owned());
        let decided = if bulk {
            let member =
                |(approval, _, revision, binding): &(ApprovalId, ActionId, i64, Digest)| {
                    let (approval, binding) = (approval.clone(), binding.clone());
                    BatchMember { approval, revision: *revision, binding }
                };
            let request = BatchRequest {
                id: BatchId::new(self.random.hex128()),
                decision,
                chosen: "all".to_owned(),
                halts: true,
                actor,
                source,
                comment: None,
                members: self.seen.iter().map(member).collect(),
                start_by,
            };
            self.world.store().decide_batch(&request, now).await.unwrap().decided
        } else {
            let (approval, _, revision, binding) = self.seen[self.pick(self.seen.len())].clone();
            let request = DecisionRequest {
                approval,
                decision,
                actor,
                source,
                comment: None,
                expected_revision: (decision != Decision::Revoke).then_some(revision),
                expected_binding: Some(binding),
                start_by,
            };
            match self.world.store().decide(&request, now).await {
                Ok(decided) => vec![decided],
                Err(Error::Conflict { .. } | Error::Transition(_) | Error::Refused { .. }) => {
                    vec![]
                }
                Err(error) => panic!("{error}"),
            }
        };
        for one in &decided {
            self.oracle.decided(&one.action, decision, time);
        }
        self.oracle.say(&format!("{decision}: {} of {}", decided.len(), self.seen.len()));
    }

    fn meddle(&self) {
        let (name, swarm) = (NAMES[self.pick(2)], &self.world.swarm);
        let what = match self.random.below(6) {
            0 | 1 => (IMAGE, json!(format!("example/theirs:{}", self.random.below(2)))),
            2 | 3 => (TEAM, json!("theirs")),
            4 => (REPLICAS, json!(self.random.below(3))),
            _ => {
                swarm.remove_by_others(name);
                return self.oracle.say(&format!("somebody removes {name}"));
            }
        };
        if swarm.service(name).is_some() {
            swarm.meddle(name, what.0, what.1);
            self.oracle.say(&format!("somebody changes {} of {name}", what.0));
        }
    }

    async fn freeze_or_lift(&mut self) {
        let now = self.world.now();
        if let Some(id) = self.freeze.take() {
            self.world.store().lift_override(&id, ALICE, now).await.unwrap();
            self.truth.frozen = false;
            return self.becomes_true("the freeze is lifted");
        }
        let id = self.random.hex128();
        self.world.store().place_override(&freeze(&id, now)).await.unwrap();
        (self.truth.frozen, self.freeze) = (true, Some(id));
        self.becomes_true("everything is frozen");
    }
}

fn freeze(id: &str, now: jiff::Timestamp) -> Override {
    Override {
        id: OverrideId::new(id),
        rule: PolicyRule::about_everything(Tier::Forbidden, FREEZE_PRIORITY),
        reason: "release week".to_owned(),
        actor: ALICE.to_owned(),
        created_at: now,
        expires_at: None,
        lifted: None,
    }
}

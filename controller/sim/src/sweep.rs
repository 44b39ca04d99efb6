//! The sweep: a scenario is lived once without a disturbance, then again from what a crash would
//! leave at each moment of each call, and each of these lives must end like the first one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::files::Files;
use crate::outcome::{Outcome, objects, what_runs};
use crate::recording::{Left, Recording};
use crate::scenario::{Scenario, Step};
use crate::soundness::{is_as_declared, is_sound, once_each};
use crate::tap::{Fate, Intruder, MOMENTS, Moment};
use crate::world::World;

/// How many further passes must write nothing.
const TICKS: u32 = 10;
/// How far apart they are.
const TICK: Duration = Duration::from_secs(120);

/// How far the lives after a crash are lived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lives {
    /// Until one is, after its step, where another one was that ended well: the same services,
    /// records, decisions, failures, containments. What a pass does follows from these and from
    /// the time, so that it would go on like the other one.
    UntilKnown,
    /// All of them to their ends.
    Whole,
}

/// Where lives have been that ended well.
#[derive(Debug)]
pub(crate) struct Known {
    lives: Lives,
    /// After which step, and how it looked there.
    been: Mutex<Vec<(usize, Outcome)>>,
}

impl Known {
    pub(crate) fn new(lives: Lives) -> Self {
        Self { lives, been: Mutex::default() }
    }

    /// True when a life that is here after this step need not be lived on.
    pub(crate) fn joins(&self, step: usize, here: &Outcome) -> bool {
        let been = self.been.lock().unwrap_or_else(PoisonError::into_inner);
        let is_here = |one: &(usize, Outcome)| one.0 == step && one.1.is_like(here);
        self.lives == Lives::UntilKnown && been.iter().any(is_here)
    }

    pub(crate) fn learn(&self, step: usize, here: Outcome) {
        self.been.lock().unwrap_or_else(PoisonError::into_inner).push((step, here));
    }
}

/// What a sweep covered.
#[derive(Debug, Default)]
pub struct Covered {
    /// The scenario.
    pub scenario: &'static str,
    /// Calls of the undisturbed life.
    pub calls: usize,
    /// Moments at which a crash was looked at: three for each call.
    pub points: usize,
    /// Moments that never came, because the process itself gave the call up when it ended.
    pub given_up: usize,
    /// Different worlds that those crashes leave; each was lived on from.
    pub worlds: usize,
    /// Lives in which a write of the crashed process arrived before a call of its successor.
    pub meetings: usize,
    /// Lives that were lived to their ends; the others came to where one of these had been.
    pub whole: usize,
    /// How long it took.
    pub took: Duration,
    /// What went wrong.
    pub failures: Vec<String>,
}

impl Covered {
    /// True when each call was looked at in each of its moments and each life ended well.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.points == self.calls * MOMENTS.len() - self.given_up && self.failures.is_empty()
    }
}

impl fmt::Display for Covered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, calls, points, worlds, meetings, whole, took, failures, .. } = self;
        write!(
            f,
            "{scenario:<40} {calls:>5} calls {points:>6} crash points {worlds:>5} worlds \
             {meetings:>5} late writes {whole:>4} to the end {:>6.1} s {} failures",
            took.as_secs_f64(),
            failures.len()
        )
    }
}

/// Runs one life on a stopped clock of its own.
///
/// # Panics
/// When the runtime cannot be made, or the life panics.
pub fn live<T>(life: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(life)
}

/// Sweeps a scenario.
#[must_use]
pub fn sweep(scenario: &Scenario, seed: u64, lives: Lives) -> Covered {
    let started = Instant::now();
    let files = Files::new();
    let known = Known::new(lives);
    let life = Life { scenario, seed, known: &known };
    let (recording, expected) = live(undisturbed(&life, Arc::clone(&files)));
    let mut covered = Covered {
        scenario: scenario.name,
        calls: recording.count(Moment::BeforeSend),
        points: recording.points.len(),
        given_up: recording.given_up(),
        worlds: recording.left.len(),
        ..Covered::default()
    };
    for (number, left) in recording.left.iter().enumerate() {
        let files = Arc::clone(&files);
        let (_, ended) = live(again(&life, left, files, None, &expected));
        covered.whole += usize::from(ended == Ok(true));
        if let Err(problem) = ended {
            let places = recording.points.iter().filter(|point| point.left == number);
            let places: Vec<_> = places.map(|point| point.place.to_string()).collect();
            let (first, last) = (places.first(), places.last());
            let failure = format!("{}: crash from {first:?} to {last:?}: {problem}", scenario.name);
            covered.failures.push(failure);
        }
    }
    for left in &recording.on_its_way {
        for before in 0.. {
            let files = Arc::clone(&files);
            let (fate, ended) = live(again(&life, left, files, Some(before), &expected));
            if fate == Fate::OnItsWay {
                // The process after the crash makes no more calls than this.
                break;
            }
            covered.meetings += 1;
            covered.whole += usize::from(ended == Ok(true));
            if let Err(problem) = ended {
                covered.failures.push(format!(
                    "{}: {} met before call {before}: {problem}",
                    scenario.name, left.name
                ));
            }
            // Versions only grow, and what is gone stays gone: it would be refused later as well.
            if fate == Fate::Refused {
                break;
            }
        }
    }
    covered.took = started.elapsed();
    covered
}

/// What all lives of a sweep have in common.
struct Life<'a> {
    scenario: &'a Scenario,
    seed: u64,
    known: &'a Known,
}

async fn undisturbed(life: &Life<'_>, files: Arc<Files>) -> (Recording, Result<Outcome, String>) {
    let scenario = life.scenario;
    let mut world = World::new(life.seed, files).await;
    for step in &scenario.before {
        world.take(step).await;
    }
    let before = what_runs(&world);
    let recorder = world.record();
    for (number, step) in scenario.steps.iter().enumerate() {
        recorder.begin_step(number);
        world.take(step).await;
        life.known.learn(number, Outcome::of(&world).await);
    }
    world.recorder = None;
    let mut ended = end(&mut world, scenario).await;
    let (was, is) = (before, what_runs(&world));
    if scenario.gives_back && was != is {
        ended = Err(format!("it was not given back:\n    is        {is:?}\n    should be {was:?}"));
    }
    let recording = recorder.take();
    world.database.close().await;
    (recording, ended)
}

/// One life from what a crash left; with what became of a write that was on its way.
async fn again(
    life: &Life<'_>,
    left: &Left,
    files: Arc<Files>,
    meets: Option<usize>,
    expected: &Result<Outcome, String>,
) -> (Fate, Result<bool, String>) {
    let scenario = life.scenario;
    let mut world = World::after(left, files, life.seed.wrapping_add(1)).await;
    world.replay_settings(scenario, left.step + 1);
    let fate = Arc::default();
    if let (Some(before), Some(write)) = (meets, &left.on_its_way) {
        let (swarm, fate) = (Arc::clone(&world.swarm), Arc::clone(&fate));
        world.intruder = Some(Intruder { before, write: write.clone(), swarm, fate });
    }
    world.traces = std::env::var_os("SKEP_SIM_TRACE").is_some();
    let process = world.process();
    world.run(&process, scenario.steps.get(left.step).unwrap_or(&Step::Pass)).await;
    let fate = *fate.lock().unwrap_or_else(PoisonError::into_inner);
    if meets.is_some() && fate == Fate::OnItsWay {
        world.database.close().await;
        return (fate, Ok(false));
    }
    let ended = on_from(&mut world, life, left.step, expected).await;
    world.database.close().await;
    (fate, ended)
}

/// Lives on after a step, unless another life was here; true when it was lived to its end.
async fn on_from(
    world: &mut World,
    life: &Life<'_>,
    step: usize,
    expected: &Result<Outcome, String>,
) -> Result<bool, String> {
    let expected =
        expected.as_ref().map_err(|why| format!("the undisturbed life failed: {why}"))?;
    once_each(world)?;
    let here = Outcome::of(world).await;
    if life.known.joins(step, &here) {
        return Ok(false);
    }
    for step in life.scenario.steps.iter().skip(step + 1) {
        world.take(step).await;
    }
    let ended = end(world, life.scenario).await?;
    if let Some(difference) = ended.differs_from(expected) {
        return Err(format!("another end:\n  {difference}"));
    }
    life.known.learn(step, here);
    Ok(true)
}

/// The end of a life, after further passes that must write nothing.
pub(crate) async fn end(world: &mut World, scenario: &Scenario) -> Result<Outcome, String> {
    let ended = Outcome::of(world).await;
    let all = |world: &World| (world.swarm.journal().len(), world.swarm.services(), objects(world));
    let before = all(world);
    once_each(world)?;
    is_sound(world).await?;
    is_as_declared(world, scenario).await?;
    for tick in 1..=TICKS {
        tokio::time::sleep(TICK).await;
        world.take(&Step::Pass).await;
        if all(world) != before {
            return Err(format!("tick {tick} wrote to the swarm"));
        }
    }
    match Outcome::of(world).await.differs_from(&ended) {
        None => Ok(ended),
        Some(difference) => Err(format!("the ticks changed the end:\n  {difference}")),
    }
}

//! A leader that is stopped (`kill -STOP`) in a call, outlived by its successor, and goes on
//! afterwards as if nothing had happened: it must neither write to the swarm nor to the store.

use std::sync::Arc;
use std::time::Duration;

use skep_runtime::Options;
use tokio_util::sync::CancellationToken;

use crate::files::Files;
use crate::outcome::Outcome;
use crate::recording::Left;
use crate::scenario::{Scenario, Step};
use crate::sweep::{Known, Lives, end, live};
use crate::tap::{Moment, Process};
use crate::world::World;

/// Longer than a lease lasts.
const ASLEEP: Duration = Duration::from_secs(10);

/// What was looked at.
#[derive(Debug, Default)]
pub struct Paused {
    /// Calls in which the leader was stopped.
    pub calls: usize,
    /// Requests that were already under way when it was stopped, and went out when it went on.
    pub under_way: usize,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// Stops the leader in each call of the first pass that carries something out.
///
/// # Panics
/// When the undisturbed life fails.
#[must_use]
pub fn pause_everywhere(scenario: &Scenario, seed: u64, lives: Lives) -> Paused {
    let (files, known) = (Files::new(), Known::new(lives));
    let (left, expected) = live(undisturbed(scenario, seed, Arc::clone(&files), &known));
    let expected = expected.unwrap();
    let mut paused = Paused::default();
    for call in 0.. {
        let (stopped, ended) = live(again(scenario, seed, Arc::clone(&files), &left, call, &known));
        let under_way = match stopped {
            Ok(Stopped::Never) => break,
            Ok(Stopped::Once { under_way }) => under_way,
            Err(problem) => {
                paused.failures.push(format!("{}: call {call}: {problem}", scenario.name));
                continue;
            }
        };
        paused.calls += 1;
        paused.under_way += usize::from(under_way);
        let problem = match ended {
            Ok(ended) => ended.and_then(|ended| ended.differs_from(&expected)),
            Err(problem) => Some(problem),
        };
        let failure = problem.map(|problem| format!("{}: call {call}: {problem}", scenario.name));
        paused.failures.extend(failure);
    }
    paused
}

enum Stopped {
    /// It made fewer calls.
    Never,
    Once {
        /// It was stopped in a write.
        under_way: bool,
    },
}

/// The whole life, and the world before the pass that the others are stopped in.
async fn undisturbed(
    scenario: &Scenario,
    seed: u64,
    files: Arc<Files>,
    known: &Known,
) -> (Left, Result<Outcome, String>) {
    let mut world = World::new(seed, files).await;
    for step in &scenario.before {
        world.take(step).await;
    }
    let mut left = None;
    for (number, step) in scenario.steps.iter().enumerate() {
        if left.is_none() && matches!(step, Step::PatientPass) {
            left = Some(world.left(number).await);
        }
        world.take(step).await;
        known.learn(number, Outcome::of(&world).await);
    }
    let ended = end(&mut world, scenario).await;
    world.database.close().await;
    (left.unwrap(), ended)
}

/// One life from there, in which the leader is stopped in a call; without an end when it came to
/// where another one was.
async fn again(
    scenario: &Scenario,
    seed: u64,
    files: Arc<Files>,
    left: &Left,
    call: usize,
    known: &Known,
) -> (Result<Stopped, String>, Result<Option<Outcome>, String>) {
    let mut world = World::after(left, files, seed.wrapping_add(1)).await;
    world.replay_settings(scenario, left.step + 1);
    let stopped = stop(&world, call).await;
    let mut ended = Ok(None);
    let goes_on = matches!(stopped, Ok(Stopped::Once { .. }));
    if goes_on && !known.joins(left.step, &Outcome::of(&world).await) {
        for step in scenario.steps.iter().skip(left.step + 1) {
            world.take(step).await;
        }
        ended = end(&mut world, scenario).await.map(Some);
    }
    world.database.close().await;
    (stopped, ended)
}

async fn stop(world: &World, call: usize) -> Result<Stopped, String> {
    let sleeper = Arc::new(Process::new(None).stopping_at(call, Moment::BeforeSend));
    let controller = world.controller(&sleeper, |options| Options {
        wait_for_rollouts: true,
        holder: "sleeper".to_owned(),
        ..options
    });
    let mut pass = tokio::spawn(async move {
        let _the_successor_counts = controller.reconcile_once(&CancellationToken::new()).await;
    });
    tokio::select! {
        ended = &mut pass => {
            ended.map_err(|error| format!("the leader died: {error}"))?;
            return Ok(Stopped::Never);
        }
        () = sleeper.stopped() => {}
    }
    let under_way = sleeper.is_in_a_write();
    tokio::time::sleep(ASLEEP).await;
    world.run(&Arc::new(Process::new(None)), &Step::PatientPass).await;
    let begun = sleeper.writes_begun();
    sleeper.resume();
    pass.await.map_err(|error| format!("the leader died when it went on: {error}"))?;
    if sleeper.writes_begun() != begun {
        return Err("it began another write after its successor had taken over".to_owned());
    }
    Ok(Stopped::Once { under_way })
}

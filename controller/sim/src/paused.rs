//! A leader that is stopped (`kill -STOP`) in a call, outlived by its successor, and goes on
//! afterwards as if nothing had happened: it must neither write to the swarm nor to the store.

use std::sync::Arc;
use std::time::Duration;

use skep_runtime::Options;
use tokio_util::sync::CancellationToken;

use crate::outcome::Outcome;
use crate::scenario::{Scenario, Step};
use crate::sweep::{Ticks, end, live};
use crate::tap::{Moment, Process};
use crate::world::{Files, World};

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
pub fn pause_everywhere(scenario: &Scenario, seed: u64) -> Paused {
    let files = Files::new();
    let expected = live(life(scenario, seed, Arc::clone(&files), None)).unwrap().1;
    let mut paused = Paused::default();
    for call in 0.. {
        match live(life(scenario, seed, Arc::clone(&files), Some(call))) {
            Ok((Stopped::Never, _)) => break,
            Ok((Stopped::Once { under_way }, ended)) => {
                paused.calls += 1;
                paused.under_way += usize::from(under_way);
                if let Some(difference) = ended.differs_from(&expected) {
                    let failure = format!("{}: call {call}: {difference}", scenario.name);
                    paused.failures.push(failure);
                }
            }
            Err(problem) => {
                paused.calls += 1;
                paused.failures.push(format!("{}: call {call}: {problem}", scenario.name));
            }
        }
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

async fn life(
    scenario: &Scenario,
    seed: u64,
    files: Arc<Files>,
    stops_at: Option<usize>,
) -> Result<(Stopped, Outcome), String> {
    let mut world = World::new(seed, files).await;
    for step in &scenario.before {
        world.take(step).await;
    }
    let mut stopped = Stopped::Never;
    let mut stops_at = stops_at;
    for step in &scenario.steps {
        match (step, stops_at) {
            (Step::PatientPass, Some(call)) => {
                stopped = stop(&world, call).await?;
                stops_at = None;
            }
            _ => world.take(step).await,
        }
    }
    let ended = end(&mut world, Ticks::Some).await;
    world.database.close().await;
    Ok((stopped, ended?))
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

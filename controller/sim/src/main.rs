//! `cargo xtask sim`: many seeds, or the sweep with each life to its end, and a table of what was
//! covered. The seed of a failure is printed; `--seed` lives it again.

#![allow(clippy::print_stdout, reason = "a chore reports to its terminal")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use skep_sim::chance::{Lived, life_of};
use skep_sim::interleavings::{Told, history_of};
use skep_sim::scenarios;
use skep_sim::sweep::{Lives, sweep};

/// Lives in a simulated world.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask sim", bin_name = "cargo xtask sim")]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// Only this seed.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// The crash sweep instead, each life to its end and ten passes further.
    #[arg(long)]
    sweep: bool,
    /// So many random histories through the act path instead; SKEP_SEED=<seed> lives one of them
    /// alone and prints what happened in it.
    #[arg(long, conflicts_with_all = ["sweep", "seeds", "seed"])]
    interleavings: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let failed = if let Some(number) = arguments.interleavings {
        interleaved(number)
    } else if arguments.sweep {
        swept()
    } else if let Some(seed) = arguments.seed {
        chance(seed, seed + 1)
    } else {
        chance(0, arguments.seeds)
    };
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn swept() -> bool {
    let (mut points, mut worlds, mut late, mut failures) = (0, 0, 0, 0);
    let all = scenarios::all();
    for scenario in &all {
        let covered = sweep(scenario, 1, Lives::Whole);
        println!("{covered}");
        covered.failures.iter().for_each(|failure| println!("{failure}"));
        points += covered.points;
        worlds += covered.worlds;
        late += covered.meetings;
        failures += covered.failures.len() + usize::from(!covered.is_complete());
    }
    println!(
        "{} scenarios, {points} crash points, all covered; {worlds} worlds and {late} late writes \
         lived to their ends; {failures} failures",
        all.len()
    );
    failures > 0
}

fn interleaved(number: u64) -> bool {
    let started = Instant::now();
    let asked = std::env::var("SKEP_SEED").ok().and_then(|seed| seed.parse().ok());
    let (from, to) = asked.map_or((0, number), |seed: u64| (seed, seed.saturating_add(1)));
    let lived = side_by_side(from, to, |seed| {
        let told = std::panic::catch_unwind(|| history_of(seed))
            .unwrap_or_else(|_| Told { wrong: vec!["it panicked".to_owned()], ..Told::default() });
        for wrong in &told.wrong {
            println!("SKEP_SEED={seed}: {wrong}");
        }
        if asked.is_some() || !told.wrong.is_empty() {
            println!("{}", told.trace.join("\n"));
        }
        told
    });
    let total =
        |count: fn(&Told) -> usize| lived.iter().map(|(_, told)| count(told)).sum::<usize>();
    let wrong = lived.iter().filter(|(_, told)| !told.wrong.is_empty()).count();
    println!(
        "{} interleavings, seeds {from} to {}: {} intents, {} executions, {} rehearsals, {} \
         creates that landed late; {wrong} wrong; took {:.1} s",
        lived.len(),
        to.saturating_sub(1),
        total(|told| told.intents),
        total(|told| told.executions),
        total(|told| told.rehearsals),
        total(|told| told.residual),
        started.elapsed().as_secs_f64()
    );
    wrong > 0
}

/// Lives these seeds on all processors.
fn side_by_side<T: Send>(from: u64, to: u64, life: impl Fn(u64) -> T + Sync) -> Vec<(u64, T)> {
    let next = AtomicU64::new(from);
    let ended = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= to {
                        return;
                    }
                    let lived = life(seed);
                    let mut ended = ended.lock().unwrap_or_else(|ended| ended.into_inner());
                    ended.push((seed, lived));
                }
            });
        }
    });
    ended.into_inner().unwrap_or_else(|ended| ended.into_inner())
}

fn chance(from: u64, to: u64) -> bool {
    let started = Instant::now();
    let ended = side_by_side(from, to, |seed| {
        let lived = std::panic::catch_unwind(|| life_of(seed))
            .unwrap_or_else(|_| Err("it panicked".to_owned()));
        if let Err(problem) = &lived {
            println!("seed {seed}: {problem}");
        }
        lived
    });
    let lived: Vec<Lived> =
        ended.iter().filter_map(|(_, lived)| lived.as_ref().ok().copied()).collect();
    let failures = ended.len() - lived.len();
    let total = |count: fn(&Lived) -> usize| lived.iter().map(count).sum::<usize>();
    let slowest = lived.iter().map(|lived| lived.converged_after).max().unwrap_or_default();
    println!(
        "{} seeds from {from}: {failures} failures; {} writes, {} kills, {} stops; as declared after \
         at most {slowest} ms of virtual time; took {:.1} s",
        ended.len(),
        total(|lived| lived.effects),
        total(|lived| lived.kills),
        total(|lived| lived.stops),
        started.elapsed().as_secs_f64()
    );
    failures > 0
}

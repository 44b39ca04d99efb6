//! `cargo xtask sim`: many seeds, or the sweep with each life to its end, and a table of what was
//! covered. The seed of a failure is printed; `--seed` lives it again.

#![allow(clippy::print_stdout, reason = "a chore reports to its terminal")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use skep_sim::chance::{Lived, life_of};
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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let failed = if arguments.sweep {
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

fn chance(from: u64, to: u64) -> bool {
    let started = Instant::now();
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
                    let lived = std::panic::catch_unwind(|| life_of(seed))
                        .unwrap_or_else(|_| Err("it panicked".to_owned()));
                    if let Err(problem) = &lived {
                        println!("seed {seed}: {problem}");
                    }
                    let mut ended = ended.lock().unwrap_or_else(|ended| ended.into_inner());
                    ended.push((seed, lived));
                }
            });
        }
    });
    let ended = ended.into_inner().unwrap_or_else(|ended| ended.into_inner());
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

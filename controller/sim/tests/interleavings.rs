//! Random histories through the act path; `cargo xtask sim --interleavings 10000` lives more.
//!
//! A failure prints its seed: `SKEP_SEED=<seed>` lives that one alone and prints what happened.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests report what they cover"
)]

use skep_sim::interleavings::{Told, history_of};

const SEEDS: u64 = 200;

fn all_right(seed: u64) -> Told {
    let told = history_of(seed);
    let trace = told.trace.join("\n");
    assert!(told.wrong.is_empty(), "SKEP_SEED={seed}: {:#?}\n{trace}", told.wrong);
    told
}

#[test]
fn nothing_is_written_that_no_grant_covers() {
    if let Some(seed) = std::env::var("SKEP_SEED").ok().map(|seed| seed.parse().unwrap()) {
        println!("{}", all_right(seed).trace.join("\n"));
        return;
    }
    let (mut executions, mut rehearsals) = (0, 0);
    for seed in 0..SEEDS {
        let told = all_right(seed);
        executions += told.executions;
        rehearsals += told.rehearsals;
    }
    println!(
        "{SEEDS} interleavings from seed 0: {executions} executions, {rehearsals} rehearsals, 0 \
         wrong"
    );
    // Histories in which nothing ever runs would prove nothing.
    assert!(executions > 50 && rehearsals > 5, "{executions} executions, {rehearsals} rehearsals");
}

#[test]
fn a_seed_is_lived_again_exactly() {
    for seed in [3, 17, 58] {
        assert_eq!(history_of(seed), history_of(seed), "seed {seed}");
    }
    assert_ne!(history_of(3).trace, history_of(17).trace);
}

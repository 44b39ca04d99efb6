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

fn all_right(seed: u64) -> Told {
    let told = history_of(seed);
    let trace = told.trace.join("\n");
    assert!(told.wrong.is_empty(), "SKEP_SEED={seed}: {:#?}\n{trace}", told.wrong);
    told
}

fn seeds(from: u64, to: u64) {
    if let Some(seed) = std::env::var("SKEP_SEED").ok().map(|seed| seed.parse().unwrap()) {
        if (from..to).contains(&seed) {
            println!("{}", all_right(seed).trace.join("\n"));
        }
        return;
    }
    let told: Vec<Told> = (from..to).map(all_right).collect();
    let sum = |count: fn(&Told) -> usize| told.iter().map(count).sum::<usize>();
    let (executions, rehearsals) = (sum(|told| told.executions), sum(|told| told.rehearsals));
    println!(
        "{} interleavings from seed {from}: {executions} executions, {rehearsals} rehearsals, \
         0 wrong",
        told.len()
    );
    // Histories in which nothing ever runs would prove nothing.
    assert!(executions > 10 && rehearsals > 0, "{executions} executions, {rehearsals} rehearsals");
}

/// Also every seed beyond, when one is asked for.
#[test]
fn nothing_is_written_that_no_grant_covers() {
    let asked = std::env::var_os("SKEP_SEED").is_some();
    seeds(0, if asked { u64::MAX } else { 40 });
}

#[test]
fn nothing_is_written_that_no_grant_covers_in_more() {
    if std::env::var_os("SKEP_SEED").is_none() {
        seeds(40, 80);
    }
}

#[test]
fn nothing_is_written_that_no_grant_covers_in_still_more() {
    if std::env::var_os("SKEP_SEED").is_none() {
        seeds(80, 120);
    }
}

#[test]
fn a_seed_is_lived_again_exactly() {
    for seed in [3, 25, 63, 71] {
        assert_eq!(history_of(seed), history_of(seed), "seed {seed}");
    }
    assert_ne!(history_of(3).trace, history_of(25).trace);
}

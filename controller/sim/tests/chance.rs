//! A few seeds; `cargo xtask sim` runs a thousand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests report by panicking")]

use skep_sim::chance::life_of;

fn seeds(range: std::ops::Range<u64>) {
    let failures: Vec<String> = range
        .filter_map(|seed| life_of(seed).err().map(|problem| format!("seed {seed}: {problem}")))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_first_seeds() {
    seeds(0..4);
}

#[test]
fn more_seeds() {
    seeds(4..8);
}

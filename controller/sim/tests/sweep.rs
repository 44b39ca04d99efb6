//! Every crash point of every scenario; one test for each, so that they run side by side.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests report what they cover"
)]

use skep_sim::scenarios;
use skep_sim::sweep::{Ticks, sweep};

const SEED: u64 = 1;

fn swept(name: &str) {
    let all = scenarios::all();
    let scenario = all.iter().find(|scenario| scenario.name == name).unwrap();
    let covered = sweep(scenario, SEED, Ticks::Some);
    println!("{covered}");
    assert!(covered.failures.is_empty(), "{covered}\n{}", covered.failures.join("\n"));
    assert!(covered.is_complete() && covered.worlds > 1, "{covered}");
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            swept(stringify!($name));
        })*

        #[test]
        fn every_scenario_has_a_test() {
            let tested = [$(stringify!($name)),*];
            let all: Vec<_> = scenarios::all().iter().map(|scenario| scenario.name).collect();
            assert_eq!(all, tested);
            assert!(all.len() >= 12);
        }
    };
}

scenarios!(
    create,
    update_of_a_label,
    update_with_a_rollout,
    swarm_goes_back,
    image_fails_and_pauses,
    replacement,
    scale,
    restart,
    stop,
    declared_stopped,
    adopt,
    release,
    rollback_to_a_revision,
    refresh_of_credentials,
    five_in_waves,
    dry_run,
    denied,
    drift_repaired_by_itself,
    declared_anew_before_the_answer,
    the_loop_and_its_successor,
);

//! Every crash point of every scenario; one test for each, so that they run side by side.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests report what they cover"
)]

use skep_sim::scenarios;
use skep_sim::sweep::{Lives, sweep};

const SEED: u64 = 1;

fn swept(name: &str) {
    let all = scenarios::all();
    let scenario = all.iter().find(|scenario| scenario.name == name).unwrap();
    let covered = sweep(scenario, SEED, Lives::UntilKnown);
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
    pause_and_resume,
    kill_and_resume,
    kill_and_resume_of_a_global_service,
    pause_that_becomes_a_kill,
    kill_during_a_rollout,
    kill_while_a_create_has_arrived,
    kill_while_a_create_never_arrives,
    kill_while_an_update_is_unknown,
    kill_between_removal_and_create,
    kill_of_a_domain,
    kill_in_the_loop,
    orphan_stopped,
    orphan_released,
    removed_by_others,
    letter_requeued,
    one_decision_halts_at_its_first_failure,
    stack_deployed,
    stack_adopted,
    config_rolled_over,
    old_version_removed,
    content_comes_back,
    labels_of_objects,
    network_made_anew,
    external_that_appears,
    service_and_config_pruned,
    taken_back_between_the_waves,
    killed_while_its_config_is_made,
    no_longer_declared_while_its_create_is_unknown,
    source_unreadable_half_way,
);

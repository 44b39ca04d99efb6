//! A stopped leader that wakes up after its successor has taken over does no harm.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests report what they cover"
)]

use skep_sim::paused::pause_everywhere;
use skep_sim::scenarios;
use skep_sim::sweep::Lives;

fn paused(name: &str, writes: usize) {
    let all = scenarios::all();
    let scenario = all.iter().find(|scenario| scenario.name == name).unwrap();
    let paused = pause_everywhere(scenario, 1, Lives::UntilKnown);
    println!("{name}: stopped in {} calls, {} of them writes", paused.calls, paused.under_way);
    assert!(paused.failures.is_empty(), "{}", paused.failures.join("\n"));
    assert!(paused.calls > 30 && paused.under_way == writes, "{paused:?}");
}

#[test]
fn in_a_create() {
    paused("create", 1);
}

#[test]
fn in_an_update() {
    paused("update_of_a_label", 1);
}

#[test]
fn in_a_replacement() {
    paused("replacement", 2);
}

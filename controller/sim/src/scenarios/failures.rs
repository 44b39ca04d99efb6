//! What fails for good: its letter, a second try that a person asks for, and the decisions about
//! many that end with it.

use std::time::Duration;

use skep_store::Decision::Approve;
use skep_swarm::fake::FakeSwarm;

use super::{BAD, break_image, deployed, with};
use crate::scenario::{Scenario, Step};
use Step::{Decide, DecideTogether, Declare, Pass, PatientPass, Requeue, Rest, Swarm};

const CHAIN: &str = "  - {name: a, image: \"example/a:1\", update: {monitor: 100ms}}\n  \
    - {name: b, image: \"example/b:1\", depends_on: [a]}\n  \
    - {name: c, image: \"example/c:1\", depends_on: [b]}\n";
const BROKEN_CHAIN: &str = "  - {name: a, image: \"example/bad:1\", update: {monitor: 100ms, \
    failure_action: pause}}\n  \
    - {name: b, image: \"example/b:2\", depends_on: [a]}\n  \
    - {name: c, image: \"example/c:2\", depends_on: [b]}\n";

fn mend_image(swarm: &FakeSwarm) {
    swarm.mend_image("example/bad:1");
}

/// All of it runs.
fn a_chain() -> Vec<Step> {
    let minute = Duration::from_secs(60);
    let steps = vec![Declare(CHAIN), Pass, Decide(Approve), PatientPass, Rest(minute), PatientPass];
    with(steps, [Rest(minute), Pass, Swarm(break_image)])
}

pub(super) fn all() -> Vec<Scenario> {
    let scenario = Scenario::new;
    let ten = || Rest(Duration::from_secs(10));
    vec![
        scenario(
            "letter_requeued",
            with(deployed(), [Swarm(break_image)]),
            vec![
                Declare(BAD),
                Pass,
                Decide(Approve),
                PatientPass,
                ten(),
                Pass,
                Swarm(mend_image),
                Requeue,
                Pass,
                Decide(Approve),
                PatientPass,
                ten(),
                Pass,
            ],
        ),
        scenario(
            "one_decision_halts_at_its_first_failure",
            a_chain(),
            vec![
                Declare(BROKEN_CHAIN),
                Pass,
                DecideTogether(Approve),
                PatientPass,
                ten(),
                Pass,
                ten(),
                Pass,
            ],
        ),
    ]
}

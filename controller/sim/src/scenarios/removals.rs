//! What is no longer declared, and what somebody else has removed: nothing of it is deleted by
//! itself, and only what a person asked for is done to it.

use std::time::Duration;

use skep_core::request::RequestVerb;
use skep_store::Decision::Approve;
use skep_swarm::fake::FakeSwarm;

use super::{approved, deployed, with};
use crate::scenario::{Scenario, Step};
use Step::{Ask, Decide, Declare, Pass, Rest, Swarm};

const BOTH: &str = "  - {name: a, image: \"example/a:1\", replicas: 2}\n  \
    - {name: b, image: \"example/b:1\"}\n";
const OTHER: &str = "  - {name: b, image: \"example/b:1\"}\n";

/// Both run, and only one of them is declared any longer.
fn an_orphan() -> Vec<Step> {
    let both = vec![Declare(BOTH), Pass, Decide(Approve), Pass, Rest(Duration::from_secs(60))];
    with(both, [Declare(OTHER), Pass])
}

fn remove(swarm: &FakeSwarm) {
    swarm.remove_by_others("a");
}

pub(super) fn all() -> Vec<Scenario> {
    let scenario = Scenario::new;
    vec![
        scenario("orphan_stopped", an_orphan(), approved(Ask("a", RequestVerb::Stop))),
        scenario("orphan_released", an_orphan(), approved(Ask("a", RequestVerb::Release))),
        scenario("removed_by_others", deployed(), approved(Swarm(remove))),
    ]
}

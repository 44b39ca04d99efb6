//! Pause, kill and resume, also of what something is under way for.

use std::time::Duration;

use skep_core::containment::ContainmentVerb::{Kill, Pause, Resume};
use skep_store::Decision::Approve;
use skep_swarm::fake::Fault;

use super::{LABELLED, ONE, break_image, deployed, make_global, with};
use crate::people::Target::{Domain, Service};
use crate::scenario::{Scenario, Step};
use crate::world::ALL_ALLOWED;
use Step::{
    Contain, Crash, Decide, Declare, KillDomain, Order, Pass, PatientPass, Policy, Rest, Serve,
    ServeWhile, Swarm,
};

const GLOBAL: &str = "  - {name: a, image: \"example/a:1\", host_port: 8200, mode: global, \
    constraints: [\"node.role==manager\"], update: {monitor: 100ms}, rollback: {monitor: 100ms}}\n";
/// Its rollout takes longer than a crashed leader's lease.
const SLOWLY: &str = "  - {name: a, image: \"example/a:2\", host_port: 8200, replicas: 2, \
    update: {monitor: 2m}, rollback: {monitor: 100ms}}\n";
const DOMAIN: &str = "  - {name: a, image: \"example/a:1\", domain: finance, replicas: 2}\n  \
    - {name: b, image: \"example/b:1\", domain: finance, mode: global}\n  \
    - {name: c, image: \"example/c:1\"}\n";
const FINANCE: &[&str] = &["a", "b"];

/// As [`deployed`], of something else.
fn running(what: &'static str) -> Vec<Step> {
    vec![Declare(what), Pass, Decide(Approve), Pass, Rest(Duration::from_secs(60)), Pass]
}

/// Its process dies in its first write, or in the one after `faults`.
fn crashed(first: Step, faults: &'static [Fault]) -> Vec<Step> {
    vec![first, Pass, Decide(Approve), Crash(faults)]
}

/// Killed and given back, with a look at it in between.
fn killed_and_resumed() -> Vec<Step> {
    let (minute, a) = (Rest(Duration::from_secs(60)), Service("a"));
    let kill = vec![Order(Kill, a), Pass, Contain, minute.clone(), Pass];
    with(kill, [Order(Resume, a), Pass, Contain, minute, Pass])
}

pub(super) fn all() -> Vec<Scenario> {
    let scenario = Scenario::new;
    let (minute, a) = (Rest(Duration::from_secs(60)), Service("a"));
    let domain = Domain("finance");
    vec![
        scenario(
            "pause_and_resume",
            deployed(),
            vec![
                Declare(LABELLED),
                Pass,
                Decide(Approve),
                Order(Pause, a),
                PatientPass,
                Order(Resume, a),
                Pass,
                Decide(Approve),
                PatientPass,
            ],
        ),
        scenario("kill_and_resume", deployed(), killed_and_resumed()).giving_back(),
        scenario("kill_and_resume_of_a_global_service", running(GLOBAL), killed_and_resumed())
            .giving_back(),
        scenario(
            "pause_that_becomes_a_kill",
            running(GLOBAL),
            vec![
                Order(Pause, a),
                Pass,
                Order(Kill, a),
                Contain,
                minute.clone(),
                Order(Resume, a),
                Contain,
                minute.clone(),
                Pass,
            ],
        )
        .giving_back(),
        scenario(
            "kill_during_a_rollout",
            deployed(),
            vec![
                Declare(SLOWLY),
                Pass,
                Decide(Approve),
                Pass,
                // Its beginning moves the Version; a kill that crashed then is made anew.
                Rest(Duration::from_secs(5)),
                Order(Kill, a),
                Contain,
                minute.clone(),
                Pass,
                Order(Resume, a),
                Contain,
                Rest(Duration::from_secs(1200)),
                Pass,
            ],
        ),
        scenario(
            "kill_while_a_create_has_arrived",
            crashed(Declare(ONE), &[Fault::HeldAfter]),
            killed_and_resumed(),
        ),
        scenario(
            "kill_while_a_create_never_arrives",
            crashed(Declare(ONE), &[Fault::HeldBefore]),
            with(
                killed_and_resumed(),
                [Decide(Approve), PatientPass, Rest(Duration::from_secs(10)), Pass],
            ),
        ),
        scenario(
            "kill_while_an_update_is_unknown",
            with(deployed(), crashed(Declare(LABELLED), &[Fault::HeldAfter])),
            killed_and_resumed(),
        ),
        scenario(
            "kill_between_removal_and_create",
            with(
                with(deployed(), [Swarm(make_global)]),
                crashed(Declare(ONE), &[Fault::Passes, Fault::HeldBefore]),
            ),
            with(killed_and_resumed(), [Contain, Pass]),
        ),
        scenario(
            "kill_of_a_domain",
            running(DOMAIN),
            vec![
                KillDomain("finance", FINANCE),
                Contain,
                KillDomain("finance", FINANCE),
                Contain,
                minute.clone(),
                Pass,
                Order(Resume, domain),
                Contain,
                minute.clone(),
                Pass,
            ],
        )
        .giving_back(),
        scenario(
            "kill_in_the_loop",
            with(vec![Policy(ALL_ALLOWED)], with(deployed(), [Swarm(break_image)])),
            vec![
                Declare(SLOWLY),
                ServeWhile(
                    Duration::from_secs(14),
                    Duration::from_secs(8),
                    Box::new(Order(Kill, a)),
                ),
                Order(Resume, a),
                Serve(Duration::from_secs(12)),
                Rest(Duration::from_secs(1200)),
                Serve(Duration::from_secs(3)),
            ],
        ),
    ]
}

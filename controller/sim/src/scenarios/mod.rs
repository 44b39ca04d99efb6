//! The scenarios of the sweep.

mod containment;
mod failures;
mod removals;
mod stacks;

use std::time::Duration;

use serde_json::json;
use skep_core::action::ActuatorMode;
use skep_core::request::RequestVerb;
use skep_store::Decision::{Approve, Deny};
use skep_swarm::fake::FakeSwarm;

use crate::scenario::{Scenario, Step};
use crate::world::ALL_ALLOWED;
use Step::{Ask, Decide, Declare, Mode, Pass, PatientPass, Policy, Rest, Serve, Swarm};

const ONE: &str = "  - {name: a, image: \"example/a:1\", host_port: 8200, replicas: 2, \
    update: {monitor: 100ms}, rollback: {monitor: 100ms}}\n";
const LABELLED: &str = "  - {name: a, image: \"example/a:1\", host_port: 8200, replicas: 2, \
    update: {monitor: 100ms}, rollback: {monitor: 100ms}, labels: {team: x}}\n";
const NEWER: &str = "  - {name: a, image: \"example/a:2\", host_port: 8200, replicas: 2, \
    update: {monitor: 100ms}, rollback: {monitor: 100ms}}\n";
const BAD_WITH_A_WAY_BACK: &str = "  - {name: a, image: \"example/bad:1\", host_port: 8200, \
    replicas: 2, update: {monitor: 100ms, failure_action: rollback}, rollback: {monitor: 100ms}}\n";
const BAD: &str = "  - {name: a, image: \"example/bad:1\", host_port: 8200, replicas: 2, \
    update: {monitor: 100ms, failure_action: pause}, rollback: {monitor: 100ms}}\n";
const STOPPED: &str = "  - {name: a, image: \"example/a:1\", host_port: 8200, replicas: 2, \
    update: {monitor: 100ms}, rollback: {monitor: 100ms}, desired: stopped}\n";
const FIVE: &str = "  - {name: a, image: \"example/a:1\"}\n  - {name: b, image: \"example/b:1\"}\n  \
    - {name: c, image: \"example/c:1\", depends_on: [a, b]}\n  \
    - {name: d, image: \"example/d:1\", depends_on: [c]}\n  - {name: e, image: \"example/e:1\"}\n";

/// The service runs as declared, on record, and has a history of one.
fn deployed() -> Vec<Step> {
    vec![Declare(ONE), Pass, Decide(Approve), Pass, Rest(Duration::from_secs(60)), Pass]
}

/// Filed, approved, carried out, and looked at once more.
fn approved(first: Step) -> Vec<Step> {
    vec![first, Pass, Decide(Approve), PatientPass, Rest(Duration::from_secs(10)), Pass]
}

fn break_image(swarm: &FakeSwarm) {
    swarm.break_image("example/bad:1", "No such image: example/bad:1");
}

fn make_global(swarm: &FakeSwarm) {
    swarm.meddle("a", "/Mode", json!({"Global": {}}));
}

fn somebody_elses(swarm: &FakeSwarm) {
    swarm.create_by_others(&json!({"Name": "a", "Labels": {"by": "hand"}, "TaskTemplate": {
        "ContainerSpec": {"Image": "example/a:1"}}}));
}

fn theirs(swarm: &FakeSwarm) {
    swarm.meddle("a", "/TaskTemplate/ContainerSpec/Image", json!("example/theirs:1"));
}

fn with(mut steps: Vec<Step>, more: impl IntoIterator<Item = Step>) -> Vec<Step> {
    steps.extend(more);
    steps
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let all = [changes(), containment::all(), removals::all(), failures::all(), stacks::all()];
    all.into_iter().flatten().collect()
}

/// Changes that end as they should, and decisions about them.
fn changes() -> Vec<Scenario> {
    let scenario = Scenario::new;
    let by_hand = |verb| approved(Ask("a", verb));
    vec![
        scenario("create", vec![], approved(Declare(ONE))),
        scenario("update_of_a_label", deployed(), approved(Declare(LABELLED))),
        scenario("update_with_a_rollout", deployed(), approved(Declare(NEWER))),
        scenario(
            "swarm_goes_back",
            with(deployed(), [Swarm(break_image)]),
            approved(Declare(BAD_WITH_A_WAY_BACK)),
        ),
        scenario(
            "image_fails_and_pauses",
            with(deployed(), [Swarm(break_image)]),
            approved(Declare(BAD)),
        ),
        scenario("replacement", with(deployed(), [Swarm(make_global)]), approved(Declare(ONE))),
        scenario("scale", deployed(), by_hand(RequestVerb::Scale { replicas: 4 })),
        scenario("restart", deployed(), by_hand(RequestVerb::Restart)),
        scenario("stop", deployed(), by_hand(RequestVerb::Stop)),
        scenario("declared_stopped", deployed(), approved(Declare(STOPPED))),
        scenario("adopt", vec![Swarm(somebody_elses)], approved(Declare(ONE))),
        scenario("release", deployed(), by_hand(RequestVerb::Release)),
        scenario(
            "rollback_to_a_revision",
            with(deployed(), approved(Declare(NEWER))),
            by_hand(RequestVerb::Rollback { revision: 1 }),
        ),
        scenario("refresh_of_credentials", deployed(), by_hand(RequestVerb::RefreshCredentials)),
        scenario(
            "five_in_waves",
            vec![],
            vec![
                Declare(FIVE),
                Pass,
                Decide(Approve),
                PatientPass,
                Rest(Duration::from_secs(10)),
                PatientPass,
            ],
        ),
        scenario("dry_run", vec![Mode(ActuatorMode::DryRun)], approved(Declare(ONE))),
        scenario("denied", deployed(), vec![Declare(NEWER), Pass, Decide(Deny), Pass]),
        scenario(
            "drift_repaired_by_itself",
            with(
                with(vec![Policy(ALL_ALLOWED)], deployed()),
                [Swarm(theirs), Rest(Duration::from_secs(60))],
            ),
            vec![PatientPass, Rest(Duration::from_secs(10)), Pass],
        ),
        scenario(
            "declared_anew_before_the_answer",
            deployed(),
            vec![Declare(NEWER), Pass, Declare(LABELLED), Pass, Decide(Approve), PatientPass],
        ),
        scenario(
            "the_loop_and_its_successor",
            with(vec![Policy(ALL_ALLOWED)], deployed()),
            vec![
                Declare(NEWER),
                Serve(Duration::from_secs(12)),
                Declare(LABELLED),
                Serve(Duration::from_secs(12)),
            ],
        ),
    ]
}

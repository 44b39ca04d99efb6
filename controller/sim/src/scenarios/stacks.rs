//! Stacks: networks, configs and secrets that services wait for, roll over to and leave behind.

use std::time::Duration;

use serde_json::json;
use skep_core::containment::ContainmentVerb::{Kill, Resume};
use skep_store::Decision::{Approve, Revoke};
use skep_swarm::fake::{FakeSwarm, Fault};

use super::with;
use crate::files::SECRET;
use crate::people::Target::Service;
use crate::scenario::{Scenario, Step};
use Step::{Contain, Crash, Decide, Order, Pass, PatientPass, Put, Rest, Swarm};

type File = (&'static str, &'static str);

const STACKS: File = ("stacks.yml", "stacks:\n- {name: web, files: [web.yml], prune: true}\n");
const TOKEN: File = ("token", SECRET);
const PAGE: File = ("page", "one");

macro_rules! web {
    ($services:literal, $objects:literal) => {
        ("web.yml", concat!("services:\n", $services, $objects))
    };
}

/// Uses one of each; `proxy` comes after it.
const APP: File = web!(
    "  app:\n    image: example/app:1\n    networks: [front]\n    configs: [page]\n    \
     secrets: [token]\n    deploy: {update_config: {monitor: 100ms}}\n  \
     proxy: {image: \"example/proxy:1\", networks: [front], depends_on: [app]}\n",
    "networks: {front: {}}\nconfigs: {page: {file: page}}\nsecrets: {token: {file: token}}\n"
);
const LABELLED: File = web!(
    "  app:\n    image: example/app:1\n    networks: [front]\n    configs: [page]\n    \
     secrets: [token]\n    deploy: {update_config: {monitor: 100ms}}\n  \
     proxy: {image: \"example/proxy:1\", networks: [front], depends_on: [app]}\n",
    "networks: {front: {}}\nconfigs: {page: {file: page, labels: {team: x}}}\n\
     secrets: {token: {file: token, labels: {team: x}}}\n"
);
/// One of each, for scenarios that are about a single object.
const SMALL: File = web!(
    "  app:\n    image: example/app:1\n    networks: [front]\n    configs: [page]\n    \
     deploy: {update_config: {monitor: 100ms}}\n",
    "networks: {front: {}}\nconfigs: {page: {file: page}}\n"
);
/// Without the config.
const BARE: File = web!(
    "  app:\n    image: example/app:1\n    networks: [front]\n    \
     deploy: {update_config: {monitor: 100ms}}\n",
    "networks: {front: {}}\n"
);
const INTERNAL: File = web!(
    "  app:\n    image: example/app:1\n    networks: [front]\n    \
     deploy: {update_config: {monitor: 100ms}}\n",
    "networks: {front: {internal: true}}\n"
);
const EXTERNAL: File = web!(
    "  app: {image: \"example/app:1\", networks: [outside], configs: [page]}\n",
    "networks: {outside: {external: true}}\nconfigs: {page: {file: page}}\n"
);
/// The service beside another one that nobody declares later.
const TWO: File = web!(
    "  app: {image: \"example/app:1\", networks: [front]}\n  \
     old: {image: \"example/old:1\", networks: [front], configs: [page]}\n",
    "networks: {front: {}}\nconfigs: {page: {file: page}}\n"
);
const WITHOUT_OLD: File =
    web!("  app: {image: \"example/app:1\", networks: [front]}\n", "networks: {front: {}}\n");
const BROKEN: File = ("web.yml", "services: [\n");

fn two() -> Vec<Step> {
    vec![Rest(Duration::from_secs(10)), PatientPass]
}

/// Filed, approved, carried out wave by wave, and looked at once more.
fn carried_out(change: Step) -> Vec<Step> {
    with(vec![change, Pass, Decide(Approve), PatientPass], two())
}

/// What is planned only when the first of it is done is approved as well.
fn in_two_decisions(change: Step) -> Vec<Step> {
    let again = [Decide(Approve), PatientPass, Rest(Duration::from_secs(10)), Pass];
    with(carried_out(change), again)
}

/// It all runs, long ago.
fn runs(files: &'static [File]) -> Vec<Step> {
    let hour = Duration::from_secs(3600);
    with(carried_out(Put(files)), [Rest(hour), Pass])
}

fn page(text: &'static [File]) -> Vec<Step> {
    with(carried_out(Put(text)), [Rest(Duration::from_secs(3600)), Pass])
}

fn make_outside(swarm: &FakeSwarm) {
    swarm.make("networks", &json!({"Name": "outside"})).unwrap();
}

/// As docker left it: of the stack, and not on record as ours.
fn left_by_docker(swarm: &FakeSwarm) {
    let labels = json!({"com.docker.stack.namespace": "web"});
    swarm.make("networks", &json!({"Name": "web_front", "Labels": labels})).unwrap();
    let page = json!({"Name": "web_page", "Labels": labels, "Data": "b25l"});
    swarm.make("configs", &page).unwrap();
    let token = json!({"Name": "web_token", "Labels": labels, "Data": "eA=="});
    swarm.make("secrets", &token).unwrap();
}

fn network_left_by_docker(swarm: &FakeSwarm) {
    let labels = json!({"com.docker.stack.namespace": "web"});
    swarm.make("networks", &json!({"Name": "web_front", "Labels": labels})).unwrap();
}

pub(super) fn all() -> Vec<Scenario> {
    let scenario = Scenario::new;
    let hour = || Rest(Duration::from_secs(3600));
    let app = Service("web_app");
    vec![
        scenario("stack_deployed", vec![], carried_out(Put(&[STACKS, TOKEN, PAGE, APP])))
            .leaving(1, 1, 1),
        scenario(
            "stack_adopted",
            vec![Swarm(left_by_docker)],
            carried_out(Put(&[STACKS, TOKEN, PAGE, APP])),
        )
        .leaving(1, 1, 1),
        scenario(
            "config_rolled_over",
            runs(&[STACKS, PAGE, SMALL]),
            carried_out(Put(&[("page", "two")])),
        )
        .leaving(1, 2, 0),
        scenario(
            "old_version_removed",
            with(
                with(runs(&[STACKS, PAGE, SMALL]), page(&[("page", "two")])),
                page(&[("page", "three")]),
            ),
            in_two_decisions(Put(&[("page", "four")])),
        )
        .leaving(1, 3, 0),
        scenario(
            "content_comes_back",
            with(runs(&[STACKS, PAGE, SMALL]), page(&[("page", "two")])),
            carried_out(Put(&[PAGE])),
        )
        .leaving(1, 2, 0),
        scenario(
            "labels_of_objects",
            runs(&[STACKS, TOKEN, PAGE, APP]),
            carried_out(Put(&[LABELLED])),
        )
        .leaving(1, 1, 1),
        scenario(
            "network_made_anew",
            vec![
                Swarm(network_left_by_docker),
                Put(&[STACKS, INTERNAL]),
                Pass,
                Decide(Approve),
                Pass,
            ],
            with(
                in_two_decisions(Pass),
                [Decide(Approve), PatientPass, Rest(Duration::from_secs(10)), Pass],
            ),
        )
        .leaving(1, 0, 0),
        scenario(
            "external_that_appears",
            vec![Put(&[STACKS, PAGE, EXTERNAL]), Pass],
            carried_out(Swarm(make_outside)),
        )
        .leaving(1, 1, 0),
        scenario(
            "service_and_config_pruned",
            runs(&[STACKS, PAGE, TWO]),
            in_two_decisions(Put(&[WITHOUT_OLD])),
        )
        .leaving(1, 0, 0),
        scenario(
            "taken_back_between_the_waves",
            vec![],
            with(
                vec![
                    Put(&[STACKS, PAGE, SMALL]),
                    Pass,
                    Decide(Approve),
                    Pass,
                    Decide(Revoke),
                    Pass,
                ],
                in_two_decisions(Pass),
            ),
        )
        .leaving(1, 1, 0),
        scenario(
            "killed_while_its_config_is_made",
            with(
                runs(&[STACKS, PAGE, SMALL]),
                vec![
                    Put(&[("page", "two")]),
                    Pass,
                    Decide(Approve),
                    Crash(&[Fault::HeldAfter]),
                    Rest(Duration::from_secs(10)),
                ],
            ),
            with(
                vec![Order(Kill, app), Pass, Contain, hour(), Order(Resume, app), Contain, hour()],
                in_two_decisions(Pass),
            ),
        )
        .leaving(1, 2, 0),
        scenario(
            "no_longer_declared_while_its_create_is_unknown",
            with(
                runs(&[STACKS, BARE]),
                vec![
                    Put(&[PAGE, SMALL]),
                    Pass,
                    Decide(Approve),
                    Crash(&[Fault::HeldAfter]),
                    Rest(Duration::from_secs(10)),
                ],
            ),
            in_two_decisions(Put(&[BARE])),
        )
        .leaving(1, 0, 0),
        scenario(
            "source_unreadable_half_way",
            runs(&[STACKS, PAGE, SMALL]),
            with(
                vec![Put(&[("page", "two")]), Pass, Put(&[BROKEN]), Decide(Approve), PatientPass],
                with(two(), with(carried_out(Put(&[SMALL])), [])),
            ),
        )
        .leaving(1, 2, 0),
    ]
}

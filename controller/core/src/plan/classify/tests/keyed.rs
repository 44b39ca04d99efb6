//! What a plan is known by tells nobody without the key what is in it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::draft;
use super::*;
use crate::digester::{Digester, Purpose};
use crate::plan::normalise::ordered;

const ENV: &str = "/TaskTemplate/ContainerSpec/Env";

/// A service to be created, one to be changed and one to be adopted, each with this value in its
/// declaration and another one live.
fn world(value: &str, key: u8) -> World {
    let mut world = World::new();
    world.digester = Digester::new(&[key; 32]).unwrap();
    for name in ["created", "changed", "adopted"] {
        let service = world.declare(name);
        set(&mut service.spec, ENV, json!([format!("TOKEN={value}")]));
        let args = "/TaskTemplate/ContainerSpec/Args";
        set(&mut service.spec, args, json!([value]));
    }
    set(&mut world.deploy("changed").spec, ENV, json!(["TOKEN=1234"]));
    set(&mut world.put_foreign("adopted").spec, ENV, json!(["TOKEN=1234"]));
    world
}

/// Everything that names a step, a difference, a group or the plan.
fn names(plan: &Plan) -> BTreeSet<String> {
    let of_step = |step: &Step| {
        let id = step.id.as_str().split('-').next().unwrap_or_default().to_owned();
        let difference = step.difference.as_ref().map(ToString::to_string).unwrap_or_default();
        [step.digest.to_string(), id, difference, step.group.to_string()]
    };
    let own = [plan.digest.to_string(), plan.plan_id.to_string()];
    plan.steps.iter().flat_map(of_step).chain(own).collect()
}

#[test]
fn each_digest_is_that_of_the_content_with_the_key_and_never_the_plain_one() {
    let world = world("hunter2", 7);
    let plan = world.plan();
    assert_eq!(plan.steps.len(), 3, "{plan:#?}");
    let text = serde_json::to_string(&plan).unwrap();
    for step in &plan.steps {
        let mut desired = world.desired.services[&step.target].spec.value();
        ordered(&mut desired, &NetworkNames::default());
        let live = world.observed.services.get(&step.target);
        let content = draft::content(&world.observed.cluster, step, &desired, live);
        assert!(content.to_string().contains("hunter2"), "otherwise this test proves nothing");
        assert_eq!(step.digest, world.digester.digest(Purpose::Step, &content));
        let plain = Digest::of_json(&content);
        assert!(!text.contains(plain.short(8)), "{}", step.target);
    }
    for value in ["hunter2", "1234", "TOKEN=hunter2", "TOKEN=1234", "\"hunter2\""] {
        let plain = Digest::of_bytes(value.as_bytes());
        assert!(!text.contains(plain.short(8)), "{value}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_plan_is_known_by_the_same_names_under_the_same_key_only(
        value in "[a-z0-9]{1,6}", key: u8, other: u8,
    ) {
        let plan = world(&value, key).plan();
        prop_assert_eq!(&plan, &world(&value, key).plan());
        let (one, two) = (names(&plan), names(&world(&value, other).plan()));
        // Two steps, two differences, two groups at least, and the plan's own.
        prop_assert!(one.len() >= 8, "{:?}", one);
        prop_assert_eq!(one.is_disjoint(&two), key != other, "{:?} {:?}", one, two);
    }
}

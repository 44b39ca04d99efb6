use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::fixtures::{World, set};
use super::super::{PlanIndex, Step, Waiting, plan, plan_key, plan_with};
use super::*;
use crate::desired::{ScalingBounds, SecretValues};
use crate::observed::{ApiVersion, TaskSummary};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// One thing that happens to a world between two plans.
#[derive(Debug, Clone)]
enum Event {
    Declare(usize),
    Undeclare(usize),
    Deploy(usize),
    Remove(usize),
    Forget(usize),
    Desired(usize, &'static str, Value),
    Live(usize, &'static str, Value),
    Tasks(usize, u32),
    Ignore(usize, Vec<String>),
    Unresolved(usize, Vec<String>),
    Scaled(usize, Option<(u32, u32)>),
    Secret(&'static str),
    Network(&'static str),
    Api(u32),
}

fn edit() -> impl Strategy<Value = (&'static str, Value)> {
    prop_oneof![
        prop::sample::select(vec!["x", "y"]).prop_map(|team| ("/Labels/team", json!(team))),
        (0_u64..3).prop_map(|replicas| ("/Mode/Replicated/Replicas", json!(replicas))),
        (0_u64..3).prop_map(|restarts| ("/TaskTemplate/ForceUpdate", json!(restarts))),
        prop::sample::select(vec!["fleet", "net1id", "other"])
            .prop_map(|net| ("/TaskTemplate/Networks", json!([{"Target": net}]))),
        prop::sample::select(vec!["K=v", "K=secret", "L=v"])
            .prop_map(|line| ("/TaskTemplate/ContainerSpec/Env", json!([line]))),
        Just(()).prop_map(|()| {
            let reference = SecretValues::placeholder("env:K", "1234");
            ("/TaskTemplate/ContainerSpec/Env", json!([format!("K={reference}")]))
        }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    // Few, so that what happens to one of them adds up.
    let which = 0..2_usize;
    prop_oneof![
        1 => which.clone().prop_map(Event::Declare),
        1 => which.clone().prop_map(Event::Undeclare),
        1 => which.clone().prop_map(Event::Deploy),
        1 => which.clone().prop_map(Event::Remove),
        1 => which.clone().prop_map(Event::Forget),
        4 => (which.clone(), edit()).prop_map(|(one, (at, value))| Event::Desired(one, at, value)),
        4 => (which.clone(), edit()).prop_map(|(one, (at, value))| Event::Live(one, at, value)),
        2 => (which.clone(), 0..2_u32).prop_map(|(one, running)| Event::Tasks(one, running)),
        2 => (which.clone(), prop::bool::ANY).prop_map(|(one, on)| {
            Event::Ignore(one, on.then(|| "/Labels/team".to_owned()).into_iter().collect())
        }),
        2 => (which.clone(), prop::bool::ANY).prop_map(|(one, on)| {
            Event::Unresolved(one, on.then(|| "K".to_owned()).into_iter().collect())
        }),
        2 => (which, prop::option::of((0..2_u32, 2..4_u32)))
            .prop_map(|(one, bounds)| Event::Scaled(one, bounds)),
        1 => prop::sample::select(vec!["v", "secret"]).prop_map(Event::Secret),
        1 => prop::sample::select(vec!["fleet", "other"]).prop_map(Event::Network),
        1 => (40..42_u32).prop_map(Event::Api),
    ]
}

fn happens(world: &mut World, event: &Event) {
    let name = |index: &usize| ServiceName::new(NAMES[*index]);
    let declared = |world: &mut World, index: &usize, change: &dyn Fn(&mut DesiredService)| {
        world.desired.services.get_mut(&name(index)).into_iter().for_each(change);
    };
    match event {
        Event::Declare(one) => drop(world.declare(NAMES[*one])),
        Event::Undeclare(one) => drop(world.desired.services.remove(&name(one))),
        Event::Deploy(one) => drop(world.deploy(NAMES[*one])),
        Event::Remove(one) => drop(world.observed.services.remove(&name(one))),
        Event::Forget(one) => drop(world.owned.remove(&name(one))),
        Event::Desired(one, at, value) => {
            declared(world, one, &|service| set(&mut service.spec, at, value.clone()));
        }
        Event::Live(one, at, value) => {
            if let Some(live) = world.observed.services.get_mut(&name(one)) {
                set(&mut live.spec, at, value.clone());
            }
        }
        Event::Tasks(one, running) => {
            if let Some(live) = world.observed.services.get_mut(&name(one)) {
                live.tasks = TaskSummary { running: *running, ..TaskSummary::default() };
            }
        }
        Event::Ignore(one, ignore) => {
            declared(world, one, &|service| service.ignore.clone_from(ignore));
        }
        Event::Unresolved(one, keys) => {
            declared(world, one, &|service| service.unresolved.clone_from(keys));
        }
        Event::Scaled(one, bounds) => declared(world, one, &|service| {
            service.autoscaled = bounds.map(|(min, max)| ScalingBounds { min, max });
        }),
        Event::Secret(value) => {
            let placeholder = SecretValues::placeholder("env:K", "1234");
            world.desired.secrets.insert(placeholder, (*value).to_owned());
        }
        Event::Network(name) => {
            world.observed.networks.values_mut().for_each(|one| one.name = (*name).to_owned());
        }
        Event::Api(minor) => world.observed.api_version = ApiVersion { major: 1, minor: *minor },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A plan with a memo of everything that was planned before is the plan without one.
    #[test]
    fn a_memo_changes_no_plan(events in prop::collection::vec(event(), 1..150)) {
        let mut world = World::new();
        for name in NAMES {
            world.declare(name);
            world.deploy(name);
        }
        let mut memo = Memo::default();
        for event in &events {
            happens(&mut world, event);
            let input = world.input();
            prop_assert_eq!(plan_with(&input, &mut memo), plan(&input), "after {:?}", event);
        }
    }

    /// What a scope or an index leaves out is only what lies outside of the scope.
    #[test]
    fn a_scope_and_an_index_change_no_step(
        events in prop::collection::vec(event(), 1..30),
        scope in prop::collection::btree_set(prop::sample::select(NAMES.to_vec()), 0..4),
    ) {
        let mut world = World::new();
        for name in NAMES {
            world.declare(name);
            world.deploy(name);
        }
        events.iter().for_each(|event| happens(&mut world, event));
        let whole = plan(&world.input());
        let only = scope.into_iter().map(ServiceName::new).collect();
        let index = PlanIndex::of(&world.input());
        let input = PlanInput { only: Some(&only), index: Some(&index), ..world.input() };
        let part = plan(&input);
        let digests = |steps: &[Step]| -> Vec<Step> {
            let inside = steps.iter().filter(|step| only.contains(&step.target)).cloned();
            // How many waves come before it depends on what else is in the plan.
            inside.map(|step| Step { wave: 1, ..step }).collect()
        };
        let mut expected = digests(&whole.steps);
        let mut found = digests(&part.steps);
        for steps in [&mut expected, &mut found] {
            steps.sort_by(|a, b| a.target.cmp(&b.target));
        }
        prop_assert_eq!(found, expected);
        let waiting = |waiting: &[Waiting]| -> Vec<Waiting> {
            let inside = |one: &&Waiting| one.target.as_ref().is_none_or(|name| only.contains(name));
            waiting.iter().filter(inside).cloned().collect()
        };
        prop_assert_eq!(waiting(&part.waiting), waiting(&whole.waiting));
        for name in &only {
            let step = plan_key(&input, name).into_step();
            let planned = whole.steps.iter().find(|step| step.target == *name);
            prop_assert_eq!(step.map(|s| s.digest), planned.map(|s| s.digest.clone()));
        }
    }
}

#[test]
fn what_is_equal_is_compared_once() {
    let mut world = World::new();
    for name in NAMES {
        world.declare(name);
        world.deploy(name);
    }
    let mut memo = Memo::default();
    let _ = plan_with(&world.input(), &mut memo);
    assert_eq!(memo.len(), NAMES.len());
    let (service, live) = {
        let name = ServiceName::new("a");
        (&world.desired.services[&name], world.observed.services.get(&name).unwrap())
    };
    assert!(memo.knows(service, live));
    let mut other = live.clone();
    set(&mut other.spec, "/Labels/team", json!("x"));
    assert!(!memo.knows(service, &other));
    world.desired.services.retain(|name, _| name.as_str() == "a");
    let _ = plan_with(&world.input(), &mut memo);
    assert_eq!(memo.len(), 1, "what is declared no longer is forgotten");
}

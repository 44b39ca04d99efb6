//! What goes when nobody wants it any more, and what stays.

use proptest::prelude::*;

use super::*;
use crate::desired::SourceState;
use crate::observed::UpdateStatus;
use crate::plan::budget;

fn removals(plan: &Plan) -> Vec<&Step> {
    plan.steps.iter().filter(|step| step.operation == Operation::Remove).collect()
}

/// Everything runs, and the file declares nothing of it any more.
fn emptied(prune: bool, filler: usize) -> World {
    let mut world = World::whole();
    world.carry_out_objects();
    let live = world.deploy("web_a");
    set(&mut live.spec, "/Labels/com.docker.stack.namespace", json!("web"));
    let used = json!([{"ConfigName": "web_app", "ConfigID": "id-of-web_app"}]);
    set(&mut live.spec, "/TaskTemplate/ContainerSpec/Configs", used);
    set(&mut live.spec, "/TaskTemplate/ContainerSpec/Secrets", json!([]));
    set(&mut live.spec, "/TaskTemplate/Networks", json!([]));
    for number in 0..filler {
        let name = format!("other{number}");
        world.declare(&name);
        world.deploy(&name);
    }
    world.desired.objects.clear();
    world.desired.services.remove(&ServiceName::new("web_a"));
    let stack = world.stack();
    stack.services.clear();
    stack.prune = prune;
    world
}

#[test]
fn without_the_word_nothing_goes_and_everything_is_told() {
    let plan = emptied(false, 20).resolved_plan();
    assert_eq!(removals(&plan), Vec::<&Step>::new());
    let mut told: Vec<_> = plan.waiting.iter().filter(|one| one.code == "ORPHAN").collect();
    told.sort_by_key(|one| one.target.clone());
    let told: Vec<_> = told.iter().filter_map(|one| Some(one.target.as_ref()?.as_str())).collect();
    assert_eq!(told, ["config/web_app", "network/web_net", "secret/web_token", "web_a"]);
}

#[test]
fn with_the_word_it_goes_last_and_what_is_used_waits_for_its_user() {
    let mut world = emptied(true, 20);
    let plan = world.resolved_plan();
    let steps = removals(&plan);
    let targets: Vec<_> = steps.iter().map(|step| (step.target.as_str(), step.wave)).collect();
    assert_eq!(targets, [("network/web_net", 2), ("secret/web_token", 2), ("web_a", 2)]);
    assert!(steps.iter().all(|step| step.confirm.is_none() && step.class == DriftClass::Orphan));
    let waits = plan.waiting.iter().find(|one| one.code == "ORPHAN_IN_USE").unwrap();
    assert_eq!(waits.target.as_ref().unwrap().as_str(), "config/web_app");
    let alone = plan_key(&world.input(), &ServiceName::new("web_a")).into_step().unwrap();
    assert_eq!(alone.digest, steps[2].digest);
    let late = Late {
        snapshot: &world.observed,
        live: world.observed.services.get(&ServiceName::new("web_a")),
        object: None,
        secrets: &world.desired.secrets,
        action: &ActionId::new("act1"),
        fleet: &FleetName::new("default"),
    };
    let request = bind(&alone, late).unwrap();
    assert_eq!(request.update, Some((SwarmId::new("id-web_a"), 7)));

    world.observed.services.remove(&ServiceName::new("web_a"));
    let plan = world.resolved_plan();
    assert!(removals(&plan).iter().any(|step| step.target.as_str() == "config/web_app"));
}

#[test]
fn beyond_a_days_budget_a_person_confirms() {
    let mut world = emptied(true, 20);
    world.pruned_today = 2;
    let plan = world.resolved_plan();
    let confirmed = removals(&plan).iter().filter(|step| step.confirm.is_some()).count();
    assert_eq!((removals(&plan).len(), confirmed), (3, 2));
    let small = emptied(true, 0).resolved_plan();
    assert!(removals(&small).iter().all(|step| step.confirm.is_some()), "zero means always");
    assert_eq!([0, 4, 5, 9, 10, 15, 1000].map(budget), [0, 0, 1, 1, 2, 3, 3]);
}

#[test]
fn a_source_that_cannot_be_read_removes_nothing() {
    for state in [SourceState::Stale, SourceState::NeverLoaded] {
        let mut world = emptied(true, 20);
        let mut second = world.desired.sources[0].clone();
        second.state = state;
        world.desired.sources.push(second);
        assert_eq!(removals(&world.resolved_plan()).len(), 0, "{state:?}");
    }
    let mut world = emptied(true, 20);
    world.desired.sources.clear();
    assert_eq!(removals(&world.resolved_plan()).len(), 0);
    let mut world = emptied(true, 20);
    world.desired.stacks.clear();
    assert_eq!(removals(&world.resolved_plan()).len(), 0, "the whole stack is gone from the files");
}

#[test]
fn the_two_newest_earlier_versions_stay() {
    let mut world = World::whole();
    world.stack().prune = false;
    let mut made = vec!["web_app".to_owned()];
    for (number, content) in ["zero", "one", "two", "three"].into_iter().enumerate() {
        world.object(Config, "web_app", content);
        let seconds = i64::try_from(number).unwrap() * 60;
        world.now = world.now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
        let plan = world.resolved_plan();
        let create = plan.steps.iter().find(|step| step.action == ActionKind::CreateConfig);
        made.push(create.unwrap().target.bare().to_owned());
        assert_eq!(removals(&plan).len(), 0, "before {content} is there nothing goes");
        world.carry_out_objects();
    }
    // Plain, one, two, three: the plain one holds "zero".
    let plan = world.resolved_plan();
    let gone: Vec<_> = removals(&plan).iter().map(|step| step.target.bare()).collect();
    assert_eq!(gone, [made[0].as_str()]);
    world.desired.sources[0].state = SourceState::Stale;
    assert_eq!(removals(&world.resolved_plan()).len(), 0, "while a source cannot be read");
    world.desired.sources[0].state = SourceState::Ready;
    let live = world.deploy("web_a");
    let used = json!([{"ConfigName": "web_app", "ConfigID": "id-of-web_app"}]);
    set(&mut live.spec, "/TaskTemplate/ContainerSpec/Configs", used);
    assert_eq!(removals(&world.resolved_plan()).len(), 0, "while a service uses it");
    // Swarm may still take the service back to it.
    let live = world.deploy("web_a");
    set(&mut live.spec, "/Labels", json!({"com.docker.stack.namespace": "web"}));
    for (state, gone) in [("updating", 0), ("rollback_started", 0), ("paused", 0), ("completed", 1)]
    {
        let live = world.observed.services.get_mut(&ServiceName::new("web_a")).unwrap();
        let (message, started_at) = (String::new(), None);
        live.update = Some(UpdateStatus { state: state.to_owned(), message, started_at });
        assert_eq!(removals(&world.resolved_plan()).len(), gone, "{state}");
    }
}

proptest! {
    /// Whatever is there: only what is ours under this id, unused, undeclared, of a stack that
    /// says so, with every source ready; and within the budget unless a person confirms.
    #[test]
    fn only_what_may_go_goes(
        there in prop::collection::vec((0_u8..3, any::<bool>(), any::<bool>(), any::<bool>()), 0..40),
        prune in any::<bool>(),
        ready in any::<bool>(),
        pruned_today in 0_usize..5,
    ) {
        let mut world = World::new();
        world.stack().prune = prune;
        world.pruned_today = pruned_today;
        if !ready {
            world.desired.sources[0].state = SourceState::Stale;
        }
        for (number, (kind, declared, owned, same_id)) in there.iter().enumerate() {
            let kind = [Config, Secret, Network][usize::from(*kind)];
            let name = format!("web_{number}");
            if *declared {
                world.object(kind, &name, "data");
            }
            let labels = json!({"com.docker.stack.namespace": "web"});
            let id = world.put(kind, &name, json!({"Labels": labels, "Scope": "swarm"}));
            if *owned {
                let id = if *same_id { id } else { SwarmId::new("another") };
                world.owned_objects.insert(ServiceName::object(kind, &name), id);
            }
        }
        let plan = world.resolved_plan();
        let orphans: Vec<_> =
            removals(&plan).into_iter().filter(|step| step.class == DriftClass::Orphan).collect();
        for step in &orphans {
            let live = &world.observed.objects[&step.target];
            prop_assert!(prune && ready);
            prop_assert_eq!(world.owned_objects.get(&step.target), Some(&live.id));
            let key = (step.target.kind(), step.target.bare().to_owned());
            prop_assert!(!world.desired.objects.contains_key(&key));
        }
        let free = orphans.iter().filter(|step| step.confirm.is_none()).count();
        let recorded = world.owned_objects.len() + pruned_today;
        prop_assert!(free + pruned_today <= budget(recorded).max(pruned_today));
        if prune && ready {
            let wanted = there.iter().filter(|(_, declared, owned, same)| !declared && *owned && *same);
            prop_assert_eq!(orphans.len(), wanted.count());
        }
    }
}

//! What goes when nobody wants it any more, and what stays.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::desired::SourceState;
use crate::plan::{Requested, Waiting, allowance, budget, harmless_rewrites, plan_request};
use crate::request::RequestVerb;

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
    world.holdings.removed = 2;
    let plan = world.resolved_plan();
    let confirmed = removals(&plan).iter().filter(|step| step.confirm.is_some()).count();
    assert_eq!((removals(&plan).len(), confirmed), (3, 2));
    let small = emptied(true, 0).resolved_plan();
    assert!(removals(&small).iter().all(|step| step.confirm.is_some()), "zero means always");
    let confirm = removals(&plan).iter().find_map(|step| step.confirm.clone()).unwrap();
    assert_eq!(confirm, "more than 3 of 24 objects would go within a day; 2 are gone already");
    // What has gone in another way counts as well.
    let mut world = emptied(true, 20);
    world.holdings.most = 26;
    let confirmed = |world: &World| {
        let plan = world.resolved_plan();
        removals(&plan).iter().filter(|step| step.confirm.is_some()).count()
    };
    assert_eq!(confirmed(&world), 2);
    world.holdings.most = 200;
    assert_eq!(confirmed(&world), 3);
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
    let live = world.deploy("web_a");
    set(&mut live.spec, "/TaskTemplate/ContainerSpec/Configs", json!([]));
    assert_eq!(removals(&world.resolved_plan()).len(), 1, "when none does any more");
    world.deploy("web_a").returns_to = vec!["id-of-web_app".to_owned()];
    assert_eq!(removals(&world.resolved_plan()).len(), 0, "while Swarm may go back to it");
}

#[test]
fn what_has_no_stack_any_more_stays_and_is_told() {
    let mut world = emptied(true, 20);
    world.desired.stacks.clear();
    let plan = world.resolved_plan();
    assert_eq!(removals(&plan).len(), 0);
    let told = |kind: &str| {
        let is_it = |one: &&Waiting| one.target.as_ref().is_some_and(|it| it.as_str() == kind);
        plan.waiting.iter().find(is_it).map(|one| (one.code.as_str(), one.reason.as_str()))
    };
    let why = "ours and no longer declared; it stays, because stack web is not either";
    for target in ["config/web_app", "network/web_net", "secret/web_token"] {
        assert_eq!(told(target), Some(("ORPHAN", why)), "{target}");
    }
}

#[test]
fn a_rewritten_history_removes_nothing_without_a_person() {
    let mut world = emptied(true, 40);
    world.stack().rewritten = Some("c0ffee".to_owned());
    let plan = world.resolved_plan();
    let steps = removals(&plan);
    assert_eq!(steps.len(), 3);
    for step in steps {
        assert!(step.confirm.as_ref().unwrap().contains("the commit c0ffee"), "{step:?}");
    }
    assert!(harmless_rewrites(&world.input()).is_empty());
    // When nothing of it is left, or all of it is declared again, the history is of no matter.
    world.owned_objects.clear();
    world.owned.clear();
    assert_eq!(harmless_rewrites(&world.input()), ["web"]);
    world.desired.sources[0].state = SourceState::Stale;
    assert!(harmless_rewrites(&world.input()).is_empty());
}

#[test]
fn what_was_dropped_waits_until_every_other_stack_was_read_again() {
    let mut world = emptied(true, 40);
    let mut other = world.stack().clone();
    other.name = "other".to_owned();
    other.services.clear();
    world.desired.stacks.insert("other".to_owned(), other);
    let at = |seconds| Some(Timestamp::from_second(seconds).unwrap());
    let mut waits = |own: [Option<Timestamp>; 2], asked: Option<Timestamp>| {
        (world.stack().taken_at, world.stack().asked_at) = (own[0], own[1]);
        world.desired.stacks.get_mut("other").unwrap().asked_at = asked;
        let plan = world.resolved_plan();
        let waits = plan.waiting.iter().filter(|one| one.code == "ORPHAN_UNSETTLED");
        for one in waits.clone() {
            assert!(one.reason.contains("until stack other has been read again"), "{one:?}");
        }
        assert_eq!(removals(&plan).len() + waits.clone().count(), 3);
        waits.count()
    };
    assert_eq!(waits([at(50), None], at(49)), 3);
    assert_eq!(waits([at(50), None], at(50)), 3, "asked when the answer was not known yet");
    assert_eq!(waits([at(50), None], at(51)), 0);
    assert_eq!(waits([at(50), at(40)], None), 0, "files are looked at before each plan");
}

#[test]
fn what_another_stack_declares_now_moves_when_a_person_says_so() {
    let mut world = World::whole();
    world.carry_out_objects();
    for kind in [Network, Config, Secret] {
        let (_, object) =
            world.desired.objects.iter_mut().find(|((it, _), _)| *it == kind).unwrap();
        object.stack = "shop".to_owned();
        object.request["Labels"] = json!({"com.docker.stack.namespace": "shop"});
    }
    let mut shop = world.stack().clone();
    shop.name = "shop".to_owned();
    world.desired.stacks.insert("shop".to_owned(), shop);
    world.stack().prune = true;
    let plan = world.resolved_plan();
    let moves: Vec<_> =
        plan.steps.iter().filter(|step| step.target.kind() != ObjectKind::Service).collect();
    assert_eq!(moves.len(), 3);
    for step in &moves {
        assert_eq!((&step.operation, step.class), (&Operation::Adopt, DriftClass::Foreign));
        assert!(step.blocked.is_none() && step.object.is_some());
        let confirm = step.confirm.as_ref().unwrap();
        assert!(confirm.ends_with("moves from stack web to stack shop"), "{confirm}");
        let alone = plan_key(&world.input(), &step.target).into_step().unwrap();
        assert_eq!(alone.digest, step.digest);
    }
    assert_eq!(plan.waiting.iter().filter(|one| one.code == "SOURCE_MOVED").count(), 3);
    // Then it is that stack's: the labels follow where they can.
    for step in moves {
        world.holdings.stacks.insert(step.target.clone(), "shop".to_owned());
    }
    let plan = world.resolved_plan();
    let kinds: Vec<_> = plan.steps.iter().map(|step| step.action.as_str()).collect();
    assert_eq!(kinds, ["update_config", "update_secret", "deploy_service"]);
    let remark = plan.waiting.iter().find(|one| one.code == "LABELS_FIXED").unwrap();
    assert_eq!(remark.target.as_ref().unwrap().as_str(), "network/web_net");
}

#[test]
fn a_person_may_take_an_object_over_and_let_it_go() {
    let mut world = World::whole();
    world.carry_out_objects();
    let config = ServiceName::object(Config, "web_app");
    let asked = |world: &World, target: &ServiceName, verb| {
        plan_request(&world.input(), target, &verb, None)
    };
    let code = |requested| match requested {
        Requested::Refused(blocked) => blocked.code,
        Requested::Nothing(_) => "NOTHING_TO_DO".to_owned(),
        Requested::Step { step, .. } => step.action.to_string(),
    };
    use RequestVerb as V;
    assert_eq!(code(asked(&world, &config, V::Adopt)), "NOTHING_TO_DO");
    assert_eq!(code(asked(&world, &config, V::Release)), "release_config");
    assert_eq!(code(asked(&world, &config, V::Stop)), "NOT_A_REQUEST");
    let nowhere = ServiceName::object(Secret, "web_app");
    assert_eq!(code(asked(&world, &nowhere, V::Adopt)), "NOT_FOUND");
    // Somebody else's, under a name that the stack declares.
    let net = ServiceName::object(Network, "web_net");
    let labels = json!({"com.docker.stack.namespace": "elsewhere"});
    let id = world.put(Network, "web_net", json!({"Labels": labels, "Scope": "swarm"}));
    world.owned_objects.remove(&net);
    assert_eq!(code(asked(&world, &net, V::Release)), "NOT_OURS");
    let Requested::Step { step, .. } = asked(&world, &net, V::Adopt) else { panic!("no step") };
    assert_eq!((step.action, step.source), (ActionKind::AdoptNetwork, Source::Manual));
    assert!(step.reason.contains("its owner so far is stack elsewhere"), "{}", step.reason);
    assert!(step.reason.contains("declared at web.yml:3:5"), "{}", step.reason);
    // Once it is on record for the stack, nothing is in the way.
    let blocked = |world: &World| {
        world.resolved_plan().steps.iter().filter_map(|step| step.blocked.clone()).count()
    };
    assert!(blocked(&world) > 0);
    world.owned_objects.insert(net.clone(), id);
    world.holdings.stacks.insert(net.clone(), "web".to_owned());
    assert_eq!(blocked(&world), 0);
    assert_eq!(code(asked(&world, &net, V::Adopt)), "NOTHING_TO_DO");
    // Ours, of another stack: taking it over by hand is how it moves.
    world.holdings.stacks.insert(net.clone(), "shop".to_owned());
    assert_eq!(code(asked(&world, &net, V::Adopt)), "adopt_network");
}

#[test]
fn many_objects_that_vanished_at_once_need_a_person() {
    let mut world = World::whole();
    world.carry_out_objects();
    let gone = |world: &mut World, target: &str| {
        world.observed = world.observed.with_object(&ServiceName::new(target), None);
    };
    gone(&mut world, "config/web_app");
    let one = world.resolved_plan();
    assert_eq!(one.steps[0].action, ActionKind::CreateConfig);
    assert_eq!(one.steps[0].confirm, None);
    gone(&mut world, "secret/web_token");
    let two = world.resolved_plan();
    let creates: Vec<_> = two.steps.iter().filter(|step| step.object.is_none()).collect();
    assert_eq!(creates.len(), 3);
    for step in creates {
        let confirm = step.confirm.as_ref().unwrap();
        assert!(confirm.starts_with("2 of 3 recorded objects are gone at once"), "{confirm}");
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
        removed in 0_usize..5,
        most in 0_usize..60,
        rewritten in any::<bool>(),
    ) {
        let mut world = World::new();
        world.stack().prune = prune;
        world.stack().rewritten = rewritten.then(|| "c0ffee".to_owned());
        (world.holdings.removed, world.holdings.most) = (removed, most);
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
                let target = ServiceName::object(kind, &name);
                world.owned_objects.insert(target, id);
            }
        }
        let plan = world.resolved_plan();
        let orphans: Vec<_> =
            removals(&plan).into_iter().filter(|step| step.class == DriftClass::Orphan).collect();
        for step in &orphans {
            let live = &world.observed.objects[&step.target];
            prop_assert!(prune && ready);
            prop_assert!(step.confirm.is_some() || !rewritten);
            prop_assert_eq!(world.owned_objects.get(&step.target), Some(&live.id));
            let key = (step.target.kind(), step.target.bare().to_owned());
            prop_assert!(!world.desired.objects.contains_key(&key));
        }
        let free = orphans.iter().filter(|step| step.confirm.is_none()).count();
        let recorded = world.owned_objects.len();
        prop_assert!(free <= allowance(most, recorded, removed));
        prop_assert!(free + removed <= budget(recorded.max(most)).max(removed));
        if prune && ready {
            let wanted = there.iter().filter(|(_, declared, owned, same)| !declared && *owned && *same);
            prop_assert_eq!(orphans.len(), wanted.count());
        }
    }
}

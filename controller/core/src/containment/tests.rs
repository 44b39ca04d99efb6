//! The table of transitions, what is put back, and that nothing but a resume raises a killed
//! service.

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::digester;
use crate::gate::{Containing, Wanted, contain};
use crate::identity::{ActionId, ObjectKey, SwarmId};
use crate::observed::{ObservedService, TaskSummary};
use crate::plan::{Operation, REPLICAS, Step, bind_containment};
use crate::spec::Spec;

fn cluster() -> ClusterId {
    ClusterId::new("cluster1")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn service(name: &str, spec: Value) -> ObservedService {
    ObservedService {
        id: SwarmId::new(format!("id-{name}")),
        name: ServiceName::new(name),
        version: 7,
        spec: Spec::from(spec),
        ports: Vec::new(),
        update: None,
        tasks: TaskSummary::default(),
        updated_at: at(1),
        returns_to: Vec::new(),
    }
}

fn order(verb: ContainmentVerb, scope: Scope) -> Order {
    Order { verb, scope, actor: "alice".to_owned(), reason: "fire".to_owned() }
}

fn own(name: &str) -> Scope {
    Scope::Service(ServiceName::new(name))
}

/// What people ordered and what was recorded, as a store keeps it.
#[derive(Default)]
struct World {
    rows: Vec<Containment>,
    recorded: Vec<RecordedState>,
    protected: Protected,
}

impl World {
    fn order(&mut self, verb: ContainmentVerb, scope: Scope) -> Result<(), IllegalContainment> {
        let place = self.rows.iter().position(|row| row.scope == scope);
        let current = place.map(|place| self.rows[place].clone());
        let next = Containment::ordered(current, &cluster(), &order(verb, scope), at(5))?;
        if let Some(place) = place {
            self.rows.remove(place);
        }
        self.rows.extend(next);
        Ok(())
    }

    fn contained(&self) -> Contained {
        Contained::new(self.rows.clone(), self.recorded.clone())
    }

    fn wanted(&self, live: &ObservedService, domain: &str) -> Wanted {
        contain(Containing {
            contained: &self.contained(),
            protected: &self.protected,
            cluster: &cluster(),
            live,
            domain,
            digester: &digester::for_tests(),
        })
    }

    fn record(&mut self, live: &ObservedService, domain: &str, former: FormerState) {
        self.recorded.retain(|state| state.object != live.id);
        self.recorded.push(RecordedState {
            key: ObjectKey::service(&cluster(), &live.name),
            object: live.id.clone(),
            domain: domain.to_owned(),
            former,
            last: None,
        });
    }

    /// What the leader does at one look; the write that it makes, if any.
    fn look(&mut self, live: &mut ObservedService, domain: &str) -> Option<ContainmentVerb> {
        let made = match self.wanted(live, domain) {
            Wanted::Write { verb, step, former, .. } => {
                self.record(live, domain, former);
                let action = ActionId::new("a1");
                let fleet = crate::identity::FleetName::default();
                let bound = bind_containment(step.get(), live, &action, &fleet).unwrap();
                live.spec = Spec::from_json(String::from_utf8(bound.body).unwrap()).unwrap();
                Some(verb)
            }
            Wanted::Record(former) => {
                self.record(live, domain, former);
                None
            }
            Wanted::Forget => {
                self.recorded.retain(|state| state.object != live.id);
                None
            }
            Wanted::Nothing | Wanted::Skipped { .. } => None,
        };
        let contained = self.contained();
        self.rows.retain(|row| !contained.is_restored(row, None));
        made
    }
}

fn without_our_labels(spec: &Spec) -> Value {
    let mut spec = spec.value();
    let empty = spec.get_mut("Labels").and_then(Value::as_object_mut).is_some_and(|labels| {
        labels.retain(|key, _| !crate::labels::is_ours(key));
        labels.is_empty()
    });
    if empty {
        spec.as_object_mut().unwrap().remove("Labels");
    }
    spec
}

#[test]
fn every_transition_is_in_the_table() {
    use ContainmentEvent as E;
    use ContainmentState as S;
    let possible = [
        (None, E::Pause, Some(S::Paused)),
        (None, E::Kill, Some(S::Killed)),
        (Some(S::Paused), E::Kill, Some(S::Killed)),
        (Some(S::Paused), E::Resume, None),
        (Some(S::Killed), E::Resume, Some(S::Resuming)),
        (Some(S::Resuming), E::Kill, Some(S::Killed)),
        (Some(S::Resuming), E::Restore, None),
    ];
    let states = S::ALL.iter().copied().map(Some).chain([None]);
    for from in states {
        for event in E::ALL.iter().copied() {
            let expected = possible.iter().find(|(f, e, _)| (*f, *e) == (from, event));
            let after = S::after(from, event);
            match expected {
                Some((_, _, to)) => assert_eq!(after, Ok(*to), "{from:?} {event}"),
                None => assert_eq!(after, Err(IllegalContainment { from, event })),
            }
        }
    }
}

#[test]
fn a_kill_is_not_softened_and_says_so() {
    let mut world = World::default();
    world.order(ContainmentVerb::Kill, own("web")).unwrap();
    let error = world.order(ContainmentVerb::Pause, own("web")).unwrap_err();
    assert_eq!(error.code(), "ALREADY_KILLED");
    assert!(error.to_string().contains("more than a pause"), "{error}");
    let error = world.order(ContainmentVerb::Resume, own("other")).unwrap_err();
    assert_eq!(error.code(), "NOT_CONTAINED");
}

#[test]
fn a_kill_is_written_once_and_again_when_somebody_scales_it_up() {
    let mut live = service("web", json!({"Mode": {"Replicated": {"Replicas": 3}}}));
    let mut world = World::default();
    world.order(ContainmentVerb::Kill, own("web")).unwrap();
    let Wanted::Write { verb, step, actor, .. } = world.wanted(&live, "default") else { panic!() };
    assert_eq!((verb, actor.as_str()), (ContainmentVerb::Kill, "alice"));
    assert_eq!(step.get().changes[0].before, json!(3));
    assert!(step.get().reason.contains("fire"), "{}", step.get().reason);
    assert_eq!(world.look(&mut live, "default"), Some(ContainmentVerb::Kill));
    assert!(is_killed(&live.spec));
    assert_eq!(world.look(&mut live, "default"), None);

    live.spec = live.spec.changed(|spec| spec["Mode"]["Replicated"]["Replicas"] = json!(9));
    assert_eq!(world.look(&mut live, "default"), Some(ContainmentVerb::Kill));
    world.order(ContainmentVerb::Resume, own("web")).unwrap();
    assert_eq!(world.look(&mut live, "default"), Some(ContainmentVerb::Resume));
    // What the first kill found, not what somebody did to a killed service.
    assert_eq!(live.spec.mode().replicas(), Some(3));
    assert_eq!(world.look(&mut live, "default"), None);
    assert!(world.contained().is_empty(), "{:?}", world.contained());
}

#[test]
fn what_is_at_zero_already_is_recorded_and_held_there() {
    let mut live = service("web", json!({"Mode": {"Replicated": {"Replicas": 0}}}));
    let mut world = World::default();
    world.order(ContainmentVerb::Kill, own("web")).unwrap();
    assert_eq!(world.look(&mut live, "default"), None);
    live.spec = live.spec.changed(|spec| spec["Mode"]["Replicated"]["Replicas"] = json!(2));
    assert_eq!(world.look(&mut live, "default"), Some(ContainmentVerb::Kill));
    world.order(ContainmentVerb::Resume, own("web")).unwrap();
    world.look(&mut live, "default");
    assert_eq!(live.spec.mode().replicas(), Some(0), "it was at zero before");
}

#[test]
fn jobs_and_the_protected_are_skipped_with_the_reason() {
    let protected = Protected::parse(["skep-*", "label:tier=control"]).unwrap();
    let mut world = World { protected, ..World::default() };
    world.protected.detect(ServiceName::new("db"), "the database of Skep");
    let domain = Scope::Domain("default".to_owned());
    world.order(ContainmentVerb::Kill, domain).unwrap();
    let replicated = json!({"Mode": {"Replicated": {"Replicas": 3}}});
    let labelled = json!({"Labels": {"tier": "control"}, "Mode": {"Global": {}}});
    for (live, expected) in [
        (service("job", json!({"Mode": {"ReplicatedJob": {}}})), "IS_A_JOB"),
        (service("jobs", json!({"Mode": {"GlobalJob": {}}})), "IS_A_JOB"),
        (service("skep-ui", replicated.clone()), PROTECTED),
        (service("proxy", labelled), PROTECTED),
        (service("db", replicated.clone()), PROTECTED),
    ] {
        match world.wanted(&live, "default") {
            Wanted::Skipped { code, .. } => assert_eq!(code, expected, "{}", live.name),
            other => panic!("{}: {other:?}", live.name),
        }
    }
    let other = service("web", replicated);
    assert!(matches!(world.wanted(&other, "default"), Wanted::Write { .. }));
    assert!(matches!(world.wanted(&other, "elsewhere"), Wanted::Nothing));
}

#[test]
fn another_service_of_the_same_name_is_not_put_back() {
    let mut live = service("web", json!({"Mode": {"Replicated": {"Replicas": 3}}}));
    let mut world = World::default();
    world.order(ContainmentVerb::Kill, own("web")).unwrap();
    world.look(&mut live, "default");
    world.order(ContainmentVerb::Resume, own("web")).unwrap();
    live.id = SwarmId::new("another");
    assert!(matches!(world.wanted(&live, "default"), Wanted::Nothing));
}

#[test]
fn a_service_is_held_by_its_domain_too_and_a_kill_outweighs_a_pause() {
    let mut world = World::default();
    let finance = Scope::Domain("finance".to_owned());
    world.order(ContainmentVerb::Pause, finance.clone()).unwrap();
    let name = ServiceName::new("web");
    let held = |world: &World, domain: &str| world.contained().held(&name, domain);
    assert_eq!(held(&world, "itops"), None);
    let held_now = held(&world, "finance").unwrap();
    assert_eq!(held_now.code, "PAUSED");
    assert!(held_now.reason.contains("skep resume --domain finance"), "{}", held_now.reason);
    world.order(ContainmentVerb::Kill, own("web")).unwrap();
    assert_eq!(held(&world, "finance").unwrap().code, "KILLED");
    world.order(ContainmentVerb::Resume, own("web")).unwrap();
    assert_eq!(held(&world, "finance").unwrap().code, "PAUSED");
}

#[test]
fn very_much_at_once_is_asked_twice() {
    assert!(!needs_confirmation("finance", 5, 10));
    assert!(needs_confirmation("finance", 6, 10));
    assert!(!needs_confirmation("finance", 30, 300));
    assert!(needs_confirmation("finance", 31, 300));
    assert!(needs_confirmation("default", 1, 300));
    let targets: BTreeSet<ServiceName> = [ServiceName::new("a")].into();
    let more: BTreeSet<ServiceName> = ["a".into(), "b".into()].into();
    let scope = Scope::Domain("default".to_owned());
    let one = Confirmation::new("alice", &cluster(), &scope, &targets, at(0));
    assert_eq!(one.until, at(60));
    let later = Confirmation::new("alice", &cluster(), &scope, &targets, at(9));
    assert_eq!(one.digest, later.digest);
    assert_ne!(one.digest, Confirmation::new("alice", &cluster(), &scope, &more, at(0)).digest);
}

#[test]
fn a_rule_that_protects_nothing_is_refused() {
    for rule in ["", "label:", "label:=x", "label:a=", "[x"] {
        let error = Protected::parse([rule]).unwrap_err();
        assert!(error.to_string().contains("write a service name"), "{error}");
    }
}

fn any_spec() -> impl Strategy<Value = Value> {
    let mode = prop_oneof![
        (1_u64..20).prop_map(|n| json!({"Replicated": {"Replicas": n}})),
        Just(json!({"Replicated": {}})),
        Just(json!({"Replicated": {"Replicas": 0}})),
        Just(json!({"Global": {}})),
    ];
    let placement = prop_oneof![
        Just(None),
        Just(Some(json!({}))),
        Just(Some(Value::Null)),
        Just(Some(json!({"Constraints": []}))),
        Just(Some(json!({"Constraints": ["node.role==worker"], "MaxReplicas": 2}))),
        Just(Some(json!({"Platforms": [{"OS": "linux"}]}))),
    ];
    let labels = prop_oneof![Just(None), Just(Some(json!({"team": "a"})))];
    (mode, placement, labels).prop_map(|(mode, placement, labels)| {
        let mut spec = json!({"Name": "web", "Mode": mode, "TaskTemplate": {"ForceUpdate": 2}});
        if let Some(placement) = placement {
            spec["TaskTemplate"]["Placement"] = placement;
        }
        if let Some(labels) = labels {
            spec["Labels"] = labels;
        }
        spec
    })
}

/// What may happen between two looks.
#[derive(Debug, Clone)]
enum Happens {
    Ordered(ContainmentVerb, bool),
    ScaledByHand(u64),
}

fn anything() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (prop::sample::select(ContainmentVerb::ALL), any::<bool>())
            .prop_map(|(verb, domain)| Happens::Ordered(verb, domain)),
        1 => (1_u64..9).prop_map(Happens::ScaledByHand),
    ]
}

proptest! {
    /// Kill and resume give every spec back, byte for byte but for our own labels.
    #[test]
    fn resuming_gives_back_exactly_what_was_there(spec in any_spec()) {
        let mut live = service("web", spec.clone());
        let before = without_our_labels(&live.spec);
        let mut world = World::default();
        world.order(ContainmentVerb::Kill, own("web")).unwrap();
        world.look(&mut live, "default");
        prop_assert!(is_killed(&live.spec));
        world.order(ContainmentVerb::Resume, own("web")).unwrap();
        world.look(&mut live, "default");
        world.look(&mut live, "default");
        prop_assert_eq!(without_our_labels(&live.spec), before);
        prop_assert!(world.contained().is_empty());
    }

    /// Whatever people order and do: after each look a killed service is at zero, a kill is never
    /// written without one, and nothing of a plan gets through while it holds.
    #[test]
    fn a_killed_service_stays_down_until_it_is_resumed(
        spec in any_spec(),
        events in prop::collection::vec(anything(), 0..14),
    ) {
        let mut live = service("web", spec);
        let mut world = World::default();
        let domain = Scope::Domain("finance".to_owned());
        for event in events {
            match event {
                Happens::Ordered(verb, of_domain) => {
                    let scope = if of_domain { domain.clone() } else { own("web") };
                    let _ = world.order(verb, scope);
                }
                Happens::ScaledByHand(replicas) => {
                    live.spec = live.spec.changed(|spec| {
                        if spec.pointer("/Mode/Replicated").is_some() {
                            spec["Mode"]["Replicated"]["Replicas"] = json!(replicas);
                        }
                    });
                }
            }
            let is_down = |world: &World| {
                let contained = world.contained();
                let in_force = contained.in_force(&live.name, "finance").cloned();
                in_force.is_some_and(|one| one.state == ContainmentState::Killed)
            };
            let ordered_down = is_down(&world);
            let made = world.look(&mut live, "finance");
            if ordered_down {
                prop_assert!(is_killed(&live.spec));
                prop_assert_ne!(made, Some(ContainmentVerb::Resume));
                let step = raising(&live);
                let waiting = world.contained().holds_back(&step);
                prop_assert_eq!(waiting.map(|one| one.code), Some("KILLED".to_owned()));
            } else {
                prop_assert_ne!(made, Some(ContainmentVerb::Kill));
            }
        }
    }
}

/// A step that would bring the service up again.
fn raising(live: &ObservedService) -> Step {
    serde_json::from_value(json!({
        "id": "0123abcd-web", "action": "scale_service", "target": "web", "object": live.id,
        "class": "replicas", "reason": "replicas 0 != declared 3", "wave": 1, "risk": "medium",
        "changes": [], "blocked": null, "confirm": null, "source": "reconciler",
        "operation": {"type": "update", "edits": [{"pointer": REPLICAS, "value": 3}]},
        "domain": "finance", "provenance": null, "digest": "d",
    }))
    .unwrap()
}

#[test]
fn a_step_takes_down_when_it_stops_or_removes() {
    let live = service("web", json!({"Mode": {"Replicated": {"Replicas": 3}}}));
    let mut step = raising(&live);
    assert!(!takes_down(&step));
    step.operation = serde_json::from_value(
        json!({"type": "update", "edits": [{"pointer": REPLICAS, "value": 0}]}),
    )
    .unwrap();
    assert!(takes_down(&step));
    let protected = Protected::parse(["w?b"]).unwrap();
    block_protected(&mut step, &protected, Some(&live));
    assert_eq!(step.blocked.unwrap().code, PROTECTED);
    let mut step = raising(&live);
    step.operation = Operation::Replace { edits: Vec::new() };
    assert!(takes_down(&step));
    let mut up = raising(&live);
    block_protected(&mut up, &protected, Some(&live));
    assert_eq!(up.blocked, None, "raising something protected is nobody's harm");
}

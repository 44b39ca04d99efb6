use super::*;
use crate::action::ActuatorMode;
use crate::approval::{
    Clocks, NotProposable, Proposal, RedeemError, granted, member, redeem_member,
};
use crate::gate::fixtures::{noon, policy, verdict};
use crate::gate::{Request, SensitiveClass};
use crate::identity::{ActionId, PlanId};
use crate::plan::RolloutOf;
use crate::plan::fixtures::{World, set, stack};

const IMAGE: &str = "/TaskTemplate/ContainerSpec/Image";
const LIVE: ActuatorMode = ActuatorMode::Swarm;
const ALLOWS: &str = "rules: [{tier: auto}]";
const ASKS_ABOUT_SERVICES: &str =
    "rules: [{kind: redeploy_stack, tier: auto}, {tier: approval_required}]";

/// A stack of two services, the second after the first, which run what is declared now.
fn world() -> World {
    let mut world = World::new();
    for name in ["a", "b"] {
        let spec = &mut world.declare(name).spec;
        set(spec, IMAGE, json!(format!("example/{name}:2")));
        world.deploy(name);
    }
    world.desired.services.get_mut(&ServiceName::new("b")).unwrap().depends_on =
        vec![ServiceName::new("a")];
    world.desired.stacks.insert("web".to_owned(), stack("web", &["a", "b"]));
    world
}

/// How they were before.
fn before(world: &World) -> BTreeMap<ServiceName, Former> {
    let each = world.desired.services.values();
    each.map(|service| {
        let mut spec = service.spec.clone();
        set(&mut spec, IMAGE, json!(format!("example/{}:1", service.name)));
        (service.name.clone(), Former { revision: 3, spec: spec.value() })
    })
    .collect()
}

fn declared() -> Digest {
    Digest::of_bytes(b"declared")
}

fn planned(world: &World, former: &BTreeMap<ServiceName, Former>, automatic: bool) -> Requested {
    let verb = RequestVerb::RollbackStack { automatic };
    let stack = &world.desired.stacks["web"];
    plan_return(&world.input(), stack, &declared(), former, &verb)
}

fn step_of(requested: Requested) -> Step {
    let Requested::Step { step, .. } = requested else { panic!("{requested:?}") };
    *step
}

fn members(step: &Step) -> &[StackMember] {
    let Operation::ReturnStack { members, .. } = &step.operation else { panic!("{step:?}") };
    members
}

#[test]
fn the_step_lists_each_service_with_its_revision_and_wave() {
    let world = world();
    let step = step_of(planned(&world, &before(&world), true));
    assert_eq!((step.action, step.target.as_str()), (ActionKind::RedeployStack, "stack/web"));
    assert_eq!(step.source, Source::DeployWatch);
    let each: Vec<_> = members(&step)
        .iter()
        .map(|member| (member.service().as_str(), member.revision, member.step.wave))
        .collect();
    assert_eq!(each, [("a", 3, 1), ("b", 3, 2)]);
    assert_eq!(step.changes[0].path, format!("/a{IMAGE}"));
    assert!(step.reason.contains("a to revision 3, b to revision 3"), "{}", step.reason);
    // What keeps them from being proposed again is the declaration of the whole.
    assert!(members(&step).iter().all(|member| member.step.difference.is_none()));
    // Values of the environment are in no step.
    let shown = serde_json::to_string(&step).unwrap();
    assert!(!shown.contains("secret-value"), "{shown}");
    let back: Step = serde_json::from_str(&shown).unwrap();
    assert_eq!(back, step, "it reads back from the store");
    let by_hand = step_of(planned(&world, &before(&world), false));
    assert_eq!(by_hand.source, Source::Manual);
}

#[test]
fn a_permission_holds_for_exactly_these_members() {
    let world = world();
    let all = before(&world);
    let digest =
        |former: &BTreeMap<ServiceName, Former>| step_of(planned(&world, former, true)).digest;
    let first = digest(&all);
    assert_eq!(digest(&all), first);
    let mut other = all.clone();
    other.remove(&ServiceName::new("b"));
    assert_ne!(digest(&other), first, "one service less");
    let mut other = all.clone();
    other.get_mut(&ServiceName::new("a")).unwrap().revision = 2;
    assert_ne!(digest(&other), first, "another revision");
    let mut other = all;
    other.get_mut(&ServiceName::new("a")).unwrap().spec["Labels"]["team"] = json!("other");
    assert_ne!(digest(&other), first, "another spec under the same number");
}

#[test]
fn what_is_as_before_is_no_member_and_without_members_there_is_nothing_to_do() {
    let world = world();
    let mut former = before(&world);
    let live = |name: &str| world.observed.services.get(&ServiceName::new(name)).unwrap();
    former.get_mut(&ServiceName::new("a")).unwrap().spec = live("a").spec.value();
    assert_eq!(members(&step_of(planned(&world, &former, true))).len(), 1);
    former.get_mut(&ServiceName::new("b")).unwrap().spec = live("b").spec.value();
    assert!(matches!(planned(&world, &former, true), Requested::Nothing(_)));
}

#[test]
fn while_swarm_rolls_out_nothing_goes_back() {
    let mut world = world();
    let former = before(&world);
    world.observed.services.get_mut(&ServiceName::new("b")).unwrap().update =
        Some(crate::observed::UpdateStatus {
            state: "updating".to_owned(),
            message: String::new(),
            started_at: None,
        });
    let Requested::Refused(blocked) = planned(&world, &former, true) else { panic!() };
    assert_eq!(blocked.code, "ROLLOUT_RUNNING");
}

#[test]
fn what_is_sensitive_about_a_member_is_sensitive_about_the_whole() {
    let world = world();
    let mut former = before(&world);
    former.get_mut(&ServiceName::new("b")).unwrap().spec["TaskTemplate"]["ContainerSpec"]["CapabilityAdd"] =
        json!(["CAP_NET_ADMIN"]);
    let step = step_of(planned(&world, &former, true));
    let request = Request::for_step(&step, LIVE, noon());
    let classes: Vec<_> = request.sensitive.iter().map(|field| field.class).collect();
    assert_eq!(classes, [SensitiveClass::Capabilities]);
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::of(&World::new().observed.cluster, &ServiceName::new(name))
}

fn whole(step: &Step) -> Action {
    let verdict = verdict(&policy(ALLOWS), step, LIVE, noon());
    let proposal = Proposal {
        id: &ActionId::new("whole"),
        key: &key("stack/web"),
        plan: &PlanId::new("plan"),
        step,
        verdict: &verdict,
        mode: LIVE,
        actor: "skep",
        now: noon(),
    };
    granted(&proposal, &Clocks::default()).unwrap()
}

fn file(whole: &Action, step: &Step, rules: &str) -> Result<Action, NotProposable> {
    let verdict = verdict(&policy(rules), step, LIVE, noon());
    let proposal = Proposal {
        id: &ActionId::new(format!("member-{}", step.target)),
        key: &key(step.target.as_str()),
        plan: &PlanId::new("plan"),
        step,
        verdict: &verdict,
        mode: LIVE,
        actor: "skep",
        now: noon(),
    };
    member(&proposal, whole, &Clocks::default())
}

/// As it is filed.
fn part(whole: &Action, number: usize) -> Step {
    let mut step = members(&whole.step)[number].step.clone();
    step.stack = Some(RolloutOf {
        stack: "web".to_owned(),
        declaration: declared(),
        member_of: Some(whole.id.clone()),
    });
    step
}

#[test]
fn the_permission_of_the_whole_covers_its_members_and_nothing_else() {
    let world = world();
    let whole = whole(&step_of(planned(&world, &before(&world), true)));
    let step = part(&whole, 0);
    let action = file(&whole, &step, ASKS_ABOUT_SERVICES).unwrap();
    assert_eq!((action.state, &action.approval), (ActionState::Granted, &None));
    let redeem = |whole: &Action, fresh: &Step, rules: &str| {
        let verdict = verdict(&policy(rules), fresh, LIVE, noon());
        redeem_member(&action, whole, fresh, &verdict, LIVE, noon())
    };
    assert!(redeem(&whole, &step, ASKS_ABOUT_SERVICES).is_ok());

    // Another step about the same service, although the rules would allow it.
    let Requested::Step { step: other, .. } =
        plan_request(&world.input(), &step.target, &RequestVerb::Restart, None)
    else {
        panic!()
    };
    assert!(matches!(
        file(&whole, &other, ALLOWS),
        Err(NotProposable::NotCovered { why: NotCovered::NotShown, .. })
    ));
    assert!(matches!(redeem(&whole, &other, ALLOWS), Err(RedeemError::Superseded { .. })));

    // Taken back, over, or a rehearsal.
    for state in [ActionState::Pending, ActionState::Superseded, ActionState::Failed] {
        let whole = Action { state, ..whole.clone() };
        // Nothing else has moved: the rules are those under which it was filed.
        let redeemed = redeem(&whole, &step, ASKS_ABOUT_SERVICES);
        assert!(matches!(redeemed, Err(RedeemError::Superseded { .. })), "{state}");
    }
    let rehearsal = Action { mode: ActuatorMode::DryRun, ..whole.clone() };
    assert!(file(&rehearsal, &step, ALLOWS).is_err());

    // What the policy refuses to the member is refused.
    let forbids = "rules: [{kind: rollback_service, tier: forbidden}, {tier: auto}]";
    assert!(matches!(file(&whole, &step, forbids), Err(NotProposable::Verdict { .. })));
    assert!(matches!(redeem(&whole, &step, forbids), Err(RedeemError::Refused { .. })));
}

#[test]
fn the_whole_ends_with_its_members_and_the_last_wave_goes_back_first() {
    let world = world();
    let whole = whole(&step_of(planned(&world, &before(&world), true)));
    let filed = |number: usize, state: ActionState| Action {
        state,
        detail: "because".to_owned(),
        ..file(&whole, &part(&whole, number), ALLOWS).unwrap()
    };
    use ActionState::{Executing, Failed, Granted, Succeeded, Superseded};
    let (a, b) = (|state| filed(0, state), |state| filed(1, state));
    assert!(matches!(progress(&whole, &[]), Progress::Unfiled(all) if all.len() == 2));
    assert!(matches!(progress(&whole, &[a(Granted)]), Progress::Unfiled(rest) if rest.len() == 1));
    let both = [a(Granted), b(Executing)];
    let Progress::Running(how_far) = progress(&whole, &both) else { panic!() };
    assert_eq!(how_far, "0 of 2 services went back; waits for a, b");
    let turn = |member: &Action, all: &[Action]| waits_its_turn(&whole, member, all);
    assert_eq!(turn(&both[0], &both).as_deref(), Some("waits for b, which goes back first"));
    assert_eq!(turn(&both[1], &both), None);
    let later = [a(Granted), b(Succeeded)];
    assert_eq!(turn(&later[0], &later), None);
    assert_eq!(
        progress(&whole, &[a(Succeeded), b(Succeeded)]),
        Progress::Done("2 of 2 services went back".to_owned())
    );
    let lost = [a(Granted), b(Failed)];
    let Progress::Stop { why, waiting } = progress(&whole, &lost) else { panic!() };
    assert_eq!((why.as_str(), waiting.len()), ("b: failed (because)", 1));
    let Progress::Failed(detail) = progress(&whole, &[a(Superseded), b(Failed)]) else { panic!() };
    assert!(detail.contains("a: superseded") && detail.contains("b: failed"), "{detail}");
    // Another's action about the same service says nothing.
    let mut foreign = a(Succeeded);
    foreign.step.stack = None;
    assert!(matches!(progress(&whole, &[foreign]), Progress::Unfiled(all) if all.len() == 2));
}

#[test]
fn a_stack_that_went_back_is_held_for_that_declaration_and_until_a_person_tries_again() {
    let world = world();
    let granted = whole(&step_of(planned(&world, &before(&world), true)));
    let name = ServiceName::new("a");
    let held = |whole: &Action, declaration: &Digest, retried| {
        held_by(whole, declaration, &name, retried).is_some()
    };
    assert!(held(&granted, &declared(), None));
    assert!(!held(&granted, &Digest::of_bytes(b"other"), None));
    assert!(!held(&granted, &declared(), Some(granted.created_at)));
    for state in [ActionState::Pending, ActionState::Denied, ActionState::Rehearsed] {
        let whole = Action { state, ..granted.clone() };
        assert!(!held(&whole, &declared(), None), "{state}");
    }
}

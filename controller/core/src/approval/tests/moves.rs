//! Random histories: a permission is good exactly while nothing moved.

use jiff::Timestamp;
use proptest::prelude::*;

use super::{ALLOWS, ASKS, LIVE, allowed, approved, image, minutes, try_at};
use crate::action::ActuatorMode;
use crate::approval::binding;
use crate::gate::fixtures::{noon, policy, verdict};
use crate::identity::SwarmId;
use crate::plan::{Blocked, Step};

/// Everything that a permission is bound to, and the clock.
#[derive(Debug, Clone, PartialEq)]
struct World {
    image: u8,
    target: u8,
    object: u8,
    rule: usize,
    mode: ActuatorMode,
    blocked: bool,
    confirm: bool,
    minutes: i64,
}

const RULES: [&str; 4] =
    [ASKS, ALLOWS, "rules: [{tier: forbidden}]", "rules: [{tier: auto_notify, fields: [mounts]}]"];

impl World {
    fn step(&self) -> Step {
        let mut step = image(["a", "b"][usize::from(self.target)], &format!("a:{}", self.image));
        step.object = Some(SwarmId::new(format!("object{}", self.object)));
        step.confirm = self.confirm.then(|| "look".to_owned());
        step.blocked = self.blocked.then(|| Blocked {
            code: "PORT_TAKEN".to_owned(),
            message: String::new(),
            hint: String::new(),
        });
        step
    }

    fn now(&self) -> Timestamp {
        noon() + minutes(self.minutes)
    }
}

#[derive(Debug, Clone)]
enum Change {
    Image(u8),
    Target(u8),
    Object(u8),
    Rule(usize),
    Mode(bool),
    Blocked(bool),
    Confirm(bool),
    Wait(i64),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..3_u8).prop_map(Change::Image),
        (0..2_u8).prop_map(Change::Target),
        (0..2_u8).prop_map(Change::Object),
        (0..RULES.len()).prop_map(Change::Rule),
        any::<bool>().prop_map(Change::Mode),
        any::<bool>().prop_map(Change::Blocked),
        any::<bool>().prop_map(Change::Confirm),
        (0..6_i64).prop_map(Change::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// After every change of a random history: the permission is good exactly while everything it
    /// was bound to is as it was, nothing forbids it, and its time is not over.
    #[test]
    fn a_permission_is_good_exactly_while_nothing_moved(
        rule in prop::sample::select(vec![0, 1, 3]),
        live in any::<bool>(),
        changes in prop::collection::vec(change(), 0..8),
    ) {
        let mode = |live| if live { LIVE } else { ActuatorMode::DryRun };
        let start = World {
            image: 0, target: 0, object: 0, rule, mode: mode(live), blocked: false,
            confirm: false, minutes: 0,
        };
        let first = policy(RULES[start.rule]);
        let make = if rule == 0 { approved } else { allowed };
        let action = make(&first, &start.step(), start.mode, start.now());
        let mut world = start.clone();
        for change in changes {
            match change {
                Change::Image(image) => world.image = image,
                Change::Target(target) => world.target = target,
                Change::Object(object) => world.object = object,
                Change::Rule(rule) => world.rule = rule,
                Change::Mode(live) => world.mode = mode(live),
                Change::Blocked(blocked) => world.blocked = blocked,
                Change::Confirm(confirm) => world.confirm = confirm,
                Change::Wait(minutes) => world.minutes += minutes,
            }
            let same_binding = World { minutes: 0, ..world.clone() } == start;
            let result =
                try_at(&action, &world.step(), &policy(RULES[world.rule]), world.mode, world.now());
            prop_assert_eq!(result.is_ok(), same_binding && world.minutes <= 10, "{:?}", world);
            if let Ok(authorised) = result {
                prop_assert_eq!(authorised.get(), &action.step);
            }
        }
    }

    #[test]
    fn different_things_have_different_bindings(
        a in (0..3_u8, 0..2_u8, 0..2_u8, 0..RULES.len(), any::<bool>()),
        b in (0..3_u8, 0..2_u8, 0..2_u8, 0..RULES.len(), any::<bool>()),
    ) {
        let bound = |(image, target, object, rule, live): (u8, u8, u8, usize, bool)| {
            let mode = if live { LIVE } else { ActuatorMode::DryRun };
            let world = World {
                image, target, object, rule, mode, blocked: false, confirm: false, minutes: 0,
            };
            let step = world.step();
            let verdict = verdict(&policy(RULES[rule]), &step, mode, noon());
            binding(&step, verdict.rule(), mode)
        };
        prop_assert_eq!(bound(a) == bound(b), a == b);
    }
}

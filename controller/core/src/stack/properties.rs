//! Any stack, any failures: nothing starts whose predecessors are not healthy, no batch before the
//! one before it, and without failures everything starts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;

use super::{Failure, Member, Order, batch, levels, stopped_by};
use crate::desired::Desired;
use crate::identity::ServiceName;
use crate::plan::fixtures::{desired, stack};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Starting(i64),
    Healthy(i64),
    Sick(i64),
    Failed,
}

fn name(number: usize) -> ServiceName {
    ServiceName::new(format!("s{number:02}"))
}

/// Services, each after some of those before it.
fn fleet(after: &[Vec<usize>]) -> Desired {
    let mut all = Desired::default();
    let names: Vec<String> = (0..after.len()).map(|number| name(number).to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    all.stacks.insert("web".to_owned(), stack("web", &names));
    for (number, before) in after.iter().enumerate() {
        let mut service = desired(name(number).as_str());
        let before = before.iter().filter(|_| number > 0);
        service.depends_on = before.map(|one| name(one % number)).collect();
        all.services.insert(service.name.clone(), service);
    }
    all
}

/// What happens to a service some time after it was started.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Well,
    Sick,
    Fails,
}

struct Life {
    all: Desired,
    states: BTreeMap<ServiceName, State>,
    tick: i64,
}

impl Life {
    fn what(&self, name: &ServiceName) -> Option<(String, bool)> {
        match self.states[name] {
            State::Healthy(_) => None,
            state => Some((format!("is {state:?}"), true)),
        }
    }

    /// Those that start now.
    fn starting(&self) -> Vec<ServiceName> {
        let failures: Vec<Failure> = self
            .states
            .iter()
            .filter(|(_, state)| **state == State::Failed)
            .map(|(service, _)| Failure {
                stack: "web".to_owned(),
                service: service.clone(),
                detail: String::new(),
                at: Timestamp::UNIX_EPOCH,
                is_fresh: true,
            })
            .collect();
        let mut order = Order::new(&self.all, |name| self.what(name));
        let absent = self.states.iter().filter(|(_, state)| **state == State::Absent);
        let able: Vec<&ServiceName> = absent
            .map(|(name, _)| name)
            .filter(|name| stopped_by(&self.all, "web", name, &failures, None).is_none())
            .filter(|name| order.wait(name).is_none())
            .collect();
        let levels = levels(&self.all, &self.all.stacks["web"]);
        let waves: BTreeSet<u32> = able.iter().map(|name| levels[*name]).collect();
        let mut starting = Vec::new();
        for wave in waves {
            let members: Vec<Member<'_>> = levels
                .iter()
                .filter(|(_, level)| **level == wave)
                .map(|(service, _)| Member {
                    service,
                    started_at: match self.states[*service] {
                        State::Starting(at) | State::Healthy(at) | State::Sick(at) => {
                            Timestamp::from_second(at).ok()
                        }
                        State::Absent | State::Failed => None,
                    },
                    unhealthy: self.what(service).map(|(what, _)| what),
                })
                .collect();
            let allowed: Vec<&ServiceName> =
                able.iter().copied().filter(|name| levels[*name] == wave).collect();
            let batch = batch(&members, &allowed);
            starting.extend(allowed.into_iter().filter(|name| batch.wait(name).is_none()).cloned());
        }
        starting
    }

    fn check(&self, starting: &[ServiceName]) {
        let levels = levels(&self.all, &self.all.stacks["web"]);
        for name in starting {
            let mut open: Vec<&ServiceName> = self.all.services[name].depends_on.iter().collect();
            while let Some(before) = open.pop() {
                let state = self.states[before];
                assert!(matches!(state, State::Healthy(_)), "{name} after {before}: {state:?}");
                open.extend(&self.all.services[before].depends_on);
            }
            assert!(!self.states.values().any(|state| *state == State::Failed), "{name}");
        }
        for wave in levels.values() {
            let of_wave = |name: &&ServiceName| levels[*name] == *wave;
            let now = starting.iter().filter(of_wave).count();
            let all: Vec<_> = self.states.iter().filter(|(name, _)| of_wave(name)).collect();
            let started: Vec<_> =
                all.iter().filter(|(_, state)| **state != State::Absent).collect();
            if now == 0 || all.len() <= 6 {
                continue;
            }
            let healthy = |state: &State| matches!(state, State::Healthy(_));
            assert!(started.iter().all(|(_, state)| healthy(state)), "{started:?}");
            let most = [1, 6, all.len()];
            let most = most.into_iter().find(|most| started.len() < *most).unwrap();
            assert!(started.len() + now <= most, "{} + {now} of {}", started.len(), all.len());
        }
    }

    fn live(&mut self, fates: &[Fate]) {
        for _ in 0..200 {
            let starting = self.starting();
            self.check(&starting);
            self.tick += 1;
            for (number, (_, state)) in self.states.iter_mut().enumerate() {
                if let State::Starting(at) = *state {
                    *state = match fates[number] {
                        Fate::Well => State::Healthy(at),
                        Fate::Sick => State::Sick(at),
                        Fate::Fails => State::Failed,
                    };
                }
            }
            for name in starting {
                self.states.insert(name, State::Starting(self.tick));
            }
        }
    }
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![8 => Just(Fate::Well), 1 => Just(Fate::Sick), 1 => Just(Fate::Fails)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_starts_before_its_time_and_without_failures_everything_does(
        after in prop::collection::vec(prop::collection::vec(any::<usize>(), 0..2), 1..24),
        fates in prop::collection::vec(fates(), 24),
        all_well in any::<bool>(),
    ) {
        let all = fleet(&after);
        let states = all.services.keys().map(|name| (name.clone(), State::Absent)).collect();
        let fates = if all_well { vec![Fate::Well; fates.len()] } else { fates };
        let mut life = Life { all, states, tick: 0 };
        life.live(&fates);
        if all_well {
            prop_assert!(life.states.values().all(|state| matches!(state, State::Healthy(_))));
        }
    }
}

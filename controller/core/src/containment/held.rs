//! Everything that is contained on one swarm, and what that means for one service.

use std::collections::BTreeMap;

use super::{Containment, ContainmentState, RecordedState, Scope};
use crate::desired::Desired;
use crate::identity::ServiceName;
use crate::plan::{Step, Waiting};

/// The domain of what is in no other.
pub(super) const DEFAULT_DOMAIN: &str = "default";

/// All containments of one swarm with what they recorded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contained {
    services: BTreeMap<ServiceName, Containment>,
    domains: BTreeMap<String, Containment>,
    recorded: BTreeMap<ServiceName, RecordedState>,
}

/// Why nothing is done for a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// How much it holds.
    pub state: ContainmentState,
    /// `PAUSED`, `KILLED` or `RESUMING`.
    pub code: &'static str,
    /// Who, when, why, and how to end it.
    pub reason: String,
}

impl Contained {
    /// All of it.
    #[must_use]
    pub fn new(containments: Vec<Containment>, recorded: Vec<RecordedState>) -> Self {
        let mut contained = Self::default();
        for containment in containments {
            match containment.scope.clone() {
                Scope::Service(name) => contained.services.insert(name, containment),
                Scope::Domain(name) => contained.domains.insert(name, containment),
            };
        }
        let name = |state: &RecordedState| ServiceName::new(state.key.name.as_str());
        contained.recorded = recorded.into_iter().map(|state| (name(&state), state)).collect();
        contained
    }

    /// True when nothing is contained and nothing has to be put back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.domains.is_empty() && self.recorded.is_empty()
    }

    /// Every containment: services first, then domains, by name.
    pub fn containments(&self) -> impl Iterator<Item = &Containment> {
        self.services.values().chain(self.domains.values())
    }

    /// What was recorded of a service.
    #[must_use]
    pub fn recorded(&self, service: &ServiceName) -> Option<&RecordedState> {
        self.recorded.get(service)
    }

    /// Everything that was recorded, by service.
    pub fn all_recorded(&self) -> impl Iterator<Item = (&ServiceName, &RecordedState)> {
        self.recorded.iter()
    }

    /// The domain of a service: the declared one, else the one that it was in when it was killed.
    #[must_use]
    pub fn domain<'a>(&'a self, desired: Option<&'a Desired>, service: &ServiceName) -> &'a str {
        let declared = desired.and_then(|desired| desired.services.get(service));
        declared
            .map(|declared| declared.domain.as_str())
            .or_else(|| Some(self.recorded.get(service)?.domain.as_str()))
            .unwrap_or(DEFAULT_DOMAIN)
    }

    /// What is in force for a service. A kill outweighs a pause, and its own containment outweighs
    /// its domain's.
    #[must_use]
    pub fn in_force(&self, service: &ServiceName, domain: &str) -> Option<&Containment> {
        let both = [self.services.get(service), self.domains.get(domain)];
        let of = |state| both.into_iter().flatten().find(move |one| one.state == state);
        of(ContainmentState::Killed).or_else(|| of(ContainmentState::Paused))
    }

    /// Whoever is taking the kill of a service back.
    #[must_use]
    pub fn resuming(&self, service: &ServiceName, domain: &str) -> Option<&Containment> {
        let both = [self.services.get(service), self.domains.get(domain)];
        both.into_iter().flatten().find(|one| one.state == ContainmentState::Resuming)
    }

    /// Why nothing is done for a service, if that is so.
    #[must_use]
    pub fn held(&self, service: &ServiceName, domain: &str) -> Option<Held> {
        if let Some(containment) = self.in_force(service, domain) {
            let (code, word) = match containment.state {
                ContainmentState::Killed => ("KILLED", "killed"),
                ContainmentState::Paused | ContainmentState::Resuming => ("PAUSED", "paused"),
            };
            let with = match &containment.scope {
                Scope::Service(_) => String::new(),
                Scope::Domain(domain) => format!(" with its domain {domain}"),
            };
            let (said, arguments) = (containment.said(), containment.scope.arguments());
            let reason = format!("{word}{with} {said}; end it with: skep resume {arguments}");
            return Some(Held { state: containment.state, code, reason });
        }
        self.recorded.get(service).map(|_| {
            let by = self.resuming(service, domain).map(|one| format!(" {}", one.said()));
            Held {
                state: ContainmentState::Resuming,
                code: "RESUMING",
                reason: format!(
                    "it was killed and is being put back as it was{}",
                    by.unwrap_or_default()
                ),
            }
        })
    }

    /// The same for a step of a plan.
    #[must_use]
    pub fn holds_back(&self, step: &Step) -> Option<Waiting> {
        let held = self.held(&step.target, &step.domain)?;
        Some(Waiting {
            target: Some(step.target.clone()),
            code: held.code.to_owned(),
            reason: format!("{}; it differs: {}", held.reason, step.reason),
        })
    }

    /// Whether a containment that is being taken back has nothing left to put back.
    #[must_use]
    pub fn is_restored(&self, containment: &Containment, desired: Option<&Desired>) -> bool {
        let waits = |(name, _): (&ServiceName, &RecordedState)| {
            let domain = self.domain(desired, name);
            containment.scope.covers(name, domain) && self.in_force(name, domain).is_none()
        };
        containment.state == ContainmentState::Resuming && !self.recorded.iter().any(waits)
    }
}

//! Which services an order is about, and which it leaves out, with the reason.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use skep_core::containment::{ContainmentState, ContainmentVerb, PROTECTED, Scope};
use skep_core::identity::ServiceName;
use skep_runtime::Survey;

use crate::args::ContainArgs;
use crate::codes;
use crate::error::{Failure, Result};

/// A name that an order leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Skipped {
    pub(super) name: String,
    /// A stable code.
    pub(super) code: String,
    pub(super) reason: String,
}

/// What an order is about.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// One order each.
    pub(super) scopes: Vec<Scope>,
    /// The services that they change.
    pub(super) targets: Vec<ServiceName>,
    pub(super) skipped: Vec<Skipped>,
    /// What people should know about some of them.
    pub(super) notes: BTreeMap<ServiceName, String>,
}

impl Chosen {
    pub(super) fn new(verb: ContainmentVerb, args: &ContainArgs, seen: &Survey) -> Result<Self> {
        let mut chosen = Self::default();
        match &args.domain {
            Some(domain) => chosen.domain(verb, domain, seen)?,
            None => chosen.names(verb, &args.names, seen),
        }
        Ok(chosen)
    }

    fn names(&mut self, verb: ContainmentVerb, names: &[String], seen: &Survey) {
        let mut done = BTreeSet::new();
        for name in names {
            let full = full_name(seen, name);
            if !done.insert(full.clone()) {
                continue;
            }
            match self.check(verb, &full, seen) {
                Ok(()) => {
                    self.scopes.push(Scope::Service(full.clone()));
                    self.targets.push(full);
                }
                Err(skipped) => self.skipped.push(skipped),
            }
        }
    }

    /// Whether one service can be ordered by its name.
    fn check(
        &mut self,
        verb: ContainmentVerb,
        name: &ServiceName,
        seen: &Survey,
    ) -> Result<(), Skipped> {
        let skip = |code: &str, reason: String| {
            Err(Skipped { name: name.to_string(), code: code.to_owned(), reason })
        };
        let scope = Scope::Service(name.clone());
        let own = seen.contained.containments().find(|one| one.scope == scope);
        if verb == ContainmentVerb::Resume {
            let with_domain = seen.contained.in_force(name, seen.domain(name));
            return match (own, with_domain) {
                (Some(_), Some(other)) if matches!(other.scope, Scope::Domain(_)) => {
                    let note = format!(
                        "still {} with its {}: skep resume {}",
                        other.state,
                        other.scope,
                        other.scope.arguments()
                    );
                    self.notes.insert(name.clone(), note);
                    Ok(())
                }
                (Some(_), _) => Ok(()),
                (None, Some(domain)) => {
                    let (scope, arguments) = (&domain.scope, domain.scope.arguments());
                    let state = domain.state;
                    let reason = format!("it is {state} with its {scope}: skep resume {arguments}");
                    skip(codes::HELD_BY_DOMAIN, reason)
                }
                (None, None) if !is_known(seen, name) => unknown(seen, name),
                (None, None) => {
                    skip(codes::NOT_CONTAINED, "it is neither paused nor killed".to_owned())
                }
            };
        }
        if !is_known(seen, name) {
            return unknown(seen, name);
        }
        self.member(verb, name, seen)
    }

    /// Whether a known service can be paused or killed.
    fn member(
        &mut self,
        verb: ContainmentVerb,
        name: &ServiceName,
        seen: &Survey,
    ) -> Result<(), Skipped> {
        let skip = |code: &str, reason: String| {
            Err(Skipped { name: name.to_string(), code: code.to_owned(), reason })
        };
        let Some(live) = seen.snapshot.services.get(name) else {
            let note = "it is not on the swarm; it is kept from being created";
            self.notes.insert(name.clone(), note.to_owned());
            return Ok(());
        };
        if seen.ours(name).is_none() {
            return skip(codes::NOT_OURS, "it is not on record as ours; it is not touched".into());
        }
        if verb == ContainmentVerb::Kill {
            if let Some(why) = seen.protected(live) {
                return skip(PROTECTED, format!("it is protected: {why}"));
            }
            if live.spec.mode().is_job() {
                let reason = "it is a job: its tasks end by themselves, and any write would run it \
                              again";
                return skip(codes::IS_A_JOB, reason.to_owned());
            }
        }
        if let Some(update) = live.update.as_ref().filter(|update| update.is_rolling())
            && verb == ContainmentVerb::Pause
        {
            let note = format!(
                "Swarm goes on with the rollout that it runs already ({}); skep kill stops it",
                update.state
            );
            self.notes.insert(name.clone(), note);
        }
        Ok(())
    }

    fn domain(&mut self, verb: ContainmentVerb, domain: &str, seen: &Survey) -> Result<()> {
        let scope = Scope::Domain(domain.to_owned());
        let names: BTreeSet<&ServiceName> = seen
            .desired
            .services
            .keys()
            .chain(seen.owned.keys())
            .chain(seen.contained.all_recorded().map(|(name, _)| name))
            .filter(|name| seen.domain(name) == domain)
            .collect();
        let current = seen.contained.containments().find(|one| one.scope == scope);
        if names.is_empty() && current.is_none() {
            return Err(no_domain(seen, domain));
        }
        self.scopes.push(scope);
        for name in names {
            if verb == ContainmentVerb::Resume {
                self.resumed_with_domain(name, current.map(|one| one.state), seen);
                continue;
            }
            let own = Scope::Service(name.clone());
            let own = seen.contained.containments().find(|one| one.scope == own);
            if let Some(own) = own.filter(|own| own.state == ContainmentState::Killed) {
                let reason = format!("it is killed already, {}", own.said());
                let code = codes::ALREADY_KILLED.to_owned();
                self.skipped.push(Skipped { name: name.to_string(), code, reason });
                continue;
            }
            match self.member(verb, name, seen) {
                Ok(()) => self.targets.push(name.clone()),
                Err(skipped) => self.skipped.push(skipped),
            }
        }
        Ok(())
    }

    /// What comes back with its domain, and what is held by itself as well.
    fn resumed_with_domain(
        &mut self,
        name: &ServiceName,
        state: Option<ContainmentState>,
        seen: &Survey,
    ) {
        let own = Scope::Service(name.clone());
        let own = seen.contained.containments().find(|one| one.scope == own);
        let is_held = own.filter(|own| own.state != ContainmentState::Resuming);
        if let Some(own) = is_held {
            let reason = format!("it is {} by itself as well: skep resume {name}", own.state);
            let code = codes::HELD.to_owned();
            self.skipped.push(Skipped { name: name.to_string(), code, reason });
        } else if state == Some(ContainmentState::Paused) || seen.contained.recorded(name).is_some()
        {
            self.targets.push(name.clone());
        }
    }
}

/// Owners use the connector's name, operators the final one.
fn full_name(seen: &Survey, name: &str) -> ServiceName {
    let mut declared = seen.desired.services.values();
    let found = declared.find(|one| one.name.as_str() == name || one.declared_name == name);
    found.map_or_else(|| ServiceName::new(name), |one| one.name.clone())
}

fn is_known(seen: &Survey, name: &ServiceName) -> bool {
    seen.desired.services.contains_key(name)
        || seen.snapshot.services.contains_key(name)
        || seen.owned.contains_key(name)
}

fn unknown(seen: &Survey, name: &ServiceName) -> Result<(), Skipped> {
    let declared = seen.desired.services.keys().map(ServiceName::as_str);
    let live = seen.snapshot.services.keys().map(ServiceName::as_str);
    let near = skep_yaml::did_you_mean(name.as_str(), declared.chain(live));
    let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Err(Skipped {
        name: name.to_string(),
        code: codes::NOT_FOUND.to_owned(),
        reason: format!("no such service is declared or live{near}"),
    })
}

fn no_domain(seen: &Survey, domain: &str) -> Failure {
    let known: BTreeSet<&str> = seen
        .desired
        .services
        .keys()
        .chain(seen.owned.keys())
        .map(|name| seen.domain(name))
        .collect();
    let near = skep_yaml::did_you_mean(domain, known.iter().copied());
    let message = format!("no service is in the domain {domain:?}");
    let failure = Failure::new(codes::NOT_FOUND, message);
    failure.next(match near {
        Some(near) => format!("did you mean --domain {near}?"),
        None => {
            let known: Vec<&str> = known.into_iter().collect();
            format!("the domains are: {}", known.join(", "))
        }
    })
}

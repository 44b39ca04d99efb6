//! Which connector a service becomes: `web_api` of the stack `web` is the connector `api` there.

use std::collections::{BTreeMap, BTreeSet};

use skep_crds::value::Name;

use crate::identity::ServiceName;

/// The names of one service in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// The connector's name.
    pub name: String,
    /// The stack that the service belongs to.
    pub stack: Option<String>,
    /// The service's name, when it does not follow from the other two.
    pub swarm_name: Option<String>,
}

/// The names of services with the stacks that their labels name. Short names are given where they
/// are unique, also against `taken`, the names of other registry files.
#[must_use]
pub fn names(
    services: &[(&ServiceName, Option<&str>)],
    taken: &BTreeSet<String>,
) -> BTreeMap<ServiceName, Naming> {
    let stack =
        |stack: Option<&str>| stack.filter(|text| Name::parse(text).is_ok()).map(str::to_owned);
    let short = |name: &ServiceName, stack: Option<&str>| {
        let rest = name.as_str().strip_prefix(stack?)?.strip_prefix('_')?;
        Name::parse(rest).is_ok().then(|| rest.to_owned())
    };
    let mut wanted: BTreeMap<String, usize> = taken.iter().map(|name| (name.clone(), 1)).collect();
    for (name, own) in services {
        *wanted.entry(name.as_str().to_owned()).or_default() += 1;
        if let Some(short) = short(name, *own) {
            *wanted.entry(short).or_default() += 1;
        }
    }
    services
        .iter()
        .map(|(name, own)| {
            let unique = short(name, *own).filter(|short| wanted.get(short) == Some(&1));
            let stack = stack(*own);
            let full = name.as_str().to_owned();
            let naming = match unique {
                Some(short) if stack.is_some() => Naming { name: short, stack, swarm_name: None },
                _ => {
                    let swarm_name = stack.is_some().then(|| full.clone());
                    Naming { name: full, stack, swarm_name }
                }
            };
            ((*name).clone(), naming)
        })
        .collect()
}

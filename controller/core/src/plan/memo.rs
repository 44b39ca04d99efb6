//! What was compared before and found equal, so that a fleet in which nothing changed costs a
//! look-up per service instead of a comparison.
//!
//! A memo changes no plan. An entry holds for one pair of spec hashes and everything else that the
//! comparison reads; whatever differs in any of it is compared again.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::{PLANNER_VERSION, PlanInput};
use crate::desired::DesiredService;
use crate::identity::ServiceName;
use crate::observed::ObservedService;
use crate::spec::SpecHash;

/// Comparisons that found nothing. Keep one for as long as passes follow each other.
#[derive(Debug, Default)]
pub struct Memo {
    equal: HashMap<ServiceName, Compared>,
    /// What all comparisons read: they were made under this.
    context: Fingerprint,
}

type Fingerprint = [u8; 16];

/// What one comparison read besides the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Compared {
    desired: SpecHash,
    live: SpecHash,
    rules: Fingerprint,
}

impl Compared {
    fn of(service: &DesiredService, live: &ObservedService) -> Self {
        Self { desired: service.spec.hash(), live: live.spec.hash(), rules: rules(service) }
    }
}

impl Memo {
    /// Forgets everything if the context is another one: the names of networks, the API version,
    /// the values behind references.
    pub(super) fn enter(&mut self, input: &PlanInput<'_>) {
        let context = context(input);
        if self.context != context {
            self.equal.clear();
            self.context = context;
        }
        // Services that are declared no longer are not looked up any more.
        if self.equal.len() > input.desired.services.len().saturating_mul(2) {
            self.equal.retain(|name, _| input.desired.services.contains_key(name));
        }
    }

    /// True when these two were compared before under the same rules, and nothing differed.
    pub(super) fn knows(&self, service: &DesiredService, live: &ObservedService) -> bool {
        self.equal.get(&service.name) == Some(&Compared::of(service, live))
    }

    /// Remembers that nothing differed.
    pub(super) fn note(&mut self, service: &DesiredService, live: &ObservedService) {
        self.equal.insert(service.name.clone(), Compared::of(service, live));
    }

    /// How many comparisons it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.equal.len()
    }

    /// True when it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.equal.is_empty()
    }
}

/// What the comparison reads of a declaration besides its spec. Zero for most of them.
fn rules(service: &DesiredService) -> Fingerprint {
    let DesiredService { ignore, unresolved, autoscaled, .. } = service;
    if ignore.is_empty() && unresolved.is_empty() && autoscaled.is_none() {
        return Fingerprint::default();
    }
    let mut hash = Hash::default();
    hash.texts(ignore);
    hash.texts(unresolved);
    let bounds = autoscaled.map(|bounds| [bounds.min, bounds.max]);
    hash.texts(bounds.iter().flatten().map(u32::to_string));
    hash.done()
}

fn context(input: &PlanInput<'_>) -> Fingerprint {
    let mut hash = Hash::default();
    let api = input.observed.api_version;
    hash.texts([PLANNER_VERSION, api.major, api.minor].map(|number| number.to_string()));
    let networks = &input.observed.networks;
    hash.texts(networks.iter().flat_map(|(id, network)| [id.as_str(), &network.name]));
    hash.texts(input.desired.secrets.iter().flat_map(|(placeholder, value)| [placeholder, value]));
    hash.done()
}

/// A hash over lists of texts that tells their borders apart.
#[derive(Default)]
struct Hash(Sha256);

impl Hash {
    fn texts(&mut self, texts: impl IntoIterator<Item = impl AsRef<str>>) {
        for text in texts {
            let text = text.as_ref();
            self.0.update((text.len() as u64).to_le_bytes());
            self.0.update(text.as_bytes());
        }
        // No text is this long.
        self.0.update(u64::MAX.to_le_bytes());
    }

    fn done(self) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        for (to, from) in fingerprint.iter_mut().zip(self.0.finalize()) {
            *to = from;
        }
        fingerprint
    }
}

#[cfg(test)]
mod tests;

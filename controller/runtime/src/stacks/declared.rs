//! What a pass asks about the declaration of stacks, found once and only when somebody asks.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use skep_core::canonical::Digest;
use skep_core::desired::Desired;
use skep_core::digester::Digester;
use skep_core::identity::ServiceName;
use skep_core::stack::{RolloutOf, declaration};

/// The stacks as their owners declared them: names of configs and secrets are not yet those of the
/// versions that hold the content, which depend on what is there.
#[derive(Debug)]
pub(crate) struct Declared {
    desired: Arc<Desired>,
    stack_of: OnceLock<BTreeMap<ServiceName, String>>,
    digests: OnceLock<BTreeMap<String, Digest>>,
}

impl Declared {
    pub(crate) fn new(desired: Arc<Desired>) -> Self {
        Self { desired, stack_of: OnceLock::new(), digests: OnceLock::new() }
    }

    /// The stack that declares a service.
    pub(crate) fn stack_of(&self, service: &ServiceName) -> Option<&str> {
        let found = self.stack_of.get_or_init(|| {
            let stacks = self.desired.stacks.values();
            stacks
                .flat_map(|stack| stack.services.iter().map(|name| (name.clone(), &stack.name)))
                .map(|(service, stack)| (service, stack.clone()))
                .collect()
        });
        found.get(service).map(String::as_str)
    }

    /// The digest of all that a stack declares.
    pub(crate) fn digest(&self, stack: &str, digester: &Digester) -> Option<&Digest> {
        let found = self.digests.get_or_init(|| {
            let names = self.desired.stacks.keys();
            names
                .filter_map(|name| {
                    Some((name.clone(), declaration(&self.desired, name, digester)?))
                })
                .collect()
        });
        found.get(stack)
    }

    /// The rollout that a step about a service belongs to.
    pub(crate) fn rollout_of(
        &self,
        service: &ServiceName,
        digester: &Digester,
    ) -> Option<RolloutOf> {
        let stack = self.stack_of(service)?;
        let declaration = self.digest(stack, digester)?.clone();
        Some(RolloutOf { stack: stack.to_owned(), declaration, member_of: None })
    }
}

//! Networks, configs and secrets: planned like services, before the services that use them.
//!
//! The engine changes little about them in place: the labels of configs and secrets. Another
//! content is another object, see [`version`]; another network can take the place of the first one
//! only while nobody uses that.
//!
//! # Guarantees
//! - Data is in no step: a placeholder with a keyed fingerprint stands for it.
//! - What another stack, or nobody, has put under a name is never touched.
//! - A stack that lacks something from outside, or whose name is taken, is left alone as a whole.

mod compare;
mod draft;
mod driver;
mod resolve;
#[cfg(test)]
mod tests;
mod users;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::draft::Draft;
pub(super) use self::draft::{LABELS_FIXED, SOURCE_MOVED, words};
pub use self::driver::needs_plugins;
pub use self::resolve::resolved;
use self::users::names_used;
pub use self::users::{ids_used, missing_references};
pub(super) use self::users::{is_way_back, services_using};
use self::version::version_of;
pub(super) use self::version::{current_target, owned_versions};
use super::{Blocked, Finding, PlanInput, Step, Waiting, prune};
use crate::desired::{Desired, DesiredObject};
use crate::identity::{ObjectKind, ServiceName};
use crate::observed::ObservedObject;

/// What planning says about all of them.
#[derive(Debug, Default)]
pub(super) struct ObjectPlan {
    pub(super) steps: Vec<Step>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) unchanged: usize,
    /// What is not there yet and will be made by one of the steps.
    coming: BTreeSet<ServiceName>,
    /// What must not be used as it is, and why.
    unusable: BTreeMap<ServiceName, Blocked>,
    /// Why nothing of a stack may be done.
    stacks: BTreeMap<String, Blocked>,
    /// The stack of each service that is declared by one.
    stack_of: BTreeMap<ServiceName, String>,
}

impl ObjectPlan {
    /// Looks at every declared object.
    pub(super) fn of(input: &PlanInput<'_>, confirm: Option<&str>) -> Self {
        let mut plan = Self::default();
        let desired = input.desired;
        let nothing_declared = desired.objects.is_empty() && desired.stacks.is_empty();
        if nothing_declared && input.owned_objects.is_empty() {
            return plan;
        }
        for stack in desired.stacks.values() {
            for service in &stack.services {
                plan.stack_of.insert(service.clone(), stack.name.clone());
            }
            if let Some(blocked) = missing_external(input, &stack.externals) {
                plan.stacks.insert(stack.name.clone(), blocked);
            }
        }
        for object in desired.objects.values() {
            let draft = Draft::new(input, object, confirm);
            match draft.finding() {
                Finding::Unchanged => plan.unchanged += 1,
                Finding::Waiting(waiting) => plan.waiting.push(waiting),
                Finding::Step(step) => plan.steps.push(*step),
            }
            plan.waiting.extend(draft.remark());
            plan.stack_of.insert(draft.target(), object.stack.clone());
        }
        let (removals, orphans) = prune::plan(input);
        plan.waiting.extend(orphans);
        plan.block_stacks();
        for step in &plan.steps {
            let creates = step.object.is_none();
            match &step.blocked {
                Some(blocked) => {
                    plan.unusable.insert(step.target.clone(), blocked.clone());
                }
                None if creates => {
                    plan.coming.insert(step.target.clone());
                }
                None if step.operation == super::Operation::Remove => {
                    let message = format!("{} is about to be made anew", step.target);
                    let hint = "it is planned again when that is done".to_owned();
                    let blocked = Blocked { code: "OBJECT_REPLACED".to_owned(), message, hint };
                    plan.unusable.insert(step.target.clone(), blocked);
                }
                // Adopting writes nothing: what differs is changed, or made anew, afterwards, and a
                // network that a service had begun to use could not be made anew any more.
                None if step.changes.iter().any(|change| !change.path.starts_with("/Labels/"))
                    && step.action.writes_nothing_to_the_engine() =>
                {
                    let message = format!("{} is there and not as it is declared", step.target);
                    let hint = "adopt it first: what differs is planned then".to_owned();
                    let blocked = Blocked { code: "OBJECT_DIFFERS".to_owned(), message, hint };
                    plan.unusable.insert(step.target.clone(), blocked);
                }
                None => {}
            }
        }
        plan.steps.extend(removals);
        plan
    }

    /// One object that cannot be had holds its whole stack back, before anything is changed.
    fn block_stacks(&mut self) {
        for step in &self.steps {
            let stack = self.stack_of.get(&step.target);
            let (Some(why), Some(stack)) = (&step.blocked, stack) else { continue };
            self.stacks.entry(stack.clone()).or_insert_with(|| Blocked {
                code: "STACK_BLOCKED".to_owned(),
                message: format!(
                    "{} of the same stack cannot be had: {}",
                    step.target, why.message
                ),
                hint: why.hint.clone(),
            });
        }
        for step in self.steps.iter_mut().filter(|step| step.blocked.is_none()) {
            let stack = self.stack_of.get(&step.target).and_then(|stack| self.stacks.get(stack));
            if !step.action.writes_nothing_to_the_engine() {
                step.blocked = stack.cloned();
            }
        }
    }

    /// Why a service may not be written: its stack is held back, or it uses what cannot be used.
    pub(super) fn obstacle(
        &self,
        service: &ServiceName,
        spec: &serde_json::Value,
    ) -> Option<Blocked> {
        let stack = self.stack_of.get(service).and_then(|stack| self.stacks.get(stack));
        stack.cloned().or_else(|| {
            if self.unusable.is_empty() {
                return None;
            }
            names_used(spec).find_map(|target| self.unusable.get(&target)).cloned()
        })
    }

    /// True for what one of the steps makes.
    pub(super) fn is_coming(&self, kind: ObjectKind, name: &str) -> bool {
        !self.coming.is_empty() && self.coming.contains(&ServiceName::object(kind, name))
    }

    /// True when a service with this spec has to wait for one of the steps.
    pub(super) fn precedes(&self, spec: &serde_json::Value) -> bool {
        names_used(spec).any(|target| self.coming.contains(&target))
    }

    /// True when one of the steps makes something that services may wait for.
    pub(super) fn makes_something(&self) -> bool {
        !self.coming.is_empty()
    }

    /// What it says about one target.
    pub(super) fn finding(&self, target: &ServiceName) -> Finding {
        if let Some(step) = self.steps.iter().find(|step| step.target == *target) {
            return Finding::Step(Box::new(step.clone()));
        }
        let is_it =
            |waiting: &&Waiting| waiting.target.as_ref() == Some(target) && !waiting.is_remark();
        match self.waiting.iter().find(is_it) {
            Some(waiting) => Finding::Waiting(waiting.clone()),
            None => Finding::Unchanged,
        }
    }
}

/// The first thing from outside that a stack lacks.
fn missing_external(
    input: &PlanInput<'_>,
    externals: &[crate::desired::External],
) -> Option<Blocked> {
    let observed = input.observed;
    let missing = externals.iter().find(|external| {
        let target = ServiceName::object(external.kind, &external.name);
        !observed.objects.contains_key(&target)
    })?;
    let (kind, name) = (missing.kind.as_str(), &missing.name);
    let create = match missing.kind {
        ObjectKind::Network => format!("docker network create --driver overlay {name}"),
        _ => format!("docker {kind} create {name} FILE"),
    };
    if let (ObjectKind::Network, Some(_)) = (missing.kind, observed.network_id(name)) {
        return Some(Blocked {
            code: "EXTERNAL_SCOPE".to_owned(),
            message: format!(
                "network {name:?} is declared as external at {} and is a network of one node, \
                 which services cannot use; nothing of the stack is changed",
                missing.provenance
            ),
            hint: format!(
                "make one of the swarm under another name and declare that: docker network create \
                 --driver overlay {name}-swarm"
            ),
        });
    }
    Some(Blocked {
        code: "EXTERNAL_MISSING".to_owned(),
        message: format!(
            "{kind} {name:?} is declared as external at {} and does not exist on this swarm; \
             nothing of the stack is changed",
            missing.provenance
        ),
        hint: format!("create it: {create}; or take external: true away"),
    })
}

/// The stack that declares a network, config or secret, or a version of it.
#[must_use]
pub fn declaring_stack<'a>(desired: &'a Desired, target: &ServiceName) -> Option<&'a str> {
    declaration(desired, target).map(|object| object.stack.as_str())
}

/// The declaration of a network, config or secret, or of what it is a version of.
pub(super) fn declaration<'a>(
    desired: &'a Desired,
    target: &ServiceName,
) -> Option<&'a DesiredObject> {
    let is_it = |object: &&DesiredObject| {
        object.kind == target.kind()
            && (object.name == target.bare() || version_of(&object.name, target.bare()).is_some())
    };
    desired.objects.values().find(is_it)
}

impl<'a> PlanInput<'a> {
    /// The network, config or secret of this name.
    pub(super) fn object(&self, kind: ObjectKind, name: &str) -> Option<&'a ObservedObject> {
        self.observed.objects.get(&ServiceName::object(kind, name)).map(Arc::as_ref)
    }
}

//! From what each source declares to what the fleet declares: one owner for each final name, and
//! the order between stacks. Pure.

use std::collections::{BTreeMap, BTreeSet};

use skep_core::desired::{
    DeclaredStack, Desired, DesiredService, Provenance, SecretValues, SourceState, SourceStatus,
};
use skep_core::identity::{ObjectKind, ServiceName};
use skep_core::plan::{Blocked, Masking};

/// What was gathered so far.
pub(super) struct Merge<'a> {
    pub(super) masking: &'a Masking,
    desired: Desired,
    /// Stacks that each stack comes after.
    after: BTreeMap<String, Vec<String>>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(masking: &'a Masking) -> Self {
        Self { masking, desired: Desired::default(), after: BTreeMap::new() }
    }

    pub(super) fn status(&mut self, status: SourceStatus) {
        self.desired.sources.push(status);
    }

    pub(super) fn secrets(&mut self) -> &mut SecretValues {
        &mut self.desired.secrets
    }

    /// A service of the registry, whose names are unique among themselves.
    pub(super) fn service(&mut self, service: DesiredService) {
        self.desired.services.insert(service.name.clone(), service);
    }

    /// A stack with those that it comes after. One that claims a name of another source is
    /// refused as a whole: half of a stack is not what its owner wrote.
    pub(super) fn stack(
        &mut self,
        mut status: SourceStatus,
        declared: Option<DeclaredStack>,
        after: Vec<String>,
    ) {
        if let Some(declared) = declared {
            match self.claimed(&declared) {
                Some(reason) => {
                    status.state = SourceState::Stale;
                    status.reason = Some(reason);
                }
                None => self.take(declared, after),
            }
        }
        self.desired.sources.push(status);
    }

    fn claimed(&self, declared: &DeclaredStack) -> Option<String> {
        let said = |what: &str, name: &str, here: &Provenance, there: &Provenance| {
            format!(
                "{here}: the {what} {name} of the stack {} is declared at {there} already; names on \
                 the swarm must be unique: rename one of the two, or its stack",
                declared.stack.name
            )
        };
        let service = declared.services.iter().find_map(|service| {
            let other = self.desired.services.get(&service.name)?;
            let (here, there) = (&service.provenance, &other.provenance);
            Some(said("service", service.name.as_str(), here, there))
        });
        service.or_else(|| {
            declared.objects.iter().find_map(|object| {
                let other = self.desired.objects.get(&(object.kind, object.name.clone()))?;
                let (here, there) = (&object.provenance, &other.provenance);
                Some(said(object.kind.as_str(), &object.name, here, there))
            })
        })
    }

    fn take(&mut self, declared: DeclaredStack, after: Vec<String>) {
        let DeclaredStack { stack, services, objects } = declared;
        self.after.insert(stack.name.clone(), after);
        self.desired.stacks.insert(stack.name.clone(), stack);
        for object in objects {
            let key: (ObjectKind, String) = (object.kind, object.name.clone());
            self.desired.objects.insert(key, object);
        }
        for service in services {
            self.service(service);
        }
    }

    /// Everything, in order: a stack's services come after those of the stacks before it, and wait
    /// while such a stack is not known.
    pub(super) fn into_desired(mut self) -> Desired {
        for (stack, after) in &self.after {
            let Some(own) = self.desired.stacks.get(stack) else { continue };
            let own = own.services.clone();
            if let Some(stack) = self.desired.stacks.get_mut(stack) {
                stack.after = after.iter().cloned().collect();
            }
            let mut before: BTreeSet<ServiceName> = BTreeSet::new();
            let mut unknown = None;
            for name in after {
                match self.desired.stacks.get(name) {
                    Some(other) => before.extend(other.services.iter().cloned()),
                    None => unknown = Some(name),
                }
            }
            for name in own {
                let Some(service) = self.desired.services.get_mut(&name) else { continue };
                service.depends_on.extend(before.iter().cloned());
                if let Some(unknown) = unknown {
                    service.blocked = Some(Blocked {
                        code: "SOURCE_NEVER_LOADED".to_owned(),
                        message: format!(
                            "the stack {stack} comes after the stack {unknown}, which is not known"
                        ),
                        hint: format!(
                            "correct it: skep stack list, then skep stack sync {unknown}"
                        ),
                    });
                }
            }
        }
        self.desired
    }
}

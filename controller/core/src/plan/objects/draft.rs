//! One network, config or secret on its way to a finding.

use serde_json::{Value, json};

use super::{compare, driver, users, version};
use crate::action::ActionKind;
use crate::canonical::Digest;
use crate::desired::DesiredObject;
use crate::digester::Purpose;
use crate::identity::{GroupKey, ObjectKey, ObjectKind, ServiceName, StepId};
use crate::labels;
use crate::observed::ObservedObject;
use crate::plan::{
    Blocked, Change, DriftClass, Finding, Operation, PLANNER_VERSION, PlanInput, Risk, Step,
    Waiting,
};

pub(super) struct Draft<'a> {
    input: &'a PlanInput<'a>,
    object: &'a DesiredObject,
    /// The name under which the declared content is, or will be, on the swarm.
    name: String,
    live: Option<&'a ObservedObject>,
    /// Why a person has to confirm what is created.
    confirm: Option<&'a str>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        input: &'a PlanInput<'a>,
        object: &'a DesiredObject,
        confirm: Option<&'a str>,
    ) -> Self {
        let name = version::current_name(input, object);
        let live = input.object(object.kind, &name);
        Self { input, object, name, live, confirm }
    }

    pub(super) fn finding(&self) -> Finding {
        if let Some((live, stack)) = self.moved_from() {
            return self.moved(live, stack);
        }
        let Some(live) = self.live else { return self.missing() };
        if !version::is_ours(self.input, live) {
            return self.foreign(live);
        }
        if self.object.kind == ObjectKind::Network {
            return self.network(live);
        }
        let changes = compare::labels(live, self.object, self.input.masking);
        if changes.is_empty() {
            return Finding::Unchanged;
        }
        let reason = "labels differ from what is declared".to_owned();
        let labels = Value::Object(compare::labels_of(&self.object.request));
        let operation = Operation::UpdateLabels { labels };
        let mut step = self.step(self.words().update, DriftClass::Spec, reason, operation);
        step.risk = Risk::Low;
        step.changes = changes;
        self.finish(step)
    }

    /// What is ours under this name, when it belongs to another stack than the one that declares
    /// it now, and that stack.
    fn moved_from(&self) -> Option<(&'a ObservedObject, &'a str)> {
        let plain = || self.input.object(self.object.kind, &self.object.name);
        let live = self.live.or_else(plain)?;
        let stack = self.input.holdings.stack(&live.target(), live.stack())?;
        (stack != self.object.stack && version::is_ours(self.input, live)).then_some((live, stack))
    }

    /// Two stacks that name the same object would fight over it: a person moves it, once.
    fn moved(&self, live: &ObservedObject, from: &str) -> Finding {
        let (target, to) = (live.target(), &self.object.stack);
        let reason = format!(
            "on record for stack {from}, and declared by stack {to} now; approving it moves the \
             record and writes nothing to Docker"
        );
        let operation = Operation::Adopt;
        let mut step = self.step(self.words().adopt, DriftClass::Foreign, reason, operation);
        step.risk = Risk::Low;
        step.changes = self.differences(live);
        step.confirm = Some(format!("{target} moves from stack {from} to stack {to}"));
        (step.target, step.object) = (target, Some(live.id.clone()));
        step.observed_at = Some(live.updated_at);
        self.finish(step)
    }

    pub(super) fn remark(&self) -> Option<Waiting> {
        self.moved_remark().or_else(|| self.labels_remark())
    }

    fn moved_remark(&self) -> Option<Waiting> {
        let (live, from) = self.moved_from()?;
        let reason = format!(
            "it is on record for stack {from}, and declared by stack {} now: approve its step to \
             move it, or give it back to stack {from}; nothing of it is removed or made anew",
            self.object.stack
        );
        Some(Waiting::on(&live.target(), SOURCE_MOVED, reason))
    }

    /// The engine has no way to change the labels of a network.
    fn labels_remark(&self) -> Option<Waiting> {
        let live = self.live.filter(|live| live.kind == ObjectKind::Network)?;
        let changes = compare::labels(live, self.object, self.input.masking);
        let keys: Vec<&str> =
            changes.iter().filter_map(|change| change.path.strip_prefix("/Labels/")).collect();
        (!keys.is_empty() && version::is_ours(self.input, live)).then(|| {
            Waiting::on(
                &self.target(),
                LABELS_FIXED,
                format!(
                    "its labels differ ({}) and stay: Docker cannot change them while the network \
                     exists",
                    keys.join(", ")
                ),
            )
        })
    }

    fn missing(&self) -> Finding {
        let mut request = self.object.request.clone();
        if let Some(request) = request.as_object_mut() {
            request.insert("Name".to_owned(), json!(self.name));
        }
        let content = version::content(self.input, self.object);
        if let (ObjectKind::Secret, Some(content)) = (self.object.kind, &content) {
            // Nobody can read a secret again: this tells later what it holds.
            let mut labels = compare::labels_of(&request);
            labels.insert(labels::CONTENT.to_owned(), json!(content));
            if let Some(request) = request.as_object_mut() {
                request.insert("Labels".to_owned(), Value::Object(labels));
            }
        }
        let at = &self.object.provenance;
        let (class, reason) = if self.name == self.object.name {
            (DriftClass::Missing, format!("declared at {at} and not on the swarm"))
        } else {
            let reason = format!(
                "the content of {} changed at {at}; Docker cannot change it in place, so the new \
                 one gets a name of its own and the services that use it are rolled over",
                self.object.name
            );
            (DriftClass::Immutable, reason)
        };
        let data = self.object.data.clone();
        let operation = Operation::CreateObject { request, data };
        let mut step = self.step(self.words().create, class, reason, operation);
        step.risk = Risk::Low;
        step.changes = self.shown(content.as_deref());
        step.blocked = driver::obstacle(self.object, self.input.plugins);
        if content.is_none() {
            step.blocked = Some(Blocked {
                code: "SECRET_UNRESOLVED".to_owned(),
                message: format!("the data of {} is not available", self.target()),
                hint: "make its file readable for Skep".to_owned(),
            });
        }
        self.finish(step)
    }

    /// What a person sees of a create: no data, a fingerprint of it.
    fn shown(&self, content: Option<&str>) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut note = |path: String, after: Value| {
            changes.push(Change { path, before: Value::Null, after });
        };
        if let (Some(content), true) = (content, self.object.kind != ObjectKind::Network) {
            let shown = content.get(..8).unwrap_or(content);
            note("/Data".to_owned(), json!(format!("(masked {shown})")));
        }
        let fields = self.object.request.as_object().into_iter().flatten();
        for (key, value) in fields.filter(|(key, _)| !matches!(key.as_str(), "Name" | "Labels")) {
            note(format!("/{key}"), value.clone());
        }
        changes
    }

    /// There, and not on record as ours.
    fn foreign(&self, live: &ObservedObject) -> Finding {
        let is_of_the_stack = live.stack() == Some(self.object.stack.as_str());
        let whose = match live.stack() {
            Some(stack) if is_of_the_stack => {
                format!("it belongs to stack {stack:?} and is not on record as ours")
            }
            Some(stack) => format!("it belongs to stack {stack:?}"),
            None => "it belongs to no stack".to_owned(),
        };
        let kind = self.object.kind.as_str();
        let reason = if is_of_the_stack {
            format!(
                "a {kind} of this name exists and {whose}; adopting it puts it on record and \
                 writes nothing to Docker"
            )
        } else {
            format!("a {kind} of this name exists and {whose}")
        };
        let operation = Operation::Adopt;
        let mut step = self.step(self.words().adopt, DriftClass::Foreign, reason, operation);
        step.risk = Risk::Low;
        step.changes = self.differences(live);
        if !is_of_the_stack {
            step.blocked = Some(Blocked {
                code: "NAME_TAKEN".to_owned(),
                message: format!("{kind} {:?} exists and is not this stack's: {whose}", self.name),
                hint: format!(
                    "give this one another name: with `name:`, or use the one that is there with \
                     `external: true`; if it is yours: skep object adopt {}; if nobody needs it: \
                     docker {kind} rm {}",
                    self.target(),
                    self.name
                ),
            });
        }
        self.finish(step)
    }

    fn differences(&self, live: &ObservedObject) -> Vec<Change> {
        if self.object.kind == ObjectKind::Network {
            return compare::network(live, self.object);
        }
        let mut changes = compare::labels(live, self.object, self.input.masking);
        let wanted = version::content(self.input, self.object);
        let differs = wanted.is_some_and(|wanted| {
            version::compared(self.input, self.object, &wanted, live) == version::Content::Different
        });
        if differs {
            changes.push(Change {
                path: "/Data".to_owned(),
                before: json!("(another content)"),
                after: json!("(the declared content)"),
            });
        }
        changes
    }

    fn network(&self, live: &ObservedObject) -> Finding {
        let changes = compare::network(live, self.object);
        if changes.is_empty() {
            return Finding::Unchanged;
        }
        let fields: Vec<&str> =
            changes.iter().map(|change| change.path.trim_start_matches('/')).collect();
        let fields = fields.join(", ");
        let reason = format!(
            "{fields} differs from what is declared, which Docker cannot change in place: the \
             network is removed and made anew"
        );
        let operation = Operation::Remove;
        let mut step = self.step(self.words().remove, DriftClass::Immutable, reason, operation);
        step.changes = changes;
        step.risk = Risk::High;
        let users: Vec<&str> =
            users::services_using(self.input.observed, live).map(ServiceName::as_str).collect();
        if users.is_empty() {
            step.confirm = Some(
                "the network is removed and made anew: its id changes, and containers that were \
                 attached to it by hand lose it"
                    .to_owned(),
            );
        } else {
            step.blocked = Some(Blocked {
                code: "NETWORK_IN_USE".to_owned(),
                message: format!(
                    "network {:?} cannot be changed in place and is used by {}",
                    self.name,
                    users.join(", ")
                ),
                hint: "declare it under another name (`name:`): a new network is made and the \
                       services are rolled over to it; or take the services off it first"
                    .to_owned(),
            });
        }
        self.finish(step)
    }

    /// What its step is about.
    pub(super) fn target(&self) -> ServiceName {
        ServiceName::object(self.object.kind, &self.name)
    }

    fn words(&self) -> Words {
        words(self.object.kind)
    }

    fn step(
        &self,
        action: ActionKind,
        class: DriftClass,
        reason: String,
        operation: Operation,
    ) -> Step {
        let stack = self.input.desired.stacks.get(&self.object.stack);
        Step {
            id: StepId::new(""),
            action,
            target: self.target(),
            object: self.live.map(|live| live.id.clone()),
            class,
            reason,
            wave: 1,
            risk: Risk::Medium,
            changes: Vec::new(),
            operation,
            blocked: None,
            notes: Vec::new(),
            confirm: None,
            source: self.object.provenance.source,
            domain: stack.map_or_else(|| "default".to_owned(), |stack| stack.domain.clone()),
            provenance: Some(self.object.provenance.clone()),
            observed_at: self.live.map(|live| live.updated_at),
            request: None,
            difference: None,
            digest: Digest::of_bytes(b""),
            group: GroupKey::default(),
            stack: None,
        }
    }

    fn finish(&self, mut step: Step) -> Finding {
        if step.object.is_none() {
            step.confirm = self.confirm.map(str::to_owned);
        }
        let cluster = &self.input.observed.cluster;
        let desired = json!([self.object.request, self.object.data]);
        let before: Vec<_> =
            step.changes.iter().map(|change| (&change.path, &change.before)).collect();
        let content = json!({
            "planner": PLANNER_VERSION,
            "key": ObjectKey::of(cluster, &step.target),
            "object": step.object,
            "action": step.action,
            "operation": step.operation,
            "desired": desired,
            "before": before,
        });
        let differs = json!({
            "object": step.object,
            "action": step.action,
            "desired": desired,
            "changes": step.changes,
        });
        step.difference = Some(self.input.digester.digest(Purpose::Difference, &differs));
        step.identify(self.input.digester, &content);
        Finding::Step(Box::new(step))
    }
}

/// The code of the remark about what another stack declares now.
pub(in crate::plan) const SOURCE_MOVED: &str = "SOURCE_MOVED";

/// The code of the remark about labels of a network.
pub(in crate::plan) const LABELS_FIXED: &str = "LABELS_FIXED";

/// The kinds of actions about one kind of object.
pub(in crate::plan) struct Words {
    pub(in crate::plan) create: ActionKind,
    pub(in crate::plan) update: ActionKind,
    pub(in crate::plan) remove: ActionKind,
    pub(in crate::plan) adopt: ActionKind,
}

pub(in crate::plan) fn words(kind: ObjectKind) -> Words {
    use ActionKind as K;
    let (create, update, remove, adopt) = match kind {
        ObjectKind::Service => {
            (K::DeployService, K::DeployService, K::RemoveService, K::AdoptService)
        }
        ObjectKind::Network => {
            (K::CreateNetwork, K::UpdateNetwork, K::RemoveNetwork, K::AdoptNetwork)
        }
        ObjectKind::Config => (K::CreateConfig, K::UpdateConfig, K::RemoveConfig, K::AdoptConfig),
        ObjectKind::Secret => (K::CreateSecret, K::UpdateSecret, K::RemoveSecret, K::AdoptSecret),
        // A stack is no object of the engine: all that is ever done to one is this.
        ObjectKind::Stack => {
            (K::RedeployStack, K::RedeployStack, K::RedeployStack, K::RedeployStack)
        }
    };
    Words { create, update, remove, adopt }
}

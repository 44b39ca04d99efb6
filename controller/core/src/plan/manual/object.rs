//! What a person may ask for about a network, config or secret: to take it over, and to let it go.

use serde_json::json;

use super::{Requested, refused};
use crate::action::{ActionKind, Source};
use crate::canonical::Digest;
use crate::desired::DesiredObject;
use crate::identity::{GroupKey, ObjectKey, ObjectKind, ServiceName, StepId};
use crate::observed::ObservedObject;
use crate::plan::objects::{declaration, words};
use crate::plan::{DriftClass, Operation, PLANNER_VERSION, PlanInput, Risk, Step};
use crate::request::RequestVerb;

/// The step of a request about one of them.
pub(super) fn plan_request(
    input: &PlanInput<'_>,
    target: &ServiceName,
    verb: &RequestVerb,
) -> Requested {
    let kind = target.kind().as_str();
    let Some(live) = input.object(target.kind(), target.bare()) else {
        let message = format!("there is no {kind} {:?} on the swarm", target.bare());
        return refused("NOT_FOUND", message, &format!("docker {kind} ls"));
    };
    let is_ours = input.owned_objects.get(target) == Some(&live.id);
    let declared = declaration(input.desired, target);
    let declared_by = declared.map(|object| object.stack.as_str());
    match verb {
        RequestVerb::Adopt => {
            let owner = input.holdings.stack(target, live.stack());
            // One that another stack declares now is taken over from the one on record.
            let moves = declared_by.is_some() && declared_by != owner;
            if is_ours && !moves {
                return Requested::Nothing("it is on record as ours already".to_owned());
            }
            let declared_at = match declared {
                Some(object) => format!("declared at {}", object.provenance),
                None => "no source declares it".to_owned(),
            };
            let whose = match owner {
                Some(stack) => format!("; its owner so far is stack {stack}"),
                None => String::new(),
            };
            let reason = format!("asked for by hand; {declared_at}{whose}");
            let action = words(target.kind()).adopt;
            step(input, (live, declared), verb, action, Operation::Adopt, reason)
        }
        RequestVerb::Release if !is_ours => refused(
            "NOT_OURS",
            format!("{kind} {:?} is not on record as ours", target.bare()),
            &format!("take it over first: skep object adopt {target}"),
        ),
        RequestVerb::Release => {
            let reason = "asked for by hand; nothing is written to Docker, and Skep leaves it \
                          alone from then on";
            let action = release(target.kind());
            step(input, (live, declared), verb, action, Operation::Release, reason.to_owned())
        }
        other => refused(
            "NOT_A_REQUEST",
            format!("{other} is for services, and {target} is a {kind}"),
            &format!("skep object adopt {target}, or: skep object release {target}"),
        ),
    }
}

fn release(kind: ObjectKind) -> ActionKind {
    match kind {
        ObjectKind::Service | ObjectKind::Stack => ActionKind::ReleaseService,
        ObjectKind::Network => ActionKind::ReleaseNetwork,
        ObjectKind::Config => ActionKind::ReleaseConfig,
        ObjectKind::Secret => ActionKind::ReleaseSecret,
    }
}

fn step(
    input: &PlanInput<'_>,
    (live, declared): (&ObservedObject, Option<&DesiredObject>),
    verb: &RequestVerb,
    action: ActionKind,
    operation: Operation,
    reason: String,
) -> Requested {
    let target = live.target();
    let stack = declared.and_then(|object| input.desired.stacks.get(&object.stack));
    let content = json!({
        "planner": PLANNER_VERSION,
        "key": ObjectKey::of(&input.observed.cluster, &target),
        "object": live.id,
        "action": action,
        "operation": operation,
        "request": verb,
        "stack": declared.map(|object| &object.stack),
    });
    let mut step = Step {
        id: StepId::new(""),
        action,
        target,
        object: Some(live.id.clone()),
        class: DriftClass::Requested,
        reason,
        wave: 1,
        risk: Risk::Low,
        changes: Vec::new(),
        operation,
        blocked: None,
        notes: Vec::new(),
        confirm: None,
        source: Source::Manual,
        domain: stack.map_or("default", |stack| stack.domain.as_str()).to_owned(),
        provenance: declared.map(|object| object.provenance.clone()),
        observed_at: Some(live.updated_at),
        request: Some(verb.clone()),
        difference: None,
        digest: Digest::of_bytes(b""),
        group: GroupKey::default(),
        stack: None,
    };
    step.identify(input.digester, &content);
    Requested::Step { step: Box::new(step), secrets: None }
}

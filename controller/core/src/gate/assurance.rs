//! What is impossible whatever the rules say: a source outside its role, a malformed parameter, a
//! state in which the action makes no sense, a reference to something unknown.

use serde_json::Value;
use skep_crds::policy::PolicyOptions;

use super::Request;
use crate::action::{ActionKind, Source};

/// The first check that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    /// `role`, `schema`, `precondition` or `reference`.
    pub(super) invariant: super::Cause,
    pub(super) message: String,
}

/// What a parameter has to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// A whole number from zero.
    Count,
    /// Text.
    Text,
}

struct Parameter {
    kind: &'static str,
    name: &'static str,
    shape: Shape,
    required: bool,
}

const PARAMETERS: &[Parameter] = &[
    Parameter { kind: "scale_service", name: "replicas", shape: Shape::Count, required: true },
    // Without an image a deployment changes other fields.
    Parameter { kind: "deploy_service", name: "image", shape: Shape::Text, required: false },
    Parameter { kind: "secret.set", name: "path", shape: Shape::Text, required: true },
    Parameter { kind: "secret.set", name: "value", shape: Shape::Text, required: true },
    Parameter { kind: "secret.delete", name: "path", shape: Shape::Text, required: true },
];

/// What a parameter has to be; `None` when nothing is known about it.
pub(super) fn shape_of(kind: &str, name: &str) -> Option<Shape> {
    PARAMETERS.iter().find(|p| p.kind == kind && p.name == name).map(|p| p.shape)
}

/// The states in which kinds make sense, when a state is claimed.
const PRECONDITIONS: &[(&str, &str)] = &[
    ("run.select", "held"),
    ("run.discard", "held"),
    ("merge_promotion", "proposed"),
    ("spec_promotion", "proposed"),
];

/// Role, then schema, then preconditions, then references. Returns the source once it is known.
pub(super) fn check(options: &PolicyOptions, request: &Request<'_>) -> Result<Source, Violation> {
    let source = role(request)?;
    schema(request)?;
    precondition(request)?;
    reference(options, request)?;
    Ok(source)
}

fn role(request: &Request<'_>) -> Result<Source, Violation> {
    let refuse = |message| Violation { invariant: super::Cause::Role, message };
    let Some(source) = Source::from_word(request.source) else {
        return Err(refuse(format!("unknown source {:?}", request.source)));
    };
    let may = match ActionKind::from_word(request.kind) {
        Some(kind) => source.may_propose(kind),
        None => match (source, request.kind) {
            (Source::Manual, _) | (Source::Playbook, "investigate_resource_pressure") => true,
            // Looking and telling is nobody's privilege.
            (_, kind) => ["diagnose", "observe", "notify", "record_dry_run"].contains(&kind),
        },
    };
    if may {
        Ok(source)
    } else {
        Err(refuse(format!("source {source} may not propose {}", request.kind)))
    }
}

fn schema(request: &Request<'_>) -> Result<(), Violation> {
    for parameter in PARAMETERS.iter().filter(|p| p.kind == request.kind) {
        let is_right = match request.parameters.values.get(parameter.name) {
            None => !(parameter.required && request.parameters.complete),
            Some(value) => parameter.shape.fits(value),
        };
        if !is_right {
            // The value itself stays out of the message: it may be secret.
            return Err(Violation {
                invariant: super::Cause::Schema,
                message: format!(
                    "{} needs {} as {}",
                    request.kind,
                    parameter.name,
                    parameter.shape.words()
                ),
            });
        }
    }
    Ok(())
}

/// A state that is not claimed is no violation.
fn precondition(request: &Request<'_>) -> Result<(), Violation> {
    let Some(state) = request.parameters.values.get("state") else { return Ok(()) };
    match PRECONDITIONS.iter().find(|(kind, _)| *kind == request.kind) {
        Some((kind, needed)) if state.as_str() != Some(needed) => Err(Violation {
            invariant: super::Cause::Precondition,
            message: format!("{kind} makes sense only in the state {needed:?}"),
        }),
        Some(_) | None => Ok(()),
    }
}

fn reference(options: &PolicyOptions, request: &Request<'_>) -> Result<(), Violation> {
    let refuse = |message| Err(Violation { invariant: super::Cause::Reference, message });
    if let Some(known) = &options.known_targets
        && request.target != "*"
        && !known.iter().any(|target| target == request.target)
    {
        return refuse(format!("target {:?} is not in known_targets", request.target));
    }
    if let Some(known) = &options.known_tools
        && let Some(tool) = request.parameters.values.get("tool")
        && !known.iter().any(|name| tool.as_str() == Some(name))
    {
        return refuse("the named tool is not in known_tools".to_owned());
    }
    Ok(())
}

impl Shape {
    fn fits(self, value: &Value) -> bool {
        match self {
            // `true` is no number here, and neither is 2.0.
            Self::Count => value.is_u64(),
            Self::Text => value.is_string(),
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Count => "a whole number from 0",
            Self::Text => "text",
        }
    }
}

//! What is ours and no longer wanted: which of it may go, and when a person has to look first.
//!
//! # Guarantees
//! - Nothing goes while any source is not ready, or while another stack that may claim it now has
//!   not been read since it was dropped.
//! - Nothing of a stack goes that does not say `prune: true`, or that is not declared at all, but
//!   for earlier versions of what it still declares: something newer has taken their place.
//! - Only what is on record under the very id that is there goes, and only while nobody uses it.
//! - Beyond [`allowance`] a person confirms each of them, and always when the history of the
//!   stack's repository was rewritten. Earlier versions do not count. Volumes are never touched.
//! - The two newest earlier versions of a config or secret stay, for the way back, and so does
//!   whatever Swarm itself would take a service back to.

mod mark;

use serde_json::json;

pub use self::mark::{PruneMark, allowance, budget};
use super::objects::{declaring_stack, is_way_back, owned_versions, services_using, words};
use super::{DriftClass, Operation, PLANNER_VERSION, PlanInput, Risk, Step, Waiting};
use crate::canonical::Digest;
use crate::desired::{DesiredStack, SourceState};
use crate::digester::Purpose;
use crate::identity::{GroupKey, ObjectKey, ObjectKind, ServiceName, StepId, SwarmId};
use crate::labels;

/// Earlier versions of a config or secret that stay.
const VERSIONS_KEPT: usize = 2;

/// Something that is ours, there, and not wanted any more.
struct Unwanted<'a> {
    target: ServiceName,
    id: &'a SwarmId,
    updated_at: jiff::Timestamp,
    stack: &'a DesiredStack,
}

/// True when something could go: only then what went before has to be known.
#[must_use]
pub fn has_candidates(input: &PlanInput<'_>) -> bool {
    are_ready(input) && unwanted(input).iter().any(|one| one.stack.prune)
}

/// The stacks whose repository has another history than before, and of which that has dropped
/// nothing that is still there: whoever knows may take the new history for what it is. None while
/// a source is not ready.
#[must_use]
pub fn harmless_rewrites(input: &PlanInput<'_>) -> Vec<String> {
    let rewritten = input.desired.stacks.values().filter(|stack| stack.rewritten.is_some());
    let mut names: Vec<String> = rewritten.map(|stack| stack.name.clone()).collect();
    if names.is_empty() || !are_ready(input) {
        return Vec::new();
    }
    for one in unwanted(input) {
        names.retain(|name| *name != one.stack.name);
    }
    names
}

/// True when every source says what it wants. What one that cannot be read wants is unknown.
fn are_ready(input: &PlanInput<'_>) -> bool {
    let sources = &input.desired.sources;
    !sources.is_empty() && sources.iter().all(|source| source.state == SourceState::Ready)
}

/// The steps that remove what is not wanted, and what stays and why.
pub(super) fn plan(input: &PlanInput<'_>) -> (Vec<Step>, Vec<Waiting>) {
    let (mut steps, mut waiting) = (Vec::new(), Vec::new());
    if !are_ready(input) {
        return (steps, waiting);
    }
    for version in old_versions(input) {
        let reason = "an earlier version that no service uses; the two newest of them stay for \
                      the way back";
        steps.push(step(input, &version, DriftClass::Outdated, reason.to_owned(), None));
    }
    waiting.extend(abandoned(input));
    let recorded = input.owned.len() + input.owned_objects.len();
    let (most, removed) = (input.holdings.most.max(recorded), input.holdings.removed);
    let mut left = allowance(most, recorded, removed);
    for one in unwanted(input) {
        let name = &one.stack.name;
        // Orphaned services are told of elsewhere.
        if !one.stack.prune {
            if one.target.kind() != ObjectKind::Service {
                let reason = format!(
                    "ours and no longer declared; it stays, because stack {name} does not say \
                     prune: true"
                );
                waiting.push(Waiting::on(&one.target, "ORPHAN", reason));
            }
            continue;
        }
        if let Some(user) = user_of(input, &one.target) {
            let reason =
                format!("no longer declared; it goes when {user} does not use it any more");
            waiting.push(Waiting::on(&one.target, "ORPHAN_IN_USE", reason));
            continue;
        }
        if let Some(other) = unread(input, one.stack) {
            let reason = format!(
                "no longer declared; it stays until stack {other} has been read again, which may \
                 declare it now"
            );
            waiting.push(Waiting::on(&one.target, "ORPHAN_UNSETTLED", reason));
            continue;
        }
        let reason = format!("ours, no longer declared, and stack {name} says prune: true");
        let confirm = match &one.stack.rewritten {
            Some(before) => Some(format!(
                "the history of the repository of stack {name} was rewritten: the commit {before}, \
                 which was used before, is no part of it any more"
            )),
            None => (left == 0).then(|| beyond(most, recorded, removed)),
        };
        left = left.saturating_sub(1);
        steps.push(step(input, &one, DriftClass::Orphan, reason, confirm));
    }
    (steps, waiting)
}

/// A stack that was last read before this one came to say what it says: what this one does not
/// declare any more may have moved there.
fn unread<'a>(input: &PlanInput<'a>, dropped_by: &DesiredStack) -> Option<&'a str> {
    let taken_at = dropped_by.taken_at?;
    let mut others = input.desired.stacks.values().filter(|other| other.name != dropped_by.name);
    let late = others.find(|other| other.asked_at.is_some_and(|asked| asked <= taken_at))?;
    Some(&late.name)
}

/// Why a person has to look before one more goes.
fn beyond(most: usize, recorded: usize, removed: usize) -> String {
    let gone = removed.max(most.saturating_sub(recorded));
    let before = match gone {
        0 => String::new(),
        gone => format!("; {gone} are gone already"),
    };
    format!("more than {} of {most} objects would go within a day{before}", budget(most))
}

/// Networks, configs and secrets of ours whose stack is not declared any more: a file that lists
/// no stack, or a stack under another name, says nothing about what may be removed.
fn abandoned<'a>(input: &'a PlanInput<'_>) -> impl Iterator<Item = Waiting> + 'a {
    input.owned_objects.iter().filter_map(|(target, id)| {
        let live = input.observed.objects.get(target).filter(|live| live.id == *id)?;
        let stack = input.holdings.stack(target, live.stack());
        let is_declared = stack.is_some_and(|stack| input.desired.stacks.contains_key(stack));
        if is_declared || is_wanted(input, target) {
            return None;
        }
        let reason = match stack {
            Some(stack) => {
                format!(
                    "ours and no longer declared; it stays, because stack {stack} is not either"
                )
            }
            None => "ours, of no stack, and no longer declared; it stays".to_owned(),
        };
        Some(Waiting::on(target, "ORPHAN", reason))
    })
}

/// True when any stack declares it, or a version of it.
fn is_wanted(input: &PlanInput<'_>, target: &ServiceName) -> bool {
    declaring_stack(input.desired, target).is_some()
}

fn user_of<'a>(input: &PlanInput<'a>, target: &ServiceName) -> Option<&'a ServiceName> {
    let object = input.observed.objects.get(target)?;
    services_using(input.observed, object).next()
}

/// In the order in which it would go: services first, then what they used.
fn unwanted<'a>(input: &PlanInput<'a>) -> Vec<Unwanted<'a>> {
    let desired = input.desired;
    let mut found = Vec::new();
    for (name, id) in input.owned {
        let Some(live) = input.live(name).filter(|live| live.id == *id) else { continue };
        let spec = live.spec.value();
        let stack = spec.get("Labels").and_then(|own| own.get(labels::STACK_NAMESPACE)?.as_str());
        let stack = input.holdings.stack(name, stack);
        let Some(stack) = stack.and_then(|stack| desired.stacks.get(stack)) else { continue };
        if !desired.services.contains_key(name) {
            let (target, updated_at) = (name.clone(), live.updated_at);
            found.push(Unwanted { target, id, updated_at, stack });
        }
    }
    for (target, id) in input.owned_objects {
        let live = input.observed.objects.get(target).filter(|live| live.id == *id);
        let Some(live) = live else { continue };
        let stack = input.holdings.stack(target, live.stack());
        let Some(stack) = stack.and_then(|stack| desired.stacks.get(stack)) else { continue };
        if !is_wanted(input, target) {
            let (target, updated_at) = (target.clone(), live.updated_at);
            found.push(Unwanted { target, id, updated_at, stack });
        }
    }
    found
}

/// Versions of configs and secrets that are older than the two newest earlier ones.
fn old_versions<'a>(input: &PlanInput<'a>) -> Vec<Unwanted<'a>> {
    let mut found = Vec::new();
    for object in input.desired.objects.values() {
        let Some(stack) = input.desired.stacks.get(&object.stack) else { continue };
        let mut earlier = owned_versions(input, object);
        earlier.sort_by(|one, other| {
            (other.created_at, &other.name).cmp(&(one.created_at, &one.name))
        });
        for old in earlier.into_iter().skip(VERSIONS_KEPT) {
            let is_used = services_using(input.observed, old).next().is_some();
            if !is_used && !is_way_back(input.observed, old) {
                let (target, updated_at) = (old.target(), old.updated_at);
                found.push(Unwanted { target, id: &old.id, updated_at, stack });
            }
        }
    }
    found
}

fn step(
    input: &PlanInput<'_>,
    one: &Unwanted<'_>,
    class: DriftClass,
    reason: String,
    confirm: Option<String>,
) -> Step {
    let action = words(one.target.kind()).remove;
    let operation = Operation::Remove;
    let content = json!({
        "planner": PLANNER_VERSION,
        "key": ObjectKey::of(&input.observed.cluster, &one.target),
        "object": one.id,
        "action": action,
        "operation": operation,
    });
    let mut step = Step {
        id: StepId::new(""),
        action,
        target: one.target.clone(),
        object: Some(one.id.clone()),
        class,
        reason,
        wave: 1,
        risk: Risk::High,
        changes: Vec::new(),
        operation,
        blocked: None,
        notes: Vec::new(),
        confirm,
        source: one.stack.provenance.source,
        domain: one.stack.domain.clone(),
        provenance: Some(one.stack.provenance.clone()),
        observed_at: Some(one.updated_at),
        request: None,
        difference: Some(input.digester.digest(Purpose::Difference, &content)),
        digest: Digest::of_bytes(b""),
        group: GroupKey::default(),
        stack: None,
    };
    step.identify(input.digester, &content);
    step
}

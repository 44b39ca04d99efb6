//! What is ours and no longer wanted: which of it may go, and when a person has to look first.
//!
//! # Guarantees
//! - Nothing goes while any source is not ready.
//! - Nothing of a stack goes that does not say `prune: true`, or that is not declared at all, but
//!   for earlier versions of what it still declares: something newer has taken their place.
//! - Only what is on record under the very id that is there goes, and only while nobody uses it.
//! - Beyond [`budget`] objects a day a person confirms each of them; earlier versions do not
//!   count. Volumes are never touched.
//! - The two newest earlier versions of a config or secret stay, for the way back.

use serde_json::json;

use super::objects::{needed_by, owned_versions, words};
use super::{DriftClass, Operation, PLANNER_VERSION, PlanInput, Risk, Step, Waiting};
use crate::canonical::Digest;
use crate::desired::{DesiredStack, SourceState};
use crate::digester::Purpose;
use crate::identity::{GroupKey, ObjectKey, ObjectKind, ServiceName, StepId, SwarmId};
use crate::labels;

/// The most objects that go in a day without a person.
const MOST_A_DAY: usize = 3;

/// Earlier versions of a config or secret that stay.
const VERSIONS_KEPT: usize = 2;

/// How many objects may go in a day without a person, of so many that were on record at its
/// beginning: the smaller of three and a fifth. Zero for a small fleet.
#[must_use]
pub fn budget(recorded: usize) -> usize {
    (recorded / 5).min(MOST_A_DAY)
}

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
        steps.push(step(input, &version, reason.to_owned(), None));
    }
    let recorded = input.owned.len() + input.owned_objects.len() + input.pruned_today;
    let mut left = budget(recorded).saturating_sub(input.pruned_today);
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
        let reason = format!("ours, no longer declared, and stack {name} says prune: true");
        let confirm = (left == 0).then(|| {
            let most = budget(recorded);
            format!("more than {most} of {recorded} objects would go within a day")
        });
        left = left.saturating_sub(1);
        steps.push(step(input, &one, reason, confirm));
    }
    (steps, waiting)
}

fn user_of<'a>(input: &PlanInput<'a>, target: &ServiceName) -> Option<&'a ServiceName> {
    let object = input.observed.objects.get(target)?;
    needed_by(input.observed, object)
}

/// In the order in which it would go: services first, then what they used.
fn unwanted<'a>(input: &PlanInput<'a>) -> Vec<Unwanted<'a>> {
    let desired = input.desired;
    let mut found = Vec::new();
    for (name, id) in input.owned {
        let Some(live) = input.live(name).filter(|live| live.id == *id) else { continue };
        let spec = live.spec.value();
        let stack = spec.get("Labels").and_then(|own| own.get(labels::STACK_NAMESPACE)?.as_str());
        let Some(stack) = stack.and_then(|stack| desired.stacks.get(stack)) else { continue };
        if !desired.services.contains_key(name) {
            let (target, updated_at) = (name.clone(), live.updated_at);
            found.push(Unwanted { target, id, updated_at, stack });
        }
    }
    for (target, id) in input.owned_objects {
        let live = input.observed.objects.get(target).filter(|live| live.id == *id);
        let Some(live) = live else { continue };
        let Some(stack) = live.stack().and_then(|stack| desired.stacks.get(stack)) else {
            continue;
        };
        let is_wanted = desired.objects.values().any(|object| {
            object.kind == target.kind()
                && (object.name == target.bare()
                    || super::objects::version_of(&object.name, target.bare()).is_some())
        });
        if !is_wanted {
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
            if needed_by(input.observed, old).is_none() {
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
        class: DriftClass::Orphan,
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
    };
    step.identify(input.digester, &content);
    step
}

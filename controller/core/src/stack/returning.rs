//! The way back: all services of a stack that a rollout has changed return to their revisions
//! before, as one action. That action sends nothing; each member is carried out as an action of its
//! own, under the permission that the whole was given.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{StackMember, levels};
use crate::action::{Action, ActionKind, ActionState, Source};
use crate::canonical::Digest;
use crate::desired::DesiredStack;
use crate::identity::{GroupKey, ObjectKey, ObjectKind, ServiceName, StepId};
use crate::plan::{
    Blocked, Change, DriftClass, Operation, PLANNER_VERSION, PlanInput, Requested, Risk, Step,
    plan_request, pointer::escape,
};
use crate::request::RequestVerb;

/// The code of what waits for the way back of its stack.
pub const RETURNING: &str = "STACK_ROLLBACK";

/// What a service was before the rollout.
#[derive(Clone, PartialEq)]
pub struct Former {
    /// The number of the revision.
    pub revision: u32,
    /// Its spec, as it was sent then.
    pub spec: Value,
}

// Specs hold values of the environment.
impl std::fmt::Debug for Former {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Former({})", self.revision)
    }
}

/// The step that returns a stack. `former` holds the services that its rollout has changed, and
/// `declaration` is what it declares now; while it declares that, nothing of it is proposed again.
#[must_use]
pub fn plan_return(
    input: &PlanInput<'_>,
    stack: &DesiredStack,
    declaration: &Digest,
    former: &BTreeMap<ServiceName, Former>,
    verb: &RequestVerb,
) -> Requested {
    let levels = levels(input.desired, stack);
    let mut members = Vec::new();
    for (name, Former { revision, spec }) in former {
        let back = RequestVerb::Rollback { revision: *revision };
        match plan_request(input, name, &back, Some(spec)) {
            Requested::Step { mut step, .. } => {
                step.wave = levels.get(name).map_or(1, |level| level.saturating_add(1));
                step.reason = format!("the stack {} goes back: to revision {revision}", stack.name);
                // What keeps it from being proposed again is the declaration of the whole stack.
                step.difference = None;
                members.push(StackMember { revision: *revision, step: *step });
            }
            Requested::Nothing(_) => {}
            Requested::Refused(blocked) if blocked.code == "ROLLOUT_RUNNING" => {
                return Requested::Refused(blocked);
            }
            Requested::Refused(blocked) => {
                let message = format!("{name} cannot go back: {}", blocked.message);
                return Requested::Refused(Blocked { message, ..blocked });
            }
        }
    }
    if members.is_empty() {
        let what = "every service of the stack is as it was before the rollout";
        return Requested::Nothing(what.to_owned());
    }
    Requested::Step {
        step: Box::new(step(input, stack, declaration, members, verb)),
        secrets: None,
    }
}

fn step(
    input: &PlanInput<'_>,
    stack: &DesiredStack,
    declaration: &Digest,
    members: Vec<StackMember>,
    verb: &RequestVerb,
) -> Step {
    let is_automatic = matches!(verb, RequestVerb::RollbackStack { automatic: true });
    let list: Vec<String> = members
        .iter()
        .map(|member| format!("{} to revision {}", member.service(), member.revision))
        .collect();
    let why = if is_automatic { "its rollout failed" } else { "asked for by hand" };
    let operation = Operation::ReturnStack { declaration: declaration.clone(), members };
    let mut step = Step {
        id: StepId::new(""),
        action: ActionKind::RedeployStack,
        target: ServiceName::object(ObjectKind::Stack, &stack.name),
        object: None,
        class: DriftClass::Requested,
        reason: format!("{why}; back as one: {}", list.join(", ")),
        wave: 1,
        risk: Risk::High,
        changes: changes(&operation),
        operation,
        blocked: None,
        notes: Vec::new(),
        confirm: None,
        source: if is_automatic { Source::DeployWatch } else { Source::Manual },
        domain: stack.domain.clone(),
        provenance: Some(stack.provenance.clone()),
        observed_at: None,
        request: Some(verb.clone()),
        difference: None,
        digest: Digest::of_bytes(b""),
        group: GroupKey::default(),
        stack: None,
    };
    let content = content(input, &step);
    step.identify(input.digester, &content);
    step
}

/// The changes of all members, each under the name of its service.
fn changes(operation: &Operation) -> Vec<Change> {
    let Operation::ReturnStack { members, .. } = operation else { return Vec::new() };
    let of = |member: &StackMember| -> Vec<Change> {
        let name = escape(member.service().as_str());
        let named =
            |change: &Change| Change { path: format!("/{name}{}", change.path), ..change.clone() };
        member.step.changes.iter().map(named).collect()
    };
    members.iter().flat_map(of).collect()
}

/// What an approval holds for: exactly these services and revisions, and what each step changes from
/// what, which its digest covers.
fn content(input: &PlanInput<'_>, step: &Step) -> Value {
    let (declaration, members) = match &step.operation {
        Operation::ReturnStack { declaration, members } => (Some(declaration), members.as_slice()),
        _ => (None, [].as_slice()),
    };
    let members: Vec<Value> = members
        .iter()
        .map(|member| {
            json!([member.service(), member.revision, member.step.digest, member.step.wave])
        })
        .collect();
    json!({
        "planner": PLANNER_VERSION,
        "key": ObjectKey::of(&input.observed.cluster, &step.target),
        "action": step.action,
        "request": step.request,
        "declaration": declaration,
        "members": members,
    })
}

fn members_of(whole: &Action) -> &[StackMember] {
    match &whole.step.operation {
        Operation::ReturnStack { members, .. } => members,
        _ => &[],
    }
}

/// Why the permission of the whole does not cover a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCovered {
    /// The whole may not run, or no longer.
    #[error("the action about the whole stack is {0}, not granted")]
    NotGranted(ActionState),
    /// It is in another mode, or about another swarm.
    #[error("the action about the whole stack is for another swarm or actuator")]
    Elsewhere,
    /// The service is none of its members, or the step is not the one that was shown.
    #[error("it is not what was shown as a part of the whole")]
    NotShown,
}

/// Whether the permission of the whole covers a step of one of its members.
///
/// # Errors
/// Why not.
pub fn covers(
    whole: &Action,
    key: &ObjectKey,
    step: &Step,
    action: &Action,
) -> Result<(), NotCovered> {
    if whole.state != ActionState::Granted {
        return Err(NotCovered::NotGranted(whole.state));
    }
    if whole.mode != action.mode
        || whole.key.cluster != key.cluster
        || whole.key.tenant != key.tenant
    {
        return Err(NotCovered::Elsewhere);
    }
    let is_shown = |member: &StackMember| {
        member.service() == &step.target
            && key.name == step.target.as_str()
            && member.step.digest == step.digest
    };
    if members_of(whole).iter().any(is_shown) { Ok(()) } else { Err(NotCovered::NotShown) }
}

/// How far the whole has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress<'a> {
    /// These have no action yet.
    Unfiled(Vec<&'a StackMember>),
    /// Not all have ended; the sentence says which are waited for.
    Running(String),
    /// All have succeeded.
    Done(String),
    /// Not all have succeeded, and what was left has ended.
    Failed(String),
    /// One has not succeeded: these have not started, and do not any more.
    Stop {
        /// Which, and what became of it.
        why: String,
        /// What has not started.
        waiting: Vec<&'a Action>,
    },
}

/// How far the whole has come, given the actions about its members. Those that are not its own say
/// nothing.
#[must_use]
pub fn progress<'a>(whole: &'a Action, actions: &'a [Action]) -> Progress<'a> {
    let members = members_of(whole);
    let own: BTreeMap<&str, &Action> = actions
        .iter()
        .filter(|action| is_member(action, whole))
        .map(|action| (action.key.name.as_str(), action))
        .collect();
    let unfiled: Vec<&StackMember> =
        members.iter().filter(|member| !own.contains_key(member.service().as_str())).collect();
    let lost: Vec<String> = own
        .values()
        .filter(|action| !action.state.is_open() && action.state != ActionState::Succeeded)
        .map(|action| format!("{}: {} ({})", action.key.name, action.state, action.detail))
        .collect();
    if !lost.is_empty() {
        let waiting: Vec<&Action> =
            own.values().copied().filter(|action| action.state == ActionState::Granted).collect();
        if !waiting.is_empty() {
            return Progress::Stop { why: lost.join("; "), waiting };
        }
    }
    let open: Vec<&str> = own
        .values()
        .filter(|action| action.state.is_open())
        .map(|one| one.key.name.as_str())
        .collect();
    let done = own.values().filter(|action| action.state == ActionState::Succeeded).count();
    let count = format!("{done} of {} services went back", members.len());
    if !open.is_empty() && (unfiled.is_empty() || !lost.is_empty()) {
        return Progress::Running(format!("{count}; waits for {}", open.join(", ")));
    }
    if !lost.is_empty() {
        return Progress::Failed(format!("{count}; not {}", lost.join("; ")));
    }
    if !unfiled.is_empty() {
        return Progress::Unfiled(unfiled);
    }
    Progress::Done(count)
}

fn is_member(action: &Action, whole: &Action) -> bool {
    let of = action.step.stack.as_ref().and_then(|of| of.member_of.as_ref());
    of == Some(&whole.id)
}

/// Why a member has to wait: those that were started after it go back before it. `actions` as for
/// [`progress`].
#[must_use]
pub fn waits_its_turn(whole: &Action, member: &Action, actions: &[Action]) -> Option<String> {
    let succeeded: BTreeSet<&str> = actions
        .iter()
        .filter(|action| is_member(action, whole) && action.state == ActionState::Succeeded)
        .map(|action| action.key.name.as_str())
        .collect();
    let later = members_of(whole).iter().find(|other| {
        other.step.wave > member.step.wave && !succeeded.contains(other.service().as_str())
    })?;
    Some(format!("waits for {}, which goes back first", later.service()))
}

/// Why nothing of a stack is proposed: it has returned, or is about to, and declares what it
/// declared then. `whole` is the newest action about the stack; a person may try a service again.
#[must_use]
pub fn held_by(
    whole: &Action,
    declaration: &Digest,
    service: &ServiceName,
    retried_at: Option<Timestamp>,
) -> Option<String> {
    let Operation::ReturnStack { declaration: then, .. } = &whole.step.operation else {
        return None;
    };
    let has_returned = matches!(
        whole.state,
        ActionState::Granted
            | ActionState::Executing
            | ActionState::Succeeded
            | ActionState::Failed
    );
    let is_retried = retried_at.is_some_and(|at| at >= whole.created_at);
    (has_returned && then == declaration && !is_retried).then(|| {
        format!(
            "the stack went back to before this declaration (action {}, {}); it is proposed again \
             when the stack declares something else, or with: skep service retry {service}",
            whole.id, whole.state
        )
    })
}

#[cfg(test)]
mod tests;

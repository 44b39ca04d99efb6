//! From a verdict to what the store keeps: a granted action, or a pending one with a request.

use jiff::Timestamp;

use super::{Approval, ApprovalStatus, Clocks, binding};
use crate::action::{Action, ActionState, ActuatorMode};
use crate::gate::{Cause, Decision, Verdict};
use crate::identity::{ActionId, ApprovalId, ObjectKey, PlanId};
use crate::plan::Step;
use crate::stack::NotCovered;

/// One step that is to become an action.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    /// The id of the new action.
    pub id: &'a ActionId,
    /// The object.
    pub key: &'a ObjectKey,
    /// The plan that the step is from.
    pub plan: &'a PlanId,
    /// The step.
    pub step: &'a Step,
    /// The gate's verdict about this very step and mode.
    pub verdict: &'a Verdict,
    /// How it would be carried out.
    pub mode: ActuatorMode,
    /// The authenticated or claimed name behind the step's source.
    pub actor: &'a str,
    /// The current time.
    pub now: Timestamp,
}

/// Why a step does not become an action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotProposable {
    /// The verdict asks for something else.
    #[error("{target} cannot be proposed that way: the policy says {decision} ({reason})")]
    Verdict {
        /// The target.
        target: String,
        /// What the gate said.
        decision: Decision,
        /// The gate's reason.
        reason: String,
    },
    /// The verdict is about another step, object or actuator mode.
    #[error("the verdict given for {target} was made about something else; decide again")]
    Mismatch {
        /// The target.
        target: String,
    },
    /// It would be a member of an action about many that does not cover it.
    #[error("{target} is no part of what was permitted: {why}")]
    NotCovered {
        /// The target.
        target: String,
        /// Why not.
        why: NotCovered,
    },
    /// The step cannot be carried out as things stand.
    #[error("{target} is blocked: {message} ({code})")]
    Blocked {
        /// The target.
        target: String,
        /// The stable code.
        code: String,
        /// What is in the way.
        message: String,
    },
}

/// A granted action, for a step that the rules allow to run by itself.
///
/// # Errors
/// When the verdict does not allow the step.
pub fn granted(proposal: &Proposal<'_>, clocks: &Clocks) -> Result<Action, NotProposable> {
    check(proposal, Decision::is_allowed)?;
    let mut action = action(proposal, ActionState::Granted);
    action.granted_at = Some(proposal.now);
    action.start_by = Some(clocks.start_by(proposal.now, false));
    Ok(action)
}

/// A pending action and the request for a person's decision about it.
///
/// # Errors
/// When the verdict does not queue the step.
pub fn request(
    proposal: &Proposal<'_>,
    id: ApprovalId,
    clocks: &Clocks,
) -> Result<(Action, Approval), NotProposable> {
    check(proposal, |decision| decision == Decision::QueueApproval)?;
    let mut action = action(proposal, ActionState::Pending);
    action.approval = Some(id.clone());
    let approval = Approval {
        id,
        action: action.id.clone(),
        kind: action.kind,
        target: proposal.step.target.clone(),
        plan: action.plan.clone(),
        binding: action.binding.clone(),
        status: ApprovalStatus::Pending,
        revision: 0,
        created_at: proposal.now,
        expires_at: clocks.expires_at(proposal.now),
        decided_at: None,
        decided_by: None,
        decided_source: None,
        batch: None,
        comment: None,
    };
    Ok((action, approval))
}

pub(super) fn check(
    proposal: &Proposal<'_>,
    fits: impl Fn(Decision) -> bool,
) -> Result<(), NotProposable> {
    let Proposal { step, verdict, key, mode, .. } = *proposal;
    let target = step.target.as_str().to_owned();
    if let Some(blocked) = &step.blocked {
        return Err(NotProposable::Blocked {
            target,
            code: blocked.code.clone(),
            message: blocked.message.clone(),
        });
    }
    if !verdict.is_about(&step.digest, mode) || key.name != target {
        return Err(NotProposable::Mismatch { target });
    }
    if !fits(verdict.decision()) {
        return Err(NotProposable::Verdict {
            target,
            decision: verdict.decision(),
            reason: verdict.reason().to_owned(),
        });
    }
    Ok(())
}

pub(super) fn action(proposal: &Proposal<'_>, state: ActionState) -> Action {
    let Proposal { id, key, plan, step, verdict, mode, actor, now } = *proposal;
    Action {
        id: id.clone(),
        key: key.clone(),
        kind: step.action,
        plan: plan.clone(),
        step: step.clone(),
        binding: binding(step, verdict.rule(), mode),
        source: step.source,
        actor: actor.to_owned(),
        reason: reason(step, verdict),
        mode,
        rule: verdict.rule().to_string(),
        state,
        revision: 0,
        approval: None,
        detail: String::new(),
        created_at: now,
        updated_at: now,
        granted_at: None,
        start_by: None,
        wait: None,
        runnable_since: None,
        moved: None,
    }
}

/// Why the step is needed, and why a person is asked when the tier alone would not.
fn reason(step: &Step, verdict: &Verdict) -> String {
    let is_asked = verdict.decision() == Decision::QueueApproval;
    let reason = if is_asked && verdict.cause() != Cause::ApprovalRequired {
        format!("{}; a person is asked: {}", step.reason, verdict.reason())
    } else if let Some(confirm) = &step.confirm {
        format!("{}; look closely: {confirm}", step.reason)
    } else {
        step.reason.clone()
    };
    verdict.warnings().fold(reason, |reason, warning| format!("{reason}; warning: {warning}"))
}

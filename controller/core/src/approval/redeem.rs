//! From a permission to the right to act: what was approved is what runs, or nothing does.

use jiff::Timestamp;

use super::clocks::window_to_wait_for;
use super::{FROM_BEFORE_KEYS, binding, deadline, is_keyless};
use crate::action::{Action, ActionEvent, ActionState, ActuatorMode};
use crate::gate::{Authorised, Cause, Decision, Verdict, is_open};
use crate::plan::Step;

/// Why a permission cannot be used. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedeemError {
    /// The action is not in a state in which it may start.
    #[error("the action is {state}, not granted; see it with: skep actions show")]
    NotGranted {
        /// Its state.
        state: ActionState,
    },
    /// Something that the permission was bound to has moved.
    #[error("superseded: {moved}; look at the new plan and decide again: skep plan")]
    Superseded {
        /// What moved.
        moved: String,
    },
    /// It was not started in time.
    #[error("expired: it had to start by {deadline}; the next plan asks again")]
    Expired {
        /// The last moment.
        deadline: Timestamp,
    },
    /// The policy refuses it now, for example by an edited rule.
    #[error("the policy refuses it now: {reason}; change the policy, then plan again")]
    Refused {
        /// The gate's reason.
        reason: String,
    },
    /// A freeze covers it; the permission holds as long as its time runs.
    #[error("it is {reason}")]
    Frozen {
        /// Who froze it, until when, and why.
        reason: String,
    },
    /// The gate cannot see enough to decide; the permission holds until it can.
    #[error("the policy cannot be evaluated now: {reason}; it is tried again")]
    Undecidable {
        /// What could not be read.
        reason: String,
    },
    /// The maintenance window is closed; the permission holds until it opens.
    #[error("it waits for its maintenance window, {window}; nothing to do until then")]
    OutsideWindow {
        /// The window.
        window: String,
    },
}

impl RedeemError {
    /// The stable code for scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotGranted { .. } => "NOT_GRANTED",
            Self::Superseded { .. } => "SUPERSEDED",
            Self::Expired { .. } => "EXPIRED",
            Self::Refused { .. } => "DENIED_BY_POLICY",
            Self::Frozen { .. } => "FROZEN",
            Self::Undecidable { .. } => "POLICY_UNDECIDABLE",
            Self::OutsideWindow { .. } => "OUTSIDE_WINDOW",
        }
    }

    /// What becomes of the stored action; `None` when it stays as it is.
    #[must_use]
    pub fn event(&self) -> Option<ActionEvent> {
        match self {
            Self::NotGranted { .. }
            | Self::Frozen { .. }
            | Self::Undecidable { .. }
            | Self::OutsideWindow { .. } => None,
            Self::Superseded { .. } => Some(ActionEvent::Supersede),
            Self::Expired { .. } => Some(ActionEvent::Expire),
            Self::Refused { .. } => Some(ActionEvent::Deny),
        }
    }
}

/// Turns a stored permission into the right to carry out `fresh` once, now.
///
/// `fresh` is the step as it was just planned again for the action's object, `verdict` the gate's
/// answer about it, asked now with [`crate::gate::Request::again_for`]. What runs is `fresh`, never
/// what the store held.
///
/// # Errors
/// See [`RedeemError`]; [`RedeemError::event`] says what becomes of the action.
pub fn redeem(
    action: &Action,
    fresh: &Step,
    verdict: &Verdict,
    mode: ActuatorMode,
    now: Timestamp,
) -> Result<Authorised<Step>, RedeemError> {
    redeem_as(action, fresh, verdict, mode, now, action.approval.is_none())
}

/// The same; `needs_allowance` when no person has decided, so that the rules must allow it now.
pub(super) fn redeem_as(
    action: &Action,
    fresh: &Step,
    verdict: &Verdict,
    mode: ActuatorMode,
    now: Timestamp,
    needs_allowance: bool,
) -> Result<Authorised<Step>, RedeemError> {
    if action.state != ActionState::Granted {
        return Err(RedeemError::NotGranted { state: action.state });
    }
    // A granted action without a deadline was damaged; its time is over.
    let deadline = deadline(action, verdict, now).unwrap_or(action.updated_at);
    if now > deadline {
        return Err(RedeemError::Expired { deadline });
    }
    if !verdict.is_about(&fresh.digest, mode) {
        return Err(superseded("the policy was asked about something else"));
    }
    let refused = verdict.decision() == Decision::Deny;
    if verdict.cause().is_blindness() && (refused || needs_allowance) {
        return Err(RedeemError::Undecidable { reason: verdict.reason().to_owned() });
    }
    // What a person allowed is not lost to a freeze: it waits, while its own time runs.
    if verdict.cause() == Cause::Frozen {
        return Err(RedeemError::Frozen { reason: verdict.reason().to_owned() });
    }
    if refused {
        return Err(RedeemError::Refused { reason: verdict.reason().to_owned() });
    }
    if let Some(moved) = moved(action, fresh, verdict, mode) {
        return Err(RedeemError::Superseded { moved });
    }
    if let Some(window) = window_to_wait_for(action, verdict)
        && !is_open(window, now)
    {
        return Err(RedeemError::OutsideWindow { window: window.described() });
    }
    if needs_allowance && !verdict.decision().is_allowed() {
        return Err(match (verdict.cause(), verdict.window()) {
            (Cause::OutsideWindow, Some(window)) => {
                RedeemError::OutsideWindow { window: window.described() }
            }
            _ => superseded(&format!("the policy asks for a person now: {}", verdict.reason())),
        });
    }
    Ok(Authorised::mint(fresh.clone()))
}

/// What is no longer as it was when the permission was given.
fn moved(action: &Action, fresh: &Step, verdict: &Verdict, mode: ActuatorMode) -> Option<String> {
    let granted = &action.step;
    // First: whatever else has moved, this is what a person has to know.
    if is_keyless(&action.binding) {
        return Some(FROM_BEFORE_KEYS.to_owned());
    }
    if action.mode != mode {
        return Some(format!(
            "it was granted for the actuator `{}` and the actuator is `{mode}` now",
            action.mode
        ));
    }
    if (action.kind, action.key.name.as_str()) != (fresh.action, fresh.target.as_str()) {
        return Some(format!(
            "it was granted for {} {} and the plan says {} {} now",
            action.kind, action.key.name, fresh.action, fresh.target
        ));
    }
    if granted.object != fresh.object {
        return Some(format!("{} is another service object now", fresh.target));
    }
    if granted.digest != fresh.digest {
        return Some(format!(
            "what {} needs has changed since: the declaration or the live service moved",
            fresh.target
        ));
    }
    if let Some(blocked) = &fresh.blocked {
        return Some(format!("it is blocked now ({}): {}", blocked.code, blocked.message));
    }
    // Who confirmed nothing has not seen the reason to.
    if let (Some(confirm), None) = (&fresh.confirm, &granted.confirm) {
        return Some(format!("it needs a confirmation that nobody was asked for: {confirm}"));
    }
    let rule = verdict.rule().to_string();
    if action.rule != rule {
        return Some(format!(
            "the policy moved: it was decided by {} and {rule} applies now",
            action.rule
        ));
    }
    (action.binding != binding(fresh, verdict.rule(), mode))
        .then(|| "what the permission was bound to is not what is planned now".to_owned())
}

fn superseded(moved: &str) -> RedeemError {
    RedeemError::Superseded { moved: moved.to_owned() }
}

//! A member of an action about many: it is carried out under the permission that the whole was
//! given, and under nothing else.

use jiff::Timestamp;

use super::propose::{action, check};
use super::redeem::redeem_as;
use super::{Clocks, NotProposable, Proposal, RedeemError};
use crate::action::{Action, ActionState, ActuatorMode};
use crate::gate::{Authorised, Decision, Verdict};
use crate::plan::Step;
use crate::stack::covers;

/// A granted action for a member of `whole`. What the policy refuses to the member itself is
/// refused; what it would ask a person about was asked with the whole.
///
/// # Errors
/// When the policy refuses it, or the whole does not cover it.
pub fn member(
    proposal: &Proposal<'_>,
    whole: &Action,
    clocks: &Clocks,
) -> Result<Action, NotProposable> {
    check(proposal, |decision| decision != Decision::Deny)?;
    let mut action = action(proposal, ActionState::Granted);
    covers(whole, proposal.key, proposal.step, &action).map_err(|why| {
        let target = proposal.step.target.as_str().to_owned();
        NotProposable::NotCovered { target, why }
    })?;
    action.granted_at = Some(proposal.now);
    action.start_by = Some(clocks.start_by(proposal.now, true));
    Ok(action)
}

/// [`super::redeem`] for a member: what permits it is the whole, which must still be granted and
/// must have shown exactly this step.
///
/// # Errors
/// See [`RedeemError`].
pub fn redeem_member(
    action: &Action,
    whole: &Action,
    fresh: &Step,
    verdict: &Verdict,
    mode: ActuatorMode,
    now: Timestamp,
) -> Result<Authorised<Step>, RedeemError> {
    covers(whole, &action.key, fresh, action)
        .map_err(|why| RedeemError::Superseded { moved: why.to_string() })?;
    redeem_as(action, fresh, verdict, mode, now, false)
}

//! What the newest action of a service says about a step of a new plan: keep it, end it, do not ask
//! again, or file the step.

use jiff::{SignedDuration, Timestamp};
use skep_core::action::{Action, ActionState};
use skep_core::approval::{FROM_BEFORE_KEYS, is_keyless};
use skep_core::canonical::Digest;
use skep_core::hold::{Hold, HoldKind};
use skep_core::plan::{Operation, Step, Waiting};
use skep_core::rollout::tries_again;
use skep_store::ActionFilter;

use super::world::World;
use crate::Error;
use crate::controller::Context;

/// The answer.
pub(super) enum Standing {
    /// It is about the same thing and still open.
    Keep,
    /// It was about the same thing, has ended, and is not to be asked again.
    Settled(Waiting),
    /// It is about something else: supersede it, then file the step.
    Supersede(&'static str),
    /// It says nothing about the step.
    New,
}

/// What the newest action of a service says about a step that the policy binds to `bound`.
/// `retried_at` is when a person last asked to try again: what ended before says nothing more.
pub(super) fn standing(
    last: &Action,
    step: &Step,
    world: &World,
    bound: &Digest,
    retried_at: Option<Timestamp>,
) -> Standing {
    if is_forgotten(last, retried_at) {
        return Standing::New;
    }
    let same = last.binding == *bound;
    // An answer holds for what was asked about: when the service has changed since, the same
    // difference is another incident.
    let same_incident = same && last.step.observed_at == step.observed_at;
    let settled = |code: &str, reason: String| {
        Standing::Settled(Waiting {
            target: Some(last.step.target.clone()),
            code: code.to_owned(),
            reason,
        })
    };
    match last.state {
        ActionState::Executing | ActionState::RollingOut => Standing::Keep,
        ActionState::Pending | ActionState::Granted if is_keyless(&last.binding) => {
            Standing::Supersede(FROM_BEFORE_KEYS)
        }
        ActionState::Pending if same => Standing::Keep,
        // Whether it waited too long is found out when it can start: its time runs from there.
        ActionState::Granted if same => Standing::Keep,
        ActionState::Pending | ActionState::Granted => {
            Standing::Supersede("the plan, the policy or the actuator changed")
        }
        ActionState::Rehearsed if same_incident => settled(
            "REHEARSED",
            format!("rehearsed as action {}; the actuator is a dry run", last.id),
        ),
        ActionState::Denied if same_incident => settled(
            "DENIED",
            format!("denied as action {}; it is asked again when something changes", last.id),
        ),
        ActionState::Failed => match degraded(last, step, world) {
            Some(waiting) => Standing::Settled(waiting),
            None => Standing::New,
        },
        // The change was made and Swarm took it back: once more would end the same way.
        ActionState::Succeeded if same && was_undone(step, world) => settled(
            "DEGRADED",
            format!("Swarm undid action {}; a change or a person starts it again", last.id),
        ),
        ActionState::Rehearsed
        | ActionState::Denied
        | ActionState::Succeeded
        | ActionState::Superseded
        | ActionState::Expired => Standing::New,
    }
}

/// Why a step is not asked again when the newest action of its service has failed at the same.
/// Swarm's own rollback moves the service, so only what differs counts, not when it last changed.
pub(crate) fn degraded(last: &Action, step: &Step, world: &World) -> Option<Waiting> {
    let holds =
        last.state == ActionState::Failed && tries_again(last, step, world.live(&step.target));
    holds.then(|| Waiting {
        target: Some(step.target.clone()),
        code: "DEGRADED".to_owned(),
        reason: format!(
            "action {} failed ({}); a change or a person starts it again: skep service retry {}",
            last.id, last.detail, step.target
        ),
    })
}

/// Whether a hold keeps a step from being proposed.
pub(super) fn held(
    hold: &Hold,
    last: Option<&Action>,
    step: &Step,
    now: Timestamp,
) -> Option<Waiting> {
    if !hold.keeps(step.difference.as_ref(), now) {
        return None;
    }
    let (code, reason) = match hold.kind {
        HoldKind::Accepted => {
            let until = hold.until.map(|until| format!(" until {until}")).unwrap_or_default();
            ("ACCEPTED_DRIFT", format!("accepted by {}{until}: {}", hold.actor, hold.reason))
        }
        HoldKind::Manual => {
            let action = last.filter(|last| last.step.request.is_some());
            let what = action.map_or(hold.reason.as_str(), |action| action.step.reason.as_str());
            (
                "HELD",
                format!(
                    "changed by {}: {what}; it is proposed again when the declaration changes, or \
                     with: skep service retry {}",
                    hold.actor, step.target
                ),
            )
        }
        HoldKind::Retry => return None,
    };
    Some(Waiting { target: Some(step.target.clone()), code: code.to_owned(), reason })
}

/// When a person asked to try again.
pub(crate) fn retried_at(hold: Option<&Hold>) -> Option<Timestamp> {
    hold.filter(|hold| hold.kind == HoldKind::Retry).map(|hold| hold.placed_at)
}

/// What a person released is not adopted again by itself.
pub(super) fn released(last: &Action, step: &Step, hold: Option<&Hold>) -> Option<Waiting> {
    let is_retried = retried_at(hold).is_some_and(|at| at >= last.updated_at);
    let is_released =
        last.kind.is_release() && last.state == ActionState::Succeeded && step.action.is_adoption();
    let verb = if step.action.is_about_a_service() { "service" } else { "object" };
    (is_released && !is_retried).then(|| Waiting {
        target: Some(step.target.clone()),
        code: "RELEASED".to_owned(),
        reason: format!(
            "released by {}; take it over again with: skep {verb} adopt {}",
            last.actor, step.target
        ),
    })
}

/// How many actions back the last planned one is looked for.
const LOOK_BACK: u32 = 20;

/// The newest action of the same service that the plan called for.
pub(crate) async fn last_planned(
    context: &Context,
    last: &Action,
) -> Result<Option<Action>, Error> {
    let filter =
        ActionFilter { keys: vec![last.key.clone()], limit: LOOK_BACK, ..ActionFilter::default() };
    let actions = context.store.actions(&filter).await?;
    Ok(actions.into_iter().find(|action| action.step.request.is_none()))
}

/// True when a person asked to try again after the action had ended.
pub(crate) fn is_forgotten(action: &Action, retried_at: Option<Timestamp>) -> bool {
    !action.state.is_open() && retried_at.is_some_and(|at| at >= action.updated_at)
}

/// The same difference after this many successes in a row is not drift.
const COMES_BACK: usize = 3;
/// Successes that lie further back do not count.
const COMES_BACK_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// A difference that is there again right after each write: the engine does not keep a field as it
/// is written, or another writer puts it back. Writing once more would go on for ever. The same
/// goes for a service that is down again after each restart.
pub(super) async fn comes_back(
    context: &Context,
    last: &Action,
    step: &Step,
    world: &World,
    retried_at: Option<Timestamp>,
) -> Result<Option<Waiting>, Error> {
    let live = world.live(&step.target);
    let is_restart = step.operation == Operation::Restart;
    let repeats = |action: &Action| {
        let is_recent = world.now.duration_since(action.updated_at) < COMES_BACK_WITHIN;
        action.state == ActionState::Succeeded
            && tries_again(action, step, live)
            && !is_forgotten(action, retried_at)
            && (is_restart || is_recent)
    };
    if !repeats(last) {
        return Ok(None);
    }
    let limit = u32::try_from(COMES_BACK).unwrap_or(u32::MAX);
    let filter = ActionFilter { keys: vec![last.key.clone()], limit, ..ActionFilter::default() };
    let latest = context.store.actions(&filter).await?;
    if latest.len() < COMES_BACK || !latest.iter().all(repeats) {
        return Ok(None);
    }
    let (code, reason) = if is_restart {
        let error = live.and_then(|live| live.tasks.last_error()).unwrap_or("no reason given");
        let reason = format!(
            "it was down again after {COMES_BACK} restarts ({error}); a change or a person starts \
             it again"
        );
        ("DEGRADED", reason)
    } else {
        let reason = format!(
            "the same difference was there again after {COMES_BACK} successful changes: another \
             writer undoes them, or the engine does not keep what is written; tell Skep to leave \
             the field alone with ignore:"
        );
        ("COMES_BACK", reason)
    };
    Ok(Some(Waiting { target: Some(step.target.clone()), code: code.to_owned(), reason }))
}

/// True when Swarm's last rollout of the service was rolled back or stopped half-way.
fn was_undone(step: &Step, world: &World) -> bool {
    let update = world.live(&step.target).and_then(|live| live.update.as_ref());
    update.is_some_and(|update| update.is_rollback() || update.is_paused())
}

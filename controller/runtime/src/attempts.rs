//! What follows from an attempt that failed: the table is in `skep_core::retry`, the count in the
//! store.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use skep_core::action::Action;
use skep_core::letter::LetterReason;
use skep_core::retry::{self, Failure, Next};
use skep_store::{Attempts, Failed, FailedAttempt, Intent};

use crate::Error;
use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::act::Attempt;

/// How many attempts of an action have failed so far.
async fn failed_so_far(context: &Context, action: &Action) -> Result<u32, Error> {
    let earlier = context.store.attempts(&action.id).await?;
    Ok(earlier.map_or(0, |earlier| earlier.failed))
}

/// What the letter of an action says whose present attempt ends it.
pub(crate) async fn failed(
    context: &Context,
    action: &Action,
    reason: LetterReason,
) -> Result<Option<Failed>, Error> {
    let attempts = failed_so_far(context, action).await?.saturating_add(1);
    Ok(letter(context, action, reason, attempts))
}

/// What the letter of an action says that has failed after so many attempts. Containment leaves
/// none: it goes on by itself, with an action for each attempt.
pub(crate) fn letter(
    context: &Context,
    action: &Action,
    reason: LetterReason,
    attempts: u32,
) -> Option<Failed> {
    let host = context.options.host.clone();
    (!action.is_containment()).then_some(Failed { reason, attempts, host })
}

/// What follows from a failure of the present attempt, with the number of that attempt.
pub(crate) async fn follows(
    context: &Context,
    action: &Action,
    failure: Failure,
) -> Result<(u32, Next), Error> {
    let attempt = failed_so_far(context, action).await?.saturating_add(1);
    Ok((attempt, next(context, action, failure, attempt)))
}

/// What follows when so many attempts have failed.
pub(crate) fn next(context: &Context, action: &Action, failure: Failure, failed: u32) -> Next {
    let overdue = is_overdue(context, action, context.clock.now());
    retry::after(&action.step, failure, failed, overdue, context.options.pace)
}

/// When the time is over that an action may spend in its present state.
pub(crate) fn due(context: &Context, action: &Action) -> Timestamp {
    let timeout =
        SignedDuration::try_from(context.options.action_timeout).unwrap_or(SignedDuration::MAX);
    action.updated_at.checked_add(timeout).unwrap_or(Timestamp::MAX)
}

/// True when an action that is executing or rolling out has been at it for too long.
pub(crate) fn is_overdue(context: &Context, action: &Action, now: Timestamp) -> bool {
    due(context, action) <= now
}

/// Counts the engine's error as an attempt of an intent that stays open.
pub(crate) async fn note(
    context: &Context,
    leadership: &Leadership,
    intent: &Intent,
    wait: SignedDuration,
    detail: &str,
) -> Result<Attempts, Error> {
    let now = context.clock.now();
    let attempt = counted(Failure::EngineError, now, wait);
    let fence = leadership.fence();
    let noted = context.store.note_attempt(fence, &intent.id, &attempt, detail, now).await?;
    context.metrics.count_failed_attempt(Failure::EngineError.as_str());
    tracing::warn!(
        action.id = %intent.action,
        attempts.failed = noted.failed,
        detail,
        "act.attempt_failed"
    );
    Ok(noted)
}

/// An attempt that failed now, after which the next one waits.
pub(crate) fn counted(failure: Failure, now: Timestamp, wait: SignedDuration) -> FailedAttempt {
    let not_before = now.checked_add(wait).unwrap_or(Timestamp::MAX);
    FailedAttempt { failure, not_before }
}

/// How long it still takes until no copy of a request that this process has seen can take effect
/// any more; `None` when that time has come.
pub(crate) fn still_unsure(context: &Context, intent: &Intent) -> Option<Duration> {
    let waited = context.asking_since(&intent.id).elapsed();
    context.options.conclude_after.checked_sub(waited).filter(|left| !left.is_zero())
}

/// Nothing is sent any more, and nothing is concluded yet.
pub(crate) fn making_sure(left: Duration, detail: &str) -> Attempt {
    Attempt::After(
        left,
        format!("no more attempts; it is made sure that none arrives late: {detail}"),
    )
}

/// A wait of the runtime's timers.
pub(crate) fn wait(wait: SignedDuration) -> Duration {
    Duration::try_from(wait).unwrap_or_default()
}

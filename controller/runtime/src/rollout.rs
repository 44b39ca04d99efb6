//! Rollouts: what the engine has accepted is followed until Swarm has ended it, or until its time
//! is over. Nobody waits for one: each pass looks at those that run, whoever began them.

use jiff::Timestamp;
use skep_core::action::{Action, ActionEvent, ActionState};
use skep_core::identity::{ActionId, ServiceName};
use skep_core::letter::LetterReason;
use skep_core::observed::Snapshot;
use skep_core::rollout::{Verdict, judge, overdue};
use skep_store::{ActionFilter, Closing};

use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::act::read_by_name;
use crate::{Error, attempts};

/// What a look at the rollouts found.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// Actions whose rollout has ended, with their last state and its reason.
    pub(crate) ended: Vec<(Action, &'static str, String)>,
    /// Those that still run.
    pub(crate) running: Vec<ActionId>,
    /// How many actions have an unknown outcome for longer than an action may take. They are
    /// settled, however long that takes.
    pub(crate) overdue: usize,
    /// When the same picture would say more.
    pub(crate) look_again: Option<Timestamp>,
}

/// What is to be done about one rollout.
enum End {
    /// Nothing yet.
    Running { until: Option<Timestamp> },
    /// It stands.
    Succeeded(String),
    /// It does not stand.
    Failed(LetterReason, String),
}

/// Looks at each rollout of this swarm and ends the actions whose rollout is over.
pub(crate) async fn follow(
    context: &Context,
    leadership: &Leadership,
    snapshot: &Snapshot,
) -> Result<Followed, Error> {
    let states = vec![ActionState::Executing, ActionState::RollingOut];
    let open = context.store.actions(&ActionFilter { states, ..ActionFilter::default() }).await?;
    let mut followed = Followed::default();
    for action in open.into_iter().filter(|action| action.key.cluster == snapshot.cluster) {
        if action.state == ActionState::Executing {
            let is_overdue = attempts::is_overdue(context, &action, context.clock.now());
            followed.overdue += usize::from(is_overdue);
            continue;
        }
        match end(context, &action, snapshot).await {
            End::Running { until } => {
                let moments = [followed.look_again, until, Some(attempts::due(context, &action))];
                followed.look_again = moments.into_iter().flatten().min();
                followed.running.push(action.id);
            }
            End::Succeeded(detail) => {
                succeed(context, leadership, action, detail, &mut followed).await?;
            }
            End::Failed(reason, detail) => {
                fail(context, leadership, action, reason, detail, &mut followed).await?;
            }
        }
    }
    Ok(followed)
}

/// The verdict of the picture; before it is acted on, that of the service as it is now. Its tasks
/// tell why it failed, and they are read less often than it is.
async fn end(context: &Context, action: &Action, snapshot: &Snapshot) -> End {
    let name = ServiceName::new(action.key.name.as_str());
    let now = context.clock.now();
    let is_overdue = attempts::is_overdue(context, action, now);
    let seen = judge(action, snapshot.services.get(&name), now);
    if let (Verdict::Running { until }, false) = (&seen, is_overdue) {
        return End::Running { until: *until };
    }
    let live = match read_by_name(context, name.as_str()).await {
        Ok(live) => live,
        Err(error) => {
            tracing::debug!(action.id = %action.id, error = %error, "rollout.unreadable");
            return End::Running { until: None };
        }
    };
    match judge(action, live.as_ref(), context.clock.now()) {
        Verdict::Running { .. } if is_overdue => End::Failed(
            LetterReason::Timeout,
            overdue(live.as_ref(), context.options.action_timeout),
        ),
        Verdict::Running { until } => End::Running { until },
        Verdict::Done(detail) => End::Succeeded(detail),
        Verdict::Undone(detail) => End::Failed(LetterReason::RolloutFailed, detail),
    }
}

fn closing(context: &Context, action: &Action, event: ActionEvent, verdict: &str) -> Closing {
    // What was accepted, then what came of it.
    let detail = [action.detail.as_str(), verdict];
    let detail: Vec<&str> = detail.into_iter().filter(|part| !part.is_empty()).collect();
    Closing {
        action: action.id.clone(),
        revision: action.revision,
        event,
        actor: context.options.holder.clone(),
        detail: detail.join("; "),
        moved: None,
    }
}

async fn succeed(
    context: &Context,
    leadership: &Leadership,
    action: Action,
    verdict: String,
    followed: &mut Followed,
) -> Result<(), Error> {
    let closing = closing(context, &action, ActionEvent::Succeed, &verdict);
    let now = context.clock.now();
    if ended(context.store.close_action(leadership.fence(), &closing, now).await)? {
        followed.ended.push((action, ActionState::Succeeded.as_str(), closing.detail));
    }
    Ok(())
}

async fn fail(
    context: &Context,
    leadership: &Leadership,
    action: Action,
    reason: LetterReason,
    verdict: String,
    followed: &mut Followed,
) -> Result<(), Error> {
    let closing = closing(context, &action, ActionEvent::Fail, &verdict);
    // Containment has no rollouts.
    let Some(failed) = attempts::failed(context, &action, reason).await? else { return Ok(()) };
    let now = context.clock.now();
    if ended(context.store.fail_action(leadership.fence(), &closing, &failed, now).await)? {
        context.metrics.count_letter(action.source.as_str());
        followed.ended.push((action, ActionState::Failed.as_str(), closing.detail));
    }
    Ok(())
}

/// False when somebody ended it in this very moment: the next pass sees it.
fn ended(closed: skep_store::Result<()>) -> Result<bool, Error> {
    match closed {
        Ok(()) => Ok(true),
        Err(skep_store::Error::Conflict { .. } | skep_store::Error::Transition(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

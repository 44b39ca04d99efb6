//! Rollouts: what the engine has accepted is followed until Swarm has ended it. Nobody waits for
//! one: each pass looks at those that run, whoever began them.

use jiff::Timestamp;
use skep_core::action::{Action, ActionEvent, ActionState};
use skep_core::identity::{ActionId, ServiceName};
use skep_core::observed::Snapshot;
use skep_core::rollout::{Verdict, judge};
use skep_store::{ActionFilter, Closing};

use crate::Error;
use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::act::read_by_name;

/// What a look at the rollouts found.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// Actions whose rollout has ended, with their last state and its reason.
    pub(crate) ended: Vec<(Action, &'static str, String)>,
    /// Those that still run.
    pub(crate) running: Vec<ActionId>,
    /// When the same picture would say more.
    pub(crate) look_again: Option<Timestamp>,
}

/// Looks at each rollout of this swarm and ends the actions whose rollout is over.
pub(crate) async fn follow(
    context: &Context,
    leadership: &Leadership,
    snapshot: &Snapshot,
) -> Result<Followed, Error> {
    let states = vec![ActionState::RollingOut];
    let rolling =
        context.store.actions(&ActionFilter { states, ..ActionFilter::default() }).await?;
    let mut followed = Followed::default();
    for action in rolling.into_iter().filter(|action| action.key.cluster == snapshot.cluster) {
        match verdict(context, &action, snapshot).await {
            Verdict::Running { until } => {
                let moments = [followed.look_again, until];
                followed.look_again = moments.into_iter().flatten().min();
                followed.running.push(action.id);
            }
            Verdict::Done(detail) => {
                let event = ActionEvent::Succeed;
                close(context, leadership, action, event, detail, &mut followed).await?;
            }
            Verdict::Undone(detail) => {
                let event = ActionEvent::Fail;
                close(context, leadership, action, event, detail, &mut followed).await?;
            }
        }
    }
    Ok(followed)
}

/// The verdict of the picture; before it is acted on, that of the service as it is now. Its tasks
/// tell why it failed, and they are read less often than it is.
async fn verdict(context: &Context, action: &Action, snapshot: &Snapshot) -> Verdict {
    let name = ServiceName::new(action.key.name.as_str());
    let seen = judge(action, snapshot.services.get(&name), context.clock.now());
    if matches!(seen, Verdict::Running { .. }) {
        return seen;
    }
    match read_by_name(context, name.as_str()).await {
        Ok(live) => judge(action, live.as_ref(), context.clock.now()),
        Err(error) => {
            tracing::debug!(action.id = %action.id, error = %error, "rollout.unreadable");
            Verdict::Running { until: None }
        }
    }
}

async fn close(
    context: &Context,
    leadership: &Leadership,
    action: Action,
    event: ActionEvent,
    verdict: String,
    followed: &mut Followed,
) -> Result<(), Error> {
    // What was accepted, then what came of it.
    let detail = [action.detail.as_str(), verdict.as_str()];
    let detail: Vec<&str> = detail.into_iter().filter(|part| !part.is_empty()).collect();
    let closing = Closing {
        action: action.id.clone(),
        revision: action.revision,
        event,
        actor: context.options.holder.clone(),
        detail: detail.join("; "),
        moved: None,
    };
    match context.store.close_action(leadership.fence(), &closing, context.clock.now()).await {
        Ok(()) => {
            let state = action.state.after(event).map_or("ended", ActionState::as_str);
            followed.ended.push((action, state, closing.detail));
            Ok(())
        }
        // Somebody ended it in this very moment: the next pass sees it.
        Err(skep_store::Error::Conflict { .. } | skep_store::Error::Transition(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
